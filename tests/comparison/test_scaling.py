"""The one rule for short searches, by hand for every kind of optimiser, and what it finds on the toy."""

from dataclasses import replace

import pytest

from mixop.comparison.scaling import published_steps, scaled
from mixop.core.errors import RecipeError
from mixop.core.optim import ExponentiatedGradient
from mixop.core.schedules import Constant, Cosine, Linear
from mixop.recipes import RECIPES, darts, drnas, enas, gaea


def test_published_steps_are_epochs_times_batches():
    assert published_steps(darts()) == 50 * 391  # ceil(25,000 / 64)
    assert published_steps(drnas(epochs=3)) == 100 * 391  # whatever the short search has
    assert published_steps(gaea()) == 25 * 782  # single level: all 50,000


def test_rate_times_steps_stays_the_same_below_the_caps():
    short = scaled(replace(darts(), epochs=20), steps=1000)
    assert short.architecture_optimiser.lr == Constant(pytest.approx(3e-4 * 50 * 391 / 1000))
    assert replace(short, architecture_optimiser=darts().architecture_optimiser) == replace(darts(), epochs=20)


def test_the_caps_hold_and_policies_keep_their_rate():
    assert scaled(darts(), 1).architecture_optimiser.lr == Constant(pytest.approx(0.03))  # 100 times
    assert scaled(gaea(), 1).architecture_optimiser.lr == Constant(pytest.approx(1.0))
    assert scaled(enas(), 1).architecture_optimiser.lr == enas().architecture_optimiser.lr
    assert scaled(darts(), 10**9).architecture_optimiser.lr == Constant(3e-4)  # never less than published


def test_a_warmup_keeps_its_share():
    for name, make in RECIPES.items():
        published = make()
        stages = max(1, len(published.stages))  # of one length in every published recipe
        short = scaled(replace(published, epochs=max(10, stages * (published.warmup + 1))), steps=500)
        assert short.warmup == min(round(published.warmup / published.epochs * short.epochs), short.epochs // stages - 1), name


@pytest.mark.parametrize("schedule", [Linear(0.2, 0.1), Cosine(0.2, 0.1)])
def test_schedules_keep_their_form(schedule):
    recipe = replace(gaea(), architecture_optimiser=ExponentiatedGradient(lr=schedule))
    lr = scaled(recipe, 25 * 782 // 2).architecture_optimiser.lr
    assert lr == replace(schedule, start=0.4, stop=0.2)


@pytest.mark.parametrize("steps", [0, -1, 1.5, True])
def test_steps_that_are_none_are_refused(steps):
    with pytest.raises(RecipeError, match="at least 1"):
        scaled(darts(), steps)


def test_a_recipe_of_ones_own_has_no_published_steps():
    with pytest.raises(RecipeError, match="There is no recipe"):
        scaled(replace(darts(), name="mine"), 10)


def test_with_a_warm_up_of_ones_own_steps_of_warm_up_do_not_count():
    """Rate times steps in which the architecture moves is the published one, whatever the warm-up there and here."""
    for name in ("darts", "drnas", "pcdarts"):
        published = RECIPES[name]()
        moving = published_steps(published) * (1 - published.warmup / published.epochs)
        short = scaled(RECIPES[name](epochs=22), 22 * 200, warmup=10)
        assert short.warmup == 10
        rate, usual = short.architecture_optimiser.lr.bounds[1], published.architecture_optimiser.lr.bounds[1]
        assert rate * 12 * 200 == pytest.approx(usual * moving)
    staged = scaled(RECIPES["drnas_progressive_201"](epochs=22), 22 * 200, warmup=10)
    assert staged.warmup == 5  # of the 11 epochs of a stage
    with pytest.raises(RecipeError, match="from 0 to 21, got 22"):
        scaled(RECIPES["darts"](epochs=22), 100, warmup=22)
