from dataclasses import replace

import pytest

from mixop.bilevel import FirstOrder, SecondOrder
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.recipes import darts, darts2
from mixop.relax import Categorical, Dirichlet, Softmax


def test_darts_has_the_settings_of_the_benchmark():
    recipe = darts()
    assert recipe.relaxation == Softmax()
    assert recipe.scheme == FirstOrder()
    assert recipe.weight_optimiser == SGD(lr=Cosine(0.025, 0.001), momentum=0.9, weight_decay=5e-4, nesterov=True)
    assert recipe.architecture_optimiser == Adam(lr=Constant(3e-4), betas=(0.5, 0.999), weight_decay=1e-3)
    assert (recipe.epochs, recipe.batch_size, recipe.clip, recipe.warmup) == (50, 64, 5.0, 0)
    assert recipe.order == "architecture_first"
    assert not recipe.norm.track


def test_darts2_differs_in_the_scheme_alone():
    recipe = darts2()
    assert recipe.scheme == SecondOrder(method="finite_difference", epsilon=0.01)
    assert replace(recipe, name="darts", scheme=FirstOrder()) == darts()


def test_second_order_without_sgd_or_pathwise_weights_is_refused():
    with pytest.raises(RecipeError, match=r"SecondOrder unrolls a step of SGD.*Adam"):
        replace(darts2(), weight_optimiser=Adam())
    with pytest.raises(RecipeError, match=r"SecondOrder.*Categorical"):
        replace(darts2(), relaxation=Categorical())
    with pytest.raises(RecipeError, match=r"exact.*Dirichlet"):
        replace(darts2(), scheme=SecondOrder(method="exact"), relaxation=Dirichlet())
