"""The divergence of Dirichlet distributions from the uniform one."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.regularise.base import Point, Regulariser, total
from mixop.relax.base import Relaxation
from mixop.relax.dirichlet import Dirichlet, concentration


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

    def __call__(self, at: Point) -> Tensor:
        return self.weight * total([dirichlet_kl(concentration(value)).sum() for value in at.params.values()])


def dirichlet_kl(beta: Tensor) -> Tensor:
    """``KL(Dirichlet(beta) || Dirichlet(1))`` of every row, in nats.

    Args:
        beta: concentrations ``(..., O)``, > 0.

    Returns:
        ``(...)``; zero where the row is all ones.
    """
    mass = beta.sum(-1)
    options = torch.tensor(float(beta.shape[-1]), dtype=beta.dtype, device=beta.device)
    expected_log = torch.digamma(beta) - torch.digamma(mass)[..., None]
    return torch.lgamma(mass) - torch.lgamma(beta).sum(-1) - torch.lgamma(options) + ((beta - 1) * expected_log).sum(-1)
