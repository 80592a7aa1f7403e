"""The divergence of Dirichlet distributions from the uniform one."""

from dataclasses import dataclass

from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.regularise.base import Point, Regulariser, total
from mixop.relax.base import Relaxation
from mixop.relax.dirichlet import Dirichlet, concentration, dirichlet_kl


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
