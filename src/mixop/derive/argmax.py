"""Per-edge argmax of the mean mixing weights."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mixop.derive.base import Derivation, architecture_of, best_options, check_not_only_none
from mixop.ops import BatchNorm
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class Argmax(Derivation):
    """Every decision takes its option of largest weight, the first one on ties (methods of NAS-Bench-201).

    Args:
        none: whether ``none`` may be chosen; if not, it is passed over where a decision offers it.

    Source: Dong & Yang 2020 (arXiv:2001.00326), section 4; Liu et al. 2019 (arXiv:1806.09055), section 2.2 without ``none``.
    """

    none: bool = True

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        rows = {group.name: mean[group.name].tolist() for group in space.groups}
        return architecture_of(space, {g.name: best_options(rows[g.name], g, none=self.none) for g in space.groups})

    def check(self, space: Space, norm: BatchNorm) -> None:
        if not self.none:
            check_not_only_none("Argmax(none=False)", space)
