"""Regularisers of the architecture: terms added to the loss of the architecture step."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from mixop.errors import RecipeError
from mixop.relax.base import Relaxation
from mixop.relax.dirichlet import Dirichlet, concentration
from mixop.schedules import check_range
from mixop.spaces.core import Space
from mixop.types import Mix, Params


class Regulariser(ABC):
    """A scalar function of the architecture, differentiable; several are summed. Subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, params: Params, mix: Mix, space: Space) -> Tensor:
        """The penalty, a scalar in the unit of the loss (nats).

        Args:
            params: architecture parameters by group.
            mix: the mixing weights drawn for this step, by group.
            space: the search space.
        """

    def check(self, relaxation: Relaxation) -> None:
        """Refuses relaxations that it does not fit.

        Raises:
            RecipeError: naming both.
        """
        return


@dataclass(frozen=True, kw_only=True)
class AnchorL2(Regulariser):
    """``weight / 2 * |params - anchor|^2``, summed over all groups.

    With anchor 0 its gradient is exactly that of weight decay in Adam or SGD. DrNAS calls it the distance of the
    concentration to its anchor 1, measured in eta.

    Args:
        weight: >= 0.
        anchor: where the parameters are drawn to.

    Source: Chen et al. 2021 (arXiv:2006.10355), eq. 8 and code.
    """

    weight: float = 1e-3
    anchor: float = 0.0

    def __post_init__(self) -> None:
        check_range("weight of AnchorL2", self.weight, at_least=0)
        check_range("anchor of AnchorL2", self.anchor)

    def __call__(self, params: Params, mix: Mix, space: Space) -> Tensor:
        squares = [(value - self.anchor).square().sum() for value in params.values()]
        return self.weight / 2 * torch.stack(squares).sum()


@dataclass(frozen=True, kw_only=True)
class DirichletKL(Regulariser):
    """``weight * sum over decisions of KL(Dirichlet(beta) || Dirichlet(1))``.

    Args:
        weight: >= 0.

    Source: Chen et al. 2021 (arXiv:2006.10355), code option ``kl``.
    """

    weight: float = 1e-3

    def __post_init__(self) -> None:
        check_range("weight of DirichletKL", self.weight, at_least=0)

    def check(self, relaxation: Relaxation) -> None:
        if not isinstance(relaxation, Dirichlet):
            raise RecipeError(
                f"DirichletKL measures Dirichlet distributions, but the relaxation is {type(relaxation).__name__}: "
                "use AnchorL2, or the Dirichlet relaxation."
            )

    def __call__(self, params: Params, mix: Mix, space: Space) -> Tensor:
        return self.weight * torch.stack([dirichlet_kl(concentration(value)).sum() for value in params.values()]).sum()


def dirichlet_kl(beta: Tensor) -> Tensor:
    """``KL(Dirichlet(beta) || Dirichlet(1))`` of every row, in nats.

    Args:
        beta: concentrations ``(..., O)``, > 0.

    Returns:
        ``(...)``; zero where the row is all ones.
    """
    total = beta.sum(-1)
    options = torch.tensor(float(beta.shape[-1]), dtype=beta.dtype, device=beta.device)
    expected_log = torch.digamma(beta) - torch.digamma(total)[..., None]
    return torch.lgamma(total) - torch.lgamma(beta).sum(-1) - torch.lgamma(options) + ((beta - 1) * expected_log).sum(-1)
