"""The loss of a weight step: under one draw of the mixing weights, or under several weighted by their likelihood."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from mixop.bilevel.base import Problem
from mixop.bilevel.importance import importance_weights
from mixop.bilevel.perturb import Perturbation
from mixop.bilevel.sampled import check_samples
from mixop.core.errors import RecipeError
from mixop.core.types import Batch, Params


class WeightStep(ABC):
    """The loss whose gradient the weight optimiser follows; subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, problem: Problem, params: Params, batch: Batch) -> Tensor:
        """The loss (nats), a scalar to differentiate in the network's own weights.

        Args:
            problem: draws, losses and the recipe's perturbation.
            params: architecture parameters by group.
            batch: the training batch.
        """

    def check(self, perturbation: Perturbation | None) -> None:
        """Refuses perturbations that it does not fit.

        Raises:
            RecipeError: naming both.
        """
        return


@dataclass(frozen=True, kw_only=True)
class SingleDraw(WeightStep):
    """The mean cross-entropy under one fresh draw, perturbed if the recipe says so."""

    def __call__(self, problem: Problem, params: Params, batch: Batch) -> Tensor:
        with torch.no_grad():
            draws = problem.draw(params)
        return problem.draw_loss(None, problem.perturbed(draws, batch), batch)


@dataclass(frozen=True, kw_only=True)
class ImportanceDraws(WeightStep):
    """``sum_k omega_k L_k`` over K draws, omega their posterior weights on this batch, constants.

    All K passes are kept for the backward pass; with draws that run one path each they take about K / O times the memory
    of one pass through all O options.

    Args:
        samples: architectures drawn for a step, K, >= 2.

    Source: Casale et al. 2019 (arXiv:1902.05116); no code was published, the number of samples is ours.
    """

    samples: int = 16

    def __post_init__(self) -> None:
        check_samples(type(self).__name__, self.samples, 2)

    def check(self, perturbation: Perturbation | None) -> None:
        if perturbation is not None:
            raise RecipeError(
                f"ImportanceDraws weighs architectures as they are drawn, so {type(perturbation).__name__} does not fit: "
                "use SingleDraw, or no perturbation."
            )

    def __call__(self, problem: Problem, params: Params, batch: Batch) -> Tensor:
        losses = []
        for _ in range(self.samples):
            with torch.no_grad():
                draws = problem.draw(params)
            losses.append(problem.draw_loss(None, draws, batch))
        stacked = torch.stack(losses)
        return (importance_weights(stacked.detach(), len(batch.y)) * stacked).sum()
