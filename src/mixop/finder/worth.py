"""Whether a search is worth its time, or whether training gains more by it."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from mixop.core.measure import Measure
from mixop.finder.contender import Trial
from mixop.finder.verdict import counted, noise


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


def worth(
    trials: Sequence[Trial], longer: Trial, measure: Measure, *, left: float, search: float, examples: int
) -> Worth | None:
    """What a search and as much training may gain, from trainings that were made.

    A network's score grows with the logarithm of its epochs, less and less: so what it gained by doubling them, from its first
    trial to its longer one, times the doublings that the time of a search would add, is more than training gains. What known
    networks differ by, the best of them from the median, beyond what equal ones would differ by on so many examples, stands for
    what another network may gain.

    Args:
        trials: of the first round, the best first, for equal times.
        longer: of the best of them, or the second best, in the second round.
        measure: that ranks.
        left: seconds that are left, > 0.
        search: seconds of the search and of the trials of what it finds, below ``left``.
        examples: that were scored.

    Returns:
        None where nothing can be said: a value is missing, or the second training was not longer.
    """
    before = next((trial for trial in trials if trial.label == longer.label), None)
    values = [value for trial in trials if (value := trial.measures[measure.name]) is not None]
    if before is None or longer.measures[measure.name] is None or len(values) < len(trials) or not 0 < search < left:
        return None
    doublings = math.log2(longer.epochs / before.epochs)
    if doublings <= 0:
        return None
    each = (measure.rank(longer.measures[measure.name]) - measure.rank(before.measures[measure.name])) / doublings
    ranks = [measure.rank(value) for value in values]
    spread = max(ranks) - statistics.median(ranks) - _by_chance(values, measure, examples)
    return Worth(training=max(0.0, each) * math.log2(left / (left - search)), searching=max(0.0, spread))


def _by_chance(values: Sequence[float], measure: Measure, examples: int) -> float:
    """How far the best of equal networks lies above their median, on average, by chance; 0 where that is unknown.

    The largest of k normal values, by Blom's approximation of their mean: quantile (k - 3/8) / (k + 1/4). The median is 0 on
    average. Networks tend to fail on the same examples, so it is less in truth.

    Source: Blom 1958 (Statistical Estimates and Transformed Beta-Variables), chapter 6.
    """
    if len(values) < 2 or not counted(measure, *values):
        return 0.0
    places = len(values)
    return noise((statistics.median(values),), examples) * statistics.NormalDist().inv_cdf((places - 0.375) / (places + 0.25))
