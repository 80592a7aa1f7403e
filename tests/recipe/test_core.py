"""Which parts a recipe refuses together: it asks the relaxation, whatever its class."""

from dataclasses import dataclass, replace

import pytest

from mixop.bilevel.perturb import RandomSmoothing
from mixop.core.errors import RecipeError
from mixop.core.optim import ExponentiatedGradient
from mixop.recipe.core import Recipe
from mixop.recipe.stage import Stage
from mixop.regularise.cost import ExpectedCost
from mixop.regularise.entropy import Entropy
from mixop.relax.softmax import Softmax
from mixop.wraps.edges import EdgeNormalisation

RECIPE = Recipe(name="mine")


@dataclass(frozen=True, kw_only=True)
class OnSimplex(Softmax):
    params_on_simplex = True


@dataclass(frozen=True, kw_only=True)
class Free(Softmax):
    mix_on_simplex = False


@dataclass(frozen=True, kw_only=True)
class Chained(Softmax):
    independent_decisions = False


@dataclass(frozen=True, kw_only=True)
class Whole(Softmax):
    parameter_per_option = False


@pytest.mark.parametrize(
    ("relaxation", "parts", "words"),
    [
        (OnSimplex(), {}, "OnSimplex keeps its parameters on the simplex, but Adam steps off it"),
        (Softmax(), {"architecture_optimiser": ExponentiatedGradient()}, "but the parameters of Softmax are not"),
        (Free(), {"perturbation": RandomSmoothing()}, "perturbs points of the simplex, but the mixing weights of Free"),
        (Free(), {"wraps": (EdgeNormalisation(),)}, "EdgeNormalisation needs independent .* those of Free are not"),
        (Chained(), {"wraps": (EdgeNormalisation(),)}, "EdgeNormalisation needs independent .* those of Chained are not"),
        (Free(), {"regularisers": (Entropy(),)}, "Entropy measures independent decisions on the simplex"),
        (Chained(), {"regularisers": (Entropy(),)}, "Entropy measures independent decisions on the simplex"),
        (Chained(), {"regularisers": (ExpectedCost(),)}, "probabilities of independent decisions, which those of Chained"),
        (Whole(), {"stages": (Stage(), Stage(options=2))}, "prunes options by their parameters, but Whole has none"),
    ],
)
def test_a_misfit_is_refused_by_name(relaxation, parts, words):
    with pytest.raises(RecipeError, match=words):
        replace(RECIPE, relaxation=relaxation, **parts)


@pytest.mark.parametrize(
    ("relaxation", "parts"),
    [
        (OnSimplex(), {"architecture_optimiser": ExponentiatedGradient(), "perturbation": RandomSmoothing()}),
        (Free(), {"stages": (Stage(), Stage(options=2))}),
        (Chained(), {"perturbation": RandomSmoothing()}),
        (Whole(), {"wraps": (EdgeNormalisation(),), "regularisers": (Entropy(), ExpectedCost())}),
    ],
)
def test_what_a_question_does_not_bear_on_is_taken(relaxation, parts):
    assert replace(RECIPE, relaxation=relaxation, **parts).relaxation is relaxation
