"""Gumbel-softmax: probabilities, density by numerical integration, straight-through gradients."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.core.schedules import Constant, Linear, Progress
from mixop.relax.gumbel import GumbelHard, GumbelSimplex, GumbelSoftmax, concrete_log_density, gumbel_softmax
from mixop.spaces.core import Decision, Group
from mixop.testing import check_relaxation

OPTIONS = ("a", "b", "c", "d")
GROUP = Group("g", tuple(Decision(0, 1, OPTIONS) for _ in range(3)))
ALPHA = torch.tensor([[0.7, -0.4, 1.1, -1.5], [0.0, 0.0, 0.0, 0.0], [2.0, -2.0, 0.5, 0.1]], dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def many(count: int) -> Group:
    return Group("g", tuple(Decision(0, 1, OPTIONS) for _ in range(count)))


@pytest.mark.parametrize("part", [GumbelSoftmax(), GumbelHard(), GumbelSimplex()], ids=lambda part: type(part).__name__)
@pytest.mark.parametrize(("edges", "options"), [(3, 5), (1, 2), (2, 1)])
def test_they_keep_the_contract(part, edges, options):
    check_relaxation(part, edges=edges, options=options)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
def test_the_largest_entry_is_a_draw_of_the_softmax_at_every_temperature(temperature):
    n, p = 40_000, ALPHA[0].softmax(-1)
    weights = gumbel_softmax(ALPHA[0].expand(n, 4), temperature, seeded())
    frequency = torch.bincount(weights.argmax(-1), minlength=4) / n
    assert ((frequency - p).abs() < 5 * (p * (1 - p) / n).sqrt()).all()


def test_soft_draws_approach_one_hot_rows_as_the_temperature_falls():
    cold, hot = (gumbel_softmax(ALPHA[:1].expand(2000, 4), t, seeded()).amax(-1).mean() for t in (0.01, 10.0))
    assert cold > 0.98
    assert hot < 0.5


def simplex_grid(dimension: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Points softmax(u, 0) of a regular grid in u and their share of the integral; the Jacobian is the product of z.

    The integrand falls off exponentially in u, so the trapezoidal rule is exact to rounding on a wide grid.
    """
    u = torch.linspace(-60, 60, 801, dtype=torch.float64)
    step = u[1] - u[0]
    axes = torch.cartesian_prod(*[u] * dimension).view(-1, dimension)
    z = torch.cat([axes, torch.zeros(len(axes), 1, dtype=torch.float64)], 1).softmax(-1)
    return z, z.prod(-1) * step**dimension


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("logits", [(0.4, -0.9), (0.3, -0.5, 1.0)])
def test_density_integrates_to_one_and_to_the_mean_of_the_draws(temperature, logits):
    alpha = torch.tensor(logits, dtype=torch.float64)
    z, volume = simplex_grid(len(logits) - 1)
    density = concrete_log_density(alpha, z, temperature).exp()
    # A point that rounds to the simplex's border counts nothing: its volume is 0.
    mass = torch.where(volume > 1e-300, density * volume, torch.zeros_like(volume))
    assert mass.sum().item() == pytest.approx(1, abs=1e-8)
    n = 40_000
    draws = gumbel_softmax(alpha.expand(n, len(logits)), temperature, seeded())
    mean = (mass[:, None] * z).sum(0)
    assert ((draws.mean(0) - mean).abs() < 5 * draws.std(0) / n**0.5).all()


def test_density_of_weights_that_underflow_is_finite():
    weights = torch.tensor([[1.0, 0.0, 0.0]])
    alpha = torch.zeros(1, 3, requires_grad=True)
    density = concrete_log_density(alpha, weights, 0.03)
    (grad,) = torch.autograd.grad(density.sum(), alpha)
    assert density.isfinite().all()
    assert grad.isfinite().all()


def test_pathwise_gradient_of_soft_draws_is_the_derivative_of_the_expectation():
    """At temperature 1 and n = 2, z_1 = sigmoid(a_1 - a_2 + logistic noise): E[z_1] by quadrature over the noise."""
    n, a = 40_000, torch.tensor([0.8, -0.3], dtype=torch.float64)
    noise = torch.linspace(-40, 40, 8001, dtype=torch.float64)
    logistic = noise.sigmoid() * (-noise).sigmoid()
    difference = torch.tensor(1.1, dtype=torch.float64, requires_grad=True)
    (exact,) = torch.autograd.grad(torch.trapezoid((difference + noise).sigmoid() * logistic, noise), difference)
    alpha = a.expand(n, 2).clone().requires_grad_()
    (single,) = torch.autograd.grad(gumbel_softmax(alpha, 1.0, seeded())[:, 0].sum(), alpha)
    error = single.std(0) / n**0.5
    assert ((single.mean(0) - torch.stack([exact, -exact])).abs() < 5 * error).all()
    assert (error < 0.01).all()


def test_initial_logits_have_the_mean_and_deviation_asked_for():
    initial = GumbelSoftmax(init_mean=1.0, init_std=0.01).init(many(5000), seeded())
    assert abs(initial.mean() - 1) < 5 * 0.01 / 20_000**0.5
    assert abs(initial.std() - 0.01) < 5 * 0.01 / 40_000**0.5


@pytest.mark.parametrize(("epoch", "temperature"), [(0, 10.0), (25, 10 - 9.9 * 25 / 49), (49, 0.1)])
def test_hard_draws_are_one_hot_forward_and_soft_backward(epoch, temperature):
    weigh = torch.randn(3, 4, generator=seeded(3), dtype=torch.float64)
    alpha = ALPHA.clone().requires_grad_()
    draw = GumbelHard().draw(alpha, GROUP, Progress(epoch, 50), seeded(7))
    (grad,) = torch.autograd.grad((draw.weights * weigh).sum(), alpha)

    soft = gumbel_softmax(alpha, temperature, seeded(7))
    (expected,) = torch.autograd.grad((soft * weigh).sum(), alpha)
    torch.testing.assert_close(grad, expected)
    assert torch.equal(draw.weights, torch.nn.functional.one_hot(soft.argmax(-1), 4).double())
    assert draw.active == tuple((o,) for o in soft.argmax(-1).tolist())


def test_soft_draws_follow_the_published_temperature():
    alpha = ALPHA.clone()
    for epoch in (0, 75, 149):
        expected = gumbel_softmax(alpha, (1 - epoch / 150) * (1 - 0.03) + 0.03, seeded(2))
        draw = GumbelSoftmax().draw(alpha, GROUP, Progress(epoch, 150), seeded(2))
        torch.testing.assert_close(draw.weights, expected)
        assert draw.active is None


def test_simplex_draws_are_those_of_the_logarithm():
    theta = torch.tensor([[0.1, 0.2, 0.3, 0.4], [0.25] * 4, [0.97, 0.01, 0.01, 0.01]], dtype=torch.float64)
    weigh = torch.randn(3, 4, generator=seeded(3), dtype=torch.float64)
    point, logits = theta.clone().requires_grad_(), theta.log().requires_grad_()
    simplex = GumbelSimplex().draw(point, GROUP, 0.4, seeded(5))
    plain = GumbelHard().draw(logits, GROUP, 0.4, seeded(5))
    assert torch.equal(simplex.weights, plain.weights)
    assert simplex.active == plain.active
    (of_point,) = torch.autograd.grad((simplex.weights * weigh).sum(), point)
    (of_logits,) = torch.autograd.grad((plain.weights * weigh).sum(), logits)
    torch.testing.assert_close(of_point, of_logits / theta)  # d log(theta) = d theta / theta
    assert torch.equal(GumbelSimplex().init(GROUP, seeded()), torch.full((3, 4), 0.25))
    assert torch.equal(GumbelSimplex().mean(theta, GROUP), theta)


@pytest.mark.parametrize("part", [GumbelSoftmax, GumbelHard, GumbelSimplex])
def test_settings_out_of_range_are_refused(part):
    assert part(temperature=2).temperature == Constant(2.0)
    for temperature in (0.0, -1.0, float("nan"), Linear(1.0, 0.0)):
        with pytest.raises(RecipeError, match=f"temperature of {part.__name__}"):
            part(temperature=temperature)
    with pytest.raises(RecipeError, match="init_std"):
        GumbelSoftmax(init_std=-0.1)
