"""The Laplace approximation against digamma and trigamma functions and draws, the expansion against autograd, the evidence."""

import numpy as np
import pytest
import scipy.special
import torch

from mixop.analysis.dirichlet import curvature_share, evidence_bound, expansion, laplace_mean, laplace_variance
from mixop.core.errors import RecipeError
from mixop.relax.dirichlet import dirichlet_kl


def concentrations(seed: int = 0, *, low: float = 0.5, high: float = 3.0) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    shapes = {"normal": (3, 5), "reduce": (2, 4)}
    return {k: low + (high - low) * torch.rand(shape, generator=generator, dtype=torch.float64) for k, shape in shapes.items()}


def bowl(mix):
    """Smooth in the logarithms of the mixing weights, so that its Hessian in mu is known: a positive definite form."""
    logs = torch.cat([value.log().reshape(-1) for value in mix.values()])
    matrix = torch.randn(len(logs), len(logs), generator=torch.Generator().manual_seed(9), dtype=torch.float64)
    return 0.1 * ((matrix @ logs) ** 2).sum() + logs.sum()


def test_softmax_of_the_mean_is_the_distributions_mean():
    for beta in concentrations().values():
        mean = laplace_mean(beta)
        torch.testing.assert_close(mean.softmax(-1), beta / beta.sum(-1, keepdim=True))
        torch.testing.assert_close(mean.sum(-1), torch.zeros(len(beta), dtype=torch.float64))


@pytest.mark.parametrize("options", [2, 3, 8])
def test_the_approximation_is_within_its_bounds_of_the_exact_moments(options):
    """Of ``h = log theta - mean log theta`` they are those of independent logarithms of gammas.

    The digamma function is within 1/beta of the logarithm, trigamma within 1/beta^2 of 1/beta, for every beta > 0.
    """
    beta = np.random.default_rng(0).uniform(0.3, 20, (50, options))
    digamma, trigamma = scipy.special.digamma(beta), scipy.special.polygamma(1, beta)
    mean = digamma - digamma.mean(-1, keepdims=True)
    variance = trigamma * (1 - 2 / options) + trigamma.sum(-1, keepdims=True) / options**2
    off_mean = np.abs(laplace_mean(torch.from_numpy(beta)).numpy() - mean)
    assert (off_mean <= 1 / beta + (1 / beta).mean(-1, keepdims=True)).all()
    below = variance - laplace_variance(torch.from_numpy(beta)).numpy()
    assert (below >= 0).all()
    assert (below <= beta**-2.0 * (1 - 2 / options) + (beta**-2.0).sum(-1, keepdims=True) / options**2).all()


def test_the_approximation_against_draws():
    beta = torch.tensor([8.0, 20.0, 12.0, 30.0], dtype=torch.float64)
    theta = torch.from_numpy(np.random.default_rng(0).dirichlet(beta.numpy(), 40_000))
    h = theta.log() - theta.log().mean(-1, keepdim=True)
    n, variance = len(h), laplace_variance(beta)
    # The approximation's own bounds, as above, and five standard errors of a mean and of a variance of n nearly normal numbers.
    own_mean, own_variance = 1 / beta + (1 / beta).mean(), beta**-2 / 2 + (beta**-2).sum() / 16
    assert ((h.mean(0) - laplace_mean(beta)).abs() <= own_mean + 5 * (variance / n).sqrt()).all()
    assert ((h.var(0) - variance).abs() <= own_variance + 5 * variance * (2 / n) ** 0.5).all()


@pytest.mark.parametrize("options", [2, 3, 7])
def test_the_share_is_below_every_variance_within_the_distance(options):
    rng = np.random.default_rng(1)
    for delta in (0.0, 0.3, 2.0):
        assert curvature_share(delta, options) == pytest.approx((1 - 1 / options) / (1 + delta), rel=1e-12)
        away = rng.standard_normal((200, options))
        beta = 1 + delta * away / np.linalg.norm(away, axis=1, keepdims=True)
        beta = torch.from_numpy(beta[(beta > 0).all(1)])
        assert bool((laplace_variance(beta) >= curvature_share(delta, options) - 1e-12).all())
    # It is reached: all concentrations at 1, distance 0.
    assert float(laplace_variance(torch.ones(options, dtype=torch.float64))[0]) == pytest.approx(curvature_share(0, options))


def test_the_expansion_is_autograds_whole_hessian_in_mu():
    beta = concentrations()
    got = expansion(bowl, beta)
    mu = torch.cat([laplace_mean(value).reshape(-1) for value in beta.values()])

    def of_vector(vector):
        parts = vector.split([15, 8])
        return bowl({"normal": parts[0].reshape(3, 5).softmax(-1), "reduce": parts[1].reshape(2, 4).softmax(-1)})

    matrix = torch.autograd.functional.hessian(of_vector, mu)
    sigma = torch.cat([laplace_variance(value).reshape(-1) for value in beta.values()])
    distance = float(torch.cat([value.reshape(-1) for value in beta.values()]).sub(1).norm())
    shares = torch.tensor([0.8] * 15 + [0.75] * 8, dtype=torch.float64) / (1 + distance)  # 1 - 1/5 and 1 - 1/4
    value = float(of_vector(mu))
    assert got.at_mean == pytest.approx(value, rel=1e-12)
    assert got.delta == pytest.approx(distance, rel=1e-12)
    assert got.expected == pytest.approx(value + float((sigma * matrix.diagonal()).sum()) / 2, rel=1e-10)
    assert got.bound == pytest.approx(value + float((shares * matrix.diagonal()).sum()) / 2, rel=1e-10)
    assert got.curvature.trace == pytest.approx(float(matrix.trace()), rel=1e-10)
    assert got.curvature.largest == pytest.approx(float(torch.linalg.eigvalsh(matrix)[-1]), rel=1e-10)


def test_the_bound_is_below_the_expansion_where_the_hessian_is_positive():
    """Upside down the Hessian is negative, and what was a bound is none."""
    for seed in range(5):
        got = expansion(bowl, concentrations(seed))
        assert got.curvature.smallest > -1e-9
        assert got.at_mean < got.bound < got.expected
    upside_down = expansion(lambda mix: -bowl(mix), concentrations())
    assert upside_down.curvature.smallest < 0
    assert upside_down.bound > upside_down.expected


@pytest.mark.parametrize("options", [2, 3, 6])
def test_the_diagonal_finds_all_but_a_share_of_what_draws_add(options):
    """Equal concentrations b: a square of a linear form has a known mean, and to first order in 1/b the draws add tr(H) / 2b.

    The variances without the covariances, as published, find 1 - 1/O of it: the expansion is on the safe side of the truth.
    """
    b = 1e4
    beta = {"a": torch.full((1, options), b, dtype=torch.float64)}
    form = torch.randn(options, generator=torch.Generator().manual_seed(0), dtype=torch.float64)

    def loss(mix):
        return (mix["a"] * form).sum(-1).square().sum()

    got, mean = expansion(loss, beta), float(form.mean())
    added = (float(form.square().mean()) - mean**2) / (options * b + 1)  # the variance of the form
    # What is left out is of second order: some multiples of 1/b of it.
    assert added == pytest.approx(got.curvature.trace / (2 * b), rel=1e-3)
    assert got.expected - got.at_mean == pytest.approx((1 - 1 / options) * added, rel=1e-3)


def test_evidence_is_the_mean_likelihood_less_the_divergence():
    beta = concentrations()
    weight = {name: torch.arange(value.numel(), dtype=torch.float64).reshape(value.shape) for name, value in beta.items()}

    def log_likelihood(mix):
        return -torch.stack([(mix[name] * weight[name]).sum() for name in mix]).sum()

    exact = float(log_likelihood({name: value / value.sum(-1, keepdim=True) for name, value in beta.items()}))
    exact -= sum(float(dirichlet_kl(value).sum()) for value in beta.values())
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([evidence_bound(log_likelihood, beta, generator) for _ in range(300)])
    many = float(evidence_bound(log_likelihood, beta, generator, samples=2000))
    deviation = float(draws.std())
    assert float(draws.mean()) == pytest.approx(exact, abs=5 * deviation / 300**0.5)
    assert many == pytest.approx(exact, abs=5 * deviation / 2000**0.5)


def test_evidence_repeats_and_has_pathwise_gradients():
    beta = {"a": torch.tensor([[2.0, 3.0], [1.5, 0.7]], dtype=torch.float64, requires_grad=True)}

    def log_likelihood(mix):
        return -(mix["a"][:, 0]).sum()

    state = torch.get_rng_state()
    values = [evidence_bound(log_likelihood, beta, torch.Generator().manual_seed(4), samples=4000) for _ in range(2)]
    assert torch.equal(*values)
    assert torch.equal(torch.get_rng_state(), state)
    (got,) = torch.autograd.grad(values[0], beta["a"])
    exact = -(beta["a"][:, 0] / beta["a"].sum(-1)).sum() - dirichlet_kl(beta["a"]).sum()
    (want,) = torch.autograd.grad(exact, beta["a"])
    # A pathwise derivative of a number in [0, 1] deviates by less than 0.5 here; five standard errors of 4000 draws.
    torch.testing.assert_close(got, want, rtol=0, atol=5 * 0.5 / 4000**0.5)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: curvature_share(-0.1, 3), "distance of concentrations"),
        (lambda: curvature_share(0.1, 1), "number of options"),
        (lambda: expansion(bowl, {"a": torch.tensor([[1.0, 0.0]])}), "greater than 0"),
        (lambda: expansion(bowl, {"a": torch.ones(2, 1)}), "2 options at least"),
        (lambda: evidence_bound(bowl, {"a": torch.ones(2, 2)}, torch.Generator(), samples=0), "number of draws"),
        (lambda: evidence_bound(bowl, {"a": -torch.ones(2, 2)}, torch.Generator()), "smallest entry of -1"),
    ],
)
def test_misuse_is_told_in_a_sentence(call, words):
    with pytest.raises(RecipeError, match=words):
        call()
