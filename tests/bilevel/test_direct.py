"""Hypergradients of each scheme against closed forms, in float64.

Quadratic problem of methods 12.1 with a direct architecture term in the upper loss:
``L_train = a/2 * |w - alpha|^2``, ``L_valid = |w - c|^2 / 2 + b/2 * |alpha|^2 + w . alpha``.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from mixop.bilevel import FirstOrder, SingleLevel, gradient
from mixop.core.types import Batch

A, B = 0.7, 0.3


class Quadratic:
    """Batches carry the constant c of the losses in ``x``."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(0)
        self.weights = {"w": torch.randn(4, generator=generator, dtype=torch.float64).requires_grad_()}
        self.params = {"alpha": torch.randn(4, generator=generator, dtype=torch.float64)}
        self.train = Batch(torch.randn(4, generator=generator, dtype=torch.float64), torch.zeros(1))
        self.valid = Batch(torch.randn(4, generator=generator, dtype=torch.float64), torch.zeros(1))

    def train_loss(self, weights: Mapping[str, Tensor], params: dict[str, Tensor], batch: Batch) -> Tensor:
        return A / 2 * (weights["w"] - params["alpha"] - batch.x).square().sum()

    def valid_loss(self, weights: Mapping[str, Tensor], params: dict[str, Tensor], batch: Batch) -> Tensor:
        w, alpha = weights["w"], params["alpha"]
        return (w - batch.x).square().sum() / 2 + B / 2 * alpha.square().sum() + (w * alpha * batch.x).sum()


def closed_form(problem: Quadratic, batch: Batch) -> Tensor:
    """dL_valid/dalpha at fixed w: b * alpha + w * c."""
    return B * problem.params["alpha"] + problem.weights["w"].detach() * batch.x


def test_first_order_is_the_partial_derivative_on_the_validation_batch():
    problem = Quadratic()
    got = FirstOrder()(problem, problem.params, problem.train, problem.valid)
    torch.testing.assert_close(got["alpha"], closed_form(problem, problem.valid), rtol=0, atol=1e-15)


def test_single_level_uses_its_own_batch_or_the_weights_batch():
    problem = Quadratic()
    own = SingleLevel(same_batch=False)(problem, problem.params, problem.train, problem.valid)
    same = SingleLevel(same_batch=True)(problem, problem.params, problem.train, problem.valid)
    torch.testing.assert_close(own["alpha"], closed_form(problem, problem.valid), rtol=0, atol=1e-15)
    torch.testing.assert_close(same["alpha"], closed_form(problem, problem.train), rtol=0, atol=1e-15)
    assert SingleLevel().shares_data
    assert not FirstOrder().shares_data


def test_schemes_change_neither_weights_nor_parameters_nor_leave_gradients():
    problem = Quadratic()
    w, alpha = problem.weights["w"].detach().clone(), problem.params["alpha"].clone()
    for scheme in (FirstOrder(), SingleLevel(), SingleLevel(same_batch=True)):
        scheme(problem, problem.params, problem.train, problem.valid)
    assert torch.equal(problem.weights["w"], w)
    assert torch.equal(problem.params["alpha"], alpha)
    assert problem.weights["w"].grad is None
    assert problem.params["alpha"].grad is None
    assert not problem.params["alpha"].requires_grad


def test_gradient_is_zero_for_groups_that_the_loss_ignores():
    params = {"used": torch.ones(2, requires_grad=True), "unused": torch.ones(3, requires_grad=True)}
    got = gradient(params["used"].sum() * 2, params)
    assert torch.equal(got["used"], torch.full((2,), 2.0))
    assert torch.equal(got["unused"], torch.zeros(3))
