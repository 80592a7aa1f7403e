"""A search of recurrent cells: the published settings, its two losses, its rates, and stages."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import cross_entropy

from mixop import api
from mixop.core.errors import RecipeError, SpaceError
from mixop.core.optim import Adam
from mixop.core.schedules import Constant
from mixop.core.types import Draw
from mixop.data import from_text
from mixop.data.windows import Windows
from mixop.engine.fit import check_computing
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.plan.scaling import published_travel
from mixop.recipe.parts import variant
from mixop.recipe.stage import Stage
from mixop.recipes import RECIPES, darts, darts_rnn, drnas, gaea, on_text
from mixop.runs.directory import RunDirectory
from mixop.spaces import DartsRnn
from mixop.spaces import darts_rnn as space_of
from mixop.testing import check_recipe

SAID = "the cat sat on the mat\nthe mat was red and the cat was not\n"
SPACE = DartsRnn(hidden=5, nodes=3)


def text():
    return from_text(train=SAID * 20, valid=SAID * 12, test=SAID * 4, window=6)


def job(tmp_path, recipe=None, **changes):
    recipe = replace(recipe or darts_rnn(epochs=2), batch_size=4, **changes)
    return Search(recipe, SPACE.fit(text()), text(), RunDirectory(tmp_path), Settings(seed=2))


def test_the_settings_are_those_of_the_published_search():
    recipe = darts_rnn()
    weights, architecture = recipe.weight_optimiser, recipe.architecture_optimiser
    assert (weights.lr, weights.momentum, weights.weight_decay) == (Constant(20.0), 0.0, 5e-7)
    assert architecture == Adam(lr=Constant(3e-3), betas=(0.9, 0.999), weight_decay=1e-3)
    assert (recipe.epochs, recipe.batch_size, recipe.clip) == (50, 256, 0.25)
    assert recipe.windows == Windows(halved=0.05, spread=0.0, scale_rate=True)
    network = space_of()
    rates = [getattr(network, f"{name}_dropout") for name in ("output", "input", "state", "embedding", "word")]
    assert (network.hidden, rates, network.slowness) == (300, [0.75, 0.75, 0.25, 0.2, 0.0], 1e-3)
    # 26,560 windows of the Penn Treebank are about as many as the images of the rule for short searches.
    assert published_travel(recipe) == pytest.approx(3e-3 * 50 * 98)


def test_other_recipes_take_the_settings():
    assert replace(on_text(darts()), name="darts_rnn") == darts_rnn()
    for recipe in (drnas(), gaea()):
        changed = on_text(recipe)
        assert (changed.name, changed.relaxation, changed.scheme) == (recipe.name, recipe.relaxation, recipe.scheme)
        assert changed.weight_optimiser == darts_rnn().weight_optimiser
    assert on_text(gaea()).architecture_optimiser == gaea().architecture_optimiser
    file = {
        "batch_size": 256,
        "clip": 0.25,
        "weight_optimiser": {"type": "SGD", "lr": 20.0, "momentum": 0.0, "weight_decay": 5e-7},
        "architecture_optimiser": {"lr": 0.003, "betas": [0.9, 0.999]},
        "norm": {"affine": False, "track": True},
        "windows": {"type": "Windows", "halved": 0.05, "spread": 0.0, "scale_rate": True},
    }
    assert variant(drnas(), file) == on_text(drnas()), "the file that docs/recurrent.md shows"


def test_a_step_of_the_weights_has_slowness_and_the_length_of_its_window(tmp_path):
    search = job(tmp_path, windows=Windows(halved=0.5))
    problem, state = search.problem, search.state
    search.begin_epoch()
    losses, rates = [], []
    plain = problem.draw_loss

    def watched(weights, draws, batch):
        loss = plain(weights, draws, batch)
        outputs = problem.seen.outputs
        losses.append((weights is None, (loss - cross_entropy(outputs, batch.y)).item()))
        return loss

    problem.draw_loss = watched
    for _ in range(8):
        search._step()
        rates.append((state.weight_optimiser.param_groups[0]["lr"], state.weight_stream.scale))
    assert all((added > 1e-9) == weights for weights, added in losses)
    assert all(rate == 20.0 * scale for rate, scale in rates)
    assert {scale for _, scale in rates} == {0.5, 1.0}


def test_each_stream_carries_a_state_of_its_own(tmp_path):
    search = job(tmp_path)
    search.begin_epoch()
    search._step()
    (of_weights,), (of_architecture,) = search.state.weight_stream.state, search.state.architecture_stream.state
    assert of_weights.shape == of_architecture.shape == (4, 5)
    assert not torch.equal(of_weights, of_architecture)
    seen = []
    plain = search.state.net.forward
    search.state.net.forward = lambda *a, **k: (seen.append(k["state"]), plain(*a, **k))[1]
    search._step()
    assert [state[0] is given for state, given in zip(seen, (of_architecture, of_weights), strict=True)] == [True, True]


def test_masks_are_the_same_in_all_passes_of_a_step(tmp_path):
    search = job(tmp_path)
    search.begin_epoch()
    problem, batch = search.problem, search._batch(search.state.weight_stream)
    search.state.net.train()
    draws = {"recurrent": Draw(torch.full(SPACE.groups[0].shape, 0.2))}
    weights = {name: w.detach() for name, w in problem.weights.items()}
    problem.begin_step()
    first, second = (problem.draw_loss(weights, draws, batch).item() for _ in range(2))
    problem.begin_step()
    assert first == second
    assert problem.draw_loss(weights, draws, batch).item() != first


@pytest.mark.parametrize(
    "scheme", [{"type": "SecondOrder", "clip": 0.25}, {"type": "SecondOrder", "method": "exact", "clip": 0.25}]
)
def test_the_second_order_runs(scheme, tmp_path):
    recipe = variant(darts_rnn(epochs=1), {"scheme": scheme, "batch_size": 4})
    found = api.search(recipe, SPACE, text(), tmp_path, seed=1)
    assert len(found.architecture.of("recurrent")) == 3


def test_stages_prune_activations_and_keep_the_weights(tmp_path):
    stages = (Stage(), Stage(options=2))
    recipe = replace(darts_rnn(epochs=2), batch_size=4, stages=stages)
    search = Search(recipe, SPACE.fit(text()), text(), RunDirectory(tmp_path), Settings(seed=2))
    before = {}
    search.driver.run(lambda: search.state.epoch < 1 and not before.update(search.state.net.state_dict()))
    assert search.space.groups[0].shape == (6, 2)
    after = search.state.net.state_dict()
    assert before.keys() == after.keys()
    search.begin_epoch()
    search._step()
    with pytest.raises(RecipeError, match="adds channels, which darts_rnn does not have"):
        replace(recipe, stages=(Stage(), Stage(start="fresh", channels=2))).check(SPACE)
    with pytest.raises(RecipeError, match="would unroll the tokens"):
        check_computing(darts_rnn(), SPACE, Settings(compile=True, executor="nodewise"))


def fits(name):
    try:
        on_text(RECIPES[name]()).check(SPACE)
    except (RecipeError, SpaceError):
        return False
    return True


EVERY_DAY = ("darts2", "gdas")
"""Second derivatives by differences, and one path; the others are slow tests."""


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in EVERY_DAY else pytest.mark.slow) for name in RECIPES if fits(name)]
)
def test_every_fitting_recipe_searches_and_resumes(name):
    check_recipe(on_text(RECIPES[name]()), space=SPACE, data=text())
