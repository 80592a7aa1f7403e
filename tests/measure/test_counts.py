"""A step of every recipe makes the host wait for nothing that it need not know."""

from dataclasses import replace

import pytest

from mixop.data.toy import toy_set
from mixop.engine.settings import Settings
from mixop.measure.speed import Case, counts
from mixop.recipes import RECIPES
from mixop.spaces import DartsRnn, Sizes, Toy, darts, nasbench201

TOY = Toy().fit(toy_set(Toy(), n=32))
SIXTHS = {"pdarts", "drnas_progressive", "drnas_progressive_paper"}  # channels in sixths, or stages that prune eight options
QUICK = {
    "darts",
    "darts2",
    "sdarts_rs",
    "pcdarts",
    "gdas",
    "setn",
    "drnas",
    "bayesnas",
    "dsnas",
    "proxylessnas",
    "rsws",
    "snas",
}


def space_of(recipe):
    if recipe.windows is not None:
        return DartsRnn(hidden=5, nodes=2).fit(Sizes((7, 3), 7, dense=True, tokens=True))
    if recipe.name in SIXTHS:
        return darts(cells=3, channels=6, input_shape=(3, 4, 4), outputs=2)
    if recipe.stages or recipe.wraps:  # wraps are about channels and images
        return nasbench201(channels=4, cells=1, input_shape=(3, 4, 4), outputs=2)
    return TOY


def case_of(recipe):
    return Case(recipe=recipe, space=space_of(recipe), settings=Settings())


def most_waits(recipe):
    """A host that draws what runs has to read the gradient of the mixing weights, and what regularisers or rewards add."""
    relaxations = (recipe.relaxation, recipe.weight_relaxation)
    return 2 if any(relaxation is not None and relaxation.on_host for relaxation in relaxations) else 0


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in RECIPES])
def test_a_step_waits_for_nothing_but_for_what_the_host_draws_from(name):
    recipe = RECIPES[name]()
    found = counts(case_of(recipe))
    assert found.launched > 50
    assert found.waited <= most_waits(recipe), found.waits


def test_dropped_paths_cost_one_copy_a_pass_and_not_one_an_edge():
    """Indices and crops of one batch and the noise of the draw; then the numbers of the one pass, in which 18 edges draw."""
    recipe = RECIPES["snas"]()
    assert sum(wrap.draws for wrap in recipe.wraps) == 1
    copies = [counts(case_of(each)).copies for each in (recipe, replace(recipe, wraps=()))]
    assert copies[0] == copies[1] + 1


def test_node_by_node_a_step_launches_less_than_edge_by_edge():
    case = replace(case_of(RECIPES["pcdarts"]()), recipe=RECIPES["darts"]())
    launches = [counts(case.by(name)).launched for name in ("nodewise", "plain")]
    assert launches[0] < 0.7 * launches[1]


def test_what_computes_on_the_cpu_alone_is_not_counted():
    assert counts(case_of(RECIPES["darts"]()).by("fused")) is None
