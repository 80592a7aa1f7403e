"""Argmax of the relevance that BayesNAS estimates for every switch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from mixop.core.schedules import check_range
from mixop.derive.base import Derivation, Trained, best_options, check_not_only_none, derived, drop_weak
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Architecture, Group, Space


@dataclass(frozen=True, kw_only=True)
class Relevance(Derivation):
    """Every decision takes its option of largest relevance gamma; an edge with almost no relevance takes ``none``.

    Epochs before the end are shown by the argmax of their mean mixing weights.

    Args:
        threshold: least gamma of an edge that is kept, as a share of the largest in its group, in [0, 1]; where ``none`` is
            not offered, the best option is always kept. The authors remove edges by hand; the number is ours.

    Source: Zhou et al. 2019 (arXiv:1905.04919), algorithm 1 and code.
    """

    needs: ClassVar[tuple[str, ...]] = ("SwitchPenalty", "RelevanceUpdate")

    threshold: float = 0.05

    def __post_init__(self) -> None:
        check_range("threshold of Relevance", self.threshold, at_least=0, at_most=1)

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        return derived(space, mean, lambda rows, group: best_options(rows, group, none=True))

    def final(self, trained: Trained) -> Architecture:
        def choose(rows: Sequence[Sequence[float]], group: Group) -> list[int]:
            largest = max(max(row) for row in rows)
            return drop_weak(rows, best_options(rows, group, none=False), group, self.threshold * largest)

        gamma = {group.name: trained.memory[f"SwitchPenalty.gamma.{group.name}"][:, 1:] for group in trained.space.groups}
        return derived(trained.space, gamma, choose)

    def check(self, space: Space, norm: BatchNorm) -> None:
        check_not_only_none("Relevance", space)
