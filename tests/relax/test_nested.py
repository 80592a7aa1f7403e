"""Nested gates against enumeration: every way to open and close them."""

from itertools import product

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.relax.hard_concrete import activation_probability
from mixop.relax.nested import NestedGates, nested
from mixop.spaces.core import Decision, Group
from mixop.testing import check_relaxation

GROUP = Group("g", tuple(Decision(0, 1, ("a", "b", "c", "d")) for _ in range(2)))
PARAMS = torch.tensor([[0.7, -0.4, 1.1], [-1.5, 2.0, 0.0]], dtype=torch.float64)


@pytest.mark.parametrize(("edges", "options"), [(3, 5), (1, 2), (2, 1)])
def test_they_keep_the_contract(edges, options):
    check_relaxation(NestedGates(), edges=edges, options=options)


def test_the_mean_is_the_probability_of_the_last_option_before_a_closed_gate():
    gates = NestedGates(temperature=0.5)
    p = activation_probability(PARAMS, 0.5)
    expected = torch.zeros(2, 4, dtype=torch.float64)
    for e in range(2):
        for opened in product((False, True), repeat=3):
            chance = torch.stack([p[e, j] if is_open else 1 - p[e, j] for j, is_open in enumerate(opened)]).prod()
            expected[e, opened.index(False) if False in opened else 3] += chance
    torch.testing.assert_close(gates.mean(PARAMS, GROUP), expected)


def test_the_mask_of_a_channel_is_the_product_of_the_gates_up_to_its_block():
    z = torch.rand(2, 3, dtype=torch.float64)
    later = nested(z).flip(1).cumsum(1).flip(1)
    torch.testing.assert_close(later, torch.cat([torch.ones(2, 1, dtype=torch.float64), z.cumprod(1)], 1))


def test_draws_lie_on_the_simplex_and_gates_begin_open():
    gates = NestedGates()
    generator = torch.Generator().manual_seed(0)
    draws = torch.stack([gates.draw(gates.init(GROUP, generator), GROUP, 0.0, generator).weights for _ in range(400)])
    torch.testing.assert_close(draws.sum(-1), torch.ones(400, 2))
    assert (draws >= 0).all()
    # A gate is at 1 with the probability sigmoid(2 - 2/3 log 11) = 0.599; 800 draws have a standard error of 0.015.
    assert float((draws[..., 3] == 1).float().mean()) == pytest.approx(0.599**3, abs=0.06)


def test_gates_that_cannot_close_are_refused():
    with pytest.raises(RecipeError, match="low of NestedGates must be less than 0"):
        NestedGates(low=0.0)
