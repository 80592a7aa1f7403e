"""The simplex point is its own mixing weights."""

import torch

from mixop.relax.simplex import SimplexPoint
from mixop.spaces.core import Decision, Group

GROUP = Group("g", tuple(Decision(0, 1, ("a", "b", "c", "d")) for _ in range(2)))


def test_it_starts_uniform_and_draws_itself_with_gradient_one():
    theta = SimplexPoint().init(GROUP, torch.Generator())
    assert torch.equal(theta, torch.full((2, 4), 0.25))
    theta = theta.double().requires_grad_()
    draw = SimplexPoint().draw(theta, GROUP, 0.3, torch.Generator()).weights
    assert torch.equal(draw, theta)
    (grad,) = torch.autograd.grad((draw * torch.arange(4.0)).sum(), theta)
    assert torch.equal(grad, torch.arange(4.0, dtype=torch.float64).expand(2, 4))
