"""The entropy of the mean mixing weights: pushed up to keep options open, or down to decide them."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import Constant, Schedule, check_range, schedule
from mixop.regularise.base import Point, Regulariser, total
from mixop.relax.base import Relaxation


@dataclass(frozen=True, kw_only=True)
class Entropy(Regulariser):
    """``weight`` times an entropy term, summed over all decisions; 0 where it is fully reached.

    Args:
        weight: >= 0, a number or a schedule over the search.
        towards: "uniform" adds ``sum theta log(theta * O)``, the divergence from the uniform point; "one_hot" adds the
            entropy itself, ``-sum theta log theta``.

    Source: Li et al. 2021 (arXiv:2004.07802), code (``entropy_reg``), for "uniform".
    """

    weight: Schedule = Constant(0.01)
    towards: Literal["uniform", "one_hot"] = "uniform"

    def __post_init__(self) -> None:
        check_range("weight of Entropy", self.weight, at_least=0)
        object.__setattr__(self, "weight", schedule(self.weight))
        if self.towards not in ("uniform", "one_hot"):
            raise RecipeError(f"towards of Entropy must be 'uniform' or 'one_hot', got {self.towards!r}.")

    def check(self, relaxation: Relaxation) -> None:
        if not (relaxation.mix_on_simplex and relaxation.independent_decisions):
            raise RecipeError(
                f"Entropy measures independent decisions on the simplex, which those of {type(relaxation).__name__} "
                "are not: use GatePenalty for gates, or entropy_weight of ScoreFunction for a policy."
            )

    def __call__(self, at: Point) -> Tensor:
        weight = self.weight(at.progress)
        if self.towards == "one_hot":
            return weight * total([entropy(theta).sum() for theta in at.mean.values()])
        return weight * total([(math.log(theta.shape[-1]) - entropy(theta)).sum() for theta in at.mean.values()])


def entropy(theta: Tensor) -> Tensor:
    """``-sum theta log theta`` of every row, in nats; entries of 0 count nothing.

    Args:
        theta: rows on the simplex, ``(..., O)``.

    Returns:
        ``(...)``, in [0, log O].
    """
    # Clamped inside the logarithm only: the derivative stays finite where an entry is 0.
    return -(theta * theta.clamp(min=torch.finfo(theta.dtype).tiny).log()).sum(-1)
