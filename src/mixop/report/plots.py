"""Figures of the report: matplotlib to inline SVG whose colours are the page's variables, so they follow light and dark."""

import base64
import io
import re
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.image import imsave
from matplotlib.textpath import text_to_path
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

from mixop.core.measure import Measure
from mixop.report.palette import ABSENT, KINDS, kind_of
from mixop.report.thin import FEWEST, POINTS, columns, extremes
from mixop.report.words import digits
from mixop.runs.records import FOUND

# Matplotlib draws in these stand-ins, which no real colour uses; afterwards each becomes a variable with its light value.
THEME = {
    "ink": ("#010203", "#1d2430"),
    "muted": ("#010204", "#667085"),
    "grid": ("#010205", "#e4e7ec"),
    "accent": ("#010206", "#2a62c5"),
    "second": ("#010207", "#c2620c"),
    "rival": ("#010208", "#98a2b3"),
    **{f"op-{name}": (f"#0102{16 + index:02x}", kind.light) for index, (name, kind) in enumerate(KINDS.items())},
}
STYLE: dict[Any, Any] = {
    "svg.fonttype": "none",  # text stays text: readable, searchable, in the page's font
    "svg.hashsalt": "mixop",  # the same run gives the same bytes
    "text.parse_math": False,  # a "$" in somebody's operation name is a dollar
    "font.size": 9.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.linewidth": 0.8,
    "lines.solid_capstyle": "round",
}
WIDTH, HEIGHT = 4.7, 2.6  # inches of a line plot; 72 units of the page each, so that letters are large enough on a phone
BELOW, PLOT, ABOVE = 0.48, 1.8, 0.12  # inches of its height: for the axis, for curves at least, and between them and a legend
LEGEND, SAMPLE, LINE = 4.2, 0.54, 0.19  # inches of a legend: its width, a line's sample with what is around it, a row's height
NARROW = 340.0  # units of the page: the width of a figure of rows
MARKED = 12  # up to this many points of up to this many curves are marked as points


@dataclass(frozen=True)
class Curve:
    """One curve: a label for the legend (None to leave it out), epochs ``(T,)``, values ``(T,)`` with NaN for gaps."""

    label: str | None
    epochs: Sequence[int]
    values: np.ndarray
    colour: str = "accent"
    dashed: bool = False
    width: float = 1.9


def lines(
    curves: Sequence[Curve], *, description: str, percent: bool = False, reference: tuple[float, str] | None = None
) -> str:
    """Curves over epochs.

    Args:
        curves: what to draw, later ones on top.
        description: the figure in words, for those who cannot see it.
        percent: whether values are shares in [0, 1], shown in percent.
        reference: a height that no curve is above, and its name, drawn as a dashed horizontal line.

    Returns:
        An ``<svg>`` element.
    """
    with matplotlib.rc_context():
        legend = len(curves) > 1 and any(curve.label for curve in curves)
        figure, axes, columns = line_plot([curve.label for curve in curves if curve.label] if legend else [])
        for curve in curves:
            few = max(len(curve.epochs), len(curves)) <= MARKED
            marker = "o" if few else ("." if np.isfinite(curve.values).sum() == 1 else "")
            style = {
                "color": themed(curve.colour),
                "linewidth": curve.width,
                "linestyle": (0, (4, 2)) if curve.dashed else "-",
            }
            shown = extremes(curve.epochs, curve.values, max(FEWEST, POINTS // len(curves)))
            axes.plot(*shown, marker=marker, markersize=3.5, label=curve.label, **style)
        if reference is not None:
            height, name = reference
            axes.axhline(height, color=themed("muted"), linewidth=1.0, linestyle=(0, (2, 2)))
            axes.annotate(
                name, (1, height), xycoords=("axes fraction", "data"), xytext=(0, 4), textcoords="offset points",
                ha="right", va="bottom", color=themed("muted"), fontsize=8.5,
            )  # fmt: skip
            axes.set_ylim(0, height * 1.15)  # its name stands above it, where no curve is
        elif percent:
            _shares(axes, curves)
        _epoch_axis(axes, [epoch for curve in curves for epoch in curve.epochs])
        if percent:
            axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        axes.grid(axis="y", color=themed("grid"), linewidth=0.8)
        if legend:
            legend_above(axes, columns, handlelength=1.6)
        return to_svg(figure, description)


def heatmap(
    weights: np.ndarray, epochs: Sequence[int], options: Sequence[str], *, description: str, chosen: Sequence[str] = ()
) -> str:
    """Mixing weights of one decision over time: a row for each option, darker for more weight, the last weight beside it.

    Args:
        weights: mixing weights ``(T, O)``, NaN where unknown.
        epochs: the T epochs.
        options: the O operations.
        description: the figure in words.
        chosen: what the found architecture takes, marked.

    Returns:
        An ``<svg>`` element.
    """
    # Written by hand: a page has dozens of these, and with matplotlib most of its time went into them.
    names = [name if len(name) <= 24 else name[:23] + "…" for name in options]
    left = 6.1 * max(map(len, names)) + 22
    plot, right, row, top, bottom = 140.0, 34.0, 16.0, 3.0, 20.0
    width, foot = left + plot + right, top + row * len(options)
    shown = columns(weights)
    pixels = np.zeros((len(options), len(shown), 4))
    for index, option in enumerate(options):
        pixels[index, :, :3] = to_rgb(KINDS[kind_of(option)].light)
    pixels[:, :, 3] = np.clip(np.nan_to_num(shown.T), 0, 1) ** 0.75  # small weights can be seen as well
    body = [
        f'<image x="{left:.1f}" y="{top:.1f}" width="{plot:.1f}" height="{row * len(options):.1f}" preserveAspectRatio="none" '
        f'style="image-rendering: pixelated" href="data:image/png;base64,{_png(pixels)}"/>',
        f'<path d="M{left:.1f} {top:.1f}h{plot:.1f}v{row * len(options):.1f}h{-plot:.1f}z'
        + "".join(f"M{left:.1f} {top + row * index:.1f}h{plot:.1f}" for index in range(1, len(options)))
        + f'" style="fill: none; stroke: {_variable("grid")}; stroke-width: 0.7"/>',
    ]
    for index, (option, name) in enumerate(zip(options, names, strict=True)):
        taken = option in chosen
        y, final = top + row * (index + 0.5) + 3.4, weights[-1, index]
        value = f"{final:.2f}" if np.isfinite(final) else ABSENT
        body += [
            _text(f"▸ {name}" if taken else name, left - 6, y, "end", f"op-{kind_of(option)}", bold=taken),
            _text(value, left + plot + 6, y, "start", "ink", bold=taken),
        ]
    half = plot / len(epochs) / 2
    ends = {epochs[0]: (left + half, "start"), epochs[-1]: (left + plot - half, "end" if len(epochs) > 1 else "middle")}
    for epoch, (x, anchor) in ends.items():
        body.append(f'<path d="M{x:.1f} {foot:.1f}v2.5" style="stroke: {_variable("muted")}; stroke-width: 0.8"/>')
        text = str(epoch) if len(epochs) > 1 else f"epoch {epoch}"
        body.append(_text(text, x, foot + 12.5, anchor, "muted", size=8.5))
    if len(epochs) > 1:
        body.append(_text("epoch", left + plot / 2, foot + 12.5, "middle", "muted", size=8.5))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.1f} {foot + bottom:.1f}" '
        f"{_attributes(description, 'plot heat')}>" + "\n".join(body) + "</svg>"
    )


def _png(pixels: np.ndarray) -> str:
    """A picture ``(rows, columns, 4)`` of shares as a PNG in base 64."""
    buffer = io.BytesIO()
    unsigned: Any = {"Software": None}  # the same run gives the same bytes, whatever drew it
    imsave(buffer, pixels, format="png", metadata=unsigned)
    return base64.b64encode(buffer.getvalue()).decode()


def _text(text: str, x: float, y: float, anchor: str, colour: str, *, bold: bool = False, size: float = 9.8) -> str:
    """A line of text in a figure that is written by hand."""
    weight = "font-weight: 700; " if bold else ""
    style = f"{weight}font-size: {size}px; text-anchor: {anchor}; fill: {_variable(colour)}"
    return f'<text x="{x:.1f}" y="{y:.1f}" style="{style}">{escape(text)}</text>'


def _variable(name: str) -> str:
    """A colour of `THEME` as the page's variable."""
    return f"var(--{name}, {THEME[name][1]})"


def _attributes(description: str, classes: str) -> str:
    """What every figure says of itself."""
    return f'class="{classes}" role="img" aria-label="{escape(description)}" font-family="sans-serif" stroke-linejoin="round"'


@dataclass(frozen=True)
class Strip:
    """The weights of one decision over time.

    Args:
        name: of the decision.
        taken: what is taken, and its weight at the end, in words.
        weights: ``(T, O)``, NaN where unknown; those that are taken come first.
        count: how many are taken.
    """

    name: str
    taken: str
    weights: np.ndarray
    count: int


def strips(given: Sequence[Strip], epochs: Sequence[int], *, description: str) -> str:
    """Mixing weights of many decisions over time, a strip each: at its foot what is taken, above it the others in greys.

    Args:
        given: the decisions, from the top.
        epochs: the T epochs.
        description: the figure in words.

    Returns:
        An ``<svg>`` element.
    """
    width, pitch, thick, bottom = NARROW, 31.0, 13.0, 18.0
    height = pitch * len(given) + bottom
    with matplotlib.rc_context():
        figure, axes = blank(width / 72, height / 72, (0.005, bottom / height, 0.99, 1 - bottom / height))
        first, last = epochs[0], epochs[-1]
        for row, strip in enumerate(given):
            foot = row * pitch + 15 + thick
            pixels = _stacked(strip)
            axes.imshow(pixels, aspect="auto", interpolation="none", extent=(first - 0.5, last + 0.5, foot, foot - thick))
            for text, x, side, ink in ((strip.name, 0, "left", "ink"), (strip.taken, 1, "right", "accent")):
                axes.annotate(
                    text, (x, foot - thick - 4), xycoords=("axes fraction", "data"), ha=side, va="baseline", fontsize=9.5,
                    color=themed(ink),
                )  # fmt: skip
        axes.set_xlim(first - 0.5, last + 0.5)
        axes.set_ylim(pitch * len(given), 0)
        axes.set_yticks([])
        axes.xaxis.set_major_locator(FixedLocator(sorted({first, last})))
        axes.tick_params(axis="x", length=2.5, colors=themed("muted"), labelsize=8.5)
        for label, side in zip(axes.get_xticklabels(), ("left", "right"), strict=False):
            label.set_horizontalalignment(side if len(epochs) > 1 else "center")
        if len(epochs) > 1:
            axes.annotate(
                "epoch", (0.5, 0), xycoords="axes fraction", xytext=(0, -5), textcoords="offset points", ha="center", va="top",
                color=themed("muted"), fontsize=8.5,
            )  # fmt: skip
        else:
            axes.set_xticklabels([f"epoch {first}"])
        for spine in axes.spines.values():
            spine.set_visible(False)
        return to_svg(figure, description, "plot heat strips")


def _stacked(strip: Strip, levels: int = 52) -> np.ndarray:
    """A picture ``(levels, T, 4)`` of weights on top of each other, the first at the foot."""
    weights = np.clip(np.nan_to_num(columns(strip.weights)), 0, None)
    weights = weights / np.maximum(weights.sum(1, keepdims=True), 1)  # gates may add up to more than 1
    tops = np.cumsum(weights, 1)
    heights = (np.arange(levels)[::-1] + 0.5) / levels
    pixels = np.zeros((levels, len(weights), 4))
    for option in reversed(range(weights.shape[1])):
        inside = heights[:, None] < tops[None, :, option]
        taken = option < strip.count
        colour = to_rgb(THEME["accent" if taken else "rival"][1])
        alpha = (0.95, 0.7)[option % 2] if taken else (0.75, 0.5, 0.3)[(option - strip.count) % 3]
        pixels[inside] = (*colour, alpha)
    return pixels


def ranking(
    labels: Sequence[str],
    values: Sequence[float],
    intervals: Sequence[tuple[float, float]],
    *,
    measure: Measure,
    description: str,
    examples: int | None = None,
) -> str:
    """What networks scored as dots with their intervals, the best on top, the found network in the accent colour.

    Args:
        labels: names of the N networks.
        values: N values of the measure.
        intervals: N pairs (low, high) around them, equal where unknown.
        measure: what is shown.
        description: the figure in words.
        examples: of which shares are taken.

    Returns:
        An ``<svg>`` element.
    """
    order = sorted(range(len(values)), key=lambda index: -measure.rank(values[index]))
    names = [label if len(label) <= 20 else label[:19] + "…" for label in labels]
    left = 5.6 * max(map(len, names)) + 14
    places = digits(measure, values, examples)
    texts = [measure.written(value, places) for value in values]
    right = max(50.0, 5.6 * max(map(len, texts)) + 14)
    width, height = NARROW, 18.0 * len(labels) + 30
    with matplotlib.rc_context():
        frame = (left / width, 24 / height, (width - left - right) / width, 1 - 30 / height)
        figure, axes = blank(width / 72, height / 72, frame)
        for row, index in enumerate(order):
            found = labels[index] == FOUND
            weight, ink = ("bold", "accent") if found else ("normal", "ink")
            colour = themed("accent" if found else "rival")
            axes.plot(intervals[index], (row, row), color=colour, linewidth=2.2 if found else 1.6, alpha=0.6)
            axes.plot(values[index], row, "o", color=colour, markersize=7.5 if found else 6)
            for text, x, offset, side in ((names[index], 0, -8, "right"), (texts[index], 1, 8, "left")):
                axes.annotate(
                    text, (x, row), xycoords=("axes fraction", "data"), xytext=(offset, 0), textcoords="offset points", ha=side,
                    va="center", color=themed(ink), fontsize=9.5, weight=weight,
                )  # fmt: skip
        axes.set_ylim(len(labels) - 0.4, -0.6)
        _room(axes, intervals, measure)
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.xaxis.set_major_locator(MaxNLocator(4))
        if measure.style == "percent":
            axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{100 * value:.4g} %"))
        axes.grid(axis="x", color=themed("grid"), linewidth=0.8)
        return to_svg(figure, description)


def _room(axes: Axes, intervals: Sequence[tuple[float, float]], measure: Measure) -> None:
    """Limits around all intervals, with a little air; shares stay in [0, 1]."""
    low, high = min(low for low, _ in intervals), max(high for _, high in intervals)
    if measure.style == "percent":
        margin = max(0.05 * (high - low), 0.002)
        axes.set_xlim(max(0, low - margin), min(1, high + margin) + 0.001)
    else:
        margin = 0.05 * (high - low) or 0.05 * abs(high) or 1.0
        axes.set_xlim(low - margin, high + margin)


def confusion(counts: np.ndarray, *, description: str) -> str:
    """A confusion matrix too large for a table: the share of every row, right answers and mistakes in two colours.

    Args:
        counts: ``(K, K)``, rows true classes.
        description: the figure in words.

    Returns:
        An ``<svg>`` element.
    """
    size = len(counts)
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    wrong = share * (1 - np.eye(size))
    pixels = np.zeros((size, size, 4))
    pixels[..., :3] = to_rgb(THEME["second"][1])
    pixels[..., 3] = np.sqrt(wrong / max(wrong.max(), 1e-9))
    pixels[np.arange(size), np.arange(size), :3] = to_rgb(THEME["accent"][1])
    pixels[np.arange(size), np.arange(size), 3] = np.diag(share)
    with matplotlib.rc_context():
        figure, axes = blank(5.4, 5.2, (0.12, 0.11, 0.86, 0.87))
        axes.imshow(pixels, interpolation="none")
        axes.set_xlabel("predicted class (index)", color=themed("muted"))
        axes.set_ylabel("true class (index)", color=themed("muted"))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(MaxNLocator(10, integer=True))
        for spine in axes.spines.values():
            spine.set_visible(True)
        return to_svg(figure, description, "plot heat")


def themed(name: str) -> str:
    """The stand-in of a colour of `THEME`, to draw with."""
    return THEME[name][0]


def blank(width: float, height: float, frame: tuple[float, float, float, float]) -> tuple[Figure, Axes]:
    """A figure in the report's style, whatever the user's matplotlibrc says; only inside an ``rc_context``.

    Args:
        width: inches.
        height: inches.
        frame: left, bottom, width and height of the axes, as shares of the figure.
    """
    matplotlib.rcdefaults()
    matplotlib.rcParams.update(STYLE)
    figure = Figure(figsize=(width, height))
    axes = figure.add_axes(frame)
    for spine in axes.spines.values():
        spine.set_color(themed("muted"))
    axes.tick_params(colors=themed("muted"), length=3, width=0.8)
    return figure, axes


def line_plot(names: Sequence[str]) -> tuple[Figure, Axes, int]:
    """An empty line plot with room above it for a legend; only inside an ``rc_context``.

    Args:
        names: of the legend's entries; empty for no legend.

    Returns:
        the figure, its axes, and how many entries a row of the legend has room for.
    """
    columns = next((number for number in (3, 2) if _legend_width(names, number) <= LEGEND), 1)
    above = ABOVE + LINE * -(-len(names) // columns) if names else ABOVE / 2
    height = max(HEIGHT, BELOW + PLOT + above)
    figure, axes = blank(WIDTH, height, (0.135, BELOW / height, 0.845, 1 - (BELOW + above) / height))
    return figure, axes, columns


def _legend_width(names: Sequence[str], columns: int) -> float:
    """Inches of a legend in so many columns, each as wide as its widest entry; only inside an ``rc_context``."""
    rows, more = divmod(len(names), columns)
    ends = [rows * column + min(column, more) for column in range(columns + 1)]
    of = [names[first:last] for first, last in pairwise(ends) if first < last]
    return sum(max(map(_text_width, column)) + SAMPLE for column in of)


def _text_width(text: str) -> float:
    """Inches of a text in matplotlib's own font, which is wider than most that a page is shown in."""
    font = FontProperties(size=matplotlib.rcParams["font.size"])
    width, _, _ = text_to_path.get_text_width_height_descent(text, font, ismath=False)
    return width / 72


def legend_above(axes: Axes, columns: int, **handles: float) -> None:
    """The legend of a line plot, in rows above it.

    Args:
        axes: of the plot.
        columns: how many entries a row has.
        handles: how long its samples are, and how far from their words.
    """
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, frameon=False, labelcolor=themed("ink"),
        borderaxespad=0.2, columnspacing=1.4, **handles,
    )  # fmt: skip


def _epoch_axis(axes: Axes, epochs: Sequence[int]) -> None:
    first, last = min(epochs), max(epochs)
    pad = 0.5 if last - first < 2 else 0.02 * (last - first)
    axes.set_xlim(first - pad, last + pad)
    axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch", color=themed("muted"))


def _shares(axes: Axes, curves: Sequence[Curve]) -> None:
    """Limits for shares: never outside [0, 1], with a little air."""
    values = np.concatenate([curve.values[np.isfinite(curve.values)] for curve in curves])
    if len(values):
        low, high = float(values.min()), float(values.max())
        air = max(0.08 * (high - low), 0.02)
        axes.set_ylim(max(-0.005, low - air), min(1.005, high + air))


def to_svg(figure: Figure, description: str, classes: str = "plot") -> str:
    """The figure as an ``<svg>`` element in the page's colours and font; `description` is for those who cannot see it."""
    buffer = io.StringIO()
    with warnings.catch_warnings():
        # a glyph that matplotlib's own font lacks is drawn by the browser's
        warnings.filterwarnings("ignore", message="Glyph .* missing from", category=UserWarning)
        figure.savefig(
            buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None, "Format": None, "Type": None}
        )
    text = buffer.getvalue()
    text = re.sub(r"<metadata>.*?</metadata>\s*", "", text[text.index("<svg") :], flags=re.DOTALL)
    text = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>\s*", "", text, flags=re.DOTALL)  # it would style the whole page
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)
    head, mark, rest = text.partition(">")
    text = re.sub(r'\s(width|height)="[^"]*"', "", head) + mark + rest
    text = text.replace("<svg", f"<svg {_attributes(description, classes)}", 1)
    for name, (stand_in, _) in THEME.items():
        text = text.replace(stand_in, _variable(name))
    return text.strip()
