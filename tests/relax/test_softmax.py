"""Softmax against SciPy and a hand-worked row."""

import numpy as np
import pytest
import scipy.special
import torch

from mixop.core.errors import RecipeError
from mixop.relax.softmax import Softmax
from mixop.spaces.core import Decision, Group

GROUP = Group("g", tuple(Decision(0, 1, ("a", "b", "c")) for _ in range(2)))


@pytest.mark.parametrize("temperature", [0.1, 1.0, 7.0])
def test_weights_equal_scipys_softmax_of_the_scaled_logits(temperature):
    alpha = torch.tensor([[0.3, -1.0, 2.0], [0.0, 0.0, 5.0]], dtype=torch.float64)
    weights = Softmax(temperature=temperature).draw(alpha, GROUP, 0.5, torch.Generator()).weights
    np.testing.assert_allclose(weights.numpy(), scipy.special.softmax(alpha.numpy() / temperature, axis=1), rtol=1e-12)


def test_draw_is_deterministic_and_leaves_the_generator_alone():
    generator = torch.Generator().manual_seed(3)
    before = generator.get_state()
    alpha = torch.randn(2, 3, generator=torch.Generator().manual_seed(0))
    first = Softmax().draw(alpha, GROUP, 0.0, generator).weights
    assert torch.equal(first, Softmax().draw(alpha, GROUP, 1.0, generator).weights)
    assert torch.equal(generator.get_state(), before)


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_temperatures_out_of_range_are_refused(temperature):
    with pytest.raises(RecipeError, match="softmax temperature"):
        Softmax(temperature=temperature)
