"""Per-edge argmax of the mean mixing weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.derive.base import (
    Derivation,
    architecture_from,
    best_options,
    check_not_only_none,
    derived,
    edge_weights,
    several,
)
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Architecture, Group, Space


@dataclass(frozen=True, kw_only=True)
class Argmax(Derivation):
    """Every decision takes its option of largest weight, the first one on ties.

    Where architectures keep only some edges of every node (DARTS: two), those are kept whose option weighs most, ``none`` not
    counted. With edge normalisation an option's weight is multiplied by that of its edge.

    Args:
        none: whether ``none`` may be chosen; if not, it is passed over where a decision offers it.
        edges: how a node's edges are kept: ``best``, those with the best option each, or ``pairs``, the best pairs of edge and
            option, two of which may lie on one edge (code of GDAS and PR-DARTS). Where all edges are kept, both give the same.

    Source: Dong & Yang 2020 (arXiv:2001.00326), section 4; Liu et al. 2019 (arXiv:1806.09055), section 2.4.
    """

    none: bool = True
    edges: Literal["best", "pairs"] = "best"

    def __post_init__(self) -> None:
        if self.edges not in ("best", "pairs"):
            raise RecipeError(f"edges of Argmax must be 'best' or 'pairs', got {self.edges!r}.")

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        if self.edges == "best":
            return derived(space, mean, lambda rows, group: best_options(rows, group, none=self.none))
        return architecture_from(space, {group.name: self._pairs(mean, group) for group in space.groups})

    def _pairs(self, mean: Mapping[str, Tensor], group: Group) -> list[tuple[int, int]]:
        rows = mean[group.name].tolist()
        if group.take > 1:
            return several(rows, group)
        if not group.keep:
            return list(enumerate(best_options(rows, group, none=self.none)))
        weights = edge_weights(mean, group)
        kept: list[tuple[int, int]] = []
        for target in group.targets:
            options = [
                (e, group.decisions[e].options.index(option)) for e in group.into(target) for option in group.eligible(e)
            ]
            best = sorted(options, key=lambda pair: -rows[pair[0]][pair[1]] * weights[pair[0]])
            kept += best[: group.keep]
        return kept

    def check(self, space: Space, norm: BatchNorm) -> None:
        if not self.none or any(group.keep for group in space.groups):
            check_not_only_none("Argmax" if self.none else "Argmax(none=False)", space)
