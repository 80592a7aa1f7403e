"""Long curves with few points: what a figure of some hundred pixels can show, and no more."""

from collections.abc import Sequence

import numpy as np

POINTS = 6000
"""Points of all curves of a figure together; each pixel of a plot's width then has several."""

FEWEST = 60
"""Points that a curve keeps at least, however many there are."""

COLUMNS = 280
"""Columns of a picture of weights: two for each unit of its width."""


def extremes(epochs: Sequence[int], values: np.ndarray, most: int) -> tuple[list[int], np.ndarray]:
    """A curve that looks the same with fewer points: of every bucket of epochs the smallest and the largest value.

    The first and the last point stay. A bucket without any value stays a gap.

    Args:
        epochs: ``(T,)``.
        values: ``(T,)``, NaN for gaps.
        most: points, about, >= 2; a curve that has no more is returned as it is.
    """
    count = len(values)
    if count <= most:
        return list(epochs), values
    size = -(-count // (most // 2))
    buckets = -(-count // size)
    grid = np.concatenate([values, np.full(buckets * size - count, np.nan)]).reshape(buckets, size)
    known = np.isfinite(grid)
    begin = size * np.arange(buckets)
    lowest = begin + np.where(known, grid, np.inf).argmin(1)
    highest = begin + np.where(known, grid, -np.inf).argmax(1)
    kept = np.unique(np.concatenate([[0, count - 1], lowest, highest]))
    return [epochs[index] for index in kept.tolist()], values[kept]


def columns(weights: np.ndarray, most: int = COLUMNS) -> np.ndarray:
    """Weights over time with fewer steps: means over buckets of nearly equal length.

    Args:
        weights: ``(T, O)``, NaN where unknown.
        most: steps, >= 1; fewer are returned as they are.

    Returns:
        ``(min(T, most), O)``, NaN where a whole bucket is unknown.
    """
    if len(weights) <= most:
        return weights
    edges = np.linspace(0, len(weights), most, endpoint=False).astype(int)
    known = np.isfinite(weights)
    sums = np.add.reduceat(np.where(known, weights, 0.0), edges)
    counts = np.add.reduceat(known.astype(float), edges)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)
