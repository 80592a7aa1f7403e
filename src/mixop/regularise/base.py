"""What a regulariser is: a term added to the loss of the architecture step."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Generator, Tensor

from mixop.core.types import Mix, Params
from mixop.relax.base import Relaxation
from mixop.spaces.core import Space


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where a search stands in one architecture step: what a regulariser may read.

    Args:
        params: architecture parameters by group.
        relaxation: from parameters to mixing weights.
        space: the search space.
        mix: the mixing weights drawn for this step, by group; the mean mixing weights where nothing is drawn.
        progress: time in [0, 1].
        memory: what parts carry from step to step.
    """

    params: Params
    relaxation: Relaxation
    space: Space
    mix: Mix
    progress: float = 0.0
    memory: Mapping[str, Tensor] = field(default_factory=dict)

    @cached_property
    def mean(self) -> dict[str, Tensor]:
        """The mean mixing weights by group, differentiable in the parameters."""
        return self.relaxation.mean_all(self.params, self.space.groups)


class Regulariser(ABC):
    """A scalar function of the architecture, differentiable; several are summed. Subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, at: Point) -> Tensor:
        """The penalty, a scalar in the unit of the loss (nats)."""

    def check(self, relaxation: Relaxation) -> None:
        """Refuses relaxations that it does not fit.

        Raises:
            RecipeError: naming both.
        """
        return

    def check_space(self, space: Space) -> None:
        """Refuses spaces that it does not fit.

        Raises:
            RecipeError: naming both.
        """
        return

    def initial(self, space: Space, generator: Generator) -> dict[str, Tensor]:
        """Entries of the memory before the first step, for terms that begin with a draw; by default none.

        Args:
            space: the search space.
            generator: of the run, for what is drawn at the start; on the CPU.
        """
        return {}

    def remember(self, at: Point) -> dict[str, Tensor]:
        """New entries of the memory after an architecture step, for terms that adapt; by default none.

        Args:
            at: the point after the step.
        """
        return {}


def total(terms: list[Tensor]) -> Tensor:
    """The sum of scalars, on the device of the first."""
    return torch.stack(terms).sum()
