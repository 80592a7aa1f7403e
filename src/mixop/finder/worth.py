"""Whether a search is worth its time, or whether training gains more by it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mixop.core.measure import Measure
from mixop.finder.contender import Trial


@dataclass(frozen=True)
class Worth:
    """What the time of a search may gain, in the unit of the measure that ranks.

    Args:
        training: if the best known network is trained for that time as well.
        searching: at best, if a better network is found.
    """

    training: float
    searching: float

    @property
    def search(self) -> bool:
        """Whether the search gains at least as much."""
        return self.searching >= self.training


def worth(trials: Sequence[Trial], longer: Trial, measure: Measure, *, left: float, search: float) -> Worth | None:
    """What a search and as much training may gain, from trainings that were made.

    A network's score grows with the logarithm of its epochs, less and less: so what it gained by doubling them, from its first
    trial to its longer one, times the doublings that the time of a search would add, is more than training gains. What known
    networks differ by, the best of them from the median, stands for what another network may gain.

    Args:
        trials: of the first round, the best first, for equal times.
        longer: of the best of them, or the second best, in the second round.
        measure: that ranks.
        left: seconds that are left, > 0.
        search: seconds of the search and of the trials of what it finds, below ``left``.

    Returns:
        None where nothing can be said: a value is missing, or the second training was not longer.
    """
    before = next((trial for trial in trials if trial.label == longer.label), None)
    values = [trial.measures[measure.name] for trial in trials]
    if before is None or longer.measures[measure.name] is None or None in values or not 0 < search < left:
        return None
    doublings = math.log2(longer.epochs / before.epochs)
    if doublings <= 0:
        return None
    each = (measure.rank(longer.measures[measure.name]) - measure.rank(before.measures[measure.name])) / doublings
    ranks = [measure.rank(value) for value in values]
    return Worth(training=max(0.0, each) * math.log2(left / (left - search)), searching=max(ranks) - statistics.median(ranks))
