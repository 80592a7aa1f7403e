"""The fused executor against the plain one in float64, cell by cell: output, every gradient, every statistic.

Across a whole network a value that rounds to the other side of a ReLU moves gradients by far more than rounding; a cell of
few pixels is compared instead, and the network only where that cannot happen.
"""

import copy
from dataclasses import dataclass

import pytest
import torch
from torch.nn.functional import cross_entropy
from two_nodes import two

from mixop.analysis.hessian import hessian
from mixop.core.errors import RecipeError, RunError
from mixop.core.rng import fenced
from mixop.core.schedules import Constant
from mixop.nets.ops import BatchNorm
from mixop.spaces import S1, S2, S3, S4, CellSpace, darts, nasbench201
from mixop.spaces.toy import Toy
from mixop.supernet import compiled
from mixop.supernet.batched import NORMS
from mixop.supernet.fused import FusedCell, _check_edge, fused
from mixop.supernet.kernel import PARTS, watched
from mixop.supernet.nodewise import nodewise
from mixop.supernet.plain import plain
from mixop.wraps import AuxiliarySkip, DropPath, EdgeNormalisation, PartialChannels, SkipDropout, Wrap

TRACKED, UNTRACKED = BatchNorm(affine=False, track=True), BatchNorm(affine=False, track=False)
RGB = {"input_shape": (3, 8, 8), "outputs": 5}
SMALL = {"cells": 3, "channels": 8, **RGB}  # normal, reduction, reduction
SPACES = {
    "two nodes, 4 channels": two(**{**SMALL, "channels": 4}),
    "darts, 8 channels": darts(**SMALL),
    "two nodes, 12 channels": two(**{**SMALL, "channels": 12}),
    "two nodes, 16 channels": two(**{**SMALL, "channels": 16}),
    "two nodes, odd sizes": two(**{**SMALL, "input_shape": (3, 11, 11)}),
    "nasbench201": nasbench201(channels=16, cells=1, **RGB),
    "3x3, an odd side": CellSpace(
        operations=("nor_conv_3x3", "skip_connect"), channels=32, cells=1, input_shape=(3, 12, 20), outputs=5
    ),
    "3x3, one pixel": CellSpace(
        operations=("nor_conv_3x3", "nor_conv_1x1"), channels=16, cells=1, input_shape=(3, 4, 4), outputs=5
    ),
    "s1": S1(**SMALL),
    "s2": S2(**SMALL),
    "s3": S3(**SMALL),
    "7x7": two(**SMALL, operations=("none", "max_pool_3x3", "sep_conv_7x7", "dil_conv_3x3")),
    "pruned": darts(**SMALL).prune({g.name: [[e % 3, 4, 7] for e in range(14)] for g in darts().groups}),
    "only skips and nothing": darts(**SMALL, operations=("none", "skip_connect")),
    "cell": CellSpace(operations=("nor_conv_1x1", "none", "max_pool_3x3"), nodes=3, channels=4, cells=1, **RGB),
    "signals of two nodes": two(**{**SMALL, "channels": 4, "input_shape": (3, 16)}),
    "signals of two nodes, an odd size": two(**{**SMALL, "channels": 12, "input_shape": (3, 11)}),
    "signals of darts": darts(**{**SMALL, "input_shape": (3, 16)}),
    "signals of nasbench201": nasbench201(channels=16, cells=1, **{**RGB, "input_shape": (3, 16)}),
}
TOLERANCE = 1e-5

try:
    compiled.kernels(4)
except RunError as error:
    pytest.skip(f"the fused executor cannot be built here: {error}", allow_module_level=True)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def close(got, want, what, tolerance=TOLERANCE):
    error, size = (got.double() - want).norm(), want.norm()
    assert error <= tolerance * max(size, 1e-3), f"{what}: {error / size:.1e}"


def cells(space, norm, wraps=()):
    """Of every layer that is a cell: its place, the plain one in float64 and the fused one, with equal weights."""
    ours, theirs = (make(space, norm=norm, generator=seeded(), wraps=wraps) for make in (fused, plain))
    theirs = theirs.double()
    for spec, mine, its in zip(ours.specs, ours.layers, theirs.layers, strict=True):
        if isinstance(mine, FusedCell):
            yield spec, mine, its


def named(ours, tensors):
    """Tensors of the fused cell by the plain one's names."""
    found = {}
    for name, tensor in tensors.items():
        stack = ours.stacks.get(name)
        parts = {name: tensor} if stack is None else dict(zip(stack.names, stack.split(tensor), strict=True))
        found.update(parts)
    return found


def compare(space, spec, ours, theirs, *, train=True, edges=False, seed=1, batch=3, active=None, dtype=torch.float64):
    group = space.group(spec.group)
    size = 7 if space.input_shape[1] % 2 else 8
    draw = seeded(seed)
    sizes = (size, size + 1)[: spec.dims]
    inputs = [torch.randn(batch, ours.share * ours._kernel.channels, *sizes, generator=draw) + 0.2 for _ in spec.inputs]
    mix = torch.rand(group.shape, generator=draw).softmax(-1)
    given = [*inputs, mix, *([torch.rand(group.shape[0], generator=draw)] if edges else [])]
    results = []
    for cell, kind in ((ours, torch.float32), (theirs, dtype)):
        cell.train(train)
        own = [x.to(kind).requires_grad_() for x in given]
        *xs, m = own[: len(inputs) + 1]
        with fenced(seeded(seed), watch=False):
            output = cell(xs, m, own[-1] if edges else None, active, 0.5)
        slope = torch.randn(output.shape, generator=seeded(7)).to(kind)
        grads = torch.autograd.grad(output, [*own, *cell.parameters()], slope, allow_unused=True)
        weights = {
            name: torch.zeros_like(p) if g is None else g
            for (name, p), g in zip(cell.named_parameters(), grads[len(own) :], strict=True)
        }
        results.append((output, grads[: len(own)], weights))
    (output, slopes, weights), (want, want_slopes, want_weights) = results
    want, want_slopes = want.double(), [None if s is None else s.double() for s in want_slopes]
    close(output, want, "output")
    for i, (got, expected) in enumerate(zip(slopes, want_slopes, strict=True)):
        assert (got is None) == (expected is None) or not expected.any()
        if got is not None and expected is not None:
            close(got, expected, f"gradient of input {i}")
    weights = named(ours, weights)
    assert weights.keys() == want_weights.keys()
    for name, expected in want_weights.items():
        close(weights[name], expected.double(), f"gradient of {name}")
    state, want_state = ours.state_dict(), theirs.state_dict()
    assert state.keys() == want_state.keys()
    for name, expected in want_state.items():
        close(state[name], expected.double(), name)


@pytest.mark.parametrize("shape", [(3, 8, 12), (3, 13, 9)])
def test_networks_of_images_that_are_not_square(shape):
    space = two(**{**SMALL, "input_shape": shape})
    ours, theirs = (make(space, norm=TRACKED, generator=seeded()) for make in (fused, plain))
    x = torch.randn(3, *shape, generator=seeded(1))
    mix = {g.name: torch.rand(g.shape, generator=seeded(2)).softmax(-1) for g in space.groups}
    want = theirs.double()(x.double(), {name: m.double() for name, m in mix.items()})
    close(ours(x, mix), want, "outputs")


# Options that differ by edge, and fourteen edges, under one kind of batch norm say as much as under two.
SAME = {"darts, 8 channels", "s1", "s2", "s3", "pruned", "two nodes, 12 channels", "two nodes, 16 channels"}
KINDS = {"tracked": TRACKED, "untracked": UNTRACKED}
SPACES_AND_NORMS = [
    pytest.param(name, norm, id=f"{name}-{kind}", marks=[pytest.mark.slow] if name in SAME and norm is UNTRACKED else [])
    for name in SPACES
    for kind, norm in KINDS.items()
]


@pytest.mark.parametrize(("name", "norm"), SPACES_AND_NORMS)
def test_every_space(name, norm):
    space = SPACES[name]
    for spec, ours, theirs in cells(space, norm):
        for seed in (1, 2):
            compare(space, spec, ours, theirs, seed=seed)  # the second time the statistics are no longer fresh
        compare(space, spec, ours, theirs, train=False)


PARTIAL = {
    "a quarter": (two(**{**SMALL, "channels": 16}), (PartialChannels(k=4),)),
    "a half, odd sizes": (
        two(**{**SMALL, "channels": 16, "input_shape": (3, 11, 11)}),
        (PartialChannels(k=2), EdgeNormalisation()),
    ),
    "pc-darts": (two(**{**SMALL, "channels": 16}), (PartialChannels(k=4), EdgeNormalisation())),
    "other order": (two(**{**SMALL, "channels": 12}), (EdgeNormalisation(), PartialChannels(k=3))),
    "added up": (nasbench201(channels=16, cells=1, **RGB), (PartialChannels(k=4), EdgeNormalisation())),
    "signals, an odd size": (
        two(**{**SMALL, "channels": 16, "input_shape": (3, 11)}),
        (PartialChannels(k=2), EdgeNormalisation()),
    ),
}


@pytest.mark.parametrize("name", PARTIAL)
def test_partial_channels(name):
    space, wraps = PARTIAL[name]
    edges = EdgeNormalisation() in wraps
    for spec, ours, theirs in cells(space, TRACKED, wraps):
        for seed in (1, 2):
            compare(space, spec, ours, theirs, seed=seed, edges=edges)
        compare(space, spec, ours, theirs, train=False, edges=edges)


def test_edge_weights_are_part_of_the_mix():
    space = SPACES["two nodes, 16 channels"]
    for spec, ours, theirs in cells(space, TRACKED, (EdgeNormalisation(),)):
        compare(space, spec, ours, theirs, edges=True)


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("name", ["two nodes, 12 channels", "nasbench201"])
def test_any_number_of_threads(name, threads):
    space, before = SPACES[name], torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for spec, ours, theirs in cells(space, TRACKED):
            compare(space, spec, ours, theirs, batch=4)
    finally:
        torch.set_num_threads(before)


def test_many_options_are_worked_on_in_groups():
    """Maps of more than 4 MiB: the options of a node are divided; an image of 32 x 32 pixels, 12 of them, does that."""
    space = two(cells=3, channels=16, input_shape=(3, 32, 32), outputs=5)
    spec, ours, theirs = next(cells(space, UNTRACKED))
    group = space.group(spec.group)
    draw = seeded(4)
    mix = torch.rand(group.shape, generator=draw).softmax(-1)
    inputs = [torch.randn(12, 16, 32, 32, generator=draw) for _ in range(2)]
    xs = [x.clone().requires_grad_() for x in inputs]
    got = ours(xs, mix, None, None, 0.0)
    with torch.no_grad():
        want = theirs([x.double() for x in inputs], mix.double(), None, None, 0.0)
    close(got.detach(), want, "output")
    # The directional derivative, which an image's worth of flipped ReLUs does not move.
    slope = torch.randn(got.shape, generator=draw)
    grads = torch.autograd.grad(got, xs, slope)
    reference = [x.double().requires_grad_() for x in inputs]
    wanted = torch.autograd.grad(theirs(reference, mix.double(), None, None, 0.0), reference, slope.double())
    for g, w in zip(grads, wanted, strict=True):
        close(g, w, "gradient", 1e-3)


def net_and_mix(make, space, dtype=torch.float32, wraps=()):
    net = make(space, norm=TRACKED, generator=seeded(), wraps=wraps).to(dtype)
    mix = {g.name: torch.rand(g.shape, generator=seeded(2)).softmax(-1).to(dtype).requires_grad_() for g in net.groups}
    return net, mix


@pytest.mark.parametrize("name", ["two nodes, 12 channels", "nasbench201", "signals of nasbench201"])
def test_the_whole_network(name):
    space, losses = SPACES[name], []
    x = torch.randn(6, *space.input_shape, generator=seeded(1))
    for make, dtype in ((fused, torch.float32), (plain, torch.float64)):
        net, mix = net_and_mix(make, space, dtype)
        net.requires_grad_(False)  # an architecture step
        loss = cross_entropy(net(x.to(dtype), mix), torch.arange(6) % 5)
        losses.append((loss.detach(), torch.autograd.grad(loss, list(mix.values()))))
    (loss, grads), (want, wanted) = losses
    close(loss, want, "loss")
    for got, expected in zip(grads, wanted, strict=True):
        close(got, expected, "gradient of the mix", 1e-2)


@pytest.mark.parametrize("wraps", [(), (PartialChannels(k=4), EdgeNormalisation())], ids=["bare", "partial"])
@pytest.mark.parametrize(
    "name", [pytest.param("two nodes, 16 channels", marks=pytest.mark.slow), "nasbench201", "signals of nasbench201"]
)
def test_second_derivatives_are_those_of_the_plain_executor(name, wraps):
    matrices = []
    for make, dtype in ((fused, torch.float32), (plain, torch.float64)):
        space = SPACES[name]
        net, mix = net_and_mix(make, space, dtype, wraps)
        x = torch.randn(3, *space.input_shape, generator=seeded(1)).to(dtype)
        # Two options of four edges: every parameter is a backward pass through a backward pass.
        chosen = {n: m.detach()[:4, -2:] for n, m in mix.items() if n in ("normal", "cell")}
        before = copy.deepcopy(net.state_dict())

        def loss(params, net=net, mix=mix, x=x):
            rest = {n: mix[n].detach() for n in params}
            whole = {**mix, **{n: torch.cat([torch.cat([rest[n][:4, :-2], p], 1), rest[n][4:]]) for n, p in params.items()}}
            return cross_entropy(net(x, whole), torch.arange(3))

        net.eval()  # statistics stay, and the two losses are the same function
        matrices.append(hessian(loss, chosen))
        assert all(torch.equal(value, before[n]) for n, value in net.state_dict().items())
    close(matrices[0], matrices[1], "Hessian", 1e-3)


def test_second_derivatives_in_training_count_a_batch_once():
    net, mix = net_and_mix(fused, SPACES["nasbench201"])
    loss = cross_entropy(net(torch.randn(3, 3, 8, 8, generator=seeded(1)), mix), torch.arange(3))
    state = copy.deepcopy(net.state_dict())
    torch.autograd.grad(loss, list(mix.values()), create_graph=True)
    assert all(torch.equal(value, state[name]) for name, value in net.state_dict().items())
    assert all(int(value) == 1 for name, value in state.items() if name.endswith("num_batches_tracked"))


def paths(group, count, seed):
    """Of every edge some options in increasing order; every fifth edge is dropped."""
    draw = seeded(seed)
    edges, options = group.shape
    drawn = [tuple(sorted(torch.randperm(options, generator=draw)[:count].tolist())) for _ in range(edges)]
    return tuple(() if e % 5 == 4 else its for e, its in enumerate(drawn))


SAMPLED = {
    "one path": ("darts, 8 channels", TRACKED, (), 1),
    "two paths": ("darts, 8 channels", UNTRACKED, (), 2),
    "nasbench201": ("nasbench201", TRACKED, (), 1),
    "scale and shift": ("two nodes, 12 channels", BatchNorm(affine=True, track=True), (), 2),
    "partial channels": ("two nodes, 16 channels", TRACKED, (PartialChannels(k=4), EdgeNormalisation()), 1),
    "drop path": ("two nodes, 12 channels", TRACKED, (DropPath(probability=Constant(0.3)),), 2),
    "signals": ("signals of darts", TRACKED, (SkipDropout(rate=0.3),), 1),
}


@pytest.mark.parametrize("name", SAMPLED)
def test_draws_that_leave_options_out(name):
    space, norm, wraps, count = SAMPLED[name]
    edges = EdgeNormalisation() in wraps
    for spec, ours, theirs in cells(SPACES[space], norm, wraps):
        batch = 4 if spec.dims == 2 else 16  # few positions have small variances too
        for seed in (1, 3):  # 2 draws a path of small variances, on which float32 itself is 3e-5 off
            active = paths(SPACES[space].group(spec.group), count, seed)
            compare(SPACES[space], spec, ours, theirs, seed=seed, active=active, edges=edges, batch=batch)


def test_what_does_not_run_has_no_gradient_where_it_has_none_node_wise():
    space = SPACES["darts, 8 channels"]
    x, missing = torch.randn(3, 3, 8, 8, generator=seeded(1)), []
    active = {g.name: tuple((0,) if e % 2 else (4,) for e in range(14)) for g in space.groups}
    for make in (fused, nodewise):
        net, mix = net_and_mix(make, space)
        grads = torch.autograd.grad(net(x, mix, active).sum(), [*net.parameters(), *mix.values()], allow_unused=True)
        missing.append([grad is None for grad in grads])
    assert missing[0] == missing[1]
    assert any(missing[0])


def test_sampled_statistics_without_momentum_count_their_own_batches():
    space, state = SPACES["darts, 8 channels"], []
    for make in (fused, plain):
        net, mix = net_and_mix(make, space)
        for module in net.modules():
            if isinstance(module, NORMS):
                module.momentum = None
        for seed in (1, 2):
            net(torch.randn(3, 3, 8, 8, generator=seeded(seed)), mix, {g.name: paths(g, 2, seed) for g in space.groups})
        state.append(net.state_dict())
    for name, value in state[1].items():
        close(state[0][name], value.double(), name, 1e-3)


WRAPPED = {
    "auxiliary skip": ("two nodes, 12 channels", TRACKED, (AuxiliarySkip(beta=Constant(0.7)),)),
    "auxiliary skip, s1": ("s1", UNTRACKED, (AuxiliarySkip(),)),
    "auxiliary skip inside": ("two nodes, 16 channels", TRACKED, (AuxiliarySkip(), PartialChannels(k=4))),
    "drop path": ("darts, 8 channels", UNTRACKED, (DropPath(probability=Constant(0.4)),)),
    "drop path around partial channels": ("two nodes, 16 channels", TRACKED, (PartialChannels(k=2), DropPath())),
    "drop path inside": ("two nodes, 16 channels", TRACKED, (DropPath(), AuxiliarySkip(), PartialChannels(k=2))),
    "skip dropout": ("darts, 8 channels", TRACKED, (SkipDropout(rate=0.5),)),
    "skip dropout and more": ("two nodes, 16 channels", TRACKED, (SkipDropout(), PartialChannels(k=4), DropPath())),
    "weighed edges": ("two nodes, 12 channels", TRACKED, (AuxiliarySkip(), DropPath(), EdgeNormalisation())),
    "scale and shift": ("darts, 8 channels", BatchNorm(affine=True, track=True), ()),
    "scale and shift, nasbench201": ("nasbench201", BatchNorm(affine=True, track=False), (AuxiliarySkip(),)),
    "signals": ("signals of darts", BatchNorm(affine=True, track=True), (SkipDropout(rate=0.5), AuxiliarySkip(), DropPath())),
    "scale and shift, pools": ("cell", BatchNorm(affine=True, track=True), (DropPath(),)),
}


@pytest.mark.parametrize("name", WRAPPED)
def test_wraps_and_norms(name):
    space, norm, wraps = WRAPPED[name]
    edges = EdgeNormalisation() in wraps
    for spec, ours, theirs in cells(SPACES[space], norm, wraps):
        with torch.no_grad():
            its = dict(theirs.named_parameters())
            for attribute, p in ours.named_parameters():  # scales and shifts that are no longer 1 and 0
                if p.dim() == 1:
                    p += 0.3 * torch.randn(p.shape, generator=seeded(len(p)))
                    for part, value in named(ours, {attribute: p}).items():
                        its[part].copy_(value)
        for seed in (1, 2):
            compare(SPACES[space], spec, ours, theirs, seed=seed, edges=edges, batch=5)
        compare(SPACES[space], spec, ours, theirs, train=False, edges=edges)


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 16)])
def test_noise(shape):
    space = S4(**{**SMALL, "input_shape": shape})
    for spec, ours, theirs in cells(space, TRACKED):  # numbers of another precision would be other numbers
        compare(space, spec, ours, theirs.float(), dtype=torch.float32)
        compare(space, spec, ours, theirs, dtype=torch.float32, active=paths(space.group(spec.group), 1, 3))


@pytest.mark.parametrize("channels", [2, 3, 6])
def test_any_number_of_channels(channels):
    space = CellSpace(operations=("nor_conv_3x3", "max_pool_3x3"), nodes=3, channels=channels, cells=1, **RGB)
    if channels % 2 == 0:
        space = two(**{**SMALL, "channels": channels})
    for spec, ours, theirs in cells(space, TRACKED):
        compare(space, spec, ours, theirs)


def test_the_mean_of_all_batches_as_statistics():
    """Without momentum, as when statistics are measured again: the mean of three batches' means."""
    space = SPACES["nasbench201"]
    spec, ours, theirs = next(cells(space, TRACKED))
    ours.norm.momentum = None
    for module in theirs.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.momentum = None
    for seed in (1, 2, 3):
        compare(space, spec, ours, theirs, seed=seed)


def test_equal_inputs_give_equal_bits():
    results = []
    for _ in range(2):
        net, mix = net_and_mix(fused, SPACES["two nodes, 16 channels"])
        cross_entropy(net(torch.randn(5, 3, 8, 8, generator=seeded(1)), mix), torch.arange(5)).backward()
        results.append([p.grad for p in (*net.parameters(), *mix.values())])
    assert all((a is None and b is None) or torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_what_is_not_a_number_stays_visible():
    net, mix = net_and_mix(fused, SPACES["darts, 8 channels"])
    x = torch.randn(3, 3, 8, 8)
    x[1, 0, 2, 2] = float("nan")
    assert net(x, mix).isnan().all()


def test_states_and_tensors_are_those_of_the_node_wise_executor():
    space = SPACES["darts, 8 channels"]
    ours, theirs = fused(space, norm=TRACKED, generator=seeded(1)), nodewise(space, norm=TRACKED, generator=seeded(2))
    assert [(n, p.shape) for n, p in ours.named_parameters()] == [(n, p.shape) for n, p in theirs.named_parameters()]
    theirs.load_state_dict(ours.state_dict())
    assert all(torch.equal(p, q) for p, q in zip(ours.parameters(), theirs.parameters(), strict=True))


def test_a_copy_computes_the_same():
    net, mix = net_and_mix(fused, SPACES["nasbench201"])
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(copy.deepcopy(net)(x, mix), net(x, mix))


@dataclass(frozen=True, kw_only=True)
class Strange(Wrap):
    """A wrap of somebody else."""


@pytest.mark.parametrize(
    ("space", "norm", "wraps", "match"),
    [
        (darts(**SMALL), TRACKED, (Strange(),), "does not support the wrap Strange: use --executor nodewise"),
        (darts(**SMALL), TRACKED, (AuxiliarySkip(kind="convolution"),), "a convolution as auxiliary skip"),
        (darts(**SMALL), TRACKED, (PartialChannels(k=2), AuxiliarySkip()), "an auxiliary skip inside partial channels only"),
        (darts(**SMALL), TRACKED, (PartialChannels(k=2, channels="random"),), "random partial channels"),
        (darts(**SMALL), TRACKED, (PartialChannels(k=2), PartialChannels(k=2)), "once, got them twice"),
        (Toy(), TRACKED, (), "the operation"),
    ],
    ids=["strange", "convolution", "outside", "random", "twice", "toy"],
)
def test_what_it_does_not_know_is_refused_by_name(space, norm, wraps, match):
    with pytest.raises(RecipeError, match=match):
        fused(space, norm=norm, generator=seeded(), wraps=wraps)


@pytest.mark.parametrize(
    ("name", "stride", "match"),
    [("nor_conv_1x1", 2, "nor_conv_1x1 at stride 2"), ("avg_pool_3x3", 3, "stride 1 and 2, got 3")],
)
def test_strides_of_other_spaces(name, stride, match):
    with pytest.raises(RecipeError, match=match):
        _check_edge((name,), stride)


def test_other_numbers_are_refused():
    net, mix = net_and_mix(fused, SPACES["nasbench201"], torch.float64)
    with pytest.raises(RunError, match=r"computes in float32 on the CPU, got torch.float64 on cpu: use --executor nodewise"):
        net(torch.randn(2, 3, 8, 8, dtype=torch.float64), mix)


@pytest.mark.parametrize("count", [None, 1], ids=["all", "one path"])
def test_second_derivatives_of_what_is_drawn_and_wrapped(count):
    """The gradient's gradient of the weights' squared gradient, whose second pass draws the numbers of the first."""
    space, found = SPACES["nasbench201"], []
    wraps = (SkipDropout(rate=0.4), AuxiliarySkip(), DropPath(probability=Constant(0.3)))
    active = None if count is None else {g.name: paths(g, count, 1) for g in space.groups}
    for make, dtype in ((fused, torch.float32), (plain, torch.float64)):
        net, mix = net_and_mix(make, space, dtype, wraps)
        with fenced(seeded(3), watch=False):
            loss = cross_entropy(net(torch.randn(4, 3, 8, 8, generator=seeded(1)).to(dtype), mix, active), torch.arange(4))
            first = torch.autograd.grad(loss, list(mix.values()), create_graph=True)
            found.append(torch.autograd.grad(first[0].square().sum(), list(mix.values()))[0])
    close(found[0], found[1], "second derivative", 1e-3)


def test_what_kernels_spend_their_time_on():
    net, mix = net_and_mix(fused, SPACES["nasbench201"])
    x = torch.randn(2, 3, 8, 8)
    with watched() as clock:
        net(x, mix)
    spent = dict(zip(PARTS, clock.sum(0).tolist(), strict=True))
    assert spent["dense products"] > spent["depthwise convolutions"] == 0
    before = clock.copy()
    net(x, mix)
    assert (clock == before).all()
