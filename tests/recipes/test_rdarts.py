from dataclasses import replace

import pytest

from mixop.bilevel import SecondOrder
from mixop.core.errors import RecipeError
from mixop.monitors.eigenvalue import Adaptive, EarlyStopping
from mixop.recipes import darts_ada, darts_es, rdarts_l2
from mixop.spaces.toy import Toy


@pytest.mark.parametrize(("make", "weight_decay"), [(rdarts_l2, 81e-4), (darts_es, 3e-4), (darts_ada, 3e-4)])
def test_all_three_are_second_order_darts_of_50_epochs(make, weight_decay):
    recipe = make()
    assert recipe.scheme == SecondOrder()
    assert (recipe.epochs, recipe.batch_size, recipe.clip) == (50, 64, 5.0)
    assert recipe.weight_optimiser.weight_decay == weight_decay
    assert (recipe.weight_optimiser.momentum, recipe.weight_optimiser.nesterov) == (0.9, False)
    assert recipe.architecture_optimiser.weight_decay == 1e-3


def test_the_rule_has_the_numbers_of_the_authors_scripts():
    rule = {"window": 5, "every": 2, "start": 10, "delta": 4, "factor": 1.3, "weight_decay": 1e-3}
    assert darts_es().monitors == (EarlyStopping(**rule),)
    assert darts_ada().monitors == (Adaptive(**rule, multiply=10.0, most=0.03),)


def test_nothing_to_multiply_is_refused():
    recipe = darts_ada()
    without = replace(recipe, weight_optimiser=replace(recipe.weight_optimiser, weight_decay=0.0))
    with pytest.raises(RecipeError, match="Adaptive multiplies the weight decay"):
        without.check(Toy())
