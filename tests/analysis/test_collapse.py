"""What is counted of architectures and mixing weights, by hand."""

import pytest
import torch

from mixop.analysis.collapse import (
    chosen_skip_share,
    operation_counts,
    parameter_free_share,
    parameter_free_weight,
    skip_count,
    skip_share,
)
from mixop.core.errors import SpaceError
from mixop.spaces import darts, enas_macro, nasbench201, toy
from mixop.spaces.core import Architecture, Choice

SPACE = nasbench201(channels=4, cells=1, input_shape=(3, 8, 8), outputs=3)
TEXT = "|skip_connect~0|+|none~0|skip_connect~1|+|nor_conv_1x1~0|skip_connect~1|avg_pool_3x3~2|"


def test_counts_and_shares_of_an_architecture():
    architecture = SPACE.from_native(TEXT)
    counts = {"skip_connect": 3, "none": 1, "nor_conv_1x1": 1, "avg_pool_3x3": 1}
    assert operation_counts(architecture) == {"cell": counts}
    assert skip_count(architecture, SPACE) == skip_count(architecture, SPACE, "cell") == 3
    assert chosen_skip_share(architecture, SPACE) == 3 / 6
    assert parameter_free_share(architecture, SPACE) == 5 / 6
    with pytest.raises(SpaceError, match="group"):
        skip_count(architecture, SPACE, "normal")


def test_dropped_decisions_do_not_count_and_groups_are_apart():
    skip, conv = Choice(0, "skip_connect"), Choice(2, "nor_conv_3x3")
    assert chosen_skip_share(Architecture("nasbench201", (("cell", (skip, conv)),)), SPACE) == 1 / 2
    two = Architecture("two", (("normal", (skip, Choice(1, "skip_connect"))), ("reduce", (skip, conv))))
    assert skip_count(two, darts()) == 2
    assert skip_count(two, darts(), "reduce") == 1


def test_weights_of_skips_and_of_what_learns_nothing():
    mean = torch.tensor([[0.1, 0.2, 0.3, 0.4, 0.0]]).repeat(6, 1)  # none, skip, 1x1, 3x3, pool
    mean[0] = torch.tensor([0.0, 0.8, 0.1, 0.0, 0.1])
    assert skip_share({"cell": mean}, SPACE) == pytest.approx((0.8 + 5 * 0.2) / 6)
    assert parameter_free_weight({"cell": mean}, SPACE) == pytest.approx((0.9 + 5 * 0.3) / 6)


def test_spaces_that_offer_no_choice_of_the_kind_have_no_share():
    maps = toy()  # skip_connect, abs, sine: nothing learns
    architecture = maps.architecture([[0] * len(group.decisions) for group in maps.groups])
    mean = {group.name: torch.full(group.shape, 1 / group.shape[1]) for group in maps.groups}
    assert parameter_free_share(architecture, maps) is None
    assert parameter_free_weight(mean, maps) is None
    convs = nasbench201(operations=("nor_conv_1x1", "nor_conv_3x3"), channels=4, cells=1)
    architecture = convs.architecture([[0] * 6])
    assert chosen_skip_share(architecture, convs) is None
    assert skip_share({"cell": torch.full((6, 2), 0.5)}, convs) is None


def test_skips_that_only_say_what_is_read_displace_nothing_and_do_not_count():
    """In the macro space of ENAS half of the weight is on skips where nothing is decided."""
    space = enas_macro(depth=3)
    architecture = space.from_native("0  1 1  2 1 1")
    assert skip_share({g.name: torch.full(g.shape, 1 / g.shape[1]) for g in space.groups}, space) is None
    assert chosen_skip_share(architecture, space) is None
    assert skip_count(architecture, space) == 0
    assert skip_count(architecture, space, "skips") == 3
