from dataclasses import replace

import pytest

from mixop.bilevel import SingleLevel
from mixop.core.errors import RecipeError
from mixop.core.schedules import Constant
from mixop.derive import PerturbationSelection
from mixop.recipes import darts_pt


def test_darts_pt_is_darts_with_another_selection():
    recipe = darts_pt()
    rate = Constant(recipe.weight_optimiser.lr(0.0) / 10)
    assert recipe.derivation == PerturbationSelection(interval=5, rate=rate, criterion="measure", batches=None, norm="batch")
    assert (recipe.epochs, recipe.batch_size, recipe.weight_optimiser.weight_decay) == (100, 64, 3e-4)


def test_selection_happens_after_the_last_epoch_and_on_examples_held_out():
    with pytest.raises(RecipeError, match=r"derives from the last epoch.*keep='last'"):
        replace(darts_pt(), keep="best")
    with pytest.raises(RecipeError, match=r"held out.*SingleLevel"):
        replace(darts_pt(), scheme=SingleLevel())
