"""A number on a square grid, of several variants side by side: colour and lines of equal height, on one scale for all."""

from collections.abc import Mapping, Sequence

import matplotlib
import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.ticker import FixedLocator, MaxNLocator

from mixop.report.palette import ABSENT
from mixop.report.plots import THEME, blank, themed, to_svg

LINES = 6  # of equal height, about
SIDE, GAP, LEFT, TOP, BELOW, BOTTOM = 150.0, 16.0, 40.0, 22.0, 36.0, 54.0  # units of the page
BESIDE = 2  # variants in a row, so that letters are large enough on a phone


def surfaces(
    axis: Sequence[float], series: Mapping[str, np.ndarray], *, description: str, along: str, percent: bool = False
) -> str:
    """Draws them.

    Args:
        axis: the P places along both sides, increasing.
        series: by variant ``(P, P)``, rows along the first side; NaN where unknown.
        description: the figure in words.
        along: what the sides are.
        percent: whether values are shares, shown in percent.

    Returns:
        An ``<svg>`` element.
    """
    known = np.concatenate([values[np.isfinite(values)] for values in series.values()])
    low, high = (float(known.min()), float(known.max())) if len(known) else (0.0, 0.0)
    levels = [level for level in MaxNLocator(LINES).tick_values(low, high) if low < level < high] if high > low else []
    columns, rows = min(len(series), BESIDE), -(-len(series) // BESIDE)
    width, height = LEFT + columns * (SIDE + GAP), rows * (TOP + SIDE + BELOW) + BOTTOM - BELOW
    half = (axis[-1] - axis[0]) / (2 * (len(axis) - 1)) if len(axis) > 1 else 0.5
    first, last = (axis[0] - half, axis[-1] + half) if len(axis) else (-1.0, 1.0)
    with matplotlib.rc_context():
        frames = [
            (
                (LEFT + place % BESIDE * (SIDE + GAP)) / width,
                (BOTTOM + (rows - 1 - place // BESIDE) * (TOP + SIDE + BELOW)) / height,
                SIDE / width,
                SIDE / height,
            )
            for place in range(len(series))
        ]
        figure, axes = blank(width / 72, height / 72, frames[0])
        for place, (name, values) in enumerate(series.items()):
            if place:
                axes = figure.add_axes(frames[place])
                axes.tick_params(colors=themed("muted"), length=3, width=0.8, labelleft=place % BESIDE == 0)
            shown = np.nan_to_num((values.T - low) / (high - low)) if high > low else np.zeros(values.shape)
            pixels = np.zeros((*shown.shape, 4))
            pixels[..., :3] = to_rgb(THEME["accent"][1])
            pixels[..., 3] = np.where(np.isfinite(values.T), 0.05 + 0.85 * shown, 0)
            if values.size:  # nothing where all runs of all variants failed
                axes.imshow(pixels, origin="lower", interpolation="none", extent=(first, last, first, last))
            own = [level for level in levels if values.min() < level < values.max()]  # none where values are unknown
            if own:
                axes.contour(list(axis), list(axis), values.T, levels=own, colors=themed("ink"), linewidths=0.7)
            axes.set_title(name, color=themed("ink"), fontsize=9.5)
            axes.set_xlabel(_ends(values, percent), color=themed("ink"))
            for one in (axes.xaxis, axes.yaxis):
                one.set_major_locator(FixedLocator(sorted({*axis[:1], *axis[len(axis) // 2 :][:1], *axis[-1:]})))
            for spine in axes.spines.values():
                spine.set_visible(True)
                spine.set_color(themed("muted"))
        figure.text(LEFT / width, 6 / height, f"{along}, along two directions", color=themed("muted"), fontsize=8.5)
        return to_svg(figure, description)


def _ends(values: np.ndarray, percent: bool) -> str:
    known = values[np.isfinite(values)]
    if not len(known):
        return ABSENT
    low, high = (100 * float(known.min()), 100 * float(known.max())) if percent else (float(known.min()), float(known.max()))
    return f"{low:.3g} to {high:.3g}{' %' if percent else ''}".replace("-", "\u2212")
