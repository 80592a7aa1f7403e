"""Draws many switches at once: a square for each pair of nodes, the fuller the likelier that the one reads the other."""

from collections.abc import Mapping

from mixop.report.ink import MUTED, framed
from mixop.report.palette import KINDS

SQUARE = 20.0  # px


def draw_switches(weights: Mapping[tuple[int, int], float | None], taken: set[tuple[int, int]], description: str) -> str:
    """A triangle of squares: a row for every node that reads, a column for every node that may be read.

    Args:
        weights: for each source and target the weight of the skip in [0, 1]; None where it is not known.
        taken: the pairs that the found architecture has.
        description: the figure in words.

    Returns:
        An ``<svg>`` element.
    """
    targets, sources = sorted({target for _, target in weights}), sorted({source for source, _ in weights})
    left, top = 34.0, 26.0
    width, height = left + SQUARE * len(sources) + 8, top + SQUARE * len(targets) + 8
    colour, body = KINDS["skip"].light, []
    for column, source in enumerate(sources):
        body.append(_number(left + SQUARE * (column + 0.5), top - 8, source, "middle"))
    for row, target in enumerate(targets):
        body.append(_number(left - 8, top + SQUARE * (row + 0.5) + 4, target, "end"))
    for (source, target), weight in weights.items():
        x, y = left + SQUARE * sources.index(source), top + SQUARE * targets.index(target)
        words = f"layer {target} reads {'the input' if source == 0 else f'layer {source}'}: "
        words += "unknown" if weight is None else f"{weight:.2f}"
        found = (source, target) in taken
        dot = f'<circle cx="{x + SQUARE / 2:.0f}" cy="{y + SQUARE / 2:.0f}" r="4" fill="currentColor"/>' if found else ""
        body.append(
            f'<g class="op-skip" color="{colour}"><title>{words}{", taken" if found else ""}</title>'
            f'<rect x="{x + 1:.0f}" y="{y + 1:.0f}" width="{SQUARE - 2:.0f}" height="{SQUARE - 2:.0f}" rx="3" '
            f'fill="currentColor" fill-opacity="{0.55 * (weight or 0.0):.3f}" stroke="currentColor" stroke-opacity="0.35"/>'
            f"{dot}</g>"
        )
    return framed(width, height, description, body)


def _number(x: float, y: float, number: int, anchor: str) -> str:
    text = f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" fill="{MUTED}">{number}</text>'
    return f'<g class="number">{text}</g>'
