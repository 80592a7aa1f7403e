"""The figure of a score against a cost."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from mixop.core.measure import Measure
from mixop.report.plots import HEIGHT, WIDTH, blank, themed, to_svg

_COLOURS = ("accent", "second", "rival")


@dataclass(frozen=True)
class Line:
    """Networks that were made in one way: a name for the legend, and their costs and scores ``(T,)``, cheapest first."""

    name: str
    costs: Sequence[float]
    scores: Sequence[float]


def against_cost(lines: Sequence[Line], cost: str, measure: Measure, *, description: str) -> str:
    """Scores against costs, a line for each way to make networks.

    Args:
        lines: at most three, the first on top.
        cost: what is paid, at the axis.
        measure: what the scores are.
        description: the figure in words.

    Returns:
        An ``<svg>`` element.
    """
    costs = [value for line in lines for value in line.costs]
    with matplotlib.rc_context():
        figure, axes = blank(WIDTH, HEIGHT, (0.12, 0.165, 0.85, 0.715))
        for order, (line, colour) in enumerate(zip(lines, _COLOURS, strict=False)):
            axes.plot(
                list(line.costs), list(line.scores), marker="o", markersize=4, linewidth=1.9, label=line.name,
                color=themed(colour), linestyle="-" if order == 0 else (0, (4, 2)), zorder=3 - order / 10,
            )  # fmt: skip
        if max(costs) > 8 * min(costs):
            axes.set_xscale("log")
            axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
            axes.xaxis.set_minor_locator(NullLocator())
        else:
            axes.xaxis.set_major_locator(MaxNLocator(6))
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"))
        axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{measure.scale * value:.4g}{measure.suffix}"))
        axes.set_xlabel(cost, color=themed("muted"))
        axes.grid(axis="y", color=themed("grid"), linewidth=0.8)
        axes.legend(
            loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, frameon=False, labelcolor=themed("ink"),
            borderaxespad=0.2, handlelength=1.8, columnspacing=1.4,
        )  # fmt: skip
        return to_svg(figure, description)
