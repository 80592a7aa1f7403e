"""The expected cost of the architecture, as a penalty or under a ceiling."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import Constant, Schedule, check_range, schedule
from mixop.nets.costs import Cost, ceiling_of, check_ceiling, check_cost, check_reachable, costs_of
from mixop.regularise.base import Point, Regulariser
from mixop.relax.base import Relaxation
from mixop.spaces.core import Space


class _OfCost(Regulariser):
    """Shared by the values below: they read the expected cost of a network that is drawn by the mean mixing weights."""

    cost: Cost

    def _check_cost(self) -> None:
        check_cost(type(self).__name__, self.cost)

    def check(self, relaxation: Relaxation) -> None:
        if not (relaxation.mix_on_simplex and relaxation.independent_decisions):
            raise RecipeError(
                f"{type(self).__name__} reads the mean mixing weights as probabilities of independent decisions, which those "
                f"of {type(relaxation).__name__} are not: use a relaxation like Softmax or Categorical."
            )

    def check_space(self, space: Space) -> None:
        costs = costs_of(space, self.cost)
        if not costs.decides:
            raise RecipeError(
                f"{type(self).__name__}: no option of {space.name} costs anything in this measure: use a CostTable, or leave "
                "the term out."
            )


@dataclass(frozen=True, kw_only=True)
class ExpectedCost(_OfCost):
    """``weight * (E[cost] / reference - 1)``, or ``weight * log(E[cost] / reference)``.

    The expectation is exact: the cost is a sum over decisions, or over the few that lie around an operation, so it needs no
    sample. SNAS penalises logarithms,
    ProxylessNAS the ratio (its other form multiplies the loss instead).

    Args:
        cost: "flops" (multiply-adds of one image), "parameters", or a table, of the network at the search's size.
        weight: >= 0, a number or a schedule over the search.
        reference: cost that counts as 1, > 0, in the unit of the cost; None for the mean over all architectures.
        form: "linear" or "log".

    Source: Xie et al. 2019 (arXiv:1812.09926), eq. 12; Cai et al. 2019 (arXiv:1812.00332), eqs. 6-7.
    """

    cost: Cost = "flops"
    weight: Schedule = Constant(0.1)
    reference: float | None = None
    form: Literal["linear", "log"] = "linear"

    def __post_init__(self) -> None:
        self._check_cost()
        check_range("weight of ExpectedCost", self.weight, at_least=0)
        object.__setattr__(self, "weight", schedule(self.weight))
        if self.reference is not None:
            check_range("reference of ExpectedCost", self.reference, above=0)
        if self.form not in ("linear", "log"):
            raise RecipeError(f"form of ExpectedCost must be 'linear' or 'log', got {self.form!r}.")

    def __call__(self, at: Point) -> Tensor:
        costs = costs_of(at.space, self.cost)
        reference = costs.mean() if self.reference is None else self.reference
        ratio = costs.expected(at.mean) / reference
        term = ratio.log() if self.form == "log" else ratio - 1
        return self.weight(at.progress) * term.to(next(iter(at.mean.values())))


@dataclass(frozen=True, kw_only=True)
class CostCeiling(_OfCost):
    """A ceiling on the expected cost, by a Lagrange multiplier: ``multiplier * excess + stiffness / 2 * max(0, excess)^2``.

    The excess is ``E[cost] / limit - 1``. After every architecture step the multiplier climbs by ``rate * excess`` and
    stays >= 0, so it grows while the cost is above the ceiling and fades while it is below. The quadratic term damps the
    oscillation of the two; it does not move their resting point.

    Args:
        limit: largest expected cost, > 0, in the unit of the cost, of the whole network at the search's size; None where
            ``share`` is given.
        share: largest expected cost as a share of the most expensive network's, in (0, 1].
        cost: as in `ExpectedCost`.
        rate: step size of the multiplier, > 0.
        stiffness: of the quadratic term, >= 0.

    Source: Bertsekas 1982 (Constrained Optimization and Lagrange Multiplier Methods), section 2.1; ours for this field.
    """

    limit: float | None = None
    share: float | None = None
    cost: Cost = "flops"
    rate: float = 0.05
    stiffness: float = 1.0

    def __post_init__(self) -> None:
        check_ceiling("CostCeiling", self.cost, self.limit, self.share)
        check_range("rate of CostCeiling", self.rate, above=0)
        check_range("stiffness of CostCeiling", self.stiffness, at_least=0)

    def check_space(self, space: Space) -> None:
        super().check_space(space)
        check_reachable("CostCeiling", space, self.cost, self.limit, self.share)

    def ceiling(self, space: Space) -> float:
        """The ceiling in the unit of the cost."""
        return ceiling_of(space, self.cost, self.limit, self.share)

    @property
    def key(self) -> str:
        """Where the multiplier stands in the memory; ceilings on different measures do not share one."""
        return f"CostCeiling.{self.cost if isinstance(self.cost, str) else 'table'}"

    def excess(self, at: Point) -> Tensor:
        """``E[cost] / limit - 1``, a scalar."""
        return (costs_of(at.space, self.cost).expected(at.mean) / self.ceiling(at.space) - 1).to(next(iter(at.mean.values())))

    def climb(self, multiplier: Tensor, excess: Tensor) -> Tensor:
        """The multiplier after a step."""
        return (multiplier + self.rate * excess).clamp(min=0)

    def __call__(self, at: Point) -> Tensor:
        excess = self.excess(at)
        multiplier = at.memory.get(self.key, torch.zeros(())).to(excess)
        return multiplier * excess + self.stiffness / 2 * excess.clamp(min=0).square()

    def remember(self, at: Point) -> dict[str, Tensor]:
        with torch.no_grad():
            excess = self.excess(at).double().cpu()
        return {self.key: self.climb(at.memory.get(self.key, torch.zeros_like(excess)), excess)}
