"""Whether a search is worth its time: by hand."""

import math

import numpy as np
import pytest

from mixop.core.measure import ACCURACY, Measure
from mixop.finder.contender import Trial
from mixop.finder.worth import Worth, worth


def trial(label, value, epochs, name="accuracy"):
    return Trial(
        label=label,
        origin="known",
        measures={name: value, "loss": 1.0},
        train={name: value},
        epochs=epochs,
        seconds=1.0,
        parameters=5,
        flops=10,
        latency_ms=None,
        round=1,
    )


MANY = 10**18
"""Examples, so that chance explains nothing."""
FIRST = [trial("a", 0.60, 4), trial("b", 0.55, 4), trial("c", 0.40, 4)]


@pytest.mark.parametrize(
    ("value", "epochs", "left", "training"),
    [
        (0.70, 8, 200.0, 0.10),  # 10 points for a doubling, and the search takes half of what is left: one doubling
        (0.68, 16, 200.0, 0.04),  # two doublings brought them
        (0.70, 8, 400.0, 0.10 * math.log2(4 / 3)),
        (0.60, 8, 200.0, 0.0),
        (0.50, 8, 200.0, 0.0),  # longer training never counts as a loss
    ],
)
def test_training_gains_by_doublings_and_searching_by_how_much_networks_differ(value, epochs, left, training):
    found = worth(FIRST, trial("a", value, epochs), ACCURACY, left=left, search=100.0, examples=MANY)
    assert found.training == pytest.approx(training)
    assert found.searching == pytest.approx(0.05)  # 0.60 from the median, 0.55
    assert found.search is (training <= 0.05)


def test_the_second_best_may_be_the_one_that_was_trained_longer():
    assert worth(FIRST, trial("b", 0.65, 8), ACCURACY, left=200.0, search=100.0, examples=MANY).training == pytest.approx(0.10)


def test_errors_gain_by_falling():
    rmse = Measure("rmse", "lower")
    trials = [trial(label, value, 4, "rmse") for label, value in (("a", 2.0), ("b", 3.0), ("c", 5.0))]
    found = worth(trials, trial("a", 1.5, 8, "rmse"), rmse, left=200.0, search=100.0, examples=MANY)
    assert found == Worth(training=0.5, searching=1.0)
    assert found.search


@pytest.mark.parametrize(
    ("longer", "left"),
    [
        (trial("d", 0.7, 8), 200.0),  # was not in the first round
        (trial("a", 0.7, 4), 200.0),  # was not trained for longer
        (trial("a", None, 8), 200.0),
        (trial("a", 0.7, 8), 100.0),  # nothing would be left
    ],
)
def test_where_nothing_can_be_said_it_says_nothing(longer, left):
    assert worth(FIRST, longer, ACCURACY, left=left, search=100.0, examples=MANY) is None


@pytest.mark.parametrize(("networks", "examples"), [(2, 500), (5, 500), (6, 60)])
def test_equal_networks_are_worth_no_search_on_average(networks, examples):
    """Drawn: the best of equal networks is above their median by as much as is taken away."""
    right = np.random.default_rng(0).binomial(examples, 0.75, size=(4000, networks)) / examples
    differ = np.mean(right.max(axis=1) - np.median(right, axis=1))
    spread = 0.5
    trials = [trial("a", 0.5 + spread, 4), *(trial(str(k), 0.5, 4) for k in range(networks - 1))]
    given = {"left": 200.0, "search": 100.0}
    median = np.median([t.measures["accuracy"] for t in trials])
    found = worth(trials, trial("a", 1.0, 8), ACCURACY, **given, examples=examples)
    taken = (1.0 - median - found.searching) * math.sqrt(0.75 * 0.25 / (median * (1 - median)))
    assert taken == pytest.approx(differ, rel=0.07)


def test_what_chance_explains_is_no_less_than_all_that_networks_differ_by():
    assert worth(FIRST, trial("a", 0.70, 8), ACCURACY, left=200.0, search=100.0, examples=50).searching == 0
