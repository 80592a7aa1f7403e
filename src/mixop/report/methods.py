"""What can be said of one method of a comparison from its runs: means, deviations, how often it found the optimum."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from mixop.core.measure import Measure
from mixop.report.verdict import interval

RANDOM = "random"
"""Name of random search among the methods."""


@dataclass(frozen=True)
class SeedRun:
    """One run of a method.

    Args:
        seed: its seed.
        path: its run directory.
        architecture: what it found, in its community's notation; None if it failed.
        seconds: that the search took.
        score: in the unit of the comparison's measure; None if it failed.
        hit: whether it found the optimum; None where that is not known.
        distance: number of decisions that differ from the optimum's.
        trained: architectures that a black-box search trained or looked up; None for others.
        skips: edges of the architecture that are skip connections; None where that was not counted.
        entropy: of the mixing weights at the end of the search, in nats; None where there are none.
        curve: ``(epoch, seconds, score)`` of what the search would have given after each epoch, where a table knows it.
        error: why it failed.
    """

    seed: int
    path: Path
    architecture: str | None = None
    seconds: float | None = None
    score: float | None = None
    hit: bool | None = None
    distance: int | None = None
    trained: int | None = None
    skips: int | None = None
    entropy: float | None = None
    curve: tuple[tuple[int, float, float], ...] = ()
    error: str | None = None


@dataclass(frozen=True)
class Row:
    """All runs of a method; statistics are of those that were scored.

    Args:
        name: of the method.
        measure: what the scores are, and which of two is better.
        runs: its runs, by seed; those not yet done are not among them.
        rival: random search with as much time as a run of the method takes on average, or had; None for random search itself.
    """

    name: str
    measure: Measure
    runs: tuple[SeedRun, ...]
    rival: "Row | None" = None

    @property
    def scores(self) -> list[float]:
        """Scores of the runs that have one."""
        return [run.score for run in self.runs if run.score is not None]

    @property
    def n(self) -> int:
        """Number of scores."""
        return len(self.scores)

    @property
    def failed(self) -> int:
        """Runs that failed."""
        return sum(run.error is not None for run in self.runs)

    @property
    def mean(self) -> float | None:
        """Mean score."""
        return fmean(self.scores) if self.scores else None

    @property
    def deviation(self) -> float | None:
        """Standard deviation of the scores over the runs, of the sample (divided by n - 1); None for fewer than two."""
        return stdev(self.scores) if self.n > 1 else None

    @property
    def best(self) -> float | None:
        """Best score."""
        return max(self.scores, key=self.measure.rank, default=None)

    @property
    def seconds(self) -> float | None:
        """Mean time of a search."""
        known = [run.seconds for run in self.runs if run.seconds is not None]
        return fmean(known) if known else None

    @property
    def trained(self) -> float | None:
        """Mean number of architectures that a black-box search trained."""
        known = [run.trained for run in self.runs if run.trained is not None]
        return fmean(known) if known else None

    @property
    def skips(self) -> float | None:
        """Mean number of skip connections of what was found."""
        known = [run.skips for run in self.runs if run.skips is not None]
        return fmean(known) if known else None

    @property
    def hits(self) -> int | None:
        """Runs that found the optimum; None where it is not known. A run that failed has not found it."""
        return sum(run.hit is True for run in self.runs) if any(run.hit is not None for run in self.runs) else None

    @property
    def rate(self) -> float | None:
        """Share of all runs, failed ones included, that found the optimum."""
        return None if self.hits is None else self.hits / len(self.runs)

    @property
    def rate_interval(self) -> tuple[float, float] | None:
        """Wilson's 95 % interval of the rate."""
        return None if self.rate is None else interval(self.rate, len(self.runs))

    @property
    def found(self) -> dict[str, int]:
        """How often each architecture was found, the most frequent first."""
        counts: dict[str, int] = {}
        for run in self.runs:
            if run.architecture is not None:
                counts[run.architecture] = counts.get(run.architecture, 0) + 1
        return dict(sorted(counts.items(), key=lambda item: -item[1]))


def chosen(candidates: Sequence[Mapping[str, Any]], budget: float, measure: Measure) -> int:
    """Which architecture random search takes when its time is up.

    Args:
        candidates: what it trained in order, with ``seconds`` and ``value``, None where the training diverged.
        budget: seconds; the first one counts in any case.
        measure: what the values are, and which of two is better.

    Returns:
        Index of the best one on the validation split, of equals the first.
    """
    return measure.best({index: candidates[index]["value"] for index in range(fitting(candidates, budget))})


def fitting(candidates: Sequence[Mapping[str, Any]], budget: float) -> int:
    """How many of the trainings fit into the time, at least 1."""
    spent, count = 0.0, 0
    for candidate in candidates:
        spent += candidate["seconds"]
        if spent > budget:
            break
        count += 1
    return max(count, 1)
