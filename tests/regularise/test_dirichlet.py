"""The divergence of Dirichlet distributions against numerical integration and SciPy."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from mixop.core.errors import RecipeError
from mixop.regularise import DirichletKL, Point, dirichlet_kl
from mixop.relax.dirichlet import Dirichlet, concentration
from mixop.relax.softmax import Softmax
from mixop.spaces import toy


@pytest.mark.parametrize("beta", [[1.0, 1.0], [2.5, 0.8], [6.0, 3.0]])
def test_kl_of_two_options_equals_numerical_integration(beta):
    """With two options a Dirichlet is a Beta distribution and Dirichlet(1) is uniform: KL = int p log p."""
    distribution = scipy.stats.beta(*beta)
    integral, _ = scipy.integrate.quad(lambda t: distribution.pdf(t) * distribution.logpdf(t), 0, 1)
    got = dirichlet_kl(torch.tensor(beta, dtype=torch.float64)).item()
    assert got == pytest.approx(integral, abs=1e-7)  # the quadrature's own bound is 1.5e-8


def test_kl_equals_scipys_entropy_in_any_number_of_options():
    """KL(Dir(beta) | Dir(1)) = -H(Dir(beta)) + H(Dir(1)) because the density of Dir(1) is constant."""
    beta = torch.tensor([[0.4, 2.0, 1.1, 3.0], [1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    want = [scipy.stats.dirichlet(np.ones(4)).entropy() - scipy.stats.dirichlet(row).entropy() for row in beta.numpy()]
    np.testing.assert_allclose(dirichlet_kl(beta).numpy(), want, atol=1e-12)


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
