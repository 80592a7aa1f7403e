"""REINFORCE against exact enumeration of all architectures."""

import pytest
import torch

from mixop.bilevel.score_function import BASELINE, ScoreFunction
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD
from mixop.relax.categorical import Categorical
from mixop.relax.dirichlet import Dirichlet
from mixop.relax.policy import LstmPolicy
from mixop.relax.softmax import Softmax


def estimate(scheme, problem, calls):
    """Mean of many gradients and its standard error, componentwise."""
    gradients = torch.stack([scheme(problem, problem.params, problem.batch, problem.batch)["cell"] for _ in range(calls)])
    return gradients.mean(0), gradients.std(0) / calls**0.5


def exact(problem, value):
    leaf = problem.params["cell"].clone().requires_grad_()
    return torch.autograd.grad(value(leaf), leaf)[0]


def within(got, want, error, k=4.5):
    assert ((got - want).abs() <= k * error + 1e-12).all(), ((got - want).abs() / error).max()


@pytest.mark.parametrize("reward", [pytest.param("measure", marks=pytest.mark.slow), "loss", "likelihood"])
def test_the_mean_of_many_gradients_is_that_of_the_expected_reward(tabular, reward):
    problem = tabular(Categorical())
    values = {"measure": problem.right / 8, "loss": -problem.losses, "likelihood": 3.0 * (-problem.losses).exp()}[reward]
    scale = 3.0 if reward == "likelihood" else 1.0
    want = exact(problem, lambda p: -problem.expectation(p, values))
    got, error = estimate(ScoreFunction(samples=20, reward=reward, scale=scale, baseline_decay=1.0), problem, 150)
    within(got, want, error)
    # The published baseline takes the reward in first, which shortens every advantage by its decay; with a decay far from 1
    # the factor shows.
    for decay in (0.5,):
        problem.memory.clear()
        got, error = estimate(ScoreFunction(samples=20, reward=reward, scale=scale, baseline_decay=decay), problem, 150)
        within(got, decay * want, error)


def test_the_baseline_is_a_moving_mean_that_takes_each_reward_in_first(tabular):
    problem = tabular(Categorical())
    scheme = ScoreFunction(samples=3, baseline_decay=0.9)
    params = problem.params["cell"]
    baseline = 0.0
    for _ in range(2):
        problem.drawn.clear()
        got = scheme(problem, problem.params, problem.batch, problem.batch)["cell"]
        want = torch.zeros_like(params)
        for one, other in problem.drawn:
            reward = problem.right[one, other].item() / 8
            baseline = baseline - 0.1 * (baseline - reward)
            leaf = params.clone().requires_grad_()
            (score,) = torch.autograd.grad(problem.log_prob(leaf, (one, other)), leaf)
            want -= (reward - baseline) * score / 3
        torch.testing.assert_close(got, want, rtol=0, atol=1e-14)
        assert problem.memory[BASELINE].item() == pytest.approx(baseline, abs=1e-15)


def test_the_baseline_lowers_the_variance(tabular):
    problem = tabular(Categorical())
    _, without = estimate(ScoreFunction(samples=5, baseline_decay=1.0), problem, 200)
    problem.memory[BASELINE] = problem.expectation(problem.params["cell"], problem.right / 8).detach()
    _, with_it = estimate(ScoreFunction(samples=5, baseline_decay=0.99), problem, 200)
    assert with_it.square().sum() < 0.6 * without.square().sum()


@pytest.mark.parametrize(
    "relaxation",
    [Categorical(), pytest.param(LstmPolicy(hidden=2, layers=1, tanh=2.5, temperature=0.2), marks=pytest.mark.slow)],
)
def test_the_entropy_term_has_the_gradient_of_the_policys_entropy(tabular, relaxation):
    problem = tabular(relaxation)
    if isinstance(relaxation, LstmPolicy):
        problem.params = {"cell": 6 * problem.params["cell"]}  # far enough from uniform for decisions to depend on each other
    weight, values = 1.5, problem.right / 8
    want = exact(problem, lambda p: -problem.expectation(p, values) - weight * problem.entropy(p))
    alone = exact(problem, lambda p: -problem.expectation(p, values))
    gain = problem.expectation(problem.params["cell"], values) + weight * problem.entropy(problem.params["cell"])
    problem.memory[BASELINE] = gain.detach()  # a decay of 1 leaves it there
    scheme = ScoreFunction(samples=20, baseline_decay=1.0, entropy_weight=weight)
    drawn = [scheme(problem, problem.params, problem.batch, problem.batch)["cell"] for _ in range(60)]
    gradients = torch.stack(drawn).flatten(1)
    within(gradients.mean(0), want.flatten(), gradients.std(0) / 60**0.5)
    # Along the exact gradient, where the noise is small beside the signal.
    shares = gradients @ want.flatten() / want.square().sum()
    error = shares.std() / 60**0.5
    assert error < 0.1
    within(shares.mean(), 1.0, error)
    assert (alone * want).sum() / want.square().sum() < 1 - 5 * error  # without the entropy it would show


def test_regularisers_are_added(tabular):
    problem = tabular(Categorical())
    problem.extra = lambda params: 3 * params["cell"].square().sum()
    scheme = ScoreFunction(samples=1, baseline_decay=0.5)
    problem.memory[BASELINE] = torch.tensor(0.25, dtype=torch.float64)
    problem.right[:] = 2  # the reward is the baseline: no advantage
    got = scheme(problem, problem.params, problem.batch, problem.batch)["cell"]
    torch.testing.assert_close(got, 6 * problem.params["cell"])


def test_nothing_but_the_memory_changes(tabular):
    problem = tabular(Categorical())
    params, w = problem.params["cell"].clone(), problem.weights["w"].detach().clone()
    ScoreFunction()(problem, problem.params, problem.batch, problem.batch)
    assert torch.equal(problem.params["cell"], params)
    assert torch.equal(problem.weights["w"], w)
    assert problem.weights["w"].grad is None
    assert set(problem.memory) == {BASELINE}


@pytest.mark.parametrize("relaxation", [Softmax(), Dirichlet()])
def test_relaxations_without_a_log_probability_are_refused(relaxation):
    with pytest.raises(RecipeError, match=f"ScoreFunction .* {type(relaxation).__name__} have none"):
        ScoreFunction().check(relaxation, SGD())
    ScoreFunction().check(Categorical(), SGD())
    ScoreFunction().check(LstmPolicy(), SGD())


@pytest.mark.parametrize(
    "wrong", [{"samples": 0}, {"samples": True}, {"reward": "f1"}, {"baseline_decay": 0.0}, {"entropy_weight": -1.0}]
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(RecipeError, match=next(iter(wrong)).replace("_", " ")):
        ScoreFunction(**wrong)
