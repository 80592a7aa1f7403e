"""Many networks side by side against each of them trained alone by the discrete network and torch's own optimiser."""

from random import Random

import pytest
import torch
from torch.nn.functional import cross_entropy

from mixop.core.errors import SpaceError
from mixop.nets.discrete import build
from mixop.nets.ops import BatchNorm
from mixop.spaces import S4, CellSpace, Sizes, darts, nasbench201
from mixop.tabulate.cohort import losses_of
from mixop.tabulate.many import Many, side_by_side, together
from mixop.tasks.classification import Classification

SIZES = {"input_shape": (2, 8, 8), "outputs": 5}
SPACES = {
    "nasbench201": nasbench201(channels=4, cells=1, **SIZES),
    "three operations": nasbench201(channels=4, cells=1, operations=("skip_connect", "none", "nor_conv_3x3"), **SIZES),
    "cells": CellSpace(operations=("max_pool_3x3", "nor_conv_1x1", "sep_conv_3x3"), nodes=3, channels=4, cells=1, **SIZES),
    "darts": darts(cells=3, channels=4, **SIZES),
    "wide images": nasbench201(channels=4, cells=1, input_shape=(2, 8, 4), outputs=5),
    "signals": nasbench201(channels=4, cells=1, input_shape=(2, 16), outputs=5),
    "darts, signals": darts(cells=3, channels=4, input_shape=(2, 11), outputs=5),
    "features": nasbench201(channels=4, cells=1, stages=1, input_shape=(7,), outputs=5),
}


@pytest.fixture(autouse=True)
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


# Cells of two inputs are tested on signals; images take three times as long.
@pytest.mark.parametrize("name", [pytest.param(name, marks=[pytest.mark.slow] if name == "darts" else []) for name in SPACES])
def test_each_trains_as_it_would_alone(name):
    space, rng = SPACES[name], Random(1)
    architectures = [space.random(rng) for _ in range(5)]
    seeds = torch.tensor([0, 1, 0, 1, 1])
    makers = [lambda a=a, g=g: build(a, space, generator=torch.Generator().manual_seed(g)) for g, a in enumerate(architectures)]
    many = Many([make() for make in makers])
    alone = [make() for make in makers]
    optimisers = [
        torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9, nesterov=True, weight_decay=1e-2) for net in (many, *alone)
    ]
    draw = torch.Generator().manual_seed(0)
    for _ in range(4):
        x, y = torch.randn(2, 6, *space.input_shape, generator=draw), torch.randint(5, (2, 6), generator=draw)
        losses = losses_of(many, Classification(tuple("abcde")), x, y, seeds)
        wanted = [cross_entropy(net(x[s]), y[s]) for net, s in zip(alone, seeds, strict=True)]
        torch.testing.assert_close(losses, torch.stack(wanted), rtol=1e-10, atol=1e-10)
        for optimiser, loss in zip(optimisers, (losses.sum(), *wanted), strict=True):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    for net in (many, *alone):
        net.eval()
    logits = many(side_by_side(x, seeds))
    for g, (net, s) in enumerate(zip(alone, seeds, strict=True)):
        torch.testing.assert_close(logits[:, g], net(x[s]), rtol=1e-9, atol=1e-9)


def test_the_networks_given_stay_as_they_are():
    """What they are made of is not theirs: the networks given are unchanged by training."""
    space = SPACES["nasbench201"]
    networks = [build(space.random(Random(g)), space, generator=torch.Generator().manual_seed(g)) for g in range(2)]
    before = [p.clone() for net in networks for p in net.parameters()]
    many = Many(networks)
    many(torch.randn(3, 4, 8, 8)).sum().backward()
    torch.optim.SGD(many.parameters(), lr=1.0).step()
    assert all(torch.equal(p, b) for p, b in zip((p for n in networks for p in n.parameters()), before, strict=True))


def test_what_has_no_form_is_refused():
    space, rng = S4(cells=3, channels=4, **SIZES), Random(0)
    noisy = build(next(a for a in iter(lambda: space.random(rng), None) if "noise" in str(a)), space)
    with pytest.raises(SpaceError, match="Noise cannot be computed for many networks"):
        Many([noisy])
    with pytest.raises(SpaceError, match="cannot be computed for many networks"):
        together([torch.nn.ReLU(), torch.nn.Identity()])


@pytest.mark.parametrize("shape", [(2, 16), (2, 8, 4)])
@pytest.mark.parametrize("make", [nasbench201, darts])
def test_outputs_at_every_position(make, shape):
    space, rng = make(cells=3, channels=4, input_shape=shape, outputs=3, dense=True), Random(0)
    networks = [build(space.random(rng), space, generator=torch.Generator().manual_seed(g)) for g in range(3)]
    x = torch.randn(2, 4, *shape)
    whose = torch.tensor([0, 1, 0])
    outputs = Many(networks)(side_by_side(x, whose))
    assert outputs.shape == (4, 3, 3, *shape[1:])
    for g, net in enumerate(networks):
        torch.testing.assert_close(outputs[:, g], net(x[whose[g]]), rtol=1e-10, atol=1e-10)


def test_networks_of_tokens_are_refused():
    space = nasbench201(channels=4, cells=1, stages=1, operations=("none", "skip_connect", "nor_conv_1x1"))
    space = space.fit(Sizes((7, 6), 7, dense=True, tokens=True))
    with pytest.raises(SpaceError, match="TokenStem cannot be computed for many networks"):
        Many([build(space.random(Random(0)), space)])


def test_batch_norm_without_scale():
    space = SPACES["nasbench201"]
    norm = BatchNorm(affine=False, track=False)
    networks = [build(space.random(Random(g)), space, norm=norm, generator=torch.Generator().manual_seed(g)) for g in range(3)]
    x = torch.randn(4, 2, 8, 8)
    whose = torch.zeros(3, dtype=torch.int64)
    logits = Many(networks)(side_by_side(x[None], whose))
    for g, net in enumerate(networks):
        torch.testing.assert_close(logits[:, g], net(x), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("name", ["nasbench201", "darts, signals"])
def test_all_of_it_goes_to_another_device(name):
    """A tensor that stays behind is an error of torch: "meta" is any device that is not the CPU."""
    space, rng = SPACES[name], Random(1)
    many = Many([build(space.random(rng), space) for _ in range(4)]).to("meta")
    outputs = many(torch.empty(6, 4 * space.input_shape[0], *space.input_shape[1:], device="meta"))
    assert (outputs.shape, outputs.device.type) == ((6, 4, 5), "meta")
    outputs.sum().backward()
    assert "order" not in {key.rpartition(".")[2] for key in many.state_dict()}, "no part of a checkpoint"
