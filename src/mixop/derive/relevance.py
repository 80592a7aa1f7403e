"""Argmax of the relevance that BayesNAS estimates for every switch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from mixop.derive.base import Derivation, Trained, architecture_of, best_options, check_not_only_none, drop_weak
from mixop.ops import BatchNorm
from mixop.schedules import check_range
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class Relevance(Derivation):
    """Every decision takes its option of largest relevance gamma; an edge of hardly any relevance takes ``none``.

    Epochs before the end are shown by the argmax of their mean mixing weights.

    Args:
        threshold: least gamma of an edge that is kept, as a share of the largest in its group, in [0, 1]; where ``none`` is
            not offered, the best option is kept in any case. The authors remove edges by hand; the number is ours.

    Source: Zhou et al. 2019 (arXiv:1905.04919), algorithm 1 and code.
    """

    needs: ClassVar[tuple[str, ...]] = ("SwitchPenalty", "RelevanceUpdate")

    threshold: float = 0.05

    def __post_init__(self) -> None:
        check_range("threshold of Relevance", self.threshold, at_least=0, at_most=1)

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        return architecture_of(space, {g.name: best_options(mean[g.name].tolist(), g, none=True) for g in space.groups})

    def final(self, trained: Trained) -> Architecture:
        options = {}
        for group in trained.space.groups:
            gamma = trained.memory[f"SwitchPenalty.gamma.{group.name}"][:, 1:]
            best = best_options(gamma.tolist(), group, none=False)
            options[group.name] = drop_weak(gamma, best, group, self.threshold * float(gamma.max()))
        return architecture_of(trained.space, options)

    def check(self, space: Space, norm: BatchNorm) -> None:
        check_not_only_none("Relevance", space)
