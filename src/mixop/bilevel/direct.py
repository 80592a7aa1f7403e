"""Schemes that differentiate one loss at the current weights: first order, and single level."""

from dataclasses import dataclass
from typing import ClassVar

from mixop.bilevel.base import Problem, Scheme, check_differentiable, fixed, gradient, leaves_of, reshapes_loss
from mixop.core.errors import RecipeError
from mixop.core.optim import Optimiser
from mixop.core.types import Batch, Params
from mixop.relax.base import Relaxation


def direct(problem: Problem, params: Params, batch: Batch) -> Params:
    """The partial derivative of the upper loss at the current weights."""
    leaves = leaves_of(params)
    return gradient(problem.valid_loss(fixed(problem), leaves, batch), leaves)


@dataclass(frozen=True, kw_only=True)
class FirstOrder(Scheme):
    """The gradient of the validation loss at the current weights: ``w*(a)`` is taken to be ``w``.

    Source: Liu et al. 2019 (arXiv:1806.09055), section 2.3 with xi = 0.
    """

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        return direct(problem, params, valid_batch)

    def check(self, relaxation: Relaxation, weight_optimiser: Optimiser) -> None:
        check_differentiable(self, relaxation)


@dataclass(frozen=True, kw_only=True)
class SingleLevel(Scheme):
    """Weights and architecture minimise one loss over one training set (empirical risk minimisation).

    Args:
        same_batch: whether both steps come from one pass over one batch under one draw, as in SNAS, or each has its own of
            two independently shuffled batches, as in GAEA.

    Source: Li et al. 2021 (arXiv:2004.07802), section 2.2; one pass: Xie et al. 2019 (arXiv:1812.09926), section 2.2.
    """

    shares_data: ClassVar[bool] = True
    same_batch: bool = False

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        return direct(problem, params, train_batch if self.same_batch else valid_batch)

    @property
    def joint(self) -> bool:
        return self.same_batch

    def check(self, relaxation: Relaxation, weight_optimiser: Optimiser) -> None:
        check_differentiable(self, relaxation)
        if self.same_batch and reshapes_loss(relaxation):
            raise RecipeError(
                f"SingleLevel(same_batch=True) differentiates one loss for weights and architecture, but "
                f"{type(relaxation).__name__} has its own loss for the architecture: use same_batch=False."
            )
