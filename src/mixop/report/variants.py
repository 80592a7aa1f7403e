"""Curves of several variants, each with several runs: every run thin, the mean over runs bold."""

from collections.abc import Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogFormatter, MaxNLocator

from mixop.report.comparison_plots import mean_over_runs
from mixop.report.plots import MARKED, legend_above, line_plot, themed, to_svg

# Alternately solid and dashed, so that they differ without colours too.
STYLES = tuple(
    (colour, dashes)
    for pair in (("accent", "second"), ("op-pool", "op-dilated"), ("op-pointwise", "op-none"), ("op-other", "op-separable"))
    for colour, dashes in zip(pair, ("-", (0, (4, 2))), strict=True)
)


class Plain(LogFormatter):
    """Numbers as people write them: the usual ones are TeX, or 6e-01."""

    def __call__(self, x: float, pos: int | None = None) -> str:
        """What stands at a place; nothing where a label would be in the way of others."""
        return f"{x:.6g}" if super().__call__(x, pos) else ""


def variants(
    x: Sequence[float],
    series: Mapping[str, np.ndarray],
    *,
    description: str,
    along: str,
    percent: bool = False,
    log: bool = False,
    names: Sequence[str] = (),
) -> str:
    """Draws them.

    Args:
        x: the T places.
        series: by variant, ``(S, T)`` for S runs, NaN where unknown.
        description: the figure in words.
        along: what ``x`` is.
        percent: whether values are shares, shown in percent.
        log: whether the axis of values is logarithmic; values that are not above 0 are left out of it.
        names: of the places; empty for their numbers. A single place is said below the axis, and variants stand side by side.

    Returns:
        An ``<svg>`` element.
    """
    with matplotlib.rc_context():
        at_one_place = len(x) == 1 and len(series) > 1
        named = len(series) > 1 and not at_one_place
        figure, axes, columns = line_plot(list(series) if named else [])
        looks = zip(series.items(), STYLES * (1 + len(series) // len(STYLES)), strict=False)
        together = {name: (np.where(values > 0, values, np.nan) if log else values, look) for (name, values), look in looks}
        if at_one_place:
            _side_by_side(axes, together)
        else:
            _curves(axes, x, together)
        if log:
            axes.set_yscale("log")
            axes.yaxis.set_major_formatter(Plain())
            axes.yaxis.set_minor_formatter(Plain())
            axes.tick_params(which="minor", colors=themed("muted"), width=0.8)
        if percent:
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        if at_one_place:
            along = names[0] if names else f"{along} {x[0]:g}"
        elif names:
            axes.set_xticks(list(x), names)
        elif all(float(place).is_integer() for place in x):
            axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.set_xlabel(along, color=themed("muted"))
        axes.grid(axis="y", color=themed("grid"), linewidth=0.8)
        if named:
            legend_above(axes, columns, handlelength=1.9)
        return to_svg(figure, description)


Looks = Mapping[str, tuple[np.ndarray, tuple[str, Any]]]
"""What is drawn of every variant, and its colour and dashes."""


def _curves(axes: Axes, x: Sequence[float], together: Looks) -> None:
    for name, (shown, (colour, dashes)) in together.items():
        style = {"color": themed(colour), "linestyle": dashes}
        if len(shown) > 1:
            for run in shown:
                axes.plot(list(x), run, linewidth=0.7, alpha=0.35, **style)
        marker = "o" if len(x) <= MARKED else ""
        axes.plot(list(x), mean_over_runs(shown), label=name, linewidth=2.0, marker=marker, markersize=3.5, **style)


def _side_by_side(axes: Axes, together: Looks) -> None:
    """What is known at one place only: a point for every run, a stroke for their mean, the variants beside each other."""
    for place, (shown, (colour, _)) in enumerate(together.values()):
        axes.plot([place] * len(shown), shown[:, 0], "o", color=themed(colour), markersize=3.5, alpha=0.5)
        axes.plot([place], mean_over_runs(shown), "_", color=themed(colour), markersize=22, markeredgewidth=2.0)
    axes.set_xticks(range(len(together)), list(together))
    axes.set_xlim(-0.6, len(together) - 0.4)
