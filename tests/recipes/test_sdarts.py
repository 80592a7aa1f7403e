from dataclasses import replace

import pytest

from mixop.bilevel import FirstOrder
from mixop.bilevel.perturb import Adversarial, RandomSmoothing
from mixop.core.errors import RecipeError
from mixop.core.schedules import Progress
from mixop.nets.ops import BatchNorm
from mixop.recipes import sdarts_adv, sdarts_adv_pc, sdarts_rs
from mixop.relax import HardConcrete


@pytest.mark.parametrize(("make", "part"), [(sdarts_rs, RandomSmoothing), (sdarts_adv, Adversarial)])
def test_the_radius_grows_from_003_towards_03_and_only_the_weight_step_feels_it(make, part):
    recipe = make()
    assert isinstance(recipe.perturbation, part)
    radius = recipe.perturbation.radius
    assert radius(Progress(0, 100)) == pytest.approx(0.03)
    assert radius(Progress(99, 100)) == pytest.approx(0.03 + 0.27 * 99 / 100)
    assert recipe.scheme == FirstOrder()
    assert (recipe.epochs, recipe.batch_size, recipe.clip) == (100, 64, 5.0)
    assert (recipe.weight_optimiser.weight_decay, recipe.weight_optimiser.nesterov) == (3e-4, False)


def test_the_adversary_takes_seven_steps_against_running_statistics():
    """``Linf_PGD_alpha`` puts the network into evaluation mode, and its batch norms track."""
    assert sdarts_adv().perturbation.steps == 7
    assert sdarts_adv().norm == sdarts_adv_pc().norm == BatchNorm(affine=False, track=True)


def test_gates_cannot_be_smoothed():
    with pytest.raises(RecipeError, match=r"RandomSmoothing perturbs points of the simplex.*HardConcrete"):
        replace(sdarts_rs(), relaxation=HardConcrete())
