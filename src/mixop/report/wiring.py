"""Draws a large graph whose nodes all do the same as SVG: numbered nodes from left to right, and thin edges between them.

A column for every depth. Edges that cross columns have a place in each of them, so that they pass between nodes and not
through them; places are put in an order with few crossings, as in `mixop.report.cell`. All edges that leave a node carry the
same value: they have its colour and share their way until it parts. A node says what it reads when it is pointed at.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any
from xml.sax.saxutils import escape, quoteattr

from mixop.report.cell import GROUND, INK, MUTED, _curve, _Item, _order, _spread
from mixop.report.palette import KINDS
from mixop.runs.cells import DrawnCell, parse_cell

NODE = 22.0
"""Height of a node in px, and the width of one whose name has two letters at most."""

LANE, ROOM = 9.0, 14.0
"""px between two edges that cross a column, and from an edge to a node in it."""

STEP, SLOPE = 36.0, 0.5
"""px between two columns at least, and for every px that the steepest edge between them rises."""

WIDE = 1030.0
"""px that the drawing is wide at most, as long as columns are `STEP` apart: what a page has room for."""

SWEEPS = 60
"""Times that the columns move towards their neighbours."""

COLOURS = tuple(name for name in KINDS if name != "none")
"""Kinds whose colours edges have, by the node that they leave."""


def draw_wiring(cell: Mapping[str, Any]) -> str:
    """The drawing of one graph as the text of a self-contained SVG that adapts to light and dark.

    Args:
        cell: one cell of ``architecture.json`` whose nodes all have the same of its ``operations``.

    Returns:
        An ``<svg>`` element; with an XML header it is a file, inside HTML a figure.

    Raises:
        RunError: if the mapping is no cell.
    """
    parsed = parse_cell(cell)
    nodes, chains, columns = _items(parsed)
    _order(columns)
    _place(columns)
    height = max(item.y + item.height / 2 for column in columns for item in column) + 8
    width = max(item.x + item.width / 2 for item in nodes) + 8
    body = [_edge(chain, edge.source) for chain, edge in zip(chains, parsed.edges, strict=True)]
    body += [_node(parsed, item, index) for index, item in enumerate(nodes)]
    return (
        f'<svg class="mixop-cell mixop-wiring" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" style="--own: {width:.0f}px" role="img" '
        f"aria-label={quoteattr(describe(parsed))} "
        f'font-family="system-ui, sans-serif" font-size="11">\n'
        f"<style>{_dark_style()}</style>\n" + "\n".join(body) + "\n</svg>"
    )


def describe(cell: DrawnCell) -> str:
    """The graph in words, for those who cannot see the drawing."""
    reads = "; ".join(f"{_name(cell, node)} reads {_read(cell, node)}" for node in range(cell.inputs, cell.nodes))
    return f"Graph of {len(cell.operations)} nodes, each {cell.operations[0]}. {reads}."


def _name(cell: DrawnCell, index: int) -> str:
    if index < cell.inputs:
        return "in"
    return "out" if index in cell.output else str(index)


def _read(cell: DrawnCell, index: int) -> str:
    return ", ".join(_name(cell, edge.source) for edge in cell.edges if edge.target == index) or "nothing"


def _items(cell: DrawnCell) -> tuple[list[_Item], list[list[_Item]], list[list[_Item]]]:
    """Nodes; edges as chains of items, from source to target; and the columns, one for every depth."""
    depths = [0] * cell.nodes
    for node in range(cell.inputs, cell.nodes):
        depths[node] = 1 + max((depths[e.source] for e in cell.edges if e.target == node), default=0)
    names = [_name(cell, index) for index in range(cell.nodes)]
    nodes = [_Item(depth, NODE if len(name) < 3 else NODE + 8, NODE, name) for depth, name in zip(depths, names, strict=True)]
    columns: list[list[_Item]] = [[] for _ in range(max(depths) + 1)]
    for item in nodes:
        columns[item.column].append(item)
    chains, ways = [], {}
    for edge in cell.edges:
        source, target = nodes[edge.source], nodes[edge.target]
        chain = [source]
        for column in range(source.column + 1, target.column):
            if (edge.source, column) not in ways:
                ways[edge.source, column] = _Item(column)
                columns[column].append(ways[edge.source, column])
            chain.append(ways[edge.source, column])
        chain.append(target)
        for before, after in pairwise(chain):
            if after not in before.right:
                before.right.append(after)
                after.left.append(before)
        chains.append(chain)
    return nodes, chains, columns


def _place(columns: Sequence[Sequence[_Item]]) -> None:
    """Coordinates: in a column every item as near to its neighbours' heights as the others allow; columns side by side."""
    apart = [_offsets(column) for column in columns]
    for column, offsets in zip(columns, apart, strict=True):
        for item, y in zip(column, _spread(offsets, [-offsets[-1] / 2] * len(column)), strict=True):
            item.y = y
    both = list(zip(columns, apart, strict=True))
    for sweep in range(SWEEPS):
        for column, offsets in both if sweep % 2 else reversed(both):
            for item, y in zip(column, _spread(offsets, [_wish(item) for item in column]), strict=True):
                item.y = y
    top = min(item.y - item.height / 2 for column in columns for item in column) - 8
    for item in (item for column in columns for item in column):
        item.y -= top
    widths = [max(item.width for item in column) for column in columns]
    steep = [SLOPE * max((abs(after.y - item.y) for item in column for after in item.right), default=0.0) for column in columns]
    steps = [max(STEP, step) for step in steep[:-1]]
    spare, needed = WIDE - sum(widths) - STEP * len(steps), sum(steps) - STEP * len(steps)
    squeeze = min(1.0, max(spare, 0.0) / needed) if needed else 1.0
    x = 8.0
    for column, width, step in zip(columns, widths, [*steps, 0.0], strict=True):
        for item in column:
            item.x, item.span = x + width / 2, width
        x += width + STEP + squeeze * max(step - STEP, 0.0)


def _wish(item: _Item) -> float:
    """The mean height of its neighbours; those inside of a long edge count most, so that long edges are straight."""
    total, weights = 0.0, 0.0
    for near in (*item.left, *item.right):
        weight = 1.0 if item.text or near.text else 8.0
        total, weights = total + weight * near.y, weights + weight
    return total / weights if weights else item.y


def _offsets(column: Sequence[_Item]) -> list[float]:
    """How far the items of a column stand below its first one at least."""
    offsets = [0.0]
    for upper, lower in pairwise(column):
        gap = ROOM if upper.text or lower.text else LANE
        offsets.append(offsets[-1] + (upper.height + lower.height) / 2 + gap)
    return offsets


def _edge(chain: Sequence[_Item], source: int) -> str:
    """One edge as a curve through its places, with an arrow head."""
    first, *between, last = chain
    x, y = first.x + first.width / 2, first.y
    path = [f"M{x:.1f} {y:.1f}"]
    for item in between:
        path.append(_curve(x, y, item.x - item.span / 2, item.y) + f"H{item.x + item.span / 2:.1f}")
        x, y = item.x + item.span / 2, item.y
    end = last.x - last.width / 2
    path.append(_curve(x, y, end - 5, last.y))
    kind = COLOURS[source % len(COLOURS)]
    return (
        f'<g class="op-{kind}" color="{KINDS[kind].light}"><path d="{"".join(path)}" fill="none" stroke="currentColor" '
        f'stroke-width="1.3"/><path d="M{end:.1f} {last.y:.1f}l-6 -3.2v6.4z" fill="currentColor"/></g>'
    )


def _node(cell: DrawnCell, item: _Item, index: int) -> str:
    role = f"{item.text} reads {_read(cell, index)}" if item.left else "the input"
    left, top = item.x - item.width / 2, item.y - item.height / 2
    text = f'<text x="{item.x:.1f}" y="{item.y + 4:.1f}" text-anchor="middle" font-weight="600" fill="{INK}">{item.text}</text>'
    return (
        f'<g class="node"><title>{escape(role)}</title><rect x="{left:.1f}" y="{top:.1f}" width="{item.width:.1f}" '
        f'height="{item.height:.1f}" rx="{NODE / 2:.0f}" fill="{GROUND}" stroke="{MUTED}" stroke-width="1.2"/>{text}</g>'
    )


def _dark_style() -> str:
    """Colours for a dark ground; light ones are attributes."""
    kinds = "".join(f".mixop-wiring .op-{name}{{color:{KINDS[name].dark}}}" for name in COLOURS)
    return (
        "@media screen and (prefers-color-scheme: dark){"
        f"{kinds}.mixop-wiring .node rect{{fill:#262d38;stroke:#8791a3}}.mixop-wiring .node text{{fill:#e8ebf1}}}}"
    )
