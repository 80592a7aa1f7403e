"""What a search asks, answered by a table."""

from dataclasses import dataclass
from random import Random
from typing import Protocol

from mixop.core.errors import DataError
from mixop.core.measure import Measure
from mixop.spaces.core import Architecture


class Queried(Protocol):
    """What a table has to offer; `mixop.tables.SearchTable` does."""

    @property
    def measure(self) -> Measure:
        """What its values are, and which of two is better; shares are kept in percent."""
        ...

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of training, in epochs."""
        ...

    def index(self, architecture: Architecture, /) -> int:
        """The row of an architecture."""
        ...

    def seeds(self, epochs: int | None = None, /) -> tuple[int, ...]:
        """The seeds of single runs; empty where only means are known."""
        ...

    def query(
        self, architecture: Architecture, /, *, epochs: int | None = None, seed: int | None = None, after: int | None = None
    ) -> float:
        """The value of a training, by one run or the mean of all, at its end or after some of its epochs."""
        ...

    def seconds(
        self, architecture: Architecture, /, *, epochs: int | None = None, seed: int | None = None, after: int | None = None
    ) -> float:
        """What that training, or so much of it, and its validation cost, in seconds."""
        ...


@dataclass(frozen=True)
class TableObjective:
    """Looks up what a training would have given and cost.

    Args:
        table: the part of a benchmark that a search may see.
        seed: draws, for each architecture, one of its runs, as the published searches do; None takes the mean of all, which
            is less noisy than any training. An architecture that is asked for again has the same run.
    """

    table: Queried
    seed: int | None = None

    @property
    def measure(self) -> Measure:
        """What its values are, and which of two is better."""
        return self.table.measure

    def __call__(self, architecture: Architecture, epochs: int) -> tuple[float, float]:
        """Value in the unit of the measure and simulated seconds of a training of this number of epochs.

        Where the table has trainings of one length only, a shorter one is that training, stopped early.

        Raises:
            DataError: if the table does not know such trainings.
            SpaceError: if the architecture is not in the table.
        """
        lengths = self.table.lengths
        length, after = (lengths[0], epochs) if len(lengths) == 1 and epochs != lengths[0] else (epochs, None)
        runs = list(self.table.seeds(length)) if self.seed is not None else []
        Random(f"{self.seed}/{self.table.index(architecture)}/{length}").shuffle(runs)
        for run in runs:
            try:
                return self._look_up(architecture, length, run, after)
            except DataError:  # this architecture had fewer runs than others
                continue
        return self._look_up(architecture, length, None, after)

    def _look_up(self, architecture: Architecture, epochs: int, run: int | None, after: int | None) -> tuple[float, float]:
        what = {"epochs": epochs, "seed": run, "after": after}
        return self.table.query(architecture, **what) / self.measure.scale, self.table.seconds(architecture, **what)
