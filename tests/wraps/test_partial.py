"""Partial channels against the published formula, written out by hand."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.nets.ops import BatchNorm
from mixop.recipes import darts
from mixop.spaces import nasbench201
from mixop.supernet.plain import MixedEdge
from mixop.wraps import PartialChannels
from mixop.wraps.base import EdgeSpec
from mixop.wraps.partial import shuffle_channels

NORM = BatchNorm(affine=False, track=False)


def edge(wrap, *, channels=8, stride=1, options=("skip_connect", "nor_conv_3x3")):
    torch.manual_seed(0)
    return wrap(MixedEdge)(EdgeSpec(options=options, channels=channels, stride=stride, norm=NORM)).double()


def x(channels=8, size=6):
    return torch.randn(3, channels, size, size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


def test_the_first_block_is_mixed_and_all_channels_are_shuffled():
    wrapped, image = edge(PartialChannels(k=4)), x()
    weights = torch.tensor([0.3, 0.7], dtype=torch.float64)
    seen = 0.3 * image[:, :2] + 0.7 * wrapped.inner.options[1](image[:, :2])
    given = torch.cat([seen, image[:, 2:]], dim=1)
    got = wrapped(image, weights)
    for group in range(4):  # channel g * C/K + i goes to i * K + g
        for i in range(2):
            torch.testing.assert_close(got[:, i * 4 + group], given[:, group * 2 + i], rtol=0, atol=0)


@pytest.mark.parametrize("size", [6, 7])
def test_the_others_are_max_pooled_where_the_edge_is_strided(size):
    wrapped, image = edge(PartialChannels(k=2), stride=2, options=("none", "nor_conv_1x1")), x(size=size)
    got = wrapped(image, torch.tensor([1.0, 0.0], dtype=torch.float64))
    half = (size + 1) // 2
    by_hand = torch.stack(
        [image[:, 4:, 2 * i : 2 * i + 2, 2 * j : 2 * j + 2].amax((2, 3)) for i in range(half) for j in range(half)], dim=-1
    )
    torch.testing.assert_close(got[:, 1::2].flatten(2), by_hand, rtol=0, atol=0)
    assert not got[:, 0::2].any()  # none on the block that is seen


def test_random_channels_stay_in_their_places_and_change_from_pass_to_pass():
    wrapped, image = edge(PartialChannels(k=4, channels="random"), options=("none", "skip_connect")), x()
    zero = torch.tensor([1.0, 0.0], dtype=torch.float64)
    torch.manual_seed(0)
    passes = []
    for _ in range(40):
        got = wrapped(image, zero)
        gone = [c for c in range(8) if not got[:, c].any()]
        assert len(gone) == 2
        kept = [c for c in range(8) if c not in gone]
        torch.testing.assert_close(got[:, kept], image[:, kept], rtol=0, atol=0)
        passes.append(tuple(gone))
    assert len(set(passes)) > 10
    assert {c for gone in passes for c in gone} == set(range(8))


def test_a_shuffle_of_k_groups_is_undone_by_one_of_c_over_k():
    image = x(channels=12)
    assert torch.equal(shuffle_channels(shuffle_channels(image, 3), 4), image)
    assert not torch.equal(shuffle_channels(image, 3), image)


def test_operations_have_a_share_of_the_channels():
    whole, quarter = edge(PartialChannels(k=1)), edge(PartialChannels(k=4))
    assert isinstance(whole, MixedEdge)
    assert sum(p.numel() for p in whole.parameters()) == 8 * 8 * 9
    assert sum(p.numel() for p in quarter.parameters()) == 2 * 2 * 9


@pytest.mark.parametrize("k", [0, -1, 2.5, True])
def test_k_is_a_whole_number_of_at_least_1(k):
    with pytest.raises(RecipeError, match="k of PartialChannels must be"):
        PartialChannels(k=k)


def test_channels_that_k_does_not_divide_are_refused_with_the_space():
    with pytest.raises(RecipeError, match=r"k=3\) needs cells whose channels are a multiple of 3, but nasbench201 has .* 16"):
        PartialChannels(k=3).check(nasbench201())
    with pytest.raises(RecipeError, match="'first' or 'random'"):
        PartialChannels(channels="last")
    PartialChannels(k=4).check(nasbench201())
    assert darts().wraps == ()
