"""What a monitor is: it looks at a search after every epoch and may end it or send it back."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Protocol

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.types import Mix, Params
from mixop.derive.base import Norm
from mixop.relax.base import Relaxation
from mixop.runs.records import Column
from mixop.spaces.core import Architecture, Space


class View(Protocol):
    """What a monitor sees of a search, and the memory that it may write to.

    Attributes:
        epoch: the epoch that has just finished, counted from 0.
        epochs: epochs of the whole search.
        params: architecture parameters by group.
        space: the search space.
        memory: what monitors carry from epoch to epoch, by ``ClassName.what``; part of the checkpoint, so that it goes back
            in time with a `Restart`.
        weight_decay: of the network weights, as it is now.
        learning_rate: of the network weights, in the last step.
        added_skip: weight of the skip connection that wraps add beside the options of every edge, >= 0; 0 without one.
        generator: CPU source of randomness, part of the checkpoint.
    """

    @property
    def epoch(self) -> int: ...
    @property
    def epochs(self) -> int: ...
    @property
    def params(self) -> Params: ...
    @property
    def space(self) -> Space: ...
    @property
    def memory(self) -> dict[str, Tensor]: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def added_skip(self) -> float: ...
    @property
    def generator(self) -> Generator: ...

    def mean(self) -> Mapping[str, Tensor]:
        """Mean mixing weights ``(E, O)`` of every group, without gradient."""
        ...

    def draw(self) -> str:
        """An architecture sampled from the relaxation with `generator`, in its native notation.

        Of a draw, the option of largest weight in every decision; see `mixop.derive.base.Trained.draw`.
        """
        ...

    def architecture(self) -> str:
        """The architecture derived now, in its native notation."""
        ...

    def history(self, epoch: int) -> str:
        """The architecture derived after a finished epoch, in its native notation; ``history(epoch)`` is the present one."""
        ...

    def valid_loss(self, params: Params, batches: int = 1) -> Tensor:
        """The loss of fixed validation batches under the mean mixing weights of ``params``.

        In train mode, with weights and batch norm buffers left alone; differentiable twice in ``params``. Where the split has
        fewer whole batches, those it has are taken.
        """
        ...

    def mix_loss(self, mix: Mix, batches: int = 1) -> Tensor:
        """The loss of the same batches under given mixing weights, taken in the same way; differentiable twice in ``mix``."""
        ...

    def draw_loss(self, params: Params) -> Tensor:
        """The loss of one batch under one draw of the relaxation instead of the mean; the same draw throughout an epoch."""
        ...

    def gap(self) -> float | None:
        """How much better the supernet is on the validation part than, with its weights, the architecture derived now.

        In the unit of the task's first measure, a share for accuracies; None where a search holds out no validation examples.
        """
        ...

    def worth(self, architecture: Architecture, batches: int | None = None, norm: Norm = "batch") -> float:
        """The task's first measure of an architecture with the shared weights, on the validation part; larger is better.

        Args:
            architecture: of the space as it is now.
            batches: how many batches of the recipe's size, from the first; None for all.
            norm: what batch norm uses.
        """
        ...


@dataclass(frozen=True)
class Continue:
    """The search continues."""


@dataclass(frozen=True)
class Stop:
    """The search ends, with an architecture in its native notation as the result."""

    native: str


@dataclass(frozen=True)
class Restart:
    """The search goes back to the end of ``epoch`` (everything, memories included) and continues with another weight decay."""

    epoch: int
    weight_decay: float


Action = Continue | Stop | Restart


class Monitor(ABC):
    """Base of all monitors; subclasses are frozen dataclasses whose only state is ``view.memory``.

    Attributes:
        needs: names of the regularisers whose memory it reads.
        norms: what batch norm uses where it scores architectures.
    """

    needs: ClassVar[tuple[str, ...]] = ()
    norms: tuple[Norm, ...] = ()

    @property
    def second_derivatives(self) -> bool:
        """Whether autograd differentiates the loss twice."""
        return False

    @abstractmethod
    def __call__(self, view: View) -> Action:
        """Looks at the epoch that has just finished and says whether the search continues; called once an epoch."""

    def columns(self, view: View) -> Mapping[str, Column]:
        """The columns of this epoch's record; called after the monitor itself, changes nothing."""
        return {}

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        """Refuses a search that it cannot watch.

        Args:
            relaxation: the search's relaxation.
            space: its space.
            weight_decay: of its network weights at the start.

        Raises:
            RecipeError: naming the monitor and the misfit.
        """
        return

    @property
    def lookback(self) -> int:
        """How many epochs back a `Restart` of this monitor may go; 0 if it never asks for one."""
        return 0


def check_whole(name: str, value: int, least: int) -> None:
    """Refuses a setting that is not a whole number of at least ``least``.

    Raises:
        RecipeError: with the name and the value.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise RecipeError(f"{name} must be a whole number of at least {least}, got {value!r}.")


def remember(view: View, key: str, value: float) -> list[float]:
    """Appends a number to the series of that key in the view's memory.

    Args:
        view: whose memory is written to.
        key: ``ClassName.what``.
        value: may be NaN, for what could not be measured.

    Returns:
        The whole series.
    """
    series = [*recall(view, key), value]
    view.memory[key] = torch.tensor(series, dtype=torch.float64)
    return series


def recall(view: View, key: str) -> list[float]:
    """The series of that key, empty if nothing was remembered."""
    return view.memory[key].tolist() if key in view.memory else []


def latest(view: View, key: str, *, measured: bool = True) -> float | None:
    """The last number of a series, as a column: None if it is not finite, or nothing was measured now."""
    series = recall(view, key) if measured else []
    return series[-1] if series and math.isfinite(series[-1]) else None
