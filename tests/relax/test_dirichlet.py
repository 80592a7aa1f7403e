"""Dirichlet draws: moments and pathwise gradients against closed forms; the global generator is never touched."""

import numpy as np
import pytest
import scipy.integrate
import scipy.stats
import torch

from mixop.core.errors import RecipeError
from mixop.relax.dirichlet import Dirichlet, concentration, dirichlet_kl
from mixop.spaces.core import Decision, Group

OPTIONS = ("a", "b", "c")
GROUP = Group("g", (Decision(0, 1, OPTIONS), Decision(0, 2, OPTIONS)))
ETA = torch.tensor([[0.4, -0.7, 1.5], [-1.2, 0.0, 0.3]], dtype=torch.float64)


def many(count: int) -> Group:
    return Group("g", tuple(Decision(0, 1, OPTIONS) for _ in range(count)))


def test_concentration_is_elu_plus_one_and_stays_positive():
    eta = torch.linspace(-60, 5, 200, dtype=torch.float64)
    torch.testing.assert_close(concentration(eta), torch.nn.functional.elu(eta) + 1, rtol=0, atol=1e-14)
    assert (concentration(eta.float()) > 0).all()  # ELU + 1 itself rounds to 0 below about -17 in float32
    assert torch.autograd.gradcheck(concentration, eta[::13].clone().requires_grad_())


def test_mean_and_variance_of_draws_are_those_of_the_distribution():
    n = 40_000
    eta = ETA[:1].expand(n, 3)
    draws = Dirichlet().draw(eta, many(n), 0.0, torch.Generator().manual_seed(0)).weights
    beta = torch.nn.functional.elu(ETA[0]) + 1
    total = beta.sum()
    mean, variance = beta / total, beta * (total - beta) / (total**2 * (total + 1))
    # Five standard errors of n draws: of the mean exactly, of the variance by the bound Var(x^2) <= 1 on [0, 1].
    assert ((draws.mean(0) - mean).abs() < 5 * (variance / n).sqrt()).all()
    assert ((draws.var(0) - variance).abs() < 5 * variance.sqrt() / n**0.5).all()
    torch.testing.assert_close(Dirichlet().mean(ETA, GROUP)[0], mean)


def test_pathwise_gradient_is_the_derivative_of_the_expectation():
    """E[f(theta)] with f = c.theta^2 has a closed form in beta; its finite difference meets the mean pathwise gradient."""
    n, coefficients = 40_000, torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)

    def expectation(eta: torch.Tensor) -> torch.Tensor:
        beta = torch.nn.functional.elu(eta) + 1
        total = beta.sum()
        return (coefficients * beta * (beta + 1)).sum() / (total * (total + 1))

    step, difference = 1e-5, torch.zeros(3, dtype=torch.float64)
    for o in range(3):
        shift = torch.zeros(3, dtype=torch.float64)
        shift[o] = step
        difference[o] = (expectation(ETA[0] + shift) - expectation(ETA[0] - shift)) / (2 * step)

    eta = ETA[:1].expand(n, 3).clone().requires_grad_()
    draws = Dirichlet().draw(eta, many(n), 0.0, torch.Generator().manual_seed(1)).weights
    (single,) = torch.autograd.grad((coefficients * draws.square()).sum(), eta)
    error = single.std(0) / n**0.5
    assert ((single.mean(0) - difference).abs() < 5 * error).all()
    assert (error < 0.02).all()  # the test would pass with any gradient if the noise were large


def test_draws_come_from_the_generator_and_from_nothing_else():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = Dirichlet().draw(ETA, GROUP, 0.0, torch.Generator().manual_seed(7)).weights
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    again = Dirichlet().draw(ETA, GROUP, 0.9, torch.Generator().manual_seed(7)).weights
    other = Dirichlet().draw(ETA, GROUP, 0.0, torch.Generator().manual_seed(8)).weights
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


@pytest.mark.parametrize("value", [-30.0, 0.0, 30.0])
def test_extreme_parameters_still_give_finite_draws_and_gradients(value):
    eta = torch.full((2, 3), value, requires_grad=True)
    weights = Dirichlet().draw(eta, GROUP, 0.0, torch.Generator().manual_seed(0)).weights
    (grad,) = torch.autograd.grad(weights[:, 0].sum(), eta)
    torch.testing.assert_close(weights.sum(-1), torch.ones(2))
    assert grad.isfinite().all()


def test_edges_are_ranked_by_the_mean_or_as_the_code_does_by_the_softmax():
    """The same best option on either edge, but the stronger edge is another one."""
    eta = torch.tensor([[2.8, 0.0], [1.2, -1.4]], dtype=torch.float64)
    mean, softmax = (Dirichlet(ranking=word).mean(eta, GROUP) for word in ("mean", "softmax"))
    torch.testing.assert_close(mean[0], torch.tensor([3.8 / 4.8, 1 / 4.8], dtype=torch.float64))
    torch.testing.assert_close(softmax, eta.softmax(-1))
    assert mean.argmax(-1).tolist() == softmax.argmax(-1).tolist() == [0, 0]
    assert mean[1, 0] > mean[0, 0]
    assert softmax[0, 0] > softmax[1, 0]


def test_other_rankings_are_refused():
    with pytest.raises(RecipeError, match="'mean' or 'softmax', got 'median'"):
        Dirichlet(ranking="median")


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


def test_kl_is_that_of_torchs_distributions():
    beta = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 4 + 0.1
    distributions = torch.distributions.Dirichlet(beta), torch.distributions.Dirichlet(torch.ones_like(beta))
    torch.testing.assert_close(dirichlet_kl(beta), torch.distributions.kl_divergence(*distributions))
