"""Figures of scores against costs."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from mixop.core.measure import Measure
from mixop.report.plots import legend_above, line_plot, themed, to_svg

_COLOURS = ("accent", "second", "rival")
_MARKERS = ("o", "s", "^")
"""Of kinds of network, so that they differ without colours too."""


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
        figure, axes, columns = line_plot([line.name for line in lines])
        for order, (line, colour) in enumerate(zip(lines, _COLOURS, strict=False)):
            axes.plot(
                list(line.costs), list(line.scores), marker="o", markersize=4, linewidth=1.9, label=line.name,
                color=themed(colour), linestyle="-" if order == 0 else (0, (4, 2)), zorder=3 - order / 10,
            )  # fmt: skip
        _cost_axis(axes, costs, cost)
        _score_axis(axes, measure)
        legend_above(axes, columns, handlelength=1.8)
        return to_svg(figure, description)


@dataclass(frozen=True)
class Spot:
    """A network in a figure of scores against costs.

    Args:
        label: its name.
        kind: what its colour says.
        cost: what it costs, > 0.
        score: what it scored.
        chosen: whether it has a ring.
    """

    label: str
    kind: str
    cost: float
    score: float
    chosen: bool = False


def best_for_each_cost(spots: Sequence[Spot], measure: Measure) -> list[Spot]:
    """Those that no cheaper or equally cheap network equals, cheapest first: the Pareto front.

    Args:
        spots: networks.
        measure: what the scores are.
    """
    front: list[Spot] = []
    for spot in sorted(spots, key=lambda spot: (spot.cost, -measure.rank(spot.score))):
        if not front or measure.rank(spot.score) > measure.rank(front[-1].score):
            front.append(spot)
    return front


def costs_and_scores(spots: Sequence[Spot], cost: str, measure: Measure, most: float | None = None) -> str:
    """Scores against costs: a dot for each network, a line through the best for each cost.

    Args:
        spots: at least one, of at most three kinds.
        cost: what is paid, at the axis.
        measure: what the scores are.
        most: a limit, an upright line; None for none.

    Returns:
        An ``<svg>`` element.
    """
    front = best_for_each_cost(spots, measure)
    described = ", ".join(f"{spot.label} {measure.written(spot.score)} at {spot.cost:,.4g}" for spot in front)
    with matplotlib.rc_context():
        figure, axes, columns = line_plot(list(dict.fromkeys(spot.kind for spot in spots)))
        axes.plot(
            [spot.cost for spot in front], [spot.score for spot in front], color=themed("muted"), linewidth=1.2, zorder=1
        )  # fmt: skip
        for kind, colour, marker in zip(dict.fromkeys(spot.kind for spot in spots), _COLOURS, _MARKERS, strict=False):
            of = [spot for spot in spots if spot.kind == kind]
            axes.plot(
                [spot.cost for spot in of], [spot.score for spot in of], linestyle="", marker=marker, markersize=5.5,
                color=themed(colour), zorder=2, label=kind,
            )  # fmt: skip
        for spot in (spot for spot in spots if spot.chosen):
            axes.plot(
                [spot.cost], [spot.score], linestyle="", marker="o", markersize=11, markerfacecolor="none",
                markeredgecolor=themed("ink"), markeredgewidth=1.4, zorder=3,
            )  # fmt: skip
        costs = [spot.cost for spot in spots] + ([most] if most else [])
        if most:
            axes.axvline(most, color=themed("muted"), linewidth=1.2, linestyle=(0, (4, 3)), zorder=0)
        _cost_axis(axes, costs, cost)
        _score_axis(axes, measure)
        legend_above(axes, columns, handletextpad=0.3)
        return to_svg(figure, f"{measure.title} against {cost}; the best for each cost: {described}")


def _cost_axis(axes: Axes, costs: Sequence[float], cost: str) -> None:
    if max(costs) > 8 * min(costs):
        axes.set_xscale("log")
        axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=8))
        axes.xaxis.set_minor_locator(NullLocator())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _short(value)))
    axes.set_xlabel(cost, color=themed("muted"))


def _short(value: float) -> str:
    """A number at the axis, short enough for the right edge."""
    if value >= 1e6:
        return f"{value / 1e6:.4g} M"
    return f"{value:,.4g}" if value < 1e4 else f"{value:,.0f}"


def _score_axis(axes: Axes, measure: Measure) -> None:
    if measure.style == "percent":  # no room is left beyond what a share can be
        low, high = axes.get_ylim()
        axes.set_ylim(max(low, -0.01), min(high, 1.01))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{measure.scale * value:.4g}{measure.suffix}"))
    axes.grid(axis="y", color=themed("grid"), linewidth=0.8)
