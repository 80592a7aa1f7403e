"""The divergence of Dirichlet distributions as a term of the loss; its mathematics is tested with the relaxation."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.regularise import DirichletKL, Point
from mixop.relax.dirichlet import Dirichlet, concentration, dirichlet_kl
from mixop.relax.softmax import Softmax
from mixop.spaces import toy


def test_the_kl_regulariser_sums_over_decisions_and_groups():
    params = {"a": torch.randn(2, 3, dtype=torch.float64), "b": torch.randn(1, 3, dtype=torch.float64)}
    at = Point(params=params, relaxation=Dirichlet(), space=toy(), mix={})
    rows = torch.cat(list(params.values()))
    want = 0.7 * sum(float(dirichlet_kl(concentration(row))) for row in rows)
    assert DirichletKL(weight=0.7)(at).item() == pytest.approx(want)


def test_the_kl_regulariser_refuses_other_relaxations():
    DirichletKL().check(Dirichlet())
    with pytest.raises(RecipeError, match=r"DirichletKL.*Softmax"):
        DirichletKL().check(Softmax())


def test_a_negative_weight_is_refused():
    with pytest.raises(RecipeError, match="at least 0"):
        DirichletKL(weight=-1.0)
