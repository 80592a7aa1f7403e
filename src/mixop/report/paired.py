"""Whether two methods differ, judged by their runs with the same seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from mixop.core.measure import Measure

LARGEST = 16
"""Differences up to which all signs are tried; of more, a fixed draw of signs is."""


@dataclass(frozen=True)
class Paired:
    """One method against another, seed by seed.

    Args:
        difference: mean of the first one's score less the second one's, in the unit of the scores.
        better: whether the first one is better on average; with scores that are better when lower, the difference is then
            below 0.
        n: seeds that both have a score for.
        p: see `sign_flip`.
    """

    difference: float
    better: bool
    n: int
    p: float


def compared(differences: Sequence[float], measure: Measure) -> Paired:
    """What differences of scores say, seed by seed.

    Args:
        differences: of the first one's score less the second one's, one for each seed, at least one.
        measure: what the scores are, and which of two is better.
    """
    mean = fmean(differences)
    return Paired(mean, measure.beats(mean, 0.0), len(differences), sign_flip(differences))


def sign_flip(differences: Sequence[float]) -> float:
    """Two-sided p-value of a mean difference: the share of sign patterns with a mean at least as far from 0.

    If both methods were the same, each pair's difference would be as likely of the other sign. Nothing is assumed of their
    distribution. ``n`` pairs give no p below ``2 / 2**n``.

    Args:
        differences: one for each pair, at least one.

    Source: Fisher 1935, The Design of Experiments, section 21.
    """
    values = np.asarray(differences, dtype=np.float64)
    n = len(values)
    if n <= LARGEST:
        signs = 1 - 2 * ((np.arange(2**n)[:, None] >> np.arange(n)) & 1)
    else:
        drawn = np.random.default_rng(0).integers(0, 2, size=(2**LARGEST, n))
        signs = np.concatenate([np.ones((1, n), dtype=np.int64), 1 - 2 * drawn])  # what was observed is one of the patterns
    means = np.abs(signs @ values)
    slack = 1e-9 * np.abs(values).sum()  # equal sums in another order of additions
    return float((means >= abs(values.sum()) - slack).mean())
