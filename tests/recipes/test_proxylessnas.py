import pytest

from mixop.core.optim import Adam
from mixop.core.schedules import Constant
from mixop.recipes import proxylessnas
from mixop.relax import BinaryGates, Categorical


def test_weights_see_one_path_and_logits_two():
    recipe = proxylessnas()
    assert (recipe.relaxation, recipe.weight_relaxation) == (BinaryGates(paths="two"), Categorical())
    assert recipe.architecture_optimiser == Adam(lr=Constant(1e-3), betas=(0.0, 0.999), weight_decay=0.0)
    assert recipe.architecture_every == 5


@pytest.mark.parametrize(("epochs", "warmup"), [(160, 40), (20, 5), (3, 0)])
def test_a_quarter_of_the_epochs_is_warmup(epochs, warmup):
    assert proxylessnas(epochs=epochs).warmup == warmup
    assert proxylessnas().epochs == 160
