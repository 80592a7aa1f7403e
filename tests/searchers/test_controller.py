"""The recurrent controller: probabilities, gradient and steps."""

from random import Random

import numpy as np
import pytest
import torch

from mixop.core.measure import LOSS
from mixop.relax.policy import LstmPolicy
from mixop.searchers.base import Trial
from mixop.searchers.controller import POLICY, Controller, _pack, _unpack
from mixop.searchers.driver import run_search
from mixop.spaces.toy import Toy

SMALL = LstmPolicy(hidden=5, layers=2, tanh=100.0, temperature=100.0)


def spread(searcher, state):
    """Parameters large enough for a policy that is not uniform."""
    state.memory["parameters"] = _pack(8 * _unpack(state.memory["parameters"]))


def test_probabilities_of_all_architectures_sum_to_one_and_draws_follow_them():
    searcher, space = Controller(policy=SMALL), Toy()
    state = searcher.start(space, Random(0))
    spread(searcher, state)
    everything = list(space.architectures())
    p = np.array([searcher.log_prob(state, architecture).exp().item() for architecture in everything])
    assert p.sum() == pytest.approx(1, abs=1e-6)
    assert p.max() > 2 / 64
    n, counts = 2000, dict.fromkeys(everything, 0)
    for seed in range(n):
        state.seed = seed
        counts[searcher.ask(state).architecture] += 1
    deviations = (np.array([counts[a] for a in everything]) - n * p) / np.sqrt(n * p * (1 - p))
    assert np.abs(deviations).max() < 4.5


def test_the_score_function_agrees_with_finite_differences():
    searcher, space = Controller(policy=SMALL), Toy()
    state = searcher.start(space, Random(1))
    spread(searcher, state)
    architecture = space.optimum
    gradient = searcher.score_function(state, architecture)
    parameters = _unpack(state.memory["parameters"])
    for at in range(0, len(parameters), 29):
        values = []
        for step in (1e-5, -1e-5):
            moved = parameters.copy()
            moved[at] += step
            values.append(searcher.log_prob(state, architecture, torch.from_numpy(moved)).item())
        assert gradient[at] == pytest.approx((values[0] - values[1]) / 2e-5, abs=1e-7)


def test_steps_follow_the_cubed_accuracy_above_the_mean_of_those_before(rugged):
    """Adam of torch on ``-(R - b) log p`` with the rewards' bias-corrected mean, which does not hold the newest one."""
    searcher, space = Controller(policy=SMALL, lr=0.05), Toy()
    objective = rugged(space)
    state = searcher.start(space, Random(2))
    theirs = torch.nn.Parameter(torch.from_numpy(_unpack(state.memory["parameters"])))
    optimiser = torch.optim.Adam([theirs], lr=0.05)
    rewards: list[float] = []
    for number in range(1, 16):
        trial = searcher.ask(state)
        score, seconds = objective(trial.architecture, 12)[0] / 100, 1.0
        reward = score**3
        if number > 1:
            baseline = np.average(rewards, weights=0.9 ** np.arange(len(rewards) - 1, -1, -1))
            optimiser.zero_grad()
            (-(reward - baseline) * searcher.log_prob(state, trial.architecture, theirs)).backward()
            optimiser.step()
        rewards.append(reward)
        before = state.memory["parameters"]
        searcher.tell(state, trial, score, seconds)
        assert (state.memory["parameters"] == before) == (number == 1)
        np.testing.assert_allclose(_unpack(state.memory["parameters"]), theirs.detach().numpy(), rtol=1e-6, atol=1e-9)


def test_its_logits_are_as_good_as_those_of_a_plain_linear_layer():
    """``100 tanh(x / 100)`` is off by less than 4e-5 at a logit of 0.5, which is large for the parameters it starts with."""
    x = torch.linspace(-0.5, 0.5, 11, dtype=torch.float64)
    bent = POLICY.tanh * (x / POLICY.temperature).tanh()
    torch.testing.assert_close(bent, x, rtol=0, atol=1e-5)


def test_numbers_survive_their_text():
    vector = np.random.default_rng(0).standard_normal(50) * 10.0 ** np.arange(-25, 25)
    assert np.array_equal(_unpack(_pack(vector)), vector)


def test_it_learns_a_hill():
    space = Toy(blocks=5)

    def hill(architecture, epochs):
        return 1 - architecture.distance(space.optimum) / 5, 1.0

    gains = []
    for seed in range(1):
        rows = run_search(Controller(policy=SMALL, lr=0.02, power=1.0), space, hill, max_trials=300, seed=seed).rows
        gains.append(np.mean([row.value for row in rows[-40:]]) - np.mean([row.value for row in rows[:40]]))
    # Without learning a gain has a deviation of sqrt(2 x 0.25 x 0.75 / 5 / 40) = 0.043.
    assert min(gains) > 0.13


def test_a_better_score_has_the_larger_reward_whatever_its_sign():
    """A loss is told as a negative score: the reward is its cube, and the policy learns to make it small."""
    searcher, space = Controller(policy=SMALL), Toy()
    rewards = []
    for score in (-5.0, -0.5, 0.0, 0.5, 5.0):
        state = searcher.start(space, Random(0))
        searcher.tell(state, Trial(1, space.optimum, 12), score, 1.0)
        rewards.append(state.memory["baseline"][0] / state.memory["baseline"][1])
    assert rewards == pytest.approx([-125.0, -0.125, 0.0, 0.125, 125.0])

    def valley(architecture, epochs):
        return architecture.distance(space.optimum) / 3, 1.0

    searcher = Controller(policy=SMALL, lr=0.02, power=1.0)
    rows = run_search(searcher, space, valley, measure=LOSS, max_trials=300, seed=0).rows
    # Without learning the difference has a deviation of sqrt(2 x 0.25 x 0.75 / 3 / 40) = 0.056.
    assert np.mean([row.value for row in rows[:40]]) - np.mean([row.value for row in rows[-40:]]) > 0.17
