"""Stems and heads by the data: feature vectors, and outputs at every position, against their formulas."""

from random import Random

import pytest
import torch
from torch.nn.functional import interpolate

from mixop.core.errors import SpaceError
from mixop.nets.discrete import build
from mixop.nets.layers import AuxiliaryHead, DenseHead, LinearStem
from mixop.nets.ops import BatchNorm
from mixop.spaces import Sizes, darts, nasbench201
from mixop.spaces.stacked import Layer


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize("shape", [(2, 16), (2, 16, 8)])
@pytest.mark.parametrize("space", [nasbench201(channels=4, cells=1), darts(channels=4, cells=3)], ids=["nasbench201", "darts"])
def test_there_is_an_output_at_every_position(space, shape):
    space = space.fit(Sizes(shape, 3, dense=True))
    net = build(any_of(space), space, generator=seeded())
    x = torch.randn(4, *shape, generator=seeded(1))
    assert net(x).shape == (4, 3, *shape[1:])
    head = net.layers[-1]
    assert isinstance(head, DenseHead)
    assert (head.norm is None) == (space.name == "darts")


def any_of(space):
    return space.random(Random(0))


@pytest.mark.parametrize(("dims", "mode", "sizes"), [(1, "linear", (4, 8)), (2, "bilinear", (4, 8))])
def test_a_dense_head_is_a_linear_map_of_channels_interpolated(dims, mode, sizes):
    head = DenseHead(Layer("dense_head", (1, 0), (6, 2), 3, dims=dims), BatchNorm()).eval().double()
    small, large = ((size,) * dims for size in sizes)
    x = torch.randn(2, 6, *small, generator=seeded(), dtype=torch.float64)
    given = torch.randn(2, 2, *large, generator=seeded(), dtype=torch.float64)
    hidden = x.clamp(min=0) / (1 + 1e-5) ** 0.5  # fresh running statistics: mean 0, variance 1
    mapped = torch.einsum("bc...,kc->bk...", hidden, head.conv.weight.flatten(1)) + head.conv.bias.view(-1, *[1] * dims)
    torch.testing.assert_close(head(x, given), interpolate(mapped, size=large, mode=mode, align_corners=False))
    torch.testing.assert_close(head(x, x), mapped)  # nothing to interpolate


def test_a_linear_function_is_interpolated_exactly_inside():
    """Positions are areas: of 4 values 0, 1, 2, 3 on 8 positions the inner ones are 0.25, 0.75, 1.25 ..."""
    head = DenseHead(Layer("dense_linear_head", (1, 0), (1, 1), 1, dims=1), BatchNorm(), normalised=False)
    with torch.no_grad():
        head.conv.weight.fill_(1)
        head.conv.bias.zero_()
    y = head(torch.arange(4.0).view(1, 1, 4), torch.zeros(1, 1, 8)).flatten()
    torch.testing.assert_close(y, torch.tensor([0.0, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.0]))


@pytest.mark.parametrize(("stride", "kernel"), [(2, 3), (4, 7)])
@pytest.mark.parametrize("shape", [(2, 32), (2, 32, 16)])
def test_a_strided_stem_is_a_strided_convolution_whose_windows_overlap(shape, stride, kernel):
    """Cells, head and dense outputs go with it."""
    space = nasbench201(channels=4, cells=1, stages=2, stem_stride=stride).fit(Sizes(shape, 3))
    net = build(any_of(space), space, generator=seeded()).eval().double()
    x = torch.randn(4, *shape, generator=seeded(1), dtype=torch.float64)
    stem = net.layers[0]
    conv = {1: torch.nn.functional.conv1d, 2: torch.nn.functional.conv2d}[len(shape) - 1]
    (weight,) = (p for p in stem.parameters() if p.ndim == len(shape) + 1)
    assert weight.shape[2:] == (kernel,) * (len(shape) - 1)
    by_hand = conv(x, weight, stride=stride, padding=kernel // 2) / (1 + 1e-5) ** 0.5
    torch.testing.assert_close(stem(x), by_hand)
    assert by_hand.shape[2:] == tuple(size // stride for size in shape[1:])
    assert net(x).shape == (4, 3)
    dense = nasbench201(channels=4, cells=1, stages=2, stem_stride=stride).fit(Sizes(shape, 3, dense=True))
    assert build(any_of(dense), dense, generator=seeded()).double()(x).shape == (4, 3, *shape[1:])


def test_feature_vectors_become_signals_of_length_1():
    stem = LinearStem(Layer("linear_stem", (0,), (5,), 4, dims=1), BatchNorm()).double()
    x = torch.randn(6, 5, generator=seeded(), dtype=torch.float64)
    mapped = x @ stem.linear.weight.T
    want = (mapped - mapped.mean(0)) / (mapped.var(0, unbiased=False) + 1e-5).sqrt()
    torch.testing.assert_close(stem(x), want[..., None])


def test_a_network_of_feature_vectors_sees_nothing_but_the_middle_of_its_windows():
    """At length 1 a convolution of window 3 is a linear map, and an average pool is the identity."""
    space = nasbench201(channels=4, cells=1, stages=1).fit(Sizes((5,), 3))
    net = build(
        "|nor_conv_3x3~0|+|avg_pool_3x3~0|none~1|+|none~0|nor_conv_3x3~1|skip_connect~2|", space, generator=seeded()
    ).eval()
    x = torch.randn(6, 5, generator=seeded(1))
    before = net(x)
    with torch.no_grad():
        for name, weight in net.named_parameters():
            if weight.dim() == 3 and weight.shape[2] == 3:
                weight[:, :, [0, 2]] = 7.0
                assert "operations" in name
    torch.testing.assert_close(net(x), before)


@pytest.mark.parametrize(
    ("shape", "fits"), [((8, 6), True), ((16, 6), True), ((16, 16), True), ((5, 8), False), ((7, 5), False)]
)
def test_auxiliary_heads_of_images_that_are_not_square(shape, fits):
    head = AuxiliaryHead(Layer("auxiliary_head", (1,), (4,), 5), BatchNorm())
    x = torch.randn(2, 4, *shape, generator=seeded())
    if fits:
        assert head(x).shape == (2, 5)
    else:
        with pytest.raises(
            SpaceError, match=f"needs 6 positions along every axis where it stands, got {shape[0]} x {shape[1]}"
        ):
            head(x)


def test_the_auxiliary_head_of_a_dense_space_is_dense():
    space = darts(channels=4, cells=3).fit(Sizes((2, 16), 3, dense=True))
    net = build(any_of(space), space, generator=seeded(), auxiliary=True)
    outputs, auxiliary, _ = net.training_outputs(torch.randn(4, 2, 16, generator=seeded(1)))
    assert auxiliary is not None
    assert outputs.shape == auxiliary.shape == (4, 3, 16)
