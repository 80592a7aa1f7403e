import pytest
import torch

from mixop.bilevel import SingleLevel
from mixop.core.optim import Adam
from mixop.core.schedules import Constant, Progress
from mixop.recipes import dsnas, snas
from mixop.spaces import nasbench201
from mixop.wraps import DropPath


@pytest.mark.parametrize("make", [snas, dsnas])
def test_both_train_on_one_level_and_the_same_batch_from_logits_around_1(make):
    recipe = make()
    assert recipe.scheme == SingleLevel(same_batch=True)
    params = recipe.relaxation.init(nasbench201().groups[0], torch.Generator().manual_seed(0))
    assert params.mean().item() == pytest.approx(1.0, abs=0.01)
    assert params.std().item() == pytest.approx(0.01, rel=0.3)
    assert (recipe.weight_optimiser.weight_decay, recipe.weight_optimiser.nesterov) == (3e-4, False)


@pytest.mark.parametrize("epoch", [0, 75, 149])
def test_the_temperature_of_snas_is_stepped_before_the_first_epoch(epoch):
    """The code's scheduler steps once when it is made and once at the start of every epoch."""
    recipe = snas()
    assert (recipe.epochs, recipe.batch_size, recipe.architecture_clip) == (150, 64, 10.0)
    assert recipe.relaxation.temperature(Progress(epoch, 150)) == pytest.approx((1 - (epoch + 1) / 150) * 0.97 + 0.03)


def test_snas_drops_paths_at_a_constant_rate_and_tracks_statistics():
    recipe = snas()
    (drop,) = recipe.wraps
    assert isinstance(drop, DropPath)
    assert {drop.probability(Progress(epoch, 150)) for epoch in range(150)} == {0.3}
    assert (recipe.norm.affine, recipe.norm.track) == (False, True)
    assert snas(epochs=1).relaxation.temperature(Progress(0, 1)) == pytest.approx(0.03)


def test_dsnas_fixes_decisions_that_lead_by_03_and_does_not_decay_logits():
    recipe = dsnas()
    assert recipe.relaxation.fix == 0.3
    assert recipe.architecture_optimiser == Adam(lr=Constant(3e-4), betas=(0.5, 0.999), weight_decay=0.0)
    assert recipe.epochs == 100
