from dataclasses import replace

import pytest
import torch

from mixop.bilevel import Frozen, SingleLevel
from mixop.core.errors import RecipeError
from mixop.core.schedules import Constant
from mixop.data.toy import toy_set
from mixop.derive import PerturbationSelection
from mixop.engine.loop import Search
from mixop.engine.settings import Settings
from mixop.recipes import darts_pt
from mixop.runs.directory import RunDirectory
from mixop.spaces.toy import Toy


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


def test_in_the_blank_variant_logits_stay_as_they_were_drawn(tmp_path):
    """``architect.step`` of the authors returns at once for blank and blank-proj, in the search and while tuning."""
    data = toy_set(Toy(), n=96)
    selection = replace(darts_pt().derivation, interval=1)
    recipe = replace(darts_pt(epochs=1), scheme=Frozen(), derivation=selection, batch_size=16)
    search = Search(recipe, Toy(), data, RunDirectory(tmp_path), Settings())
    before = {name: value.clone() for name, value in search.state.params.items()}
    search.run()
    assert search.state.epoch > 1  # it was tuned
    for name, value in before.items():
        assert torch.equal(search.state.params[name], value)
        assert value.std() < 2e-3  # so the options weigh the same but for a thousandth
