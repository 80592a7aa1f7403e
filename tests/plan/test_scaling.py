"""The one rule for short searches, by hand for every kind of optimiser, and what it finds on the toy."""

import runpy
from dataclasses import replace
from math import ceil
from pathlib import Path

import pytest

from mixop.core.errors import RecipeError
from mixop.core.optim import ExponentiatedGradient
from mixop.core.schedules import Constant, Cosine, Joined, Linear
from mixop.data.toy import toy_set
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.plan.scaling import paced, published_travel, scaled, scaled_to, share_of_travel, travel
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES, darts, drnas, enas, gaea
from mixop.runs.directory import RunDirectory
from mixop.spaces.toy import Toy

ROOT = Path(__file__).parents[2]


def simulated(recipe: Recipe, batches: int) -> float:
    """Rate times steps that move the architecture, step by step as the published loops go."""
    shares = [stage.share for stage in recipe.stages] or [1.0]
    moved = 0
    rate = recipe.architecture_optimiser.lr
    assert isinstance(rate, Constant)
    for at in range(len(shares)):
        begin, end = (round(recipe.epochs * sum(shares[: at + more]) / sum(shares)) for more in (0, 1))
        for epoch in range(end - begin):
            for step in range(batches):
                at_step = step if recipe.order == "architecture_first" else step + 1
                due = at_step % min(recipe.architecture_every, batches) == 0
                moved += epoch >= recipe.warmup and due and recipe.scheme.searches
    return rate.value * moved


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_travels_as_far_as_published_or_is_held_back_by_a_limit(name: str):
    """22 epochs on 6,000 + 6,000 images, with the recipe's share of warm-up and with 10 epochs of it."""
    published = RECIPES[name]()
    examples = 50_000 if published.scheme.shares_data else 25_000
    far = simulated(published, ceil(examples / published.batch_size))
    assert published_travel(published) == pytest.approx(far)
    for warmup in (None, 10):
        recipe = replace(RECIPES[name](epochs=22), batch_size=64)
        short = scaled_to(recipe, 6000, 6000, warmup=warmup)
        batches = ceil((12_000 if published.scheme.shares_data else 6000) / 64)
        share = simulated(short, batches) / far if far else 1.0
        assert share_of_travel(short, 6000, 6000) == pytest.approx(share)
        rate, usual = short.architecture_optimiser.lr.bounds[1], recipe.architecture_optimiser.lr.bounds[1]
        largest = 1.0 if short.architecture_optimiser.keeps_simplex else 0.1
        limited = rate == pytest.approx(min(100 * usual, largest)) or not recipe.relaxation.parameter_per_option
        assert share == pytest.approx(1) or (limited and share < 1)


def test_the_sum_is_that_of_the_steps_a_search_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The engine itself moves the architecture that often, at these rates."""
    optimiser = replace(darts().architecture_optimiser, lr=Linear(0.3, 0.1))
    recipe = replace(darts(epochs=5), batch_size=16, warmup=2, architecture_every=2, architecture_optimiser=optimiser)
    data = toy_set(Toy(), n=96)
    search = Search(recipe, Toy(), data, RunDirectory(tmp_path), Settings())
    rates = []
    inner = search._move_architecture

    def move(hypergradient):
        rates.append(search.state.architecture_optimiser.param_groups[0]["lr"])
        inner(hypergradient)

    monkeypatch.setattr(search, "_move_architecture", move)
    search.run()
    assert sum(rates) == pytest.approx(travel(recipe, ceil(len(data.train) / 16)))


def test_published_travel_is_rate_times_the_steps_of_the_published_search():
    assert published_travel(darts()) == pytest.approx(3e-4 * 50 * 391)  # ceil(25,000 / 64)
    assert published_travel(drnas(epochs=3)) == pytest.approx(3e-4 * 100 * 391)  # whatever the short search has
    assert published_travel(gaea()) == pytest.approx(0.1 * 25 * 782)  # single level: all 50,000
    assert published_travel(RECIPES["pdarts"]()) == pytest.approx(6e-4 * 3 * 15 * 261)  # 10 of 25 epochs of every stage wait
    assert published_travel(RECIPES["drnas_progressive"]()) == pytest.approx(6e-4 * 2 * 15 * 391)
    assert published_travel(RECIPES["rsws"]()) == 0


def test_rate_times_steps_stays_the_same_below_the_caps():
    short = scaled(replace(darts(), epochs=20), 50)
    assert short.architecture_optimiser.lr == Constant(pytest.approx(3e-4 * 50 * 391 / 1000))
    assert replace(short, architecture_optimiser=darts().architecture_optimiser) == replace(darts(), epochs=20)


def test_the_caps_hold_and_policies_keep_their_rate():
    assert scaled(darts(epochs=1), 1).architecture_optimiser.lr == Constant(pytest.approx(0.03))  # 100 times
    assert scaled(gaea(epochs=1), 1).architecture_optimiser.lr == Constant(pytest.approx(1.0))
    assert scaled(enas(epochs=1), 1).architecture_optimiser.lr == enas().architecture_optimiser.lr
    assert scaled(darts(), 10**9).architecture_optimiser.lr == Constant(3e-4)  # never less than published


def test_a_warmup_keeps_its_share():
    for name, make in RECIPES.items():
        published = make()
        stages = max(1, len(published.stages))  # of one length in every published recipe
        short = scaled(replace(published, epochs=max(10, stages * (published.warmup + 1))), 50)
        assert short.warmup == min(round(published.warmup / published.epochs * short.epochs), short.epochs // stages - 1), name


@pytest.mark.parametrize("schedule", [Linear(0.2, 0.1), Cosine(0.2, 0.1)])
def test_schedules_keep_their_form(schedule: Linear | Cosine):
    recipe = replace(gaea(), architecture_optimiser=ExponentiatedGradient(lr=schedule))
    short = scaled(recipe, 391, published=recipe)
    factor = travel(recipe, 782) / travel(recipe, 391)
    assert factor == pytest.approx(2)
    assert short.architecture_optimiser.lr == replace(
        schedule, start=pytest.approx(0.2 * factor), stop=pytest.approx(0.1 * factor)
    )
    assert travel(short, 391) == pytest.approx(travel(recipe, 782))


def test_joined_schedules_are_multiplied_both():
    recipe = replace(gaea(), architecture_optimiser=ExponentiatedGradient(lr=Joined(Linear(0.2, 0.1), Cosine(0.1))))
    lr = scaled(recipe, 391, published=recipe).architecture_optimiser.lr
    assert isinstance(lr, Joined)
    assert lr.bounds == pytest.approx((0.0, 0.2 * 2))
    short = replace(recipe, architecture_optimiser=ExponentiatedGradient(lr=lr))
    assert travel(short, 391) == pytest.approx(travel(recipe, 782))


def test_a_rate_that_someone_set_stays():
    mine = replace(darts(epochs=1), architecture_optimiser=replace(darts().architecture_optimiser, lr=Constant(0.002)))
    assert scaled(mine, 10).architecture_optimiser == mine.architecture_optimiser


@pytest.mark.parametrize("batches", [0, -1, 1.5, True])
def test_batches_that_are_none_are_refused(batches: int):
    with pytest.raises(RecipeError, match="at least 1"):
        scaled(darts(), batches)


def test_a_recipe_of_ones_own_is_measured_by_its_own_length():
    """What `compare` makes of parts:mine beside darts: the same rate, not one that is a hundred times smaller."""
    mine = replace(darts(), name="mine")
    short = scaled(replace(mine, epochs=3), 10, published=mine)
    assert short.architecture_optimiser == scaled(darts(epochs=3), 10).architecture_optimiser
    assert short.architecture_optimiser.lr == Constant(pytest.approx(0.03))
    # Where its length is not known, what it would travel on CIFAR-10 in as many epochs counts.
    assert scaled(replace(mine, epochs=3), 100).architecture_optimiser.lr == Constant(pytest.approx(3e-4 * 391 / 100))


def test_the_rate_alone_may_be_scaled_and_the_warm_up_stay():
    recipe = replace(darts(epochs=6), warmup=4)
    assert paced(recipe, 10).warmup == 4
    assert paced(recipe, 10).architecture_optimiser == scaled(recipe, 10, warmup=4).architecture_optimiser


def test_a_warm_up_of_ones_own_is_shared_out_to_the_stages():
    for name in ("darts", "drnas", "pcdarts"):
        assert scaled(RECIPES[name](epochs=22), 200, warmup=10).warmup == 10
    assert scaled(RECIPES["drnas_progressive_201"](epochs=22), 200, warmup=10).warmup == 5  # of the 11 epochs of a stage
    with pytest.raises(RecipeError, match="from 0 to 21, got 22"):
        scaled(RECIPES["darts"](epochs=22), 100, warmup=22)


def test_the_page_has_the_shares_that_the_study_computes():
    """docs/methods.md says which methods a short search cannot show; nothing in that table is typed by hand."""
    table = runpy.run_path(str(ROOT / "studies" / "short_travel.py"))["table"]()
    assert f"\n{table}\n" in (ROOT / "docs" / "methods.md").read_text()
