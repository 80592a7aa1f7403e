"""Figures of a comparison: every run as a dot, and what happened inside the searches."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from mixop.core.measure import Measure
from mixop.report.plots import NARROW, blank, themed, to_svg
from mixop.report.words import direction

ROW = 24.0  # units of the page for a method
LONGEST = 24  # letters of a name
PANEL = (4.1, 2.1)  # inches of a method's curves


@dataclass(frozen=True)
class Dots:
    """The runs of a method: its name, scores, times in seconds, and whether it is random search."""

    name: str
    scores: Sequence[float]
    seconds: Sequence[float]
    random: bool = False


def dots(rows: Sequence[Dots], measure: Measure, *, description: str) -> str:
    """The score of every run as a dot; a bar from mean - sd to mean + sd.

    Args:
        rows: the methods, from top to bottom.
        measure: what the scores are.
        description: the figure in words.

    Returns:
        An ``<svg>`` element.
    """
    with matplotlib.rc_context():
        figure, axes = _rows(rows, [row.scores for row in rows], f"Score of each run{_direction(measure)}")
        scores = [score for row in rows for score in row.scores]
        if scores:
            low, high = _around(min(scores), max(scores))
            axes.set_xlim((max(-0.04, low), min(1.04, high)) if measure.style == "percent" else (low, high))
        axes.xaxis.set_major_formatter(_ticks(measure))
        axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        return to_svg(figure, description)


def times(rows: Sequence[Dots], *, description: str) -> str:
    """The time of every search in the same way.

    Args:
        rows: the methods, from top to bottom.
        description: the figure in words.

    Returns:
        An ``<svg>`` element.
    """
    with matplotlib.rc_context():
        figure, axes = _rows(rows, [row.seconds for row in rows], "Time of each search")
        seconds = [second for row in rows for second in row.seconds if second > 0]
        if seconds and max(seconds) > 8 * min(seconds):
            axes.set_xscale("log")
            axes.xaxis.set_minor_locator(NullLocator())
            axes.xaxis.set_major_locator(
                LogLocator(subs=(1.0, 3.0) if max(seconds) < 100 * min(seconds) else (1.0,), numticks=5)
            )
        elif seconds:
            axes.set_xlim(0, 1.08 * max(seconds))
            axes.xaxis.set_major_locator(MaxNLocator(4))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f} s" if value >= 1000 else f"{value:.3g} s"))
        return to_svg(figure, description)


def _rows(rows: Sequence[Dots], values: Sequence[Sequence[float]], title: str) -> tuple[Figure, Axes]:
    """A figure with a row of dots for every method, whose limits and ticks are still to come."""
    names = [row.name if len(row.name) <= LONGEST else f"{row.name[: LONGEST - 1]}…" for row in rows]
    left, height = 6.2 * max(map(len, names)) + 16, ROW * len(rows) + 46
    frame = (left / NARROW, 24 / height, (NARROW - left - 16) / NARROW, 1 - 44 / height)
    figure, axes = blank(NARROW / 72, height / 72, frame)
    for place, (row, name, of) in enumerate(zip(rows, names, values, strict=True)):
        _runs(axes, place, of, themed("rival" if row.random else "accent"))
        axes.annotate(
            name, (0, place), xycoords=("axes fraction", "data"), xytext=(-10, 0), textcoords="offset points",
            ha="right", va="center", color=themed("ink"), fontsize=10, weight="bold" if row.random else "normal",
        )  # fmt: skip
    axes.set_ylim(len(rows) - 0.45, -0.55)
    axes.yaxis.set_major_locator(FixedLocator([]))
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x", color=themed("grid"), linewidth=0.8)
    axes.hlines(np.arange(len(rows) - 1) + 0.5, 0, 1, transform=axes.get_yaxis_transform(), color=themed("grid"), linewidth=0.5)
    axes.set_title(title, loc="left", fontsize=9.5, color=themed("muted"), pad=6)
    return figure, axes


def _runs(axes: Axes, row: int, values: Sequence[float], colour: str) -> None:
    """The runs of one method; equal ones stand one above the other."""
    if not values:
        return
    mean = float(np.mean(values))
    spread = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    axes.plot((mean - spread, mean + spread), (row, row), color=colour, linewidth=5, alpha=0.22, solid_capstyle="butt")
    axes.plot((mean, mean), (row - 0.34, row + 0.34), color=colour, linewidth=2)
    places, times = np.unique(np.round(values, 6), return_counts=True)
    for place, count in zip(places, times, strict=True):
        step = min(0.16, 0.7 / count)
        heights = row + step * (np.arange(count) - (count - 1) / 2)
        axes.plot([place] * int(count), heights, "o", color=colour, markersize=4.5, markeredgewidth=0, alpha=0.75)


def inside(epochs: Sequence[int], entropy: np.ndarray, skips: np.ndarray, *, description: str) -> str:
    """Entropy and skip share of a method's searches: each run thin, the mean over runs bold.

    Args:
        epochs: the T epochs.
        entropy: ``(S, T)`` for S runs, as a share of the largest entropy, NaN where unknown.
        skips: ``(S, T)``, mixing weight on skip connections, NaN where unknown.
        description: the figure in words.

    Returns:
        An ``<svg>`` element.
    """
    with matplotlib.rc_context():
        figure, axes = blank(*PANEL, (0.115, 0.205, 0.86, 0.765))
        for values, name in ((entropy, "accent"), (skips, "op-skip")):
            for run in values:
                axes.plot(list(epochs), run, color=themed(name), linewidth=0.8, alpha=0.35)
            axes.plot(
                list(epochs), mean_over_runs(values), color=themed(name), linewidth=2.2, marker="o" if len(epochs) == 1 else ""
            )
        axes.set_ylim(-0.02, 1.03)
        axes.yaxis.set_major_locator(FixedLocator([0, 0.5, 1]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.0f} %"))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch", color=themed("muted"))
        axes.grid(axis="y", color=themed("grid"), linewidth=0.8)
        return to_svg(figure, description)


def anytime(
    epochs: Sequence[int],
    scores: np.ndarray,
    limits: tuple[float, float],
    rival: float | None,
    measure: Measure,
    *,
    description: str,
) -> str:
    """What a method's searches would have given after each epoch: each run thin, the mean over runs bold.

    Args:
        epochs: the T epochs.
        scores: ``(S, T)`` for S runs, NaN where unknown.
        limits: smallest and largest score of the figure, the same for all methods.
        rival: mean score of random search, a dashed line; None for no line.
        measure: what the scores are.
        description: the figure in words.

    Returns:
        An ``<svg>`` element.
    """
    with matplotlib.rc_context():
        figure, axes = blank(*PANEL, (0.145, 0.205, 0.83, 0.685))
        if rival is not None:
            axes.axhline(rival, color=themed("rival"), linewidth=1, linestyle=(0, (4, 3)))
        for run in scores:
            axes.plot(list(epochs), run, color=themed("accent"), linewidth=0.8, alpha=0.35)
        marker = "o" if len(epochs) == 1 else ""
        axes.plot(list(epochs), mean_over_runs(scores), color=themed("accent"), linewidth=2.2, marker=marker)
        axes.set_ylim(*_around(*limits))
        axes.set_title("Score after each epoch", loc="left", fontsize=9.5, color=themed("muted"), pad=6)
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(_ticks(measure))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
        axes.set_xlabel("epoch", color=themed("muted"))
        axes.grid(axis="y", color=themed("grid"), linewidth=0.8)
        return to_svg(figure, description)


def _around(low: float, high: float) -> tuple[float, float]:
    """Limits of an axis with some air; a single value stands in the middle."""
    air = 0.04 * (high - low) or 0.004 * (max(abs(low), abs(high)) or 1.0)
    return low - air, high + air


def _ticks(measure: Measure) -> FuncFormatter:
    """Numbers at an axis of scores, with their unit."""
    return FuncFormatter(lambda value, _: f"{measure.scale * value:.4g}{measure.suffix}")


def _direction(measure: Measure) -> str:
    words = direction(measure)
    return f", {words}" if words else ""


def mean_over_runs(values: np.ndarray) -> np.ndarray:
    """Means ``(T,)`` of ``(S, T)`` over the runs that know a value, NaN where none does."""
    known = np.isfinite(values)
    count = known.sum(axis=0)
    return np.where(count, np.where(known, values, 0).sum(axis=0) / np.maximum(count, 1), np.nan)
