"""Mixing weights that are parameters themselves, kept on the simplex by their optimiser: GAEA."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.spaces.core import Group


@dataclass(frozen=True, kw_only=True)
class SimplexPoint(Relaxation):
    """Mixing weights theta on the simplex, without a softmax; needs an optimiser that keeps them there.

    Source: Li et al. 2021 (arXiv:2004.07802), section 3.
    """

    params_on_simplex: ClassVar[bool] = True
    takes_several: ClassVar[bool] = True

    def init(self, group: Group, generator: Generator) -> Tensor:
        """The uniform point ``1 / O``."""
        return torch.full(group.shape, 1 / group.shape[1])

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        return Draw(params.clone())

    def mean(self, params: Tensor, group: Group) -> Tensor:
        return params

    def prune(self, params: Tensor, kept: Sequence[Sequence[int]]) -> Tensor:
        """What is left, on the simplex again."""
        left = super().prune(params, kept)
        return left / left.sum(-1, keepdim=True)
