"""Networks of the DARTS space against numbers from the authors' own code: parameter counts, and golden forward passes.

The fill does not depend on the order of the parameters: ``W[i, j, k, l] = sin(1 + i + 2j + 3k + 5l) / 2``, biases of linear
layers ``cos(i) / 10``, batch norm 1 and 0, in training mode and float64.
"""

import random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mixop.derive import Argmax
from mixop.engine.score import one_path
from mixop.nets.discrete import build
from mixop.nets.layers import AuxiliaryHead
from mixop.nets.ops import BatchNorm
from mixop.spaces import S2, S5, darts
from mixop.spaces.published import ARCHITECTURES, DARTS_V2
from mixop.supernet.plain import plain
from mixop.wraps import EdgeNormalisation, PartialChannels

SEARCH = BatchNorm(affine=False, track=True)
CIFAR = {"input_shape": (3, 32, 32), "outputs": 10}
IMAGENET = {"input_shape": (3, 224, 224), "outputs": 1000, "stem": "imagenet", "cells": 14, "channels": 48}


def count(net, *, but="auxiliary."):
    return sum(p.numel() for name, p in net.named_parameters() if not name.startswith(but))


def on_meta(make):
    with torch.device("meta"):
        return make()


@torch.no_grad()
def filled(net):
    for name, p in net.named_parameters():
        at = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in p.shape], indexing="ij")
        if p.dim() > 1:
            p.copy_(0.5 * torch.sin(1 + sum(factor * i for factor, i in zip((1, 2, 3, 5), at, strict=False))))
        elif name.endswith("linear.bias"):
            p.copy_(0.1 * torch.cos(at[0]))
        else:
            p.fill_(float(name.endswith("weight")))
    return net.train()


def images(size):
    n, c, h, w = torch.meshgrid(*[torch.arange(k, dtype=torch.float64) for k in (4, 3, size, size)], indexing="ij")
    return torch.sin(0.7 * n + 1.3 * c + 0.31 * h + 0.17 * w + 0.05 * h * w)


def logits():
    e, o = torch.arange(14, dtype=torch.float64)[:, None], torch.arange(8, dtype=torch.float64)
    return {"normal": torch.sin(1 + 8 * e + o).requires_grad_(), "reduce": torch.sin(2 + 8 * e + o).requires_grad_()}


def supernet(space, *wraps):
    return plain(space, norm=SEARCH, generator=torch.Generator().manual_seed(0), wraps=wraps).double()


@pytest.mark.parametrize(
    ("space", "wraps", "parameters"),
    [
        (darts(**CIFAR), (), 1_930_618),
        pytest.param(S5(**CIFAR), (), 1_930_618, marks=pytest.mark.slow),
        (darts(**CIFAR), (PartialChannels(k=4), EdgeNormalisation()), 299_578),
        (S2(**CIFAR), (), 665_466),
        pytest.param(S5(cells=20, channels=36, **CIFAR), (PartialChannels(k=6),), 2_221_750, marks=pytest.mark.slow),
    ],
)
def test_supernets_have_the_parameters_of_the_authors_code(space, wraps, parameters):
    net = on_meta(lambda: plain(space, norm=SEARCH, generator=torch.Generator(), wraps=wraps))
    assert count(net) == parameters


@pytest.mark.parametrize(
    ("name", "cifar", "imagenet", "small"),
    [
        ("DARTS_V1", 3_169_414, 4_510_432, 232_890),
        ("DARTS_V2", 3_349_342, 4_718_752, 246_106),
        ("PC_DARTS_CIFAR", 3_634_678, None, None),
        ("PC_DARTS_IMAGENET", 3_721_510, 5_342_464, None),
        ("DRNAS_CIFAR10", 4_099_294, None, 360_410),
        ("DRNAS_IMAGENET", 4_048_750, 5_726_368, None),
        ("PRDARTS", 3_444_814, 4_981_312, None),
    ],
)
def test_published_cells_have_the_published_parameters(name, cifar, imagenet, small):
    architecture = ARCHITECTURES[name]
    sizes = {"cells": 20, "channels": 36}
    net = on_meta(lambda: build(architecture, darts(**sizes, **CIFAR), auxiliary=True))
    assert count(net) == cifar
    assert count(net, but="layers.") == 476_426
    if imagenet is not None:
        assert count(on_meta(lambda: build(architecture, darts(**IMAGENET)))) == imagenet
    if small is not None:
        assert count(on_meta(lambda: build(architecture, darts(**CIFAR)))) == small


@pytest.mark.parametrize(
    ("name", "flops"),
    [
        pytest.param("DARTS_V1", 505_864_704, marks=pytest.mark.slow),
        ("DARTS_V2", 529_911_552),
        pytest.param("PC_DARTS_CIFAR", 571_137_408, marks=pytest.mark.slow),
        pytest.param("PC_DARTS_IMAGENET", 581_627_328, marks=pytest.mark.slow),
        pytest.param("DRNAS_CIFAR10", 633_832_320, marks=pytest.mark.slow),
        pytest.param("DRNAS_IMAGENET", 624_405_504, marks=pytest.mark.slow),
        pytest.param("PRDARTS", 543_374_400, marks=pytest.mark.slow),
    ],
)
def test_published_cells_have_the_published_multiply_adds(name, flops):
    """Under 600 million on ImageNet, as their papers say; by this count DrNAS's are a little above."""
    big = on_meta(lambda: build(ARCHITECTURES[name], darts(**IMAGENET))).eval()
    with FlopCounterMode(display=False) as counter:
        big(torch.empty(1, 3, 224, 224, device="meta"))
    assert counter.get_total_flops() == 2 * flops
    assert (flops < 600e6) == ("DRNAS" not in name)


@pytest.mark.parametrize(
    ("cells", "parameters", "first", "last", "loss", "norms"),
    [
        (1, 18_182, (0.09652390, 0.07406269, -0.01649141), (0.09249906, 0.07133452, -0.01541464), 2.29566984, (0.01775878,)),
        (
            3,
            72_854,
            (-1.45876385, -0.05284364, 1.40166076),
            (0.71435137, -0.16825602, -0.89616960),
            3.21674688,
            (1.43669361, 1.10361755),
        ),
    ],
)
def test_golden_forward_passes_of_the_supernet(cells, parameters, first, last, loss, norms):
    net = filled(supernet(darts(cells=cells, channels=4, input_shape=(3, 16, 16), outputs=10)))
    assert count(net) == parameters
    alpha = logits()
    got = net(images(16), {name: value.softmax(-1) for name, value in alpha.items()})
    assert got[0, :3].tolist() == pytest.approx(first, abs=5e-9)
    assert got[3, :3].tolist() == pytest.approx(last, abs=5e-9)
    cross_entropy = torch.nn.functional.cross_entropy(got, torch.arange(4))
    cross_entropy.backward()
    assert cross_entropy.item() == pytest.approx(loss, abs=5e-9)
    grads = [value.grad.norm().item() for value in alpha.values() if value.grad is not None]
    assert grads == pytest.approx(norms, abs=5e-9)


def test_golden_forward_pass_of_pc_darts():
    net = supernet(darts(cells=3, channels=8, input_shape=(3, 16, 16), outputs=10), PartialChannels(k=4), EdgeNormalisation())
    assert count(filled(net)) == 34_026
    mix = {name: value.softmax(-1) for name, value in logits().items()}
    for group in net.space.groups:
        for inputs in group.input_groups:
            edges = torch.tensor(group.into(inputs.decisions[0].target), dtype=torch.float64)
            mix[inputs.name] = edges.cos().softmax(0)[None]
    got = net(images(16), mix)
    assert got[0, :3].tolist() == pytest.approx((-0.01587152, -0.18787866, -0.18715103), abs=5e-9)
    assert got[3, :3].tolist() == pytest.approx((-0.05962877, 0.28926322, 0.37220794), abs=5e-9)
    # The derivation from the same numbers: the product of option and edge weight.
    found = net.space.to_native(Argmax()({name: value.detach() for name, value in mix.items()}, net.space))
    assert found == golden(
        "dil5(0) sep5(1) skip(0) dil3(2) skip(1) max(2) sep5(3) skip(4)",
        "dil3(0) sep3(1) avg(0) sep5(2) avg(1) dil3(2) sep3(3) avg(4)",
    )


def test_golden_derivation_without_edge_weights():
    space = darts()
    found = space.to_native(Argmax()({name: value.detach().softmax(-1) for name, value in logits().items()}, space))
    assert found == golden(
        "dil5(0) sep5(1) skip(0) avg(1) sep5(0) skip(1) sep3(0) skip(4)",
        "dil3(0) sep3(1) avg(0) sep5(2) sep3(0) sep5(3) skip(0) sep3(3)",
    )


def golden(normal, reduce):
    names = {"sep": "sep_conv", "dil": "dil_conv", "max": "max_pool", "avg": "avg_pool"}

    def pairs(text):
        for pair in text.split():
            short, source = pair.rstrip(")").split("(")
            size = short[3:] or "3"
            yield (f"{names[short[:3]]}_{size}x{size}" if short != "skip" else "skip_connect"), int(source)

    cells = (
        f"{name}={list(pairs(text))}, {name}_concat=range(2, 6)" for name, text in (("normal", normal), ("reduce", reduce))
    )
    return f"Genotype({', '.join(cells)})"


def test_golden_forward_pass_of_an_evaluation_network_and_its_auxiliary_head():
    space = darts(cells=4, channels=4, **CIFAR)
    net = filled(build(DARTS_V2, space, auxiliary=True).double())
    assert count(net, but="none") == 420_100
    got, auxiliary, _ = net.training_outputs(images(32))
    assert got[0, :3].tolist() == pytest.approx((0.00332070, 0.12640835, 0.13327675), abs=5e-9)
    assert got[3, :3].tolist() == pytest.approx((0.14761088, 0.15457670, 0.01942541), abs=5e-9)
    assert auxiliary[0, :3].tolist() == pytest.approx((-20.23167417, 17.05900613, 38.66571486), abs=5e-7)
    assert auxiliary[3, :3].tolist() == pytest.approx((29.27186490, 69.94255045, 46.30837767), abs=5e-7)
    assert net.eval().training_outputs(images(32))[1] is None


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 8, 6), (3, 8)])
def test_one_path_of_the_supernet_runs_the_architecture(shape):
    """With weights of its own everywhere, a path equals the same weighted sum with one-hot rows."""
    space = darts(cells=3, channels=4, input_shape=shape, outputs=5)
    x = torch.randn(4, *shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    net = filled(supernet(space))
    architecture = space.random(random.Random(3))
    like = {group.name: torch.zeros(group.shape, dtype=torch.float64) for group in space.groups}
    mix, active = one_path(space, architecture, like)
    assert [sum(map(len, paths)) for paths in active.values()] == [8, 8]
    torch.testing.assert_close(net(x, mix, active), net(x, mix))


@pytest.mark.parametrize(("channels", "size"), [(1, 3), (3, 7), (3, 9), (1, 28)])
def test_any_size_and_number_of_channels_computes(size, channels):
    space = darts(cells=3, channels=2, input_shape=(channels, size, size), outputs=3)
    x = torch.randn(2, channels, size, size, dtype=torch.float64)
    mix = {group.name: torch.full(group.shape, 1 / 8, dtype=torch.float64) for group in space.groups}
    for wraps in ((), (PartialChannels(k=2),)):
        assert supernet(space, *wraps)(x, mix).isfinite().all()
    assert build(space.random(random.Random(0)), space).double()(x).shape == (2, 3)


def test_auxiliary_heads_pool_to_one_pixel_from_six_pixels_on():
    for size in (6, 7, 8, 9, 14):
        layer = darts(**CIFAR).auxiliary
        head = AuxiliaryHead(layer, BatchNorm())
        assert head(torch.randn(2, layer.channels[0], size, size)).shape == (2, 10)


def test_drop_path_spares_skip_connections_and_evaluation():
    space = darts(cells=1, channels=2, input_shape=(1, 4, 4), outputs=3)
    genotype = "Genotype(normal=[{0}], normal_concat=range(2, 6), reduce=[{0}], reduce_concat=range(2, 6))"
    skips = ", ".join(f"('skip_connect', {source})" for source in (0, 1, 2, 0, 2, 3, 2, 3))
    pools = ", ".join(f"('max_pool_3x3', {source})" for source in (0, 1, 2, 0, 2, 3, 2, 3))
    x = torch.randn(64, 1, 4, 4)
    for native, same in ((skips, False), (pools, False)):
        net = build(native and genotype.format(native), space, generator=torch.Generator().manual_seed(0))
        net.drop_path = 0.5
        torch.manual_seed(0)
        assert torch.equal(net(x), net(x)) is same  # strided skips of a reduction cell are convolutions
        net.eval()
        assert torch.equal(net(x), net(x))
