"""Penalties on hard-concrete gates: few skips, few operations, deep cells."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import torch
from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.nets.costs import learning
from mixop.regularise.base import Point, Regulariser
from mixop.relax.base import Relaxation
from mixop.relax.hard_concrete import HardConcrete, activation_probability
from mixop.spaces.core import Group, Space
from mixop.spaces.stacked import Stacked


@dataclass(frozen=True, kw_only=True)
class GatePenalty(Regulariser):
    """``skip * q_skip + nonskip * q_rest - depth * q_path``, each q the mean over the groups of activation probabilities.

    "expected": q_skip and q_rest are the mean activation probabilities of the skips and of all other options; q_path is the
    product, over the chain of neighbouring nodes, of the mean activation probability of the parameterised options, or of the
    sum of these.

    "sampled", the published code: the same means over the gates that run in this draw only. q_skip enters as
    ``max(0, q_skip - 0.2)``; the other options form two groups, pools and the rest, whose means enter likewise and are
    added up. q_path is the product over the chain edges on which a parameterised option runs, 0 if there is none.

    A space in which no edge joins neighbouring nodes, like the toy, has no depth to reward: q_path is 0 there.

    Args:
        skip: weight of the skips, >= 0; lambda_1.
        nonskip: weight of the other options, >= 0; lambda_2.
        depth: weight of the path's depth, >= 0; lambda_3.
        variant: "expected" or "sampled".
        path: what a factor of q_path is of the parameterised options of its edge: their "mean", as in the code, which keeps
            every factor in [0, 1], or their "sum", as printed.

    Source: Zhou et al. 2020 (arXiv:2006.16537), section 4.2 and code.
    """

    skip: float = 0.01
    nonskip: float = 0.005
    depth: float = 0.005
    variant: Literal["expected", "sampled"] = "expected"
    path: Literal["mean", "sum"] = "mean"

    def __post_init__(self) -> None:
        for name in ("skip", "nonskip", "depth"):
            check_range(f"{name} of GatePenalty", getattr(self, name), at_least=0)
        if self.variant not in ("expected", "sampled"):
            raise RecipeError(f"variant of GatePenalty must be 'expected' or 'sampled', got {self.variant!r}.")
        if self.path not in ("mean", "sum"):
            raise RecipeError(f"path of GatePenalty must be 'mean' or 'sum', got {self.path!r}.")

    def check(self, relaxation: Relaxation) -> None:
        if not isinstance(relaxation, HardConcrete):
            raise RecipeError(
                f"GatePenalty measures hard-concrete gates, but the relaxation is {type(relaxation).__name__}: "
                "use Entropy or AnchorL2, or the HardConcrete relaxation."
            )

    def check_space(self, space: Space) -> None:
        if self.depth and not isinstance(space, Stacked):
            raise RecipeError(
                f"GatePenalty rewards the depth of a cell's path, and {space.name} has no cells: use depth=0, or a CostCeiling."
            )

    def __call__(self, at: Point) -> Tensor:
        gates = at.relaxation
        assert isinstance(gates, HardConcrete)  # what `check` promises
        sampled = self.variant == "sampled"
        skips, depths = [], []
        others: list[list[Tensor]] = []
        for group in at.space.groups:
            p = activation_probability(at.params[group.name], gates.temperature(at.progress), gates.low, gates.high)
            runs = at.mix[group.name].detach() > 0 if sampled else torch.ones_like(p, dtype=torch.bool)
            skip, pool, weighted = (mask.to(p.device) for mask in _kinds(at.space, group))
            skips.append(mean_of(p, runs & skip))
            others.append([mean_of(p, runs & kind) for kind in ((pool, ~skip & ~pool) if sampled else (~skip,))])
            taken = runs & weighted
            factors = [self._factor(p[e], taken[e]) for e in chain(group) if not sampled or taken[e].any()]
            depths.append(torch.stack(factors).prod() if factors else p.new_zeros(()))

        # The published code forgives means up to a threshold.
        threshold = 0.2 if sampled else 0.0
        skip = (torch.stack(skips).mean() - threshold).clamp(min=0)
        rest = sum(((torch.stack(kind).mean() - threshold).clamp(min=0) for kind in zip(*others, strict=True)), skip * 0)
        return self.skip * skip + self.nonskip * rest - self.depth * torch.stack(depths).mean()

    def _factor(self, values: Tensor, chosen: Tensor) -> Tensor:
        return mean_of(values, chosen) if self.path == "mean" else (values * chosen).sum()


def mean_of(values: Tensor, chosen: Tensor) -> Tensor:
    """The mean of the chosen values, 0 if none is chosen."""
    return (values * chosen).sum() / chosen.sum().clamp(min=1)


def chain(group: Group) -> list[int]:
    """The edges of a group that join neighbouring nodes, in order: 0, 2, 5 in NAS-Bench-201; 1, 4, 8, 13 in DARTS."""
    return [e for e, decision in enumerate(group.decisions) if decision.source == decision.target - 1]


@cache
def _kinds(space: Space, group: Group) -> tuple[Tensor, Tensor, Tensor]:
    """Which options ``(E, O)`` are skips, are pools, and have weights."""
    rows = [decision.options for decision in group.decisions]
    skip = torch.tensor([[group.is_skip(option) for option in row] for row in rows])
    pool = torch.tensor([[group.is_pool(option) for option in row] for row in rows])
    return skip, pool, torch.tensor(learning(space, group)) & ~skip
