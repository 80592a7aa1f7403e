"""Auxiliary skip, drop path and edge normalisation against their formulas."""

import math

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.core.schedules import Cosine, Linear, Progress
from mixop.nets.ops import BatchNorm, FactorizedReduce
from mixop.spaces import nasbench201
from mixop.supernet.plain import MixedEdge, plain
from mixop.wraps import AuxiliarySkip, DropPath, EdgeNormalisation, PartialChannels
from mixop.wraps.base import EdgeSpec, check_wraps, wrapped

NORM = BatchNorm(affine=False, track=False)
WEIGHTS = torch.tensor([0.25, 0.75], dtype=torch.float64)


def edge(*wraps, channels=4, stride=1, options=("none", "nor_conv_1x1")):
    torch.manual_seed(0)
    return wrapped(MixedEdge, wraps)(EdgeSpec(options=options, channels=channels, stride=stride, norm=NORM)).double()


def x(batch=3, channels=4, size=4):
    return torch.randn(batch, channels, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.mark.parametrize(
    ("beta", "formula"),
    [
        (Linear(1.0, 0.0, closed=False), lambda e: (50 - e) / 50),
        (Cosine(1.0, 0.0), lambda e: (1 + math.cos(math.pi * e / 50)) / 2),
        (Cosine(1.0, -1.0, stretch=2.0), lambda e: math.cos(math.pi / 2 * e / 50)),
        (0.3, lambda e: 0.3),
    ],
)
def test_the_auxiliary_skip_is_added_with_its_coefficient(beta, formula):
    image = x()
    if beta == Cosine(1.0, -1.0, stretch=2.0):
        assert AuxiliarySkip(beta=beta).beta == beta  # reaches -1 only beyond the search
    got = edge(AuxiliarySkip(beta=beta))
    for epoch in (0, 7, 49):
        progress = Progress(epoch, 50)
        by_hand = got.inner(image, WEIGHTS) + formula(epoch) * image
        torch.testing.assert_close(got(image, WEIGHTS, None, progress), by_hand, rtol=0, atol=1e-15)


def test_a_strided_auxiliary_skip_is_a_factorised_reduction_of_its_own():
    got = edge(AuxiliarySkip(beta=1.0), stride=2)
    assert isinstance(got.auxiliary, FactorizedReduce)
    torch.testing.assert_close(got(x(), WEIGHTS), got.inner(x(), WEIGHTS) + got.auxiliary(x()))
    assert sum(p.numel() for p in got.auxiliary.parameters()) == 4 * 4


def test_the_auxiliary_convolution_starts_as_the_identity():
    skip, conv = edge(AuxiliarySkip(beta=0.5)), edge(AuxiliarySkip(beta=0.5, kind="convolution"))
    torch.testing.assert_close(conv.auxiliary(x()), x(), rtol=0, atol=0)
    assert sum(p.numel() for p in conv.parameters()) - sum(p.numel() for p in skip.parameters()) == 16


def test_drop_path_drops_whole_images_with_its_probability_and_keeps_the_mean():
    got = edge(DropPath(probability=0.4))
    torch.manual_seed(0)
    image = x(batch=2000, size=1)
    plainly = got.inner(image, WEIGHTS)
    dropped = got(image, WEIGHTS)
    gone = (dropped == 0).flatten(1).all(1)
    torch.testing.assert_close(dropped[~gone], plainly[~gone] / 0.6)
    assert abs(gone.double().mean().item() - 0.4) < 4 * math.sqrt(0.4 * 0.6 / 2000)
    got.eval()
    torch.testing.assert_close(got(image, WEIGHTS), got.inner(image, WEIGHTS), rtol=0, atol=0)


def test_drop_path_rises_linearly_to_its_largest_probability():
    drop = DropPath(probability=Linear(0.0, 0.6))
    assert [drop.probability(Progress(e, 50)) for e in (0, 10, 49)] == pytest.approx([0, 0.6 * 10 / 49, 0.6])
    got, image = edge(drop), x(batch=500, size=1)
    torch.manual_seed(0)
    torch.testing.assert_close(got(image, WEIGHTS, None, Progress(0, 50)), got.inner(image, WEIGHTS))
    share = (got(image, WEIGHTS, None, Progress(49, 50)) == 0).flatten(1).all(1).double().mean().item()
    assert abs(share - 0.6) < 4 * math.sqrt(0.24 / 500)


def test_the_first_wrap_is_nearest_to_the_operations():
    inside, outside = edge(AuxiliarySkip(beta=1.0), PartialChannels(k=2)), edge(PartialChannels(k=2), AuxiliarySkip(beta=1.0))
    assert isinstance(inside.inner.inner, MixedEdge)
    none = torch.tensor([1.0, 0.0], dtype=torch.float64)
    image = x()
    # Inside, the skip passes the seen half on; outside, all channels in their places are added to the shuffled ones.
    torch.testing.assert_close(inside(image, none)[:, 0], image[:, 0])
    torch.testing.assert_close(outside(image, none)[:, 0], image[:, 0])
    torch.testing.assert_close(outside(image, none)[:, 1], image[:, 1] + image[:, 2])


def test_edge_normalisation_weighs_every_edge_of_a_node():
    space = nasbench201(channels=2, cells=1, stages=1, input_shape=(1, 4, 4), outputs=2)
    seeds = [torch.Generator().manual_seed(0) for _ in range(2)]
    bare = plain(space, norm=NORM, generator=seeds[0]).double()
    net = plain(space, norm=NORM, generator=seeds[1], wraps=(EdgeNormalisation(),)).double()
    (group,) = space.groups
    names = [inputs.name for inputs in net.groups[1:]]
    assert names == ["cell.inputs.1", "cell.inputs.2", "cell.inputs.3"]
    generator = torch.Generator().manual_seed(2)
    theta = torch.randn(group.shape, generator=generator, dtype=torch.float64).softmax(-1)
    beta = [torch.randn(1, n, generator=generator, dtype=torch.float64).softmax(-1) for n in (1, 2, 3)]
    image = x(channels=1)
    got = net(image, {"cell": theta, **dict(zip(names, beta, strict=True))})
    # Without partial channels an edge weight multiplies the mixing weights of its edge.
    per_edge = torch.cat([b.flatten() for b in beta])
    torch.testing.assert_close(got, bare(image, {"cell": theta * per_edge[:, None]}))
    assert per_edge[0] == 1.0
    torch.testing.assert_close(per_edge[1:3].sum(), torch.tensor(1.0, dtype=torch.float64))


def test_a_wrap_may_be_there_once():
    with pytest.raises(RecipeError, match="DropPath wraps an edge once, got it 2 times"):
        check_wraps((DropPath(), PartialChannels(), DropPath(probability=0.1)))


@pytest.mark.parametrize("probability", [1.0, -0.1, Linear(0.0, 1.0)])
def test_drop_path_stays_below_1(probability):
    with pytest.raises(RecipeError, match="probability of DropPath must"):
        DropPath(probability=probability)


def test_the_auxiliary_skip_refuses_other_kinds_and_negative_coefficients():
    with pytest.raises(RecipeError, match="'identity' or 'convolution'"):
        AuxiliarySkip(kind="none")
    with pytest.raises(RecipeError, match="beta of AuxiliarySkip must be at least 0"):
        AuxiliarySkip(beta=-1.0)
