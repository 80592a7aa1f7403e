"""How much of the variance of a measurement each of two things explains."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class TwoWay:
    """Sums of squares of a two-way analysis of variance; they add up to the total.

    Args:
        first: between the levels of the first factor.
        second: between those of the second one.
        both: what the levels do together beyond the sum of their effects; with one run for each pair, noise is in it.
        within: between the runs of a pair of levels.
    """

    first: float
    second: float
    both: float
    within: float

    @property
    def total(self) -> float:
        """Of all measurements around their mean."""
        return self.first + self.second + self.both + self.within

    @property
    def shares(self) -> "TwoWay":
        """Each as a share of the total, in [0, 1]; NaN where all measurements are equal."""
        total = self.total or np.nan
        return TwoWay(self.first / total, self.second / total, self.both / total, self.within / total)


def two_way(values: ArrayLike) -> TwoWay:
    """The two-way analysis of variance of a balanced table.

    With means over dots, ``first = B n sum_a (y_a.. - y...)^2``, ``second = A n sum_b (y_.b. - y...)^2``,
    ``both = n sum_ab (y_ab. - y_a.. - y_.b. + y...)^2`` and ``within = sum_abn (y_abn - y_ab.)^2``.

    Args:
        values: ``(A, B, n)`` measurements: A levels of the first factor, B of the second one, n runs of each pair.

    Raises:
        ValueError: if there are not three axes, one is empty, or a value is not finite.

    Source: Fisher 1925, "Statistical Methods for Research Workers", chapter 8.
    """
    table = np.asarray(values, dtype=np.float64)
    if table.ndim != 3 or 0 in table.shape:
        raise ValueError(f"A two-way analysis needs values (A, B, n), none of them 0, got the shape {table.shape}.")
    if not np.isfinite(table).all():
        raise ValueError("A two-way analysis needs a finite value for every run of every pair.")
    if table.min() == table.max():  # else rounding would be divided
        return TwoWay(0.0, 0.0, 0.0, 0.0)
    a, b, n = table.shape
    mean, cells = table.mean(), table.mean(2)
    first, second = cells.mean(1) - mean, cells.mean(0) - mean
    both = cells - mean - first[:, None] - second[None, :]
    return TwoWay(
        first=float(b * n * (first**2).sum()),
        second=float(a * n * (second**2).sum()),
        both=float(n * (both**2).sum()),
        within=float(((table - cells[:, :, None]) ** 2).sum()),
    )
