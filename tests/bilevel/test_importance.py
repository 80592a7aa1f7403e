"""PARSEC's weights against Bayes' rule, and its gradient against the exact posterior."""

import itertools

import pytest
import torch

from mixop.bilevel.importance import ImportanceWeighted, importance_weights
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD
from mixop.relax.categorical import Categorical
from mixop.relax.softmax import Softmax


def test_weights_are_the_posterior_under_a_uniform_prior():
    """Bayes' rule, with the likelihood of every example multiplied out."""
    likelihoods = torch.rand(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)  # architectures x examples
    joint = likelihoods.prod(1) / 6
    losses = -likelihoods.log().mean(1)
    torch.testing.assert_close(importance_weights(losses, 5), joint / joint.sum())


def test_weights_survive_likelihoods_that_underflow():
    got = importance_weights(torch.tensor([50.0, 50.0, 60.0]), 1000)
    torch.testing.assert_close(got, torch.tensor([0.5, 0.5, 0.0]))


def scores(problem, pairs):
    rows = []
    for pair in pairs:
        leaf = problem.params["cell"].clone().requires_grad_()
        rows.append(torch.autograd.grad(problem.log_prob(leaf, pair), leaf)[0])
    return torch.stack(rows)


def test_the_gradient_tends_to_that_of_the_log_evidence(tabular):
    problem = tabular(Categorical())
    pairs = list(itertools.product(range(4), repeat=2))
    likelihood = torch.stack([(-8 * problem.losses[pair]).exp() for pair in pairs]).view(4, 4)
    leaf = problem.params["cell"].clone().requires_grad_()
    (want,) = torch.autograd.grad(-problem.expectation(leaf, likelihood).log(), leaf)
    got = ImportanceWeighted(samples=4000)(problem, problem.params, problem.batch, problem.batch)["cell"]
    # Standard error of a self-normalised mean: sqrt(sum omega^2 (score - mean)^2).
    losses = torch.stack([problem.losses[pair] for pair in problem.drawn])
    omega = importance_weights(losses, 8)
    distinct = dict(zip(pairs, scores(problem, pairs), strict=True))
    deviations = torch.stack([distinct[pair] for pair in problem.drawn]) + got
    error = (omega[:, None, None] * deviations).square().sum(0).sqrt()
    assert ((got - want).abs() <= 4 * error).all()
    assert (want.abs() > 10 * error).any()


def test_the_gradient_of_given_draws_is_the_weighted_sum_of_their_scores(tabular):
    problem = tabular(Categorical())
    problem.extra = lambda params: params["cell"].sum()
    got = ImportanceWeighted(samples=5)(problem, problem.params, problem.batch, problem.batch)["cell"]
    likelihood = torch.stack([(-8 * problem.losses[pair]).exp() for pair in problem.drawn])
    omega = likelihood / likelihood.sum()
    torch.testing.assert_close(got, 1 - (omega[:, None, None] * scores(problem, problem.drawn)).sum(0))


def test_misfits_are_refused():
    with pytest.raises(RecipeError, match=r"ImportanceWeighted .* Softmax have none"):
        ImportanceWeighted().check(Softmax(), SGD())
    ImportanceWeighted().check(Categorical(), SGD())
    with pytest.raises(RecipeError, match="at least 2"):
        ImportanceWeighted(samples=1)
