"""The tables of published numbers: complete, read as they are printed, each number with its source."""

from collections import Counter

import pytest

from mixop.comparison import survey
from mixop.comparison.survey import IN_SPACE, MEASURES, METHODS, TABLES, TITLES, Reported
from mixop.recipes import RECIPES
from mixop.searchers import SEARCHERS
from mixop.spaces import READY, SPACES

ALL = [number for numbers in TABLES.values() for number in numbers]

METHODS_IN = {
    "nasbench201-searched": 13,
    "nasbench201-gaea": 1,
    "nasbench201-darts-minus": 1,
    "nasbench201-darts-pt": 3,
    "nasbench201-partial": 5,
    "nasbench201-anchor": 7,
    "nasbench201-eigenvalue": 1,
    "nasbench201-carried": 9,
    "cifar10-enas": 20,
    "cifar10-enas-cost": 1,
    "cifar10-darts": 14,
    "cifar10-drnas": 19,
    "cifar10-rdarts": 1,
    "cifar10-darts-minus": 1,
    "cifar10-darts-pt": 5,
    "prdarts": 1,
    "s1-s4-drnas": 4,
    "s1-s4-darts-pt": 2,
    "s1-s4-darts-pt-cifar100": 2,
    "s1-s4-darts-pt-svhn": 2,
    "s1-s4-eigenvalue": 1,
    "imagenet-drnas": 22,
    "imagenet-prdarts": 1,
    "ptb-darts": 10,
    "ptb-sdarts": 2,
}
"""Lines of each table, counted in the papers' tables."""


def find(table: str, method: str, dataset: str, measure: str, space: str | None = None) -> Reported:
    (found,) = (
        number
        for number in TABLES[table]
        if (number.method, number.dataset, number.measure) == (method, dataset, MEASURES[measure])
        and space in (None, number.space)
    )
    return found


def test_every_table_has_its_lines():
    assert {name: len({number.method for number in numbers}) for name, numbers in TABLES.items()} == METHODS_IN


def test_numbers_of_each_data_set():
    # 13 lines of 6 numbers, 9 of 6, and so on: what the tables above have, less the two that papers leave out.
    assert Counter(number.dataset for number in ALL) == {
        "cifar10": 26 + 1 + 2 + 3 + 10 + 7 + 1 + 18 + 20 + 1 + 14 + 19 + 1 + 1 + 5 + 1 + 16 + 8 + 4,
        "cifar100": 26 + 1 + 2 + 10 + 18 + 1 + 8,
        "imagenet16-120": 26 + 1 + 2 + 18,
        "imagenet": 2 * 22 - 1 + 2,
        "svhn": 8,
        "ptb": 2 * 10 - 1 + 4,
    }


@pytest.mark.parametrize(
    ("where", "value", "deviation", "parameters", "cost"),
    [
        (("cifar10-darts", "DARTS (second order) + cutout", "cifar10", "error"), 2.76, 0.09, 3.3, (4, 4)),
        (("cifar10-drnas", "DARTS (2nd)", "cifar10", "error"), 2.76, 0.09, 3.3, (1, 1)),
        (("cifar10-drnas", "DrNAS", "cifar10", "error"), 2.46, 0.03, 4.1, (0.6, 0.6)),
        (("cifar10-enas", "NAS", "cifar10", "error"), 4.47, None, 7.1, (800 * 21, 800 * 28)),
        (("cifar10-enas", "Budgeted Super Nets", "cifar10", "error"), 9.21, None, None, None),
        (("imagenet-drnas", "SNAS (mild)", "imagenet", "top5"), 9.2, None, 4.3, (1.5, 1.5)),
        (("nasbench201-searched", "DSNAS", "cifar100", "test"), 31.01, 16.38, None, None),
        (("nasbench201-carried", "REA", "imagenet16-120", "valid"), 45.15, 0.89, None, (12000, 12000)),
        (("nasbench201-partial", "DrNAS, K = 4", "cifar100", "memory"), 1161, None, None, None),
        (("ptb-darts", "Variational RHN", "ptb", "valid_ppl"), 67.9, None, 23, None),
        (("ptb-darts", "NAS", "ptb", "ppl"), 64.0, None, 25, (10000, 10000)),
        (("s1-s4-drnas", "R-DARTS (DP)", "cifar10", "error", "s3"), 2.93, None, None, None),
        (("s1-s4-darts-pt-svhn", "DARTS+PT", "svhn", "error", "s1"), 2.62, None, None, None),
    ],
)
def test_lines_are_read_as_they_are_printed(where, value, deviation, parameters, cost):
    found = find(*where)
    assert (found.value, found.deviation, found.parameters, found.cost) == (value, deviation, parameters, cost)


def test_costs_have_their_units():
    units = {number.table: set() for number in ALL}
    for number in ALL:
        units[number.table].add(number.cost_unit)
        assert (number.cost is None) == (not number.cost_unit)
    assert units["nasbench201-carried"] == {"s"}
    assert units["cifar10-darts"] == {"", "GPU days"}
    assert units["ptb-darts"] == {"", "GPU days", "CPU days"}


def test_runs_are_those_of_the_searches():
    assert find("nasbench201-searched", "DrNAS", "cifar10", "test").runs == 4
    assert find("nasbench201-searched", "ResNet", "cifar10", "test").runs is None
    assert find("nasbench201-carried", "BOHB", "cifar100", "test").runs == 500


def test_the_two_kinds_of_table_of_nasbench201_differ_where_the_search_does():
    for method in ("GDAS", "RSPS"):
        searched, carried = (find(f"nasbench201-{kind}", method, "cifar100", "test") for kind in ("searched", "carried"))
        assert searched.value != carried.value
        assert searched.source != carried.source


def test_every_number_has_a_source_a_known_data_set_and_a_known_space():
    for number in ALL:
        assert number.source
        assert number.dataset in TITLES
        assert number.space is None or number.space in {*SPACES, *READY}
        assert TABLES[number.table]


def test_what_was_not_seen_in_a_source_is_marked():
    assert {(number.table, number.method, number.dataset) for number in ALL if not number.verified} == {
        ("nasbench201-carried", "SETN", "imagenet16-120"),
        ("ptb-sdarts", "SDARTS-RS", "ptb"),
        ("ptb-sdarts", "SDARTS-ADV", "ptb"),
    }


def test_no_table_says_two_things_of_the_same():
    seen = Counter((number.table, number.method, number.dataset, number.space, number.measure) for number in ALL)
    assert set(seen.values()) == {1}


def test_shares_are_percent_and_errors_and_accuracies_go_their_ways():
    for number in ALL:
        if number.measure.unit == "%":
            assert 0 < number.value < 100
            assert (number.measure.better == "lower") == number.measure.name.endswith("error")


def test_every_method_with_a_recipe_is_resolved_to_it():
    assert {*METHODS.values(), *filter(None, IN_SPACE.values())} <= {*RECIPES, *SEARCHERS}
    assert METHODS.keys() | {method for method, _ in IN_SPACE} <= {number.method for number in ALL}
    assert {number.method for number in ALL if number.recipe is None} == {
        # networks made by hand, and the best one
        *("ResNet", "optimal", "DenseNet-BC", "DenseNet + Shake-Shake", "DenseNet + CutOut", "FractalNet"),
        *("Inception-v1", "MobileNet", "ShuffleNet 2x (v1)", "ShuffleNet 2x (v2)"),
        *("Variational RHN", "LSTM", "LSTM + skip connections", "LSTM + 15 softmax experts"),
        # searches of other kinds
        *("Budgeted Super Nets", "ConvFabrics", "Macro NAS + Q-Learning", "Net Transformation", "SMASH", "NAS"),
        *("NAS + more filters", "Hierarchical NAS", "Micro NAS + Q-Learning", "Progressive NAS", "BlockQNN", "PNAS"),
        *("NASNet-A", "NASNet-A + CutOut", "NASNet-A + cutout", "NASNet-A + cutout (dagger)", "Hierarchical evolution"),
        *("AmoebaNet-A", "AmoebaNet-A + cutout (dagger)", "AmoebaNet-B", "AmoebaNet-B + cutout", "AmoebaNet-C", "MnasNet-92"),
        # variants of recipes
        *("DARTS+PT (fixed alpha)", "SDARTS-RS+PT (average)", "SDARTS-RS+PT (best)", "DARTS (second order)"),
        *("DrNAS, K = 2", "DrNAS, K = 4", "DrNAS, K = 8"),
        *(f"DrNAS, lambda = {weight}" for weight in ("0", "5e-4", "5e-3", "1e-2", "1e-1", "1")),
    }


def test_a_method_has_the_recipe_of_its_space():
    assert find("nasbench201-searched", "GDAS", "cifar10", "test").recipe == "gdas"
    assert find("cifar10-drnas", "GDAS", "cifar10", "error").recipe == "gdas_darts"
    assert find("nasbench201-searched", "ENAS", "cifar10", "test").recipe == "enas"
    assert find("cifar10-drnas", "ENAS", "cifar10", "error").recipe == "enas_micro"
    assert find("ptb-darts", "ENAS (star)", "ptb", "ppl").recipe == "enas_rnn"
    assert find("ptb-darts", "DARTS (second order)", "ptb", "ppl").recipe is None


def test_a_number_as_json_has_all_that_is_known_of_it():
    assert find("cifar10-enas", "Macro NAS + Q-Learning", "cifar10", "error").to_json() == {
        "table": "cifar10-enas",
        "method": "Macro NAS + Q-Learning",
        "recipe": None,
        "dataset": "cifar10",
        "space": None,
        "measure": {"name": "test_error", "better": "lower", "unit": "%", "style": "number"},
        "value": 6.92,
        "deviation": None,
        "runs": None,
        "parameters": 11.2,
        "cost": [80, 100],
        "cost_unit": "GPU days",
        "source": "Pham et al. 2018 (arXiv:1802.03268), table 2",
        "verified": True,
        "note": "",
    }


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("method | cifar10 error\nA | 5,2", "'5,2' is not a number"),
        ("method | cifar10 error\nA | 5.2+-", "is not a number"),
        ("method | cifar10 error\nA | -5.2", "is not a number"),
        ("method | cifar10 error\nA | 5.2 3.1", "zip"),
        ("method | cifar10 error\nA | 5.2 | 3.1", "zip"),
        ("method | cifar11 error\nA | 5.2", "A column is a data set and its measures, got 'cifar11 error'"),
        ("method | cifar10 errors\nA | 5.2", "A column is a data set and its measures"),
        ("method | days | cifar10 error\nA | 4 to 5 | 5.2", "is not a cost"),
    ],
)
def test_a_line_that_is_not_as_it_should_be_is_refused(text: str, says: str):
    with pytest.raises(ValueError, match=says):
        survey._read("a", "b", text)
