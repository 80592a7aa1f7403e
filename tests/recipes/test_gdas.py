from dataclasses import replace

import pytest

from mixop.core.schedules import Progress
from mixop.derive import Argmax
from mixop.recipes import darts, gdas, gdas_darts
from mixop.relax import GumbelHard


def test_gdas_is_darts_of_one_path_with_weights_first():
    recipe = gdas()
    ours = replace(recipe, name="darts", epochs=50, relaxation=darts().relaxation, order="architecture_first")
    assert ours == darts()
    assert isinstance(recipe.relaxation, GumbelHard)
    assert (recipe.epochs, recipe.batch_size, recipe.order) == (250, 64, "weights_first")


def test_in_the_darts_space_it_keeps_pairs_and_takes_larger_batches():
    """GDAS-NASNet-CIFAR.config and ``genotype`` of search_model_gdas_nasnet.py in AutoDL-Projects."""
    recipe = gdas_darts()
    assert replace(recipe, name="gdas", batch_size=64, derivation=gdas().derivation) == gdas()
    assert recipe.batch_size == 256
    assert recipe.derivation == Argmax(none=False, edges="pairs")


@pytest.mark.parametrize("epoch", [0, 100, 249])
def test_the_temperature_falls_from_10_to_01_inclusive(epoch):
    assert gdas().relaxation.temperature(Progress(epoch, 250)) == pytest.approx(10 - 9.9 * epoch / 249)
