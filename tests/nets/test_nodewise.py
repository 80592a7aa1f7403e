"""A network in training node by node, against its plain modules in float64: gradients, statistics, a trajectory."""

from copy import deepcopy
from random import Random

import pytest
import torch
from torch.nn.functional import cross_entropy

from mixop.core.rng import fenced
from mixop.nets.discrete import build
from mixop.nets.nodewise import Values, joined, run
from mixop.nets.ops import BatchNorm, FactorizedReduce
from mixop.spaces import darts, nasbench201
from mixop.spaces.enas_micro import EnasMicro
from mixop.spaces.published import DARTS_V2

SIZES = {"outputs": 3, "input_shape": (2, 16, 16)}
EXACT = {"rtol": 1e-10, "atol": 1e-12}  # float64, a few hundred additions in another order
CASES = {
    "darts v2": (darts(channels=4, cells=3, **SIZES), DARTS_V2),
    "nasbench201": (
        nasbench201(channels=4, cells=1, **SIZES),
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|",
    ),
    "odd sizes": (darts(channels=4, cells=3, outputs=3, input_shape=(2, 15, 13)), DARTS_V2),
    "signals": (darts(channels=4, cells=3, outputs=3, input_shape=(2, 16)), DARTS_V2),
    "reductions in the output": (EnasMicro(channels=4, cells=1, **SIZES), None),
}


def pair(space, architecture, *, auxiliary=False):
    """The same network twice: by its plain modules, and node by node."""
    architecture = space.random(Random(3)) if architecture is None else architecture
    generator = torch.Generator().manual_seed(0)
    plain = build(architecture, space, generator=generator, norm=BatchNorm(), auxiliary=auxiliary).double().train()
    if len(space.input_shape) == 3:
        plain = plain.to(memory_format=torch.channels_last)
    other = deepcopy(plain)
    other.nodewise = True
    return plain, other


def batch(space, count=6):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(count, *space.input_shape, dtype=torch.float64, generator=generator)
    return x, torch.arange(count) % 3


@pytest.mark.parametrize("drop", [0.0, 0.4])
@pytest.mark.parametrize("case", CASES)
def test_outputs_gradients_and_statistics_are_those_of_the_plain_modules(case, drop):
    space, architecture = CASES[case]
    nets, (x, y) = pair(space, architecture), batch(space)
    for net in nets:
        net.drop_path = drop
        with fenced(torch.Generator().manual_seed(2)):
            cross_entropy(net(x), y).backward()
    plain, other = nets
    for (name, p), q in zip(plain.named_parameters(), other.parameters(), strict=True):
        assert (p.grad is None) == (q.grad is None), name
        if p.grad is not None and q.grad is not None:
            torch.testing.assert_close(q.grad, p.grad, **EXACT, msg=name)
    for (name, p), q in zip(plain.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(q, p, **EXACT, msg=name)


def test_a_training_takes_the_same_way():
    space = darts(channels=4, cells=1, **SIZES)
    nets, (x, y) = pair(space, DARTS_V2, auxiliary=True), batch(space)
    for net in nets:
        optimiser = torch.optim.SGD(net.parameters(), 0.05, momentum=0.9, weight_decay=3e-4)
        for _ in range(5):
            optimiser.zero_grad()
            outputs, auxiliary, _ = net.training_outputs(x)
            (cross_entropy(outputs, y) + 0.4 * cross_entropy(auxiliary, y)).backward()
            optimiser.step()
    for (name, p), q in zip(nets[0].state_dict().items(), nets[1].state_dict().values(), strict=True):
        # Max pools and ReLUs choose alike as long as values are not within rounding of each other.
        torch.testing.assert_close(q, p, rtol=1e-7, atol=1e-9, msg=name)


def test_evaluation_runs_the_plain_modules():
    space, architecture = CASES["darts v2"]
    nets, (x, _) = pair(space, architecture), batch(space)
    with torch.no_grad():
        plain, other = (net.eval()(x) for net in nets)
    assert torch.equal(plain, other)


def test_a_value_has_one_positive_part_and_one_pool():
    values, x = Values(), torch.randn(2, 3, 4, 4)
    assert values.positive(x) is values.positive(x)
    pools = [torch.nn.MaxPool2d(3, stride=2, padding=1) for _ in range(2)]
    assert run(pools[0], x, values) is run(pools[1], x, values)
    assert run(pools[0], x, values) is not run(torch.nn.MaxPool2d(3, stride=1, padding=1), x, values)
    assert values.positive(x.clone()) is not values.positive(x)


def test_second_derivatives_of_a_reduction_and_of_joined_values():
    norm = BatchNorm()
    reduce = FactorizedReduce(2, 4, norm).double()
    x = torch.randn(2, 2, 4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()

    def whole(x):
        return joined([run(reduce, x, Values()), x[:, :, :2, :2] ** 3])

    assert torch.autograd.gradgradcheck(whole, x)


def test_gradients_of_joined_values_are_channels_last():
    seen = []
    nodes = [torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last).requires_grad_() for _ in range(2)]
    for node in nodes:
        node.register_hook(seen.append)
    joined(nodes).square().sum().backward()
    assert all(slope.is_contiguous(memory_format=torch.channels_last) for slope in seen)
    torch.testing.assert_close(seen[1], 2 * nodes[1])
