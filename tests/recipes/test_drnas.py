from dataclasses import replace

import pytest

from mixop.bilevel import SecondOrder
from mixop.core.errors import RecipeError
from mixop.recipes import drnas
from mixop.regularise import AnchorL2
from mixop.relax import Dirichlet


def test_drnas_has_the_settings_of_the_authors_plain_search():
    recipe = drnas()
    assert (recipe.relaxation, recipe.regularisers) == (Dirichlet(), (AnchorL2(weight=1e-3, anchor=0.0),))
    assert recipe.architecture_optimiser.weight_decay == 0.0  # the anchor is the weight decay
    assert (recipe.epochs, recipe.batch_size, recipe.clip, recipe.warmup) == (100, 64, 5.0, 0)
    assert (recipe.weight_optimiser.weight_decay, recipe.weight_optimiser.nesterov) == (3e-4, False)


def test_the_sampler_has_no_second_derivative():
    with pytest.raises(RecipeError, match="Dirichlet do not allow"):
        replace(drnas(), scheme=SecondOrder(method="exact"))
