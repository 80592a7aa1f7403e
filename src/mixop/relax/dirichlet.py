"""Mixing weights drawn from a Dirichlet distribution: the relaxation of DrNAS."""

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.rng import fenced
from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.spaces.core import Group


def concentration(params: Tensor) -> Tensor:
    """Dirichlet concentration ``beta = ELU(eta) + 1 > 0`` of parameters eta; ``eta = 0`` gives the uniform ``beta = 1``.

    Source: Chen et al. 2021 (arXiv:2006.10355), section 3.1 and code.
    """
    # ELU + 1 is exp(eta) below 0; written as one so that it does not round to 0 for eta below -17 in float32.
    return torch.where(params > 0, params + 1, params.clamp(max=0).exp())


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


@dataclass(frozen=True, kw_only=True)
class Dirichlet(Relaxation):
    """Rows ``theta_e ~ Dirichlet(beta_e)`` with pathwise gradients; one draw is shared by all cells of a type.

    Args:
        ranking: what the mean mixing weights are, which derivation reads: ``mean``, that of the distribution (the paper), or
            ``softmax`` of the parameters (the authors' code). The best option of an edge is the same, the order of edges not.

    Source: Chen et al. 2021 (arXiv:2006.10355), eqs. 3-6; gradient of Jankowiak & Obermeyer 2018 (arXiv:1806.01851).
    """

    ranking: Literal["mean", "softmax"] = "mean"

    on_host: ClassVar[bool] = True
    takes_several: ClassVar[bool] = True
    twice_differentiable: ClassVar[bool] = False  # torch knows the first derivative of its sampler only

    def __post_init__(self) -> None:
        if self.ranking not in ("mean", "softmax"):
            raise RecipeError(f"ranking of Dirichlet must be 'mean' or 'softmax', got {self.ranking!r}.")

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        # The draw is made on the host from our own generator: torch's sampler takes its numbers from the global one.
        beta = concentration(params.cpu())
        with fenced(generator):
            weights = torch.distributions.Dirichlet(beta, validate_args=False).rsample()
        return Draw(weights.to(params.device))

    def mean(self, params: Tensor, group: Group) -> Tensor:
        if self.ranking == "softmax":
            return params.softmax(-1)
        beta = concentration(params)
        return beta / beta.sum(-1, keepdim=True)
