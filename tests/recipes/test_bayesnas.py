from dataclasses import replace

import pytest

from mixop.bilevel import SingleLevel
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD
from mixop.core.schedules import Constant
from mixop.nets.ops import BatchNorm
from mixop.recipes import bayesnas
from mixop.relax import Softmax, Switches


def test_one_epoch_of_weights_and_one_pass_with_the_penalty():
    recipe = bayesnas()
    assert (recipe.epochs, recipe.warmup, recipe.batch_size) == (2, 1, 18)
    assert recipe.relaxation == Switches()
    assert recipe.scheme == SingleLevel(same_batch=True)
    assert recipe.weight_optimiser == SGD(lr=Constant(0.1), momentum=0.9, weight_decay=1e-4)
    assert recipe.architecture_optimiser == SGD(lr=Constant(0.1), momentum=0.9, weight_decay=0.0)
    (penalty,) = recipe.regularisers
    assert (penalty.edge_strength, penalty.option_strength) == (0.01, 0.01)


def test_the_parts_need_each_other():
    with pytest.raises(RecipeError, match=r"SwitchPenalty is a prior on switches.*Softmax"):
        replace(bayesnas(), relaxation=Softmax())
    with pytest.raises(RecipeError, match=r"Relevance reads what RelevanceUpdate remembers"):
        replace(bayesnas(), monitors=())
    with pytest.raises(RecipeError, match=r"reads what SwitchPenalty remembers"):
        replace(bayesnas(), regularisers=())


def test_steps_are_not_clipped_and_operations_have_scale_and_shift():
    recipe = bayesnas()
    assert (recipe.clip, recipe.norm) == (0.0, BatchNorm(affine=True, track=True))
