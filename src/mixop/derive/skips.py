"""Argmax with a limit on skip connections."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.derive.base import (
    Derivation,
    architecture_from,
    best_options,
    check_not_only_none,
    check_takes_one,
    edge_weights,
    strongest,
)
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class RestrictedSkips(Derivation):
    """Argmax without ``none`` and with a limit on the skip connections of one group.

    While there are more, the weight of the weakest kept one is set to zero, and options and edges are chosen again.

    Args:
        most: largest number of skip connections, >= 0; that it is 2 in the paper is unverified.
        group: the group that is limited.

    Source: Chen et al. 2019 (arXiv:1904.12760), section 3.3, and the authors' code.
    """

    most: int = 2
    group: str = "normal"

    def __post_init__(self) -> None:
        if isinstance(self.most, bool) or not isinstance(self.most, int) or self.most < 0:
            raise RecipeError(f"most of RestrictedSkips must be a whole number of at least 0, got {self.most!r}.")

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        pairs = {}
        for group in space.groups:
            rows, weights = mean[group.name].tolist(), edge_weights(mean, group)
            while True:
                best = best_options(rows, group, none=False)
                kept = strongest(group, [row[o] * weight for row, o, weight in zip(rows, best, weights, strict=True)])
                skips = [e for e in kept if group.is_skip(group.decisions[e].options[best[e]])]
                weak = [e for e in skips if rows[e][best[e]] > 0]  # an edge that has nothing else keeps its skip
                if group.name != self.group or len(skips) <= self.most or not weak:
                    break
                weakest = min(weak, key=lambda e: rows[e][best[e]])
                rows[weakest][best[weakest]] = 0.0
            pairs[group.name] = [(e, best[e]) for e in kept]
        return architecture_from(space, pairs)

    def check(self, space: Space, norm: BatchNorm) -> None:
        check_takes_one("RestrictedSkips", space)
        check_not_only_none("RestrictedSkips", space)
        if self.group not in [group.name for group in space.groups]:
            raise RecipeError(
                f"RestrictedSkips limits the skip connections of group {self.group!r}, which {space.name} does not have: "
                f"set group to one of {', '.join(group.name for group in space.groups)}, or use Argmax."
            )
