"""Steps on the simplex against quadratic programs and closed forms, and the two orders of regret."""

import math

import numpy as np
import pytest
import scipy.optimize
import torch

from mixop.analysis.geometry import (
    bregman_stationarity,
    exponentiated_step,
    project_to_simplex,
    projected_step,
    race,
)
from mixop.core.errors import RecipeError
from mixop.core.optim import exponentiated_gradient

RNG = np.random.default_rng(0)


def simplex(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).add(0.05).log().softmax(-1)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_projection_solves_the_quadratic_program(k):
    for scale in (0.1, 1.0, 10.0):
        point = scale * RNG.standard_normal(k)
        solved = scipy.optimize.minimize(
            lambda x, point=point: ((x - point) ** 2).sum(),
            np.full(k, 1 / k),
            jac=lambda x, point=point: 2 * (x - point),
            bounds=[(0, None)] * k,
            constraints={"type": "eq", "fun": lambda x: x.sum() - 1, "jac": np.ones_like},
            method="SLSQP",
            options={"ftol": 1e-14, "maxiter": 500},
        )
        # SLSQP stops at 1e-14 of the objective, so at about 1e-7 of the point.
        np.testing.assert_allclose(project_to_simplex(torch.from_numpy(point)).numpy(), solved.x, atol=1e-6)


def test_projection_in_rows_meets_the_optimality_conditions():
    """Of a projection x of p: p - x is one number where x > 0, and at most that number elsewhere."""
    points = torch.from_numpy(3 * RNG.standard_normal((40, 3, 6)))
    got = project_to_simplex(points)
    torch.testing.assert_close(got.sum(-1), torch.ones(40, 3, dtype=torch.float64))
    assert bool((got >= 0).all())
    off = points - got
    level = off.amax(-1, keepdim=True)
    torch.testing.assert_close(torch.where(got > 0, off, level), level.expand_as(off))
    torch.testing.assert_close(project_to_simplex(got), got)


def test_projection_of_ties_and_vertices():
    def projected(*values):
        return project_to_simplex(torch.tensor(values, dtype=torch.float64)).tolist()

    assert projected(5.0, 5.0, 0.0) == [0.5, 0.5, 0.0]
    assert projected(0.0, 3.0, -7.0) == [0.0, 1.0, 0.0]
    assert projected(-1.0, -1.0) == [0.5, 0.5]


def test_an_exponentiated_step_is_the_searches_and_solves_its_program():
    theta, gradient = simplex(4, 5), torch.from_numpy(RNG.standard_normal((4, 5)))
    got = exponentiated_step(theta, gradient, 0.7)
    torch.testing.assert_close(got, exponentiated_gradient(theta, gradient, 0.7, 1e-300))
    # At the minimum of lr <g, x> + KL(x || theta) all entries of the derivative are one number.
    derivative = 0.7 * gradient + (got / theta).log()
    torch.testing.assert_close(derivative, derivative[:, :1].expand(4, 5))
    vertex = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64)
    assert torch.equal(exponentiated_step(vertex, torch.tensor([5.0, 0.0, -5.0], dtype=torch.float64), 1.0), vertex)


def test_a_projected_step_inside_of_the_simplex_takes_the_mean_off_the_gradient():
    theta, gradient = simplex(4, 5), torch.from_numpy(RNG.standard_normal((4, 5)))
    want = theta - 1e-3 * (gradient - gradient.mean(-1, keepdim=True))
    torch.testing.assert_close(projected_step(theta, gradient, 1e-3), want)


def test_stationarity_is_both_divergences_over_the_step():
    theta, gradient = simplex(6, 5), torch.from_numpy(RNG.standard_normal((6, 5)))
    for lr in (0.01, 1.0):
        x = exponentiated_step(theta, gradient, lr)
        both = (x * (x / theta).log()).sum(-1) + (theta * (theta / x).log()).sum(-1)
        torch.testing.assert_close(bregman_stationarity(theta, gradient, lr), both / lr**2)


def test_stationarity_of_small_steps_is_the_gradients_variance():
    theta, gradient = simplex(6, 5), torch.from_numpy(RNG.standard_normal((6, 5)))
    mean = (theta * gradient).sum(-1, keepdim=True)
    variance = (theta * (gradient - mean).square()).sum(-1)
    # The next term of the expansion in lr is of third order in the gradient.
    torch.testing.assert_close(bregman_stationarity(theta, gradient, 1e-5), variance, rtol=1e-4, atol=0)
    flat = bregman_stationarity(theta, torch.full_like(theta, 3.0), 0.5)
    torch.testing.assert_close(flat, torch.zeros_like(flat), atol=1e-14, rtol=0)


@pytest.mark.parametrize("k", [10, 100, 1000])
def test_regrets_keep_their_bounds_at_every_step(k):
    """What was lost so far is at most what came off the divergence, over the step size."""
    found = race(k, 2 * k, torch.Generator().manual_seed(k))
    for curve, start in ((found.exponentiated, math.log(k)), (found.projected, (1 - 1 / k) / 2)):
        assert float(curve.divergence[0]) == pytest.approx(start, rel=1e-12)
        taken = (curve.divergence[0] - curve.divergence[1:]) / curve.lr
        assert bool((curve.regret <= taken + 1e-9).all())


def test_one_regret_grows_like_log_k_and_the_other_like_k():
    sizes = (10, 100, 1000)
    found = [race(k, 4 * k, torch.Generator().manual_seed(k)) for k in sizes]
    grown = [float(one.exponentiated.regret[-1]) / math.log(k) for one, k in zip(found, sizes, strict=True)]
    linear = [float(one.projected.regret[-1]) / k for one, k in zip(found, sizes, strict=True)]
    # Measured 0.8 to 0.9 and 0.32 to 0.40; if one grew like the other, a ratio would change by 43 times from 10 to 1000.
    assert all(0.6 < value <= 1 for value in grown)
    assert all(0.25 < value <= 0.5 for value in linear)
    assert found[2].projected.regret[-1] > 50 * found[2].exponentiated.regret[-1]


def test_no_step_size_mends_projected_gradient():
    """The order is not one of a timid step: larger ones gain a third and no more."""
    regrets = [
        float(race(100, 400, torch.Generator().manual_seed(0), projected_lr=times / 100).projected.regret[-1])
        for times in (0.5, 1, 2, 4, 10, 100)
    ]
    assert min(regrets) > 20
    assert regrets[1] > regrets[2] > 4 * math.log(100)


def test_a_race_repeats():
    one, two = (race(5, 20, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(one.projected.regret, two.projected.regret)
    assert one.exponentiated.lr == 1
    assert one.projected.lr == 1 / 5


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda g: race(1, 5, g), "size 2 at least"),
        (lambda g: race(5, 0, g), "1 step at least"),
        (lambda g: race(5, 5, g, projected_lr=0.0), "step size of projected"),
        (lambda g: race(5, 5, g, exponentiated_lr=-1.0), "step size of exponentiated"),
    ],
)
def test_misuse_is_told_in_a_sentence(call, words):
    with pytest.raises(RecipeError, match=words):
        call(torch.Generator())
