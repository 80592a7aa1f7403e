"""What a search asks, answered by a table."""

from dataclasses import dataclass
from random import Random
from typing import Protocol

from mixop.errors import DataError
from mixop.spaces.core import Architecture


class Queried(Protocol):
    """What a table has to offer; `mixop.benchmarks.SearchTable` does."""

    def index(self, architecture: Architecture, /) -> int:
        """The row of an architecture."""
        ...

    def seeds(self, epochs: int | None = None, /) -> tuple[int, ...]:
        """The seeds of single runs; empty where only means are known."""
        ...

    def query(self, architecture: Architecture, /, *, epochs: int | None = None, seed: int | None = None) -> float:
        """The score of a training in percent, by one run or the mean of all."""
        ...

    def seconds(self, architecture: Architecture, /, *, epochs: int | None = None, seed: int | None = None) -> float:
        """What that training and its validation cost, in seconds."""
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

    def __call__(self, architecture: Architecture, epochs: int) -> tuple[float, float]:
        """Score in percent and simulated seconds of a training of so many epochs.

        Raises:
            DataError: if the table does not know such trainings.
            SpaceError: if the architecture is not in the table.
        """
        runs = list(self.table.seeds(epochs)) if self.seed is not None else []
        Random(f"{self.seed}/{self.table.index(architecture)}/{epochs}").shuffle(runs)
        for run in runs:
            try:
                return self._look_up(architecture, epochs, run)
            except DataError:  # this architecture had fewer runs than others
                continue
        return self._look_up(architecture, epochs, None)

    def _look_up(self, architecture: Architecture, epochs: int, run: int | None) -> tuple[float, float]:
        score = self.table.query(architecture, epochs=epochs, seed=run)
        return score, self.table.seconds(architecture, epochs=epochs, seed=run)
