"""Noise against its moments, draws against enumerated probabilities, the score function against an exact expectation."""

import itertools
import math

import pytest
import torch

from mixop.core.types import Draw
from mixop.relax.sampling import (
    as_paths,
    gumbel_noise,
    log_prob_of_options,
    one_hot,
    sample_options,
    score_surrogate,
    straight_through,
)

LOGITS = torch.tensor([0.7, -0.4, 1.1, -1.5], dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_noise_has_the_moments_of_the_gumbel_distribution():
    n = 100_000
    noise = gumbel_noise(torch.empty(n, dtype=torch.float64), seeded())
    variance, fourth = math.pi**2 / 6, 5.4 * (math.pi**2 / 6) ** 2  # kurtosis 27/5
    assert abs(noise.mean() - 0.5772156649) < 5 * (variance / n) ** 0.5
    assert abs(noise.var() - variance) < 5 * ((fourth - variance**2) / n) ** 0.5


def test_options_are_drawn_with_the_probabilities_of_the_softmax():
    n, p = 40_000, LOGITS.softmax(-1)
    drawn = sample_options(LOGITS.expand(n, 4), seeded())
    frequency = torch.bincount(drawn[:, 0], minlength=4) / n
    assert drawn.shape == (n, 1)
    assert ((frequency - p).abs() < 5 * (p * (1 - p) / n).sqrt()).all()


def test_pairs_are_drawn_without_replacement():
    """In the order (i, j) with probability ``p_i * p_j / (1 - p_i)``."""
    n, p = 40_000, LOGITS.softmax(-1)
    drawn = sample_options(LOGITS.expand(n, 4), seeded(), count=2)
    for i, j in itertools.permutations(range(4), 2):
        frequency = ((drawn[:, 0] == i) & (drawn[:, 1] == j)).double().mean()
        expected = p[i] * p[j] / (1 - p[i])
        assert abs(frequency - expected) < 5 * (expected * (1 - expected) / n) ** 0.5


def test_probabilities_that_underflow_still_give_two_different_options():
    drawn = sample_options(torch.tensor([[0.0, -500.0, -600.0]]), seeded(), count=2)
    assert drawn.tolist() == [[0, 1]]


def test_straight_through_has_one_value_and_another_gradient():
    soft = torch.rand(50, 4, generator=seeded()).requires_grad_()
    hot = one_hot(soft.detach().argmax(-1, keepdim=True), soft)
    value = straight_through(hot, soft)
    assert torch.equal(value, hot)  # exactly, in float32 too
    weights = torch.rand(50, 4, generator=seeded(1))
    (grad,) = torch.autograd.grad((value * weights).sum(), soft)
    assert torch.equal(grad, weights)


def test_paths_are_host_integers():
    assert as_paths(torch.tensor([[2, 0], [1, 3]])) == ((2, 0), (1, 3))


def test_expected_score_gradient_is_the_gradient_of_the_expected_loss():
    """All 9 choices of two groups, each with its own loss, which also depends on a weight."""
    table = torch.randn(3, 3, generator=seeded(4), dtype=torch.float64)
    one = torch.tensor([0.3, -1.0, 0.8], dtype=torch.float64, requires_grad=True)
    two = torch.tensor([-0.2, 0.9, 0.1], dtype=torch.float64, requires_grad=True)
    weight = torch.tensor(1.7, dtype=torch.float64, requires_grad=True)
    expected = weight**2 * (one.softmax(-1)[:, None] * two.softmax(-1) * table).sum()
    exact = torch.autograd.grad(expected, (one, two, weight))
    total = [torch.zeros_like(g) for g in exact]
    for i, j in itertools.product(range(3), repeat=2):
        logs = one.log_softmax(-1)[i], two.log_softmax(-1)[j]
        draws = {name: Draw(torch.empty(1, 3), log_prob=log) for name, log in zip("ab", logs, strict=True)}
        loss = weight**2 * table[i, j]
        surrogate = score_surrogate(loss, draws)
        assert surrogate.item() == pytest.approx(loss.item(), rel=1e-12)
        probability = (logs[0] + logs[1]).exp().detach()
        for t, g in zip(total, torch.autograd.grad(surrogate, (one, two, weight)), strict=True):
            t += probability * g
    for t, g in zip(total, exact, strict=True):
        torch.testing.assert_close(t, g)


def test_options_without_replacement_have_the_probability_of_their_order():
    logits = torch.tensor([[0.3, -0.5, 1.1]], dtype=torch.float64)
    p = logits.softmax(-1)[0].tolist()
    total = 0.0
    for first, second in itertools.permutations(range(3), 2):
        found = log_prob_of_options(logits, torch.tensor([[first, second]])).exp().item()
        assert found == pytest.approx(p[first] * p[second] / (1 - p[first]))
        total += found
    assert total == pytest.approx(1)
    assert log_prob_of_options(logits, torch.tensor([[2]])).item() == pytest.approx(logits.log_softmax(-1)[0, 2].item())
