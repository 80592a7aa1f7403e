"""Signals against images of height 1 with the same weights: the two-dimensional network, seen from the side.

A kernel of the image's operation has the signal's window in its middle row and zeros elsewhere: at height 1 the other rows
would read padding only. What halves its input gets two equal rows, of which one is left behind the stride: at height 1 the
second grid of a factorised reduction would lie outside the image.
"""

from dataclasses import replace
from functools import cache
from random import Random

import pytest
import torch
from two_nodes import Two

from mixop.nets.discrete import build
from mixop.nets.layers import LAYERS
from mixop.nets.ops import OPERATIONS, BatchNorm, operation
from mixop.spaces import CellSpace, nasbench201
from mixop.spaces.darts import KNOWN_OPERATIONS
from mixop.spaces.stacked import Layer
from mixop.supernet.nodewise import nodewise
from mixop.supernet.plain import plain
from mixop.wraps import AuxiliarySkip, DropPath, EdgeNormalisation, PartialChannels, SkipDropout

NORM = BatchNorm()
TOLERANCE = 1e-12  # float64 sums of a few thousand numbers, in another order
SIZES = {"outputs": 5}
STRIDED = [(name, stride) for name in OPERATIONS for stride in ((1,) if name in ("abs", "sine") else (1, 2))]
"""Every operation at every stride; the toy space's maps are never strided."""


@pytest.fixture(autouse=True)
def in_double():
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def close(got, want, what):
    assert got.shape == want.shape, what
    error = (got - want).norm()
    assert error <= TOLERANCE * max(want.norm().item(), 1.0), f"{what}: {error:.1e}"


def as_image(tensor, like):
    """A signal's tensor as that of the image's operation: a window becomes the middle row of a kernel."""
    if tensor.dim() != 3:
        return tensor
    made = torch.zeros(like.shape, dtype=tensor.dtype)
    made[:, :, made.shape[2] // 2, :] = tensor
    return made


def as_signal(tensor):
    """A gradient by an image's kernel as that by the signal's window."""
    return tensor[:, :, tensor.shape[2] // 2, :] if tensor.dim() == 4 else tensor


def paired(signal, image):
    """Names of the signal's tensors and of the image's that they stand for.

    The 7x1 and 1x7 convolutions of an image are one of window 7 for a signal: row (1), column (2) and norm (3) of the image
    are window (1) and norm (2) of the signal, and the column has ones in its middle.
    """
    mine, theirs = list(signal), list(image)
    columns = {name for name in theirs if image[name].dim() == 4 and image[name].shape[2:] == (7, 1)}
    left = [name for name in theirs if name not in columns]
    assert len(mine) == len(left)
    return dict(zip(mine, left, strict=True)), columns


@torch.no_grad()
def copy(signal, image):
    """Random numbers into the signal's module and the same ones into the image's."""
    rng = seeded(5)
    for name, tensor in signal.state_dict().items():
        if tensor.is_floating_point():
            scale = "running_var" in name or (tensor.dim() == 1 and "weight" in name)
            tensor.copy_(0.3 * torch.rand(tensor.shape, generator=rng) + (1.0 if scale else -0.15))
    mine, theirs = signal.state_dict(), image.state_dict()
    names, columns = paired(mine, theirs)
    for name, other in names.items():
        theirs[other].copy_(as_image(mine[name], theirs[other]))
    for name in columns:
        theirs[name].zero_()
        for channel in range(len(theirs[name])):
            theirs[name][channel, channel, 3, 0] = 1
    return names


def rows(x, height):
    return x[:, :, None].expand(-1, -1, height, -1).contiguous()


def run(module, given, call):
    """Output, and the gradients of a random projection in the inputs and in the weights by their names."""
    given = [x.clone().requires_grad_() for x in given]
    torch.manual_seed(3)  # what it draws by itself
    y = call(module, given)
    slope = torch.randn(y.flatten(2).shape if y.dim() > 2 else y.shape, generator=seeded(9)).view(y.shape)
    wanted = [*given, *module.parameters()]
    loss = (y * slope).sum() + sum(0 * x.sum() for x in given)  # zeros and noise do not depend on their input
    found = torch.autograd.grad(loss, wanted, allow_unused=True)
    grads = [torch.zeros_like(x) if g is None else g for x, g in zip(wanted, found, strict=True)]
    names = [name for name, _ in module.named_parameters()]
    return y.detach(), grads[: len(given)], dict(zip(names, grads[len(given) :], strict=True))


def compare(signal, image, names, given, height, call=lambda module, x: module(*x), *, variances=True, view=lambda net, w: w):
    y, slopes, weights = run(signal, given, call)
    wide, wide_slopes, wide_weights = run(image, [rows(x, height) if x.dim() == 3 else x for x in given], call)
    close(wide.flatten(2) if wide.dim() > 2 else wide, y, "output")
    for i, (got, want) in enumerate(zip(wide_slopes, slopes, strict=True)):
        close(got.sum(2) if got.dim() == 4 else got, want, f"gradient of input {i}")
    weights, wide_weights = view(signal, weights), view(image, wide_weights)
    for name, want in weights.items():
        close(
            as_signal(wide_weights[names[name]]) if want.dim() == 3 else wide_weights[names[name]], want, f"gradient of {name}"
        )
    state, wide_state = signal.state_dict(), image.state_dict()
    for name, want in state.items():
        # Torch corrects variances by n / (n - 1), and equal rows are no further numbers.
        if "running" in name and (variances or "var" not in name):
            close(wide_state[names[name]], want, name)


@pytest.mark.parametrize(("length", "train"), [(8, True), (7, True), (8, False)])
@pytest.mark.parametrize(("name", "stride"), STRIDED)
def test_operations(name, stride, length, train):
    signal, image = (operation(name, 4, stride, NORM, dims).train(train) for dims in (1, 2))
    names = copy(signal, image)
    x = torch.randn(3, 4, length, generator=seeded(1))
    compare(signal, image, names, [x], stride)


LAYER = {
    "stem": (Layer("stem", (0,), (4,), 6), 1, 8),
    "residual": (Layer("residual", (1,), (4,), 8, stride=2), 2, 8),
    "head": (Layer("head", (1,), (4,), 5), 1, 8),
    "linear_head": (Layer("linear_head", (1,), (4,), 5), 1, 8),
    "dense_head": (Layer("dense_head", (1, 0), (4, 2), 5), 1, 8),
    "dense_linear_head": (Layer("dense_linear_head", (1, 0), (4, 2), 5), 1, 8),
    "preprocess": (Layer("preprocess", (1,), (4,), 8), 1, 8),
    "reducing_preprocess": (Layer("reducing_preprocess", (1,), (4,), 8, stride=2), 2, 8),
    "imagenet_stem": (Layer("imagenet_stem", (0,), (4,), 8, stride=4), 4, 16),
    "imagenet_stem_reduction": (Layer("imagenet_stem_reduction", (1,), (8,), 8, stride=2), 2, 8),
}


@pytest.mark.parametrize("kind", LAYER)
def test_layers_around_the_cells(kind):
    layer, height, length = LAYER[kind]
    signal, image = (LAYERS[kind](Layer(**{**vars(layer), "dims": dims}), NORM) for dims in (1, 2))
    names = copy(signal, image)
    given = [torch.randn(3, channels, length * n, generator=seeded(n)) for n, channels in enumerate(layer.channels, start=1)]
    compare(signal, image, names, given, height, variances=height < 4)


@pytest.mark.parametrize("length", [6, 7, 8, 9, 13])
@pytest.mark.parametrize("kind", ["auxiliary_head", "imagenet_auxiliary_head"])
def test_auxiliary_heads(kind, length):
    """Of an image whose rows are equal, and kernels that look at one row, the auxiliary head is that of the signal."""
    signal, image = (LAYERS[kind](Layer(kind, (1,), (4,), 5, dims=dims), NORM) for dims in (1, 2))
    copy(signal, image)
    x = torch.randn(3, 4, length, generator=seeded(1))
    close(image(rows(x, length)), signal(x), "output")


EVERY = tuple(OPERATIONS)
CELLS = {
    "nasbench201": (nasbench201(channels=4, cells=1, **SIZES), ()),
    "two nodes": (Two(cells=3, channels=4, operations=KNOWN_OPERATIONS, **SIZES), ()),  # normal, reduction, reduction
    "every operation": (CellSpace(operations=EVERY, nodes=3, channels=4, cells=1, stages=1, **SIZES), ()),
    "wrapped": (
        Two(cells=3, channels=4, **SIZES),
        (PartialChannels(k=2), AuxiliarySkip(kind="convolution"), DropPath(), EdgeNormalisation()),
    ),
    "random channels": (Two(cells=3, channels=4, **SIZES), (SkipDropout(rate=0.5), PartialChannels(k=2, channels="random"))),
}


@cache
def networks(name, make):
    """Of signals and of images; `copy` gives them the same numbers each time."""
    space, wraps = CELLS[name]
    return [make(its, norm=NORM, generator=seeded(), wraps=wraps) for its in (replace(space, input_shape=(3, 16)), space)]


@pytest.mark.parametrize(("length", "train"), [(8, True), (9, True), (8, False)])
@pytest.mark.parametrize("make", [plain, nodewise])
@pytest.mark.parametrize("name", CELLS)
def test_cells(name, make, length, train):
    space, wraps = CELLS[name]
    nets = [net.train(train) for net in networks(name, make)]
    names = copy(*nets)
    mix = {g.name: torch.rand(g.shape, generator=seeded(2)).softmax(-1) for g in nets[0].groups}
    found = []
    for number, spec in enumerate(nets[0].specs):
        if spec.kind != "cell" or spec.group in found:
            continue
        found.append(spec.group)
        given = [torch.randn(3, channels, length, generator=seeded(n)) for n, channels in enumerate(spec.channels)]
        weights = [mix[spec.group]]
        if any(wrap.weighs_edges for wrap in wraps):
            weights.append(torch.cat([mix[inputs.name].flatten() for inputs in space.group(spec.group).input_groups]))

        def call(net, tensors, number=number, inputs=spec.inputs):
            group, *edges = tensors[len(inputs) :]
            return net.layers[number](tensors[: len(inputs)], group, edges[0] if edges else None, None, 0.4)

        compare(*nets, names, [*given, *weights], spec.stride, call, view=lambda net, w: net.to_plain(w))
    assert set(found) == {group.name for group in space.groups}


@pytest.mark.parametrize("height", [1, 2])
def test_a_whole_network_gives_the_same_outputs(height):
    space = nasbench201(channels=4, cells=1, stages=height, **SIZES)
    architecture = space.random(Random(1))
    signal, image = (build(architecture, its, generator=seeded()) for its in (replace(space, input_shape=(3, 16)), space))
    copy(signal, image)
    x = torch.randn(3, 3, 16, generator=seeded(1))
    close(image(rows(x, height)), signal(x), "output")
