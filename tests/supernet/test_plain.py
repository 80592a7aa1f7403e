"""The reference supernet against the golden forward pass, the discrete network, and the formula of a mixed edge."""

import math
import random

import pytest
import torch

from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm, operation
from mixop.spaces import CellSpace, nasbench201, toy
from mixop.supernet.plain import MixedEdge, plain
from mixop.wraps.base import EdgeSpec

SEARCH_NORM = BatchNorm(affine=False, track=False)
SMALL = {"channels": 4, "cells": 1, "input_shape": (3, 16, 16), "outputs": 10}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_golden_forward_of_the_nasbench201_supernet(golden_fill, golden_images):
    net = plain(nasbench201(**SMALL), norm=SEARCH_NORM, generator=generator()).double()
    assert sum(p.numel() for p in net.parameters()) == 25_054
    golden_fill(net)
    alpha = torch.tensor([[math.sin(1 + 5 * e + o) for o in range(5)] for e in range(6)], dtype=torch.float64)
    logits = net(golden_images(16), {"cell": alpha.softmax(-1)})
    want = torch.tensor([[0.00606446, 0.11774736, 0.12117388], [0.17022361, 0.07685178, -0.08717722]], dtype=torch.float64)
    torch.testing.assert_close(logits[[0, 3], :3], want, rtol=0, atol=1e-8)


def copy_weights(net, discrete, architecture, space):
    """The supernet's weights of the chosen options into the discrete network, fixed layers whole."""
    for spec, mine, theirs in zip(space.layers, net.layers, discrete.layers, strict=True):
        if spec.kind != "cell":
            theirs.load_state_dict(mine.state_dict())
            continue
        for choice, op in zip(architecture.of(spec.group), theirs.operations, strict=True):
            options = space.group(spec.group).decisions[choice.decision].options
            op.load_state_dict(mine.edges[choice.decision].options[options.index(choice.option)].state_dict())


SPACES = {
    "nasbench201": nasbench201(**SMALL),
    "signals": nasbench201(channels=4, cells=1, input_shape=(2, 16), outputs=3),
    "wide images": nasbench201(channels=4, cells=1, stages=2, input_shape=(2, 8, 4), outputs=3),
    "features": nasbench201(channels=4, cells=1, stages=1, input_shape=(6,), outputs=3),
    "dense signals": nasbench201(channels=4, cells=1, input_shape=(2, 16), outputs=3, dense=True),
    "toy": toy(),
    "own": CellSpace(
        name="own",
        operations=("none", "skip_connect", "nor_conv_1x1"),
        nodes=3,
        channels=4,
        cells=2,
        stages=2,
        input_shape=(1, 8, 8),
        outputs=3,
    ),
}


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("mode", ["train", "eval"])
@pytest.mark.parametrize("track", [False, True])
@pytest.mark.parametrize("one_path", [False, True])
def test_at_one_hot_mix_it_equals_the_discrete_network(name, mode, track, one_path):
    space, norm = SPACES[name], BatchNorm(affine=False, track=track)
    net = plain(space, norm=norm, generator=generator(1)).double()
    rng = random.Random(0)
    for _ in range(4):
        architecture = space.random(rng)
        discrete = build(architecture, space, norm=norm, generator=generator(2)).double()
        copy_weights(net, discrete, architecture, space)
        mix, active = {}, {}
        for group in space.groups:
            chosen = tuple(group.decisions[c.decision].options.index(c.option) for c in architecture.of(group.name))
            mix[group.name] = torch.nn.functional.one_hot(torch.tensor(chosen), group.shape[1]).double()
            active[group.name] = tuple((o,) for o in chosen)
        x = torch.randn(5, *space.input_shape, generator=generator(3), dtype=torch.float64)
        net.train(mode == "train")
        discrete.train(mode == "train")
        want = discrete(x)
        got = net(x, mix, active if one_path else None)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-12)


def edge_of(*options):
    return MixedEdge(EdgeSpec(options=options, channels=2, stride=1, norm=SEARCH_NORM))


def test_a_mixed_edge_is_the_weighted_sum_of_its_operations():
    names = ("none", "skip_connect", "nor_conv_1x1", "avg_pool_3x3")
    edge = MixedEdge(EdgeSpec(options=names, channels=4, stride=1, norm=SEARCH_NORM)).double()
    x = torch.randn(3, 4, 6, 6, generator=generator(), dtype=torch.float64)
    weights = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64, requires_grad=True)
    relu_conv = torch.einsum("nchw,oc->nohw", x.clamp(min=0), edge.options[2][1].weight[:, :, 0, 0])
    mean, var = relu_conv.mean((0, 2, 3), keepdim=True), relu_conv.var((0, 2, 3), keepdim=True, unbiased=False)
    normed = (relu_conv - mean) / (var + 1e-5).sqrt()
    ones = torch.ones_like(x)
    window = torch.ones(4, 1, 3, 3, dtype=torch.float64)
    pool = torch.nn.functional.conv2d(x, window, padding=1, groups=4)
    pool = pool / torch.nn.functional.conv2d(ones, window, padding=1, groups=4)  # padding does not count
    torch.testing.assert_close(edge(x, weights), 0.2 * x + 0.3 * normed + 0.4 * pool)
    # The gradient of the weights is the inner product with each operation's output.
    (grad,) = torch.autograd.grad(edge(x, weights).sum(), weights)
    torch.testing.assert_close(grad, torch.stack([0 * x.sum(), x.sum(), normed.sum(), pool.sum()]))


def test_one_path_keeps_the_gradient_of_straight_through_weights():
    """GDAS: the running option's weight gets <output, upstream>, every other the sum of the upstream gradient."""
    edge = MixedEdge(
        EdgeSpec(options=("skip_connect", "nor_conv_1x1", "none"), channels=2, stride=1, norm=SEARCH_NORM)
    ).double()
    x = torch.randn(2, 2, 3, 3, generator=generator(), dtype=torch.float64)
    weights = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64, requires_grad=True)
    upstream = torch.randn(2, 2, 3, 3, generator=generator(1), dtype=torch.float64)
    value = edge(x, weights, (0,))
    torch.testing.assert_close(value, x)
    (grad,) = torch.autograd.grad((value * upstream).sum(), weights)
    torch.testing.assert_close(grad, torch.stack([(x * upstream).sum(), upstream.sum(), upstream.sum()]))


def test_two_paths_are_the_weighted_sum_of_two():
    edge = MixedEdge(
        EdgeSpec(options=("skip_connect", "nor_conv_1x1", "avg_pool_3x3"), channels=2, stride=1, norm=SEARCH_NORM)
    ).double()
    x = torch.randn(2, 2, 4, 4, generator=generator(), dtype=torch.float64)
    weights = torch.tensor([0.3, 0.0, 0.7], dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(edge(x, weights, (0, 2)), edge(x, weights))
    (grad,) = torch.autograd.grad(edge(x, weights, (0, 2)).sum(), weights)
    torch.testing.assert_close(grad[1], torch.tensor(float(x.numel()), dtype=torch.float64))


def test_one_path_runs_nothing_else():
    edge = MixedEdge(EdgeSpec(options=("skip_connect", "nor_conv_1x1"), channels=2, stride=1, norm=SEARCH_NORM))
    edge.options[1].register_forward_hook(lambda *_: pytest.fail("an option that is not active ran"))
    edge(torch.zeros(1, 2, 3, 3), torch.tensor([1.0, 0.0]), (0,))


def test_construction_is_seeded_and_leaves_the_global_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = plain(toy(), norm=SEARCH_NORM, generator=generator(4)).state_dict()
    again = plain(toy(), norm=SEARCH_NORM, generator=generator(4)).state_dict()
    other = plain(toy(), norm=SEARCH_NORM, generator=generator(5)).state_dict()
    assert torch.equal(torch.get_rng_state(), before)
    assert all(torch.equal(first[k], again[k]) for k in first)
    assert not all(torch.equal(first[k], other[k]) for k in first)


def test_reductions_keep_even_and_odd_sizes_consistent():
    reduce = operation("skip_connect", 4, 2, SEARCH_NORM)
    assert reduce(torch.zeros(2, 4, 8, 8)).shape == (2, 4, 4, 4)
    assert reduce(torch.zeros(2, 4, 7, 7)).shape == (2, 4, 4, 4)
