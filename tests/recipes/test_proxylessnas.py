"""`proxylessnas` beside the authors' code: search/imagenet_arch_search.py and search/nas_manager.py."""

import math

import pytest

from mixop.core.optim import Adam
from mixop.core.schedules import Constant, Progress
from mixop.nets.ops import BatchNorm
from mixop.recipes import proxylessnas
from mixop.relax import BinaryGates, Categorical


def test_weights_see_one_path_and_gates_all():
    recipe = proxylessnas()
    assert (recipe.relaxation, recipe.weight_relaxation) == (BinaryGates(paths="full"), Categorical())
    assert recipe.architecture_optimiser == Adam(lr=Constant(1e-3), betas=(0.0, 0.999), weight_decay=0.0)
    assert (recipe.architecture_every, recipe.order, recipe.idle_weights) == (5, "weights_first", "rest")
    assert (recipe.batch_size, recipe.clip, recipe.architecture_augment) == (256, 0.0, False)
    assert recipe.norm == BatchNorm(affine=True, track=False, eps=1e-3)
    weights = recipe.weight_optimiser
    assert (weights.momentum, weights.nesterov, weights.weight_decay) == (0.9, True, 4e-5)


@pytest.mark.parametrize(("epochs", "warmup"), [(160, 41), (20, 6), (3, 1), (1, 0)])
def test_a_quarter_of_the_epochs_and_one_more_train_only_weights(epochs, warmup):
    assert proxylessnas(epochs=epochs).warmup == warmup
    assert proxylessnas().epochs == 160


def test_the_rate_falls_over_the_warm_up_and_again_over_the_search():
    """``0.5 * lr * (1 + cos(pi * T_cur / T_total))`` at the first batch of an epoch, of each of the two."""
    lr = proxylessnas().weight_optimiser.lr
    for epoch in range(40):
        assert lr(Progress(epoch, 160)) == pytest.approx(0.5 * 0.05 * (1 + math.cos(math.pi * epoch / 40)))
    for epoch in range(120):
        assert lr(Progress(40 + epoch, 160)) == pytest.approx(0.5 * 0.025 * (1 + math.cos(math.pi * epoch / 120)))
