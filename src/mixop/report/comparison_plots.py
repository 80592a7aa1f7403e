"""Figures of a comparison: every run as a dot, and what happened inside the searches."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from mixop.core.measure import Measure
from mixop.report.plots import blank, themed, to_svg
from mixop.report.words import direction

ROW = 24.0  # units of the page for a method


@dataclass(frozen=True)
class Dots:
    """The runs of a method: its name, scores, times in seconds, and whether it is random search."""

    name: str
    scores: Sequence[float]
    seconds: Sequence[float]
    random: bool = False


def dots(rows: Sequence[Dots], measure: Measure, *, description: str) -> str:
    """Every run as a dot, its score at the left and its time at the right; a bar from mean - sd to mean + sd.

    Args:
        rows: the methods, from top to bottom.
        measure: what the scores are.
        description: the figure in words.

    Returns:
        An ``<svg>`` element.
    """
    left = 6.2 * max(len(row.name) for row in rows) + 16
    width, height = 880.0, ROW * len(rows) + 46
    plot = (width - left - 54) / width
    with matplotlib.rc_context():
        figure, axes = blank(width / 72, height / 72, (left / width, 30 / height, 0.66 * plot, 1 - 50 / height))
        times = figure.add_axes((left / width + 0.66 * plot + 30 / width, 30 / height, 0.34 * plot, 1 - 50 / height))
        for spine in times.spines.values():
            spine.set_color(themed("muted"))
        times.tick_params(colors=themed("muted"), length=3, width=0.8)
        for height_of_row, row in enumerate(rows):
            colour = themed("rival" if row.random else "accent")
            _runs(axes, height_of_row, row.scores, colour)
            _runs(times, height_of_row, row.seconds, colour)
            axes.annotate(
                row.name, (0, height_of_row), xycoords=("axes fraction", "data"), xytext=(-10, 0), textcoords="offset points",
                ha="right", va="center", color=themed("ink"), fontsize=10, weight="bold" if row.random else "normal",
            )  # fmt: skip
        scores = [score for row in rows for score in row.scores]
        if scores:
            low, high = _around(min(scores), max(scores))
            axes.set_xlim((max(-0.04, low), min(1.04, high)) if measure.style == "percent" else (low, high))
        axes.xaxis.set_major_formatter(_ticks(measure))
        axes.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        seconds = [second for row in rows for second in row.seconds if second > 0]
        if seconds and max(seconds) > 8 * min(seconds):
            times.set_xscale("log")
            times.xaxis.set_minor_locator(NullLocator())
            times.xaxis.set_major_locator(
                LogLocator(subs=(1.0, 3.0) if max(seconds) < 300 * min(seconds) else (1.0,), numticks=6)
            )
        elif seconds:
            times.set_xlim(0, 1.08 * max(seconds))
            times.xaxis.set_major_locator(MaxNLocator(4))
        times.xaxis.set_major_formatter(
            FuncFormatter(lambda value, _: f"{value:,.0f} s" if value >= 1000 else f"{value:.3g} s")
        )
        for panel, title in ((axes, f"score of each run{_direction(measure)}"), (times, "time of each search")):
            panel.set_ylim(len(rows) - 0.45, -0.55)
            panel.yaxis.set_major_locator(FixedLocator([]))
            panel.spines["left"].set_visible(False)
            panel.grid(axis="x", color=themed("grid"), linewidth=0.8)
            panel.hlines(
                np.arange(len(rows) - 1) + 0.5, 0, 1, transform=panel.get_yaxis_transform(), color=themed("grid"), linewidth=0.5
            )
            panel.set_title(title, loc="left", fontsize=9.5, color=themed("muted"), pad=6)
        return to_svg(figure, description)


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
        figure, axes = blank(4.1, 1.9, (0.115, 0.13, 0.86, 0.83))
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
        figure, axes = blank(4.1, 1.9, (0.145, 0.13, 0.83, 0.83))
        if rival is not None:
            axes.axhline(rival, color=themed("rival"), linewidth=1, linestyle=(0, (4, 3)))
        for run in scores:
            axes.plot(list(epochs), run, color=themed("accent"), linewidth=0.8, alpha=0.35)
        marker = "o" if len(epochs) == 1 else ""
        axes.plot(list(epochs), mean_over_runs(scores), color=themed("accent"), linewidth=2.2, marker=marker)
        axes.set_ylim(*_around(*limits))
        axes.yaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(_ticks(measure))
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=True, min_n_ticks=1))
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
