"""The live warning: each sign alone, with its threshold passed and not passed."""

import json

import pytest

from mixop.core.errors import RecipeError
from mixop.monitors.base import Continue
from mixop.monitors.collapse import Collapse
from mixop.relax import Softmax

EVEN = [0.2] * 5  # none, skip_connect, nor_conv_1x1, nor_conv_3x3, avg_pool_3x3


def columns(monitor, search, epochs):
    """The columns of every epoch."""
    found = []
    for search.epoch in range(epochs):
        assert monitor(search) == Continue()
        found.append(monitor.columns(search))
    return found


def rising(option: int, epochs: int = 8) -> list[list[float]]:
    """Weight of one option growing from 0.2 by 0.05 an epoch, the others even."""
    shares = [0.2 + 0.05 * epoch for epoch in range(epochs)]
    return [[share if o == option else (1 - share) / 4 for o in range(5)] for share in shares]


def test_a_quiet_search_is_described_without_a_warning(view, cell):
    (first,) = columns(Collapse(), view(natives=[cell("ccsnpc")]), 1)
    assert first == {
        "chosen_skip_share": 1 / 6,
        "parameter_free_share": 3 / 6,
        "relative_entropy": pytest.approx(1),
        "warning": None,
    }


def test_skip_connections_that_are_many_and_rise(view, cell):
    found = columns(Collapse(), view(natives=[cell("ssssnc")] * 8, weights=rising(1)), 8)
    assert [record["warning"] is None for record in found] == [True] * 5 + [False] * 3
    assert found[5]["warning"] == (
        "67% of the derived architecture are skip connections, and their weight rose from 0.20 to 0.45 in 5 epochs."
    )


@pytest.mark.parametrize(
    ("letters", "weights"),
    [
        ("sssccc", rising(1)),  # one half is not more than one half
        ("ssssnc", [EVEN] * 8),  # many, but not rising
        ("ssssnc", rising(1)[::-1]),  # falling
    ],
)
def test_skip_connections_that_are_few_or_do_not_rise(view, cell, letters, weights):
    found = columns(Collapse(), view(natives=[cell(letters)] * 8, weights=weights), 8)
    assert all(record["warning"] is None for record in found)


def test_operations_without_parameters_that_take_over(view, cell):
    found = columns(Collapse(window=2), view(natives=[cell("pppnnc")] * 4, weights=rising(4, 4)), 4)
    assert found[1]["warning"] is None
    # Of 0.2 + 0.05 e for the pool, and a quarter of the rest for each of none and skip_connect.
    assert found[2]["warning"] == (
        "83% of the derived architecture have no parameters to learn, and the weight of such operations rose from 0.60 to "
        "0.65 in 2 epochs."
    )
    found = columns(Collapse(window=2, parameter_free=0.9), view(natives=[cell("pppnnc")] * 4, weights=rising(4, 4)), 4)
    assert found[3]["warning"] is None


def test_a_decision_in_the_first_quarter(view, cell):
    decided = [0.0, 0.0, 0.0, 0.99, 0.01]  # 0.056 nats of 1.609
    found = columns(Collapse(), view(epochs=8, natives=[cell("cccccc")] * 8, weights=[decided] * 8), 3)
    assert found[1]["warning"].startswith("The entropy of the mixing weights is at 3% of its maximum in the first quarter")
    assert found[2]["warning"] is None, "epoch 3 of 8 is past the first quarter: to be decided is the aim"
    found = columns(Collapse(entropy=0.03), view(epochs=8, natives=[cell("cccccc")] * 8, weights=[decided] * 8), 1)
    assert found[0]["warning"] is None


def test_an_eigenvalue_that_grows_as_in_early_stopping(view, cell):
    search = view(curvature=lambda epoch: 1.08 ** max(0, epoch - 8), natives=[cell("cccccc")] * 16)
    found = columns(Collapse(eigenvalue=True, weight_decay=0.0), search, 16)
    assert [record["eigenvalue"] for record in found] == pytest.approx([1.08 ** max(0, epoch - 8) for epoch in range(16)])
    # Means of 5 at epochs 13 and 9: (1.08 + ... + 1.08^5) / 5 = 1.267 over (4 + 1.08) / 5 = 1.016 is 1.247; then 1.304.
    assert [record["warning"] is None for record in found] == [True] * 14 + [False] * 2
    assert found[14]["warning"].startswith("The dominant eigenvalue's mean grew 1.30 times")


def test_expensive_measures_are_taken_every_so_often_and_only_if_asked(view, cell):
    search = view(natives=[cell("cccccc")] * 5, difference=0.5)
    found = columns(Collapse(every=2, eigenvalue=True, gap=True), search, 5)
    assert [record["gap"] for record in found] == [pytest.approx(0.5), None, pytest.approx(0.5), None, pytest.approx(0.5)]
    assert [record["eigenvalue"] is None for record in found] == [False, True, False, True, False]
    assert search.measured == 3
    found = columns(Collapse(), view(natives=[cell("cccccc")], difference=0.5), 1)
    assert not {"gap", "eigenvalue"} & found[0].keys()


def test_without_validation_examples_there_is_no_gap(view, cell):
    (first,) = columns(Collapse(gap=True), view(natives=[cell("cccccc")]), 1)
    assert first["gap"] is None


def test_several_signs_make_several_sentences_and_the_columns_are_json(view, cell):
    decided = [[0.0, 0.90 + 0.01 * epoch, 0.0, 0.10 - 0.01 * epoch, 0.0] for epoch in range(10)]
    search = view(epochs=50, natives=[cell("ssssss")] * 10, weights=decided)
    last = columns(Collapse(), search, 10)[-1]
    for words in ("100% of the derived architecture are skip", "first quarter"):
        assert words in last["warning"]
    assert "no parameters to learn" not in last["warning"], "skip connections say it already"
    assert json.loads(json.dumps(last, allow_nan=False)) == last


def test_going_on_from_the_memory_equals_going_on(view, cell):
    """Two monitors that take turns on one memory say what one says: a part carries nothing itself."""
    settings = {"natives": [cell("ssssnc")] * 8, "weights": rising(1)}
    whole = columns(Collapse(eigenvalue=True), view(**settings), 8)
    search = view(**settings)
    for search.epoch in range(8):
        search.memory = {key: value.clone() for key, value in search.memory.items()}
        Collapse(eigenvalue=True)(search)
        assert Collapse(eigenvalue=True).columns(search) == whole[search.epoch]


def test_misfits_and_settings_out_of_range_are_refused(view):
    class Policy(Softmax):
        differentiable_mean = False

    Collapse().check(Policy(), view().space, 0.0)
    with pytest.raises(RecipeError, match="use eigenvalue=False"):
        Collapse(eigenvalue=True).check(Policy(), view().space, 0.0)
    for settings, words in (
        ({"every": 0}, "every of Collapse"),
        ({"window": 0}, "window of Collapse"),
        ({"skips": 1.5}, "skips of Collapse"),
        ({"parameter_free": -0.1}, "parameter_free of Collapse"),
        ({"entropy": 2.0}, "entropy of Collapse"),
        ({"factor": 0.0}, "factor of Collapse"),
        ({"weight_decay": -1.0}, "weight decay of Collapse"),
    ):
        with pytest.raises(RecipeError, match=words):
            Collapse(**settings)
