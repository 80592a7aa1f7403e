"""Per-edge argmax against the golden derivation and hand-worked rows."""

import math

import pytest
import torch

from mixop.derive.argmax import Argmax
from mixop.errors import RecipeError
from mixop.ops import BatchNorm
from mixop.spaces import CellSpace, nasbench201

GOLDEN = "|skip_connect~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|avg_pool_3x3~0|none~1|skip_connect~2|"


def test_the_golden_derivation_of_methods_10_2():
    alpha = torch.tensor([[math.sin(1 + 5 * e + o) for o in range(5)] for e in range(6)])
    space = nasbench201()
    assert space.to_native(Argmax()({"cell": alpha.softmax(-1)}, space)) == GOLDEN


def test_none_is_passed_over_where_it_does_not_count():
    space = nasbench201()
    weights = torch.zeros(6, 5)
    weights[:, 0], weights[:, 3] = 0.6, 0.4
    assert set(Argmax()({"cell": weights}, space).options()) == {"none"}
    assert set(Argmax(none=False)({"cell": weights}, space).options()) == {"nor_conv_3x3"}


def test_ties_go_to_the_first_option():
    space = nasbench201()
    assert set(Argmax()({"cell": torch.full((6, 5), 0.2)}, space).options()) == {"none"}
    assert set(Argmax(none=False)({"cell": torch.full((6, 5), 0.2)}, space).options()) == {"skip_connect"}


def test_a_space_that_offers_only_none_is_refused_when_none_does_not_count():
    space = CellSpace(name="empty", operations=("none",), nodes=2)
    with pytest.raises(RecipeError, match="only none"):
        Argmax(none=False).check(space, BatchNorm())
