"""Gates that are hardly ever open are dropped before the argmax."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.derive.activation import ActivationThreshold
from mixop.nets.ops import BatchNorm
from mixop.spaces import CellSpace, nasbench201


def test_a_decision_whose_gates_are_all_closed_takes_none():
    space = nasbench201()  # none, skip, 1x1, 3x3, pool
    rows = torch.tensor([[0.9, 0.1, 0.6, 0.2, 0.3], [0.0, 0.4, 0.3, 0.2, 0.1], [0.1, 0.5, 0.5, 0.0, 0.0]]).repeat(2, 1)
    found = list(ActivationThreshold(threshold=0.5)({"cell": rows}, space).options())
    assert found == ["nor_conv_1x1", "none", "skip_connect"] * 2
    found = list(ActivationThreshold(threshold=0.0)({"cell": rows}, space).options())
    assert found == ["nor_conv_1x1", "skip_connect", "skip_connect"] * 2


def test_where_none_is_not_offered_the_best_stays():
    space = CellSpace(operations=("skip_connect", "nor_conv_1x1"), nodes=2)
    assert list(ActivationThreshold(threshold=1.0)({"cell": torch.tensor([[0.1, 0.2]])}, space).options()) == ["nor_conv_1x1"]


def test_what_cannot_work_is_refused():
    with pytest.raises(RecipeError, match="at most 1"):
        ActivationThreshold(threshold=1.5)
    with pytest.raises(RecipeError, match="only none"):
        ActivationThreshold().check(CellSpace(name="empty", operations=("none",), nodes=2), BatchNorm())
