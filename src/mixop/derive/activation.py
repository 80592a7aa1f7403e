"""Argmax of gates, without options that are rarely open."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from torch import Tensor

from mixop.core.schedules import check_range
from mixop.derive.base import Derivation, best_options, check_not_only_none, derived, drop_weak
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Architecture, Group, Space


@dataclass(frozen=True, kw_only=True)
class ActivationThreshold(Derivation):
    """Every decision takes its option of largest mean weight besides ``none``; below a threshold it takes ``none``.

    With `HardConcrete` gates the mean weight is the probability that the gate is open. A decision that does not offer
    ``none`` always keeps its best option. Where architectures keep only some edges of every node, those are the ones of
    largest weight, and the threshold changes nothing.

    Args:
        threshold: least mean weight of an option that is kept, in [0, 1]; 0 drops nothing.

    Source: Zhou et al. 2020 (arXiv:2006.16537), section 4.1: operations are chosen by activation probability. The threshold
        is ours, for the pruning of gates that the paper describes.
    """

    threshold: float = 0.5

    def __post_init__(self) -> None:
        check_range("threshold of ActivationThreshold", self.threshold, at_least=0, at_most=1)

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        def choose(rows: Sequence[Sequence[float]], group: Group) -> list[int]:
            return drop_weak(rows, best_options(rows, group, none=False), group, self.threshold)

        return derived(space, mean, choose)

    def check(self, space: Space, norm: BatchNorm) -> None:
        check_not_only_none("ActivationThreshold", space)
