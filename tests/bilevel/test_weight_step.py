"""Losses of the weight step: one draw as it is, and several weighted by their posterior."""

import pytest
import torch

from mixop.bilevel.perturb import RandomSmoothing
from mixop.bilevel.weight_step import ImportanceDraws, SingleDraw
from mixop.core.errors import RecipeError
from mixop.core.types import Batch, Draw

EXAMPLES = 3
BATCH = Batch(torch.zeros(EXAMPLES), torch.zeros(EXAMPLES, dtype=torch.int64))


class Linear:
    """The loss of a draw is ``w . draw``; draws come one after the other from a list."""

    def __init__(self):
        self.rows = torch.rand(4, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        self.w = torch.linspace(0, 1, 5, dtype=torch.float64).requires_grad_()
        self.at = 0
        self.shift = 0.0

    def draw(self, params):
        assert not torch.is_grad_enabled()  # the weight step needs no gradient of the architecture
        self.at += 1
        return {"cell": Draw(self.rows[self.at - 1])}

    def perturbed(self, draws, batch):
        return {name: Draw(draw.weights + self.shift) for name, draw in draws.items()}

    def draw_loss(self, weights, draws, batch):
        assert weights is None  # the network's own
        return (self.w * draws["cell"].weights).sum()


@pytest.mark.parametrize("shift", [0.0, 0.5])
def test_a_single_draw_is_perturbed_and_counted_once(shift):
    problem = Linear()
    problem.shift = shift
    (g,) = torch.autograd.grad(SingleDraw()(problem, {}, BATCH), problem.w)
    assert torch.equal(g, problem.rows[0] + shift)
    assert problem.at == 1


def test_importance_draws_weigh_gradients_by_the_posterior():
    problem = Linear()
    value = ImportanceDraws(samples=4)(problem, {}, BATCH)
    losses = problem.rows @ problem.w.detach()
    likelihood = (-EXAMPLES * losses).exp()
    omega = likelihood / likelihood.sum()
    torch.testing.assert_close(value.detach(), (omega * losses).sum())
    (g,) = torch.autograd.grad(value, problem.w)
    torch.testing.assert_close(g, omega @ problem.rows)  # omega is a constant
    # It is the gradient of minus the log-evidence of the draws, for one example.
    w = problem.w.detach().clone().requires_grad_()
    (evidence,) = torch.autograd.grad(-(-EXAMPLES * (problem.rows @ w)).logsumexp(0) / EXAMPLES, w)
    torch.testing.assert_close(g, evidence)


def test_misfits_are_refused():
    SingleDraw().check(RandomSmoothing())
    ImportanceDraws().check(None)
    with pytest.raises(RecipeError, match=r"ImportanceDraws.*RandomSmoothing"):
        ImportanceDraws().check(RandomSmoothing())
    with pytest.raises(RecipeError, match="samples of ImportanceDraws"):
        ImportanceDraws(samples=1)
