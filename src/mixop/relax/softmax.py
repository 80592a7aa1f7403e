"""Softmax over options: the relaxation of DARTS."""

from dataclasses import dataclass
from typing import ClassVar

from torch import Generator, Tensor

from mixop.core.schedules import check_range
from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.spaces.core import Group


@dataclass(frozen=True, kw_only=True)
class Softmax(Relaxation):
    """Mixing weights ``softmax(alpha / temperature)``, deterministic.

    Args:
        temperature: divides the logits, > 0, no unit; 1 in DARTS.

    Source: Liu et al. 2019 (arXiv:1806.09055), eq. 2.
    """

    takes_several: ClassVar[bool] = True

    temperature: float = 1.0

    def __post_init__(self) -> None:
        check_range("softmax temperature", self.temperature, above=0)

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        return Draw(self.mean(params, group))

    def mean(self, params: Tensor, group: Group) -> Tensor:
        return (params / self.temperature).softmax(-1)
