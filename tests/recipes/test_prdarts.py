from dataclasses import replace

import pytest
import torch

from mixop.bilevel import FirstOrder
from mixop.core.errors import RecipeError
from mixop.core.schedules import Linear
from mixop.recipes import prdarts
from mixop.regularise import GatePenalty
from mixop.relax import HardConcrete, Softmax
from mixop.spaces import nasbench201


def test_prdarts_has_the_settings_of_the_authors_code():
    recipe = prdarts()
    assert recipe.relaxation == HardConcrete(temperature=Linear(1.0, 0.1), low=-0.1, high=1.1, sample=2, drop=0.4)
    assert recipe.regularisers == (GatePenalty(skip=0.01, nonskip=0.005, depth=0.005, variant="expected"),)
    assert (recipe.epochs, recipe.batch_size, recipe.clip, recipe.architecture_clip) == (200, 250, 5.0, 0.0)
    assert (recipe.order, recipe.scheme) == ("weights_first", FirstOrder())
    assert (recipe.weight_optimiser.weight_decay, recipe.weight_optimiser.nesterov) == (5e-4, True)


def test_none_is_never_derived():
    space = nasbench201()
    mean = torch.tensor([[0.9, 0.1, 0.2, 0.3, 0.0]] * 6)
    assert tuple(prdarts().derivation({"cell": mean}, space).options()) == ("nor_conv_3x3",) * 6
    with pytest.raises(RecipeError, match="nothing to choose"):
        prdarts().check(nasbench201(operations=("none",)))


def test_the_penalty_needs_gates():
    with pytest.raises(RecipeError, match=r"GatePenalty measures hard-concrete gates.*Softmax"):
        replace(prdarts(), relaxation=Softmax())
