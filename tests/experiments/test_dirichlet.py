"""Rules about DrNAS on numbers that show what is reported, and on their opposite; variants differ in what is asked alone."""

from dataclasses import replace

import numpy as np
import pytest

from mixop.experiments import dirichlet
from mixop.experiments import quantities as of
from mixop.experiments.base import Findings, Panel
from mixop.experiments.catalogue import CATALOGUE
from mixop.recipes import RECIPES

FALLING = np.linspace(1.0, 0.2, 8)
EVEN = np.ones(8)


def findings(**series):
    """Panels by the name of their title, each variant the given curve over 8 epochs, three runs that differ a little."""
    noise = np.array([[0.0], [1e-4], [2e-4]])
    panels = {
        title: Panel(
            title,
            tuple(range(1, 9)),
            {name: curve * (1 + (1 + place) * noise) for place, (name, curve) in enumerate(given.items())},
        )
        for title, given in ((getattr(of, key), given) for key, given in series.items())
    }
    return Findings(panels)


def verdicts(name, **series):
    return [judged.verdict for judged in CATALOGUE[name].judged(findings(**series))]


def test_draws_that_narrow_around_the_best():
    near, far = ({"drnas": level * EVEN} for level in (0.905, 0.95))
    derived = {"drnas": 0.9 * EVEN}
    shows = {"RANGE": {"drnas": FALLING}, "SPREAD": {"drnas": FALLING / 5}, "BEST_DRAWN": near, "TABLE": derived}
    opposite = {"RANGE": {"drnas": FALLING[::-1]}, "SPREAD": {"drnas": FALLING[::-1]}, "BEST_DRAWN": far, "TABLE": derived}
    assert verdicts("range-drnas", **shows) == ["shows"] * 3
    assert verdicts("range-drnas", **opposite) == ["does not show"] * 3


@pytest.mark.parametrize(("sign", "verdict"), [(1, "shows"), (-1, "does not show")])
def test_partial_channels_that_cost_accuracy_and_save_memory(sign, verdict):
    accuracy = {"k-1": 0.5 * EVEN, "k-8": (0.5 - 0.1 * sign) * EVEN, "progressive": 0.5 * EVEN}
    memory = {"k-1": 100 * EVEN, "k-8": (100 - 50 * sign) * EVEN, "progressive": (100 - 20 * sign) * EVEN}
    assert verdicts("partial-drnas", TABLE=accuracy, MEMORY=memory) == [verdict] * 4


@pytest.mark.parametrize(("sign", "verdict"), [(1, "shows"), (-1, "does not show")])
def test_a_bound_that_is_below_the_expected_loss(sign, verdict):
    expected, bound = {"drnas": 0.2 * sign * EVEN}, {"drnas": 0.1 * sign * EVEN}
    assert verdicts("bound-drnas", EXPECTED=expected, BOUND=bound) == [verdict] * 2


def test_shares_of_channels_differ_in_the_wrap_alone():
    made = dirichlet.partial(6)
    assert list(made) == ["k-1", "k-2", "k-4", "k-8", "progressive"]
    assert made["k-1"] == RECIPES["drnas"](epochs=6)
    assert [made[f"k-{k}"].wraps[0].k for k in (2, 4, 8)] == [2, 4, 8]
    assert {replace(made[f"k-{k}"], wraps=()) for k in (1, 2, 4, 8)} == {made["k-1"]}


def test_only_darts_has_to_be_drawn_by_its_weights():
    monitors = {name: recipe.monitors[-1] for name, recipe in dirichlet.exploring(6).items()}
    assert {name: (monitor.by, monitor.samples) for name, monitor in monitors.items()} == {
        "drnas": ("draw", 100),
        "darts": ("weights", 100),
        "gdas": ("draw", 100),
        "snas": ("draw", 100),
    }


def test_a_table_along_the_shares_has_the_ends_of_all_searches():
    curves = {name: level * FALLING for name, level in zip(dirichlet.partial(6), (5.0, 4.0, 3.0, 2.0, 1.0), strict=True)}
    panel = findings(TABLE=curves).panels[of.TABLE]
    made = dirichlet.by_share(panel, "by K")
    assert (made.x, made.along) == ((1.0, 2.0, 4.0, 8.0), "K")
    for column, k in enumerate((1, 2, 4, 8)):
        np.testing.assert_array_equal(made.series["one stage"][:, column], panel.series[f"k-{k}"][:, -1])
        np.testing.assert_array_equal(made.series["two stages"][:, column], panel.series["progressive"][:, -1])
