"""Adam against torch's, and the moving mean against its definition."""

import numpy as np
import pytest
import torch

from mixop.searchers.policy_gradient import adam_step, log_softmax, moving_mean


def test_adam_steps_as_torch_does():
    rng = np.random.default_rng(0)
    start = rng.standard_normal(7)
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    optimiser = torch.optim.Adam([theirs], lr=0.3)
    ours, moments = start, (np.zeros(7), np.zeros(7))
    for step in range(1, 30):
        gradient = rng.standard_normal(7) * 10.0 ** rng.integers(-4, 4)
        ours, moments = adam_step(ours, gradient, moments, step, lr=0.3)
        theirs.grad = torch.from_numpy(gradient.copy())
        optimiser.step()
        np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-10, atol=1e-12)


def test_the_moving_mean_weighs_the_past_by_powers_of_the_decay():
    memory, rewards = {}, [10.0, 80.0, 60.0, 90.0]
    for n in range(1, 5):
        got = moving_mean(memory, rewards[n - 1], 0.9)
        weights = 0.9 ** np.arange(n - 1, -1, -1)
        assert got == pytest.approx(np.average(rewards[:n], weights=weights), rel=1e-12)


def test_log_softmax_stands_large_numbers():
    logits = np.array([1000.0, 999.0, -1000.0])
    np.testing.assert_allclose(log_softmax(logits), torch.from_numpy(logits).log_softmax(0).numpy(), rtol=1e-12)
