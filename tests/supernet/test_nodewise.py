"""The node-wise executor against the plain one, number by number, in float64: logits, every gradient, every statistic."""

from dataclasses import dataclass

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from two_nodes import two

from mixop.analysis.hessian import hessian
from mixop.core.errors import RecipeError
from mixop.nets.dims import CONVOLVE
from mixop.nets.ops import BatchNorm
from mixop.spaces import S1, S2, S3, S4, CellSpace, darts, nasbench201
from mixop.spaces.toy import Toy
from mixop.supernet.executors import EXECUTORS
from mixop.supernet.nodewise import nodewise
from mixop.supernet.plain import plain
from mixop.wraps import AuxiliarySkip, DropPath, EdgeNormalisation, PartialChannels, SkipDropout, Wrap

TRACKED, UNTRACKED, AFFINE = BatchNorm(affine=False, track=True), BatchNorm(affine=False, track=False), BatchNorm()
RGB = {"input_shape": (3, 8, 8), "outputs": 5}
SMALL = {"cells": 3, "channels": 4, **RGB}  # normal, reduction, reduction
SPACES = {
    "darts": darts(**SMALL),
    "two nodes, odd sizes": two(**{**SMALL, "input_shape": (3, 11, 11)}),
    "nasbench201": nasbench201(channels=4, cells=1, **RGB),
    "s1": S1(**SMALL),
    "s2": S2(**SMALL),
    "s3": S3(**SMALL),
    "s4": S4(**SMALL),
    "pruned": darts(**SMALL).prune({g.name: [[e % 3, 4, 7] for e in range(14)] for g in darts().groups}),
    "cell": CellSpace(operations=("nor_conv_1x1", "none", "conv_7x1_1x7", "max_pool_3x3"), nodes=3, channels=4, cells=1, **RGB),
    "toy": Toy(),
}
FEW = {"cells": 3, "channels": 4, "outputs": 5, "operations": ("max_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_5x5")}
SHAPES = {
    "two nodes, wide images": two(**FEW, input_shape=(3, 9, 12)),
    "two nodes, signals": two(**FEW, input_shape=(2, 16)),
    "two nodes, odd signals": two(**FEW, input_shape=(2, 19)),
    "two nodes, dense": two(**FEW, input_shape=(3, 8, 12), dense=True),
    "nasbench201, wide images": nasbench201(channels=4, cells=1, input_shape=(3, 8, 12), outputs=5),
    "nasbench201, signals": nasbench201(channels=4, cells=1, input_shape=(2, 16), outputs=5),
    "nasbench201, dense signals": nasbench201(channels=4, cells=1, input_shape=(2, 16), outputs=5, dense=True),
    "nasbench201, features": nasbench201(channels=4, cells=1, stages=1, input_shape=(7,), outputs=5),
    "cell, signals": CellSpace(
        operations=("noise", "none", "conv_7x1_1x7", "max_pool_3x3"),
        nodes=3,
        channels=4,
        cells=1,
        input_shape=(2, 8),
        outputs=5,
    ),
    "separable, signals": CellSpace(
        operations=("sep_conv_3x3", "dil_conv_3x3", "nor_conv_3x3"),
        nodes=3,
        channels=4,
        cells=1,
        stages=1,
        input_shape=(2, 8),
        outputs=5,
    ),
}
WRAPS = {
    "partial": (PartialChannels(k=4),),
    "random": (PartialChannels(k=4, channels="random"),),
    "weighed": (EdgeNormalisation(),),
    "pc": (PartialChannels(k=4), EdgeNormalisation()),
    "auxiliary": (AuxiliarySkip(),),
    "auxiliary 1x1": (AuxiliarySkip(kind="convolution"),),
    "drop path": (DropPath(),),
    "skip dropout": (SkipDropout(rate=0.5), PartialChannels(k=4)),
    "all": (PartialChannels(k=4), AuxiliarySkip(), DropPath(), EdgeNormalisation()),
    "other order": (AuxiliarySkip(), PartialChannels(k=2), DropPath()),
}
TOLERANCE = 1e-10


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def pair(space, norm=TRACKED, wraps=()):
    torch.set_default_dtype(torch.float64)
    try:
        return tuple(make(space, norm=norm, generator=seeded(), wraps=wraps) for make in (plain, nodewise))
    finally:
        torch.set_default_dtype(torch.float32)


def paths(group, kind):
    """One path on every edge; or two, one, and none by turns."""
    options = group.shape[1]
    if kind == "one":
        return tuple(((7 * e + 3) % options,) for e in range(group.shape[0]))
    two = [tuple(sorted({(7 * e + 3) % options, 5 * e % options})) for e in range(group.shape[0])]
    return tuple(() if e % 3 == 1 else path for e, path in enumerate(two))


def run(net, *, train=True, active=None):
    """Logits, and the gradients of a loss in mixing weights, plain weights and images."""
    x = torch.randn(3, *net.space.input_shape, generator=seeded(1), dtype=torch.float64, requires_grad=True)
    groups = net.groups
    mix = {g.name: torch.rand(g.shape, generator=seeded(2), dtype=torch.float64).softmax(-1).requires_grad_() for g in groups}
    paths_of = None if active is None else {g.name: paths(g, active) for g in groups}
    net.train(train).zero_grad()
    torch.manual_seed(3)  # what the network draws by itself
    logits = net(x, mix, paths_of, progress=0.4)
    targets = torch.arange(logits[:, 0].numel()).view_as(logits[:, 0]) % logits.shape[1]
    cross_entropy(logits, targets).backward()
    zero = {name: p for name, p in net.named_parameters() if p.grad is None}
    grads = {name: torch.zeros_like(p) if name in zero else p.grad for name, p in net.named_parameters()}
    return logits.detach(), {"x": x.grad, **{name: m.grad for name, m in mix.items()}}, net.to_plain(grads)


def close(got, want, what):
    got, want = (torch.zeros(()) if value is None else value for value in (got, want))
    error, size = (got - want).norm(), want.norm()
    assert error <= TOLERANCE * max(size, 1e-3), f"{what}: {error / size:.1e}"


def compare(nets, **options):
    (logits, ours, weights), (fast_logits, fast_ours, fast_weights) = (run(net, **options) for net in nets)
    close(fast_logits, logits, "logits")
    for name, value in ours.items():
        close(fast_ours[name], value, f"gradient of {name}")
    assert fast_weights.keys() == weights.keys()
    for name, value in weights.items():
        close(fast_weights[name], value, f"gradient of {name}")
    state, fast_state = (net.state_dict() for net in nets)
    assert fast_state.keys() == state.keys()
    for name, value in state.items():
        close(fast_state[name].double(), value.double(), name)


# Options that differ by edge, and fourteen edges, under one kind of batch norm say as much as under three.
SAME = {"darts", "s1", "s2", "s3", "s4", "pruned", "two nodes, odd sizes"}
KINDS = {"tracked": TRACKED, "untracked": UNTRACKED, "affine": AFFINE}
SPACES_AND_NORMS = [
    pytest.param(name, norm, id=f"{name}-{kind}", marks=[pytest.mark.slow] if name in SAME and norm is not TRACKED else [])
    for name in SPACES
    for kind, norm in KINDS.items()
]


@pytest.mark.parametrize(("name", "norm"), SPACES_AND_NORMS)
def test_every_space(name, norm):
    if name == "toy" and norm is AFFINE:
        pytest.skip("the toy space has no batch norm in its cells")
    nets = pair(SPACES[name], norm)
    for train in (True, False):
        compare(nets, train=train)


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_input(name):
    nets = pair(SHAPES[name])
    for train in (True, False):
        compare(nets, train=train)


@pytest.mark.parametrize("active", ["one", "two"])
@pytest.mark.parametrize(
    "name", ["two nodes, odd sizes", "nasbench201", "s4", "cell", "toy", "two nodes, signals", "cell, signals"]
)
def test_draws_that_leave_options_out(name, active):
    nets = pair((SPACES | SHAPES)[name])
    for train in (True, False):
        compare(nets, train=train, active=active)


@pytest.mark.parametrize("name", WRAPS)
def test_every_wrap(name):
    # Every option under all wraps at once; half of them, of each kind one, under the others.
    space = two(**{**SMALL, "channels": 8}) if name == "all" else two(**{**FEW, "channels": 8}, input_shape=(3, 8, 8))
    nets = pair(space, wraps=WRAPS[name])
    for options in ({}, {"train": False}, {"active": "two"}):
        compare(nets, **options)


@pytest.mark.parametrize("name", ["random", "pc", "all", "other order"])
def test_wraps_of_signals(name):
    for space in ("two nodes, signals", "two nodes, odd signals"):
        nets = pair(SHAPES[space], wraps=WRAPS[name])
        for options in ({}, {"active": "two"}):
            compare(nets, **options)


def test_wraps_on_a_space_whose_nodes_are_added_up():
    compare(pair(SPACES["nasbench201"], wraps=(PartialChannels(k=2), EdgeNormalisation(), DropPath())))


@pytest.mark.parametrize("name", ["two nodes", "nasbench201", "separable, signals"])
def test_hessians_in_the_mixing_weights(name):
    matrices = []
    space = two(**{**SMALL, "cells": 2}) if name == "two nodes" else (SPACES | SHAPES)[name]  # two reduction cells
    for net in pair(space):
        x = torch.randn(3, *net.space.input_shape, generator=seeded(1), dtype=torch.float64)
        groups = [g for g in net.groups if g.name != "normal"]
        fixed = {g.name: torch.full(g.shape, 0.1, dtype=torch.float64) for g in net.groups}
        mix = {g.name: torch.rand(g.shape, generator=seeded(2), dtype=torch.float64)[:3, :2] for g in groups}

        def loss(params, net=net, x=x, fixed=fixed):
            whole = {**fixed, **{n: torch.cat([torch.cat([p, fixed[n][:3, 2:]], 1), fixed[n][3:]]) for n, p in params.items()}}
            return cross_entropy(net(x, whole), torch.arange(3))

        matrices.append(hessian(loss, mix))
    close(matrices[1], matrices[0], "Hessian")


def test_everything_is_channels_last_with_its_gradients():
    net = nodewise(darts(**{**SMALL, "input_shape": (3, 32, 32)}), norm=TRACKED, generator=seeded())
    seen = []

    def look(module, inputs, output):
        assert output.is_contiguous(memory_format=torch.channels_last)
        output.register_hook(lambda grad: seen.append(grad.is_contiguous(memory_format=torch.channels_last)))

    for layer in net.layers:
        if hasattr(layer, "stacks"):
            layer.norm.register_forward_hook(look)
    mix = {g.name: torch.rand(g.shape).requires_grad_() for g in net.groups}
    net(torch.randn(2, 3, 32, 32), mix).sum().backward()
    assert seen
    assert all(seen)


def test_one_path_calls_one_operation_of_an_edge(monkeypatch):
    """Convolutions are counted: a one-hot draw of DARTS cells runs the drawn ones and no others."""
    net = nodewise(darts(**SMALL, operations=("none", "skip_connect", "sep_conv_3x3")), norm=TRACKED, generator=seeded())
    mix = {g.name: torch.zeros(g.shape) for g in net.groups}
    calls = []
    real = torch.nn.functional.conv2d
    monkeypatch.setitem(CONVOLVE, 2, lambda *a, **k: calls.append(1) or real(*a, **k))
    net(torch.randn(2, 3, 8, 8), mix, {g.name: ((0,),) * 14 for g in net.groups})
    assert not calls
    only = tuple((2,) if e == 13 else (0,) for e in range(14))
    net(torch.randn(2, 3, 8, 8), mix, {g.name: only for g in net.groups})
    assert len(calls) == 3 * 4  # one separable convolution, four convolutions, in each of three cells


@dataclass(frozen=True, kw_only=True)
class Strange(Wrap):
    """A wrap of somebody else."""


def test_unknown_wraps_are_refused_by_name():
    with pytest.raises(RecipeError, match="does not support the wrap Strange: use --executor plain"):
        nodewise(SPACES["darts"], norm=TRACKED, generator=seeded(), wraps=(Strange(),))


def test_the_table_of_executors():
    assert list(EXECUTORS) == ["nodewise", "fused", "triton", "plain"]
    for name in EXECUTORS.keys() - {"triton"}:  # which needs a GPU, or its interpreter
        net = EXECUTORS[name](SPACES["nasbench201"], norm=UNTRACKED, generator=seeded(), wraps=())
        assert isinstance(net, nn.Module)
