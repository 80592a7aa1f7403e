from dataclasses import replace

import pytest

from mixop.bilevel import ImportanceWeighted
from mixop.bilevel.perturb import RandomSmoothing
from mixop.bilevel.weight_step import ImportanceDraws
from mixop.core.errors import RecipeError
from mixop.recipes import parsec
from mixop.relax import Categorical, Softmax


def test_both_steps_weigh_16_sampled_architectures():
    recipe = parsec()
    assert recipe.relaxation == Categorical()
    assert recipe.scheme == ImportanceWeighted(samples=16)
    assert recipe.weight_step == ImportanceDraws(samples=16)
    assert not recipe.scheme.shares_data


def test_draws_without_probability_and_perturbations_are_refused():
    with pytest.raises(RecipeError, match=r"ImportanceWeighted.*Softmax have none"):
        replace(parsec(), relaxation=Softmax())
    with pytest.raises(RecipeError, match=r"ImportanceDraws.*RandomSmoothing"):
        replace(parsec(), perturbation=RandomSmoothing())
