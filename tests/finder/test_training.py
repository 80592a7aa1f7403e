"""How networks are trained that have little time."""

import pytest
import torch

from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.evaluate.protocol import PROTOCOLS
from mixop.finder.training import DECAY_AN_EPOCH, MOST_DECAY, protocol_for

USUAL = PROTOCOLS["quick"].optimiser.weight_decay


def classified(count: int, *shape: int) -> Data:
    return from_arrays(torch.rand(count, *shape), torch.arange(count) % 2, test_share=0.2)


@pytest.mark.parametrize("count", [500, 2_000, 4_000])
def test_weights_decay_by_as_much_an_epoch_however_few_images_there_are(count: int):
    data = classified(count, 3, 4, 4)
    protocol = protocol_for(data, 5)
    steps = (len(data.train) + len(data.valid)) / protocol.batch_size
    decay = protocol.optimiser.weight_decay
    assert decay == pytest.approx(min(MOST_DECAY, DECAY_AN_EPOCH / (0.1 * steps)))
    assert USUAL < decay <= MOST_DECAY


def test_many_images_keep_the_usual_weight_decay():
    assert protocol_for(classified(20_000, 3, 4, 4), 5).optimiser.weight_decay == USUAL


@pytest.mark.parametrize("shape", [(7,), (2, 16)])
def test_signals_and_features_keep_the_usual_weight_decay(shape: tuple[int, ...]):
    assert protocol_for(classified(500, *shape), 5).optimiser.weight_decay == USUAL


def test_images_with_a_number_each_keep_the_usual_weight_decay():
    numbers = from_arrays(torch.rand(500, 3, 4, 4), torch.rand(500), test_share=0.2)
    assert protocol_for(numbers, 5).optimiser.weight_decay == USUAL
