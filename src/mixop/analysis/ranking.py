"""How far two lists of numbers agree on an order: rank correlations, with ties."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray


def kendall_tau(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Kendall's tau-b: agreeing pairs less disagreeing ones, as a share of the pairs that are no ties.

    ``(C - D) / sqrt((n0 - n1) (n0 - n2))`` with ``n0`` pairs in all, of which ``n1`` are ties in the first list and ``n2`` in
    the second. Takes time that grows with the square of the length: a second for 15,625 numbers.

    Args:
        first: n numbers.
        second: as many; infinite ones count as the largest or the smallest.

    Returns:
        A number in [-1, 1]; None where all numbers of a list are equal, or there are fewer than two.

    Raises:
        ValueError: if the lists differ in length or hold a NaN.

    Source: Kendall 1945, "The treatment of ties in ranking problems", Biometrika 33.
    """
    a, b = _ranks(first, second)
    agreeing = differing_a = differing_b = 0
    for i in range(len(a) - 1):
        left, right = np.sign(a[i + 1 :] - a[i]), np.sign(b[i + 1 :] - b[i])
        agreeing += int((left * right).sum())
        differing_a += np.count_nonzero(left)
        differing_b += np.count_nonzero(right)
    return agreeing / (differing_a * differing_b) ** 0.5 if differing_a and differing_b else None


def tau_of_subsets(
    first: Sequence[float], second: Sequence[float], size: int, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Kendall's tau-b of random subsets: how far it depends on which few things are ranked.

    Without ties its mean over all subsets is tau itself. Where the two orders have nothing to do with one another, its variance
    is ``2 (2m + 5) / (9 m (m - 1))`` for m things: 0.25 is its deviation for ten of them.

    Args:
        first: n numbers.
        second: as many; infinite ones count as the largest or the smallest.
        size: how many are in a subset, from 2 to n, each at most once.
        count: how many subsets.
        rng: draws them.

    Returns:
        ``(count,)`` numbers in [-1, 1]; NaN where all numbers of a list are equal within a subset.

    Raises:
        ValueError: if the lists differ in length or hold a NaN, or the size is out of range.

    Source: Kendall 1938, "A new measure of rank correlation", Biometrika 30.
    """
    a, b = _ranks(first, second)
    if not 2 <= size <= len(a):
        raise ValueError(f"A subset of {len(a)} things has 2 to {len(a)} of them, got {size}.")
    one, other = (np.sign(ranks[:, None] - ranks[None, :]) for ranks in (a, b))
    found = np.full(count, np.nan)
    for number in range(count):
        at = rng.choice(len(a), size, replace=False)
        left, right = one[np.ix_(at, at)], other[np.ix_(at, at)]
        pairs = np.count_nonzero(left) * np.count_nonzero(right)
        if pairs:
            found[number] = (left * right).sum() / pairs**0.5
    return found


def spearman_rho(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Spearman's rho: the correlation of the ranks; equal numbers share the mean of their ranks.

    Args:
        first: n numbers.
        second: as many; infinite ones count as the largest or the smallest.

    Returns:
        A number in [-1, 1]; None where all numbers of a list are equal, or there are fewer than two.

    Raises:
        ValueError: if the lists differ in length or hold a NaN.

    Source: Spearman 1904, "The proof and measurement of association between two things", American Journal of Psychology 15.
    """
    a, b = (ranks - ranks.mean() if len(ranks) else ranks for ranks in _ranks(first, second))
    scale = float((a @ a) * (b @ b)) ** 0.5
    return float(a @ b) / scale if scale else None


def _ranks(first: Sequence[float], second: Sequence[float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The ranks of both lists, from 1; equal numbers share the mean of theirs."""
    if len(first) != len(second):
        raise ValueError(f"A rank correlation is of two lists of one length, got {len(first)} and {len(second)} numbers.")
    found = []
    for values in (np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)):
        if np.isnan(values).any():
            raise ValueError("A rank correlation is of numbers, got NaN among them.")
        _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
        last = np.cumsum(counts)
        found.append((last - (counts - 1) / 2)[at])
    return found[0], found[1]
