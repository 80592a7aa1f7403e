"""What a task is: what a network is for. Its loss, what it is measured by, and how many numbers it gives.

Engine, schemes, derivations, searchers, tables, reports and screens speak of a task's first measure and of its direction, and
never of accuracy.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.core.measure import Measure, Number


class Totals(ABC):
    """Sums over examples that add up exactly, however the examples are divided into batches.

    They are kept in float64 and on the CPU, and survive a checkpoint.
    """

    @abstractmethod
    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor | None = None) -> None:
        """Adds a batch.

        Args:
            outputs: what the network gave, ``(B, K)`` or ``(B, K, *positions)``; no gradient is kept.
            targets: what was right, on the same device.
            loss: what the task's loss gave for this batch, a scalar, to save computing it again. It has been rounded to
                its dtype, so only without it are the sums the same for every division into batches.
        """

    @abstractmethod
    def value(self) -> dict[str, Number]:
        """Every measure of the task by its name; None for all before the first example."""

    def value_later(self) -> Mapping[str, Number]:
        """`value` as it is now, for one who may not look into it: then nobody has to wait for a device."""
        return self.value()

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Everything, as numbers and tensors."""

    @abstractmethod
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from where `state_dict` was taken."""

    def details(self) -> dict[str, Any]:
        """What a report shows besides, as JSON data: a confusion matrix under ``confusion`` for example."""
        return {}


@dataclass(frozen=True)
class Task(ABC):
    """What a network is for, as a value that survives JSON. Subclasses are frozen dataclasses.

    Attributes:
        name: the word for it on the command line.
        classes: names of the classes; empty where there are none.
        dense: whether there is an output at every position (pixel, time step) of the input.
    """

    asked: ClassVar[str] = "a task such as mixop.tasks.Regression()"

    name: ClassVar[str]
    gives: ClassVar[str] = "outputs"
    """The word for what `readable` gives."""

    # Fixed by the class, unless a subclass makes a setting of it: a field of the same name without `init=False`.
    classes: tuple[str, ...] = field(default=(), init=False, repr=False, compare=False)
    dense: bool = field(default=False, init=False, repr=False, compare=False)

    @property
    def draws(self) -> bool:
        """Whether the loss may draw random numbers; so may that of any task outside of mixop, unless it says otherwise."""
        return not type(self).__module__.startswith("mixop.")

    @property
    @abstractmethod
    def measures(self) -> tuple[Measure, ...]:
        """What it is measured by; the first one ranks networks, and one of them is called ``loss``."""

    @property
    @abstractmethod
    def outputs(self) -> int:
        """Numbers that a network gives for every example, or every position: K."""

    @abstractmethod
    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The mean loss of a batch, a scalar to differentiate.

        Args:
            outputs: ``(B, K)``, or ``(B, K, *positions)`` where the task is dense.
            targets: of the batch, as `check` wants them.
        """

    @abstractmethod
    def totals(self, *, details: bool = False) -> Totals:
        """Empty sums.

        Args:
            details: whether to count what only a report shows, such as the confusion of classes.
        """

    @abstractmethod
    def predict(self, outputs: Tensor) -> Tensor:
        """What the outputs say, for a person or a program: class numbers, values in the unit of the targets."""

    def readable(self, outputs: Tensor) -> Tensor:
        """The outputs in numbers that need no further formula, of the same shape: probabilities, or values in their unit."""
        return outputs

    def stored(self, targets: Tensor, where: str = "the data") -> Tensor:
        """Targets in the dtype that the task keeps, before `check`; what cannot be right is left for `check` to refuse.

        Args:
            targets: of all examples, ``(N, ...)``.
            where: what they are called in messages.

        Raises:
            DataError: if they would lose what matters.
        """
        return targets

    @abstractmethod
    def check(self, targets: Tensor, where: str) -> None:
        """Refuses targets that are none of this task.

        Args:
            targets: of all examples, ``(N, ...)``.
            where: what they are called in messages.

        Raises:
            DataError: with what was expected and what came.
        """

    def complete(self, targets: Tensor) -> Self:
        """The task with what it leaves open taken from the training targets: class names, the scale of values."""
        return self

    def smoothed(self, amount: float) -> Self:
        """The task with smoothed targets, for training only; 0 changes nothing.

        Raises:
            RecipeError: if its targets cannot be smoothed.
        """
        if amount:
            raise RecipeError(f"Label smoothing is for classification, but the task is {self.name}: set it to 0.")
        return self

    @property
    def ignored(self) -> int | None:
        """The label of positions that have no class, where targets are masks; None if there is none."""
        return None

    def strata(self, targets: Tensor) -> Tensor | None:
        """A number for every example, ``(N,)`` int64, that splits keep in proportion; None where nothing is to be kept."""
        return None

    @property
    def first(self) -> Measure:
        """The measure that ranks."""
        return self.measures[0]

    def measure(self, name: str) -> Measure:
        """The measure of that name.

        Raises:
            RecipeError: if the task has none.
        """
        for measure in self.measures:
            if measure.name == name:
                return measure
        raise RecipeError(f"The task {self.name} has no measure {name!r}: it has {', '.join(m.name for m in self.measures)}.")
