"""No architecture gradient: only the shared weights are trained."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from mixop.bilevel.base import Problem, Scheme
from mixop.core.types import Batch, Params


@dataclass(frozen=True, kw_only=True)
class Frozen(Scheme):
    """The architecture parameters stay where they begin; the engine takes no architecture step and draws no batch for one.

    Random search with weight sharing is this scheme with `Uniform` draws and `BestSampled`.

    Source: Li & Talwalkar 2019 (arXiv:1902.07638), section 3.2.
    """

    searches: ClassVar[bool] = False

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        return {name: torch.zeros_like(value) for name, value in params.items()}
