"""Published numbers: read right from their tables, and never one table's number for the other's question."""

import pytest

from mixop.comparison.published import CARRIED, DATASETS, OPTIMAL, SEARCHED, SINGLE, Published, published
from mixop.recipes import RECIPES

BLACK_BOX = {"random", "evolution", "reinforce", "bohb"}


def test_every_method_is_one_of_ours_or_a_black_box_search():
    for table in (SEARCHED, CARRIED, SINGLE):
        assert table.keys() <= RECIPES.keys() | BLACK_BOX


def test_lines_are_read_with_their_deviations():
    drnas = SEARCHED["drnas"]["imagenet16-120"]
    assert (drnas.valid, drnas.valid_deviation, drnas.test, drnas.test_deviation, drnas.runs) == (46.37, 0.0, 46.34, 0.0, 4)
    darts = CARRIED["darts"]["cifar100"]
    assert (darts.valid, darts.valid_deviation, darts.test, darts.runs) == (15.03, None, 15.61, 3)
    assert CARRIED["evolution"]["cifar10"].runs == 500


def test_what_was_carried_over_answers_for_cifar10_only():
    assert published("setn", "cifar10") == CARRIED["setn"]["cifar10"]
    assert published("setn", "cifar100") is None
    assert published("darts", "cifar100") == SEARCHED["darts"]["cifar100"]
    assert published("gaea", "cifar10") == Published(None, 94.10, source=SINGLE["gaea"]["cifar10"].source)
    assert published("unheard of", "cifar10") is None


@pytest.mark.parametrize("dataset", DATASETS)
def test_nothing_is_better_than_the_best(dataset):
    for table in (SEARCHED, CARRIED, SINGLE):
        for rows in table.values():
            if dataset in rows:
                assert rows[dataset].test <= OPTIMAL[dataset].test
