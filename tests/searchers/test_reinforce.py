"""REINFORCE: its gradient against autograd and enumeration, its steps against the published loop."""

from itertools import pairwise
from random import Random

import numpy as np
import pytest
import torch

from mixop.searchers.base import Trial
from mixop.searchers.coding import questions, read
from mixop.searchers.driver import run_search
from mixop.searchers.reinforce import Reinforce
from mixop.spaces import nasbench201
from mixop.spaces.toy import Toy


def log_prob(space, logits: torch.Tensor, architecture) -> torch.Tensor:
    ends = np.cumsum([0, *(len(q.answers) for q in questions(space))]).tolist()
    rows = [logits[a:b].log_softmax(0) for a, b in pairwise(ends)]
    answers = read(space, architecture)
    return torch.stack([row[answer] for row, answer in zip(rows, answers, strict=True) if answer is not None]).sum()


@pytest.fixture(params=["toy", "kept"])
def space(request, kept):
    return {"toy": Toy(), "kept": kept}[request.param]


def far(space):
    """A state whose policy is not uniform any more."""
    searcher = Reinforce()
    state = searcher.start(space, Random(0))
    rng = Random(1)
    state.memory["logits"] = [rng.gauss() for _ in state.memory["logits"]]
    return searcher, state


def test_the_score_function_is_what_autograd_says(space):
    searcher, state = far(space)
    logits = torch.tensor(state.memory["logits"], dtype=torch.float64, requires_grad=True)
    for seed in range(10):
        architecture = space.random(Random(seed))
        (wanted,) = torch.autograd.grad(log_prob(space, logits, architecture), logits)
        np.testing.assert_allclose(searcher.score_function(state, architecture), wanted.numpy(), atol=1e-12)


def test_over_all_architectures_probabilities_sum_to_one_and_the_score_function_to_nothing(space):
    """Also where edges that are not kept have logits of their own, which then have no part."""
    searcher, state = far(space)
    logits = torch.tensor(state.memory["logits"], dtype=torch.float64)
    everything = list(space.architectures())
    p = np.array([log_prob(space, logits, architecture).exp() for architecture in everything])
    assert p.sum() == pytest.approx(1, abs=1e-12)
    mean = sum(weight * searcher.score_function(state, a) for weight, a in zip(p, everything, strict=True))
    np.testing.assert_allclose(mean, 0, atol=1e-12)


def test_draws_follow_the_policy(space):
    searcher, state = far(space)
    logits = torch.tensor(state.memory["logits"], dtype=torch.float64)
    everything = list(space.architectures())
    n, counts = 6000, dict.fromkeys(everything, 0)
    for seed in range(n):
        state.seed = seed
        counts[searcher.ask(state).architecture] += 1
    p = np.array([log_prob(space, logits, architecture).exp().item() for architecture in everything])
    deviations = (np.array([counts[a] for a in everything]) - n * p) / np.sqrt(n * p * (1 - p))
    assert np.abs(deviations).max() < 4.5


@pytest.mark.parametrize("lr", [0.5, 0.01])
def test_steps_are_those_of_the_published_loop(lr, rugged):
    """In torch: a softmax of (6, 5) logits, a moving mean with numerator and denominator, Adam on the summed loss."""
    space, searcher = nasbench201(), Reinforce(lr=lr)
    objective = rugged(space)
    state = searcher.start(space, Random(5))
    logits = torch.nn.Parameter(torch.tensor(state.memory["logits"], dtype=torch.float64).view(6, 5))
    optimiser = torch.optim.Adam([logits], lr=lr)
    above = below = 0.0
    options = space.groups[0].decisions[0].options
    for _ in range(40):
        trial = searcher.ask(state)
        reward, seconds = objective(trial.architecture, 12)
        searcher.tell(state, trial, reward, seconds)

        action = torch.tensor([options.index(option) for option in trial.architecture.options()])
        log_probs = torch.distributions.Categorical(torch.softmax(logits, dim=-1)).log_prob(action)
        above, below = 0.9 * above + 0.1 * reward, 0.9 * below + 0.1
        optimiser.zero_grad()
        (-log_probs * (reward - above / below)).sum().backward()
        optimiser.step()
        np.testing.assert_allclose(state.memory["logits"], logits.detach().flatten().numpy(), rtol=1e-7, atol=1e-9)


def test_the_first_trial_changes_nothing_since_it_is_its_own_baseline():
    searcher, space = Reinforce(lr=0.5), Toy()
    state = searcher.start(space, Random(0))
    before = list(state.memory["logits"])
    searcher.tell(state, Trial(1, space.optimum, 12), 90.0, 1.0)
    assert state.memory["logits"] == before


def test_it_learns_a_hill():
    space = Toy(blocks=6)

    def hill(architecture, epochs):
        return 100 * (1 - architecture.distance(space.optimum) / 6), 1.0

    rows = run_search(Reinforce(lr=0.05), space, hill, max_trials=300, seed=0).rows
    assert np.mean([row.value for row in rows[:30]]) < 45  # 25 by chance
    assert np.mean([row.value for row in rows[-50:]]) > 80
