"""L2 is weight decay towards its anchor."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.regularise import AnchorL2, Point
from mixop.relax.softmax import Softmax
from mixop.spaces import toy


def test_the_gradient_is_that_of_weight_decay():
    params = {"a": torch.randn(3, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()}
    value = AnchorL2(weight=0.3, anchor=0.5)(Point(params=params, relaxation=Softmax(), space=toy(), mix={}))
    assert value.item() == pytest.approx(0.15 * (params["a"].detach().numpy() - 0.5).__pow__(2).sum())
    (grad,) = torch.autograd.grad(value, params["a"])
    torch.testing.assert_close(grad, 0.3 * (params["a"].detach() - 0.5))


def test_a_negative_weight_is_refused():
    with pytest.raises(RecipeError, match="at least 0"):
        AnchorL2(weight=-1.0)
