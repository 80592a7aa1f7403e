import math

import pytest
import torch
from torch import nn

from mixop.evaluate.score import evaluate_network, multiply_adds, parameters
from mixop.nets.discrete import build
from mixop.spaces import nasbench201


class Pixels(nn.Module):
    """Logits that are three pixels of the (normalised) image."""

    def forward(self, x):
        return x[:, 0, 0, :3]


@pytest.mark.parametrize("batch_size", [1, 2, 4, 9, 100])
def test_the_numbers_equal_a_count_by_hand(tiny_data, batch_size):
    got = evaluate_network(Pixels(), tiny_data, batch_size=batch_size)
    mean, std = tiny_data.augment.mean[0], tiny_data.augment.std[0]
    right, loss, confusion = 0, 0.0, [[0] * 3 for _ in range(3)]
    pool = tiny_data.examples
    images, labels = pool.x[tiny_data.test], pool.targets[tiny_data.test]
    for image, label in zip(images.tolist(), labels.tolist(), strict=True):
        logits = [(value - mean) / std for value in image[0][0][:3]]
        answer = logits.index(max(logits))
        right += answer == label
        confusion[label][answer] += 1
        loss += math.log(sum(math.exp(value) for value in logits)) - logits[label]
    assert (got.part, got.examples) == ("test", 9)
    assert got.measures["accuracy"] == right / 9
    assert got.details["confusion"] == confusion
    assert got.measures["loss"] == pytest.approx(loss / 9, rel=1e-5)


def test_evaluation_changes_nothing_in_the_network(tiny_data, tiny_space):
    net = build(tiny_space.architecture([(2, 2, 2)]), tiny_space, generator=torch.Generator().manual_seed(0)).train()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    first = evaluate_network(net, tiny_data)
    assert not net.training
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())
    assert evaluate_network(net, tiny_data) == first


@pytest.mark.parametrize(("index", "published"), [(0, 15.6474), (11, 113.9514), (284, 11.7152)])
def test_multiply_adds_are_those_of_the_benchmark(index, published):
    space = nasbench201(channels=16, cells=5, input_shape=(3, 32, 32), outputs=10)
    net = build(space.from_index(index), space).train()
    assert round(multiply_adds(net, torch.zeros(1, 3, 32, 32)) / 1e6, 4) == published
    assert net.training


def test_multiply_adds_and_parameters_of_a_network_counted_by_hand():
    net = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 4 * 4, 5))
    assert multiply_adds(net, torch.zeros(1, 3, 8, 8)) == 4 * 4 * 4 * (3 * 9) + 64 * 5
    assert parameters(net) == 4 * 27 + 4 + 64 * 5 + 5
