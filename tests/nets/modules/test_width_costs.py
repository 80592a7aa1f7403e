"""Costs of widths: as torch counts the networks that are built, in expectation as all of them together."""

import random
from itertools import product

import pytest
import torch
from torch import nn
from width_models import MODELS

from mixop.nets.costs import measured
from mixop.nets.counting import multiply_adds
from mixop.nets.discrete import build
from mixop.nets.modules.space import in_module
from mixop.nets.modules.width import Width


class Joined(nn.Module):
    """A layer that reads two widths on one axis: its cost is a sum of both, not a product."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(6, 8), nn.Linear(6, 4)
        self.w1, self.w2, self.w3 = Width(8), Width(4, (0.5, 1)), Width(6, (0.5, 1))
        self.c, self.d = nn.Linear(12, 6), nn.Linear(6, 2, bias=False)

    def forward(self, x):
        return self.d(self.w3(self.c(torch.cat([self.w1(self.a(x)), self.w2(self.b(x))], 1))))


ALL = {**MODELS, Joined: (3, 6)}


@pytest.mark.parametrize("model", ALL)
def test_costs_of_architectures_are_those_of_the_networks_that_are_built(model):
    shape = ALL[model]
    space = in_module(model, torch.randn(*shape))
    flops, parameters = measured(space, "flops"), measured(space, "parameters")
    rng = random.Random(0)
    for architecture in {space.random(rng) for _ in range(10)}:
        network = build(architecture, space).eval()
        assert parameters.of(architecture, space) == sum(p.numel() for p in network.parameters())
        assert flops.of(architecture, space) == pytest.approx(multiply_adds(network, torch.zeros(1, *shape[1:])))


def test_the_expected_cost_is_the_mean_over_all_networks():
    space = in_module(Joined, torch.randn(3, 6))
    mix = {g.name: torch.rand(g.shape, dtype=torch.float64) for g in space.groups}
    mix = {name: weights / weights.sum() for name, weights in mix.items()}
    expected = 0.0
    for chosen in product(*(range(g.shape[1]) for g in space.groups)):
        architecture = space.architecture([(o,) for o in chosen])
        share = 1.0
        for group, o in zip(space.groups, chosen, strict=True):
            share *= float(mix[group.name][0, o])
        expected += share * multiply_adds(build(architecture, space).eval(), torch.zeros(1, 6))
    assert float(measured(space, "flops").expected(mix)) == pytest.approx(expected)
