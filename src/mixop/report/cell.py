"""Draws a cell as SVG: layers from left to right, every edge labelled with its operation, or every node with its own.

The layout is Sugiyama's with labels as citizens: an edge becomes a chain of items, one in every column that it crosses,
and its label is one of them. Items of a column are ordered with few crossings and then kept apart, so labels cannot
overlap each other or a node, whatever the cell.

Source: Sugiyama, Tagawa and Toda 1981, "Methods for visual understanding of hierarchical system structures".
"""

import random
from bisect import bisect_right, insort
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any
from xml.sax.saxutils import escape

from mixop.report.chain import draw_chain
from mixop.report.ink import CHARACTER, GROUND, INK, MUTED, framed
from mixop.report.palette import KINDS, kind_of
from mixop.runs.cells import DrawnCell, parse_cell

LABEL_HEIGHT = 24.0


NODE_HEIGHT = 34.0


PORT = 12.0  # px between two edges that meet at a node


GAP = 16.0  # px between neighbours in a column


BEND = 34.0  # px between two columns, where the curves turn


STILL = 0.1  # px: no item moves farther, so its place is found


@dataclass(eq=False)
class _Item:
    """Something with a place: a node, an edge's label, or the point where an edge crosses a column."""

    column: int
    width: float = 0.0
    height: float = 0.0
    text: str = ""
    left: list["_Item"] = field(default_factory=list)
    right: list["_Item"] = field(default_factory=list)
    span: float = 0.0  # width of its column; between the columns there is nothing but curves
    x: float = 0.0
    y: float = 0.0


@dataclass(frozen=True)
class _Chain:
    """An edge as the items it passes, from its source node to its target node; concatenations have no operation.

    ``style``: how it is drawn where it has no operation, a key of `PLAIN`.
    """

    items: tuple[_Item, ...]
    operation: str | None
    style: str = "concat"


PLAIN = {
    "concat": ' stroke-width="1.3" opacity="0.7"',
    "read": ' stroke-width="1.7"',
    "unused": ' stroke-width="1.3" stroke-dasharray="4 4" opacity="0.6"',
}
"""Edges without an operation: into a concatenation, between nodes with operations, and into nodes that make no difference."""


def draw_cell(cell: Mapping[str, Any]) -> str:
    """The drawing of one cell as the text of a self-contained SVG that adapts to light and dark.

    Args:
        cell: one cell of ``architecture.json``: ``inputs``, ``nodes``, ``output`` and ``edges``; with ``operations`` those of
            its nodes; with ``chain`` true the whole network, see `mixop.report.chain`. A node without any edge is left out.

    Returns:
        An ``<svg>`` element; with an XML header it is a file, inside HTML a figure.

    Raises:
        RunError: if the mapping is no cell.

    Example:
        >>> edge = {"source": 0, "target": 1, "operation": "skip_connect"}
        >>> draw_cell({"inputs": 1, "nodes": 2, "output": [1], "edges": [edge]})[:4]
        '<svg'
    """
    parsed = parse_cell(cell)
    if parsed.chain:
        return draw_chain(parsed)
    nodes, chains, columns = _items(parsed)
    _order(columns)
    _place(columns, chains)
    height = max(item.y + item.height / 2 for column in columns for item in column) + 8
    width = max(item.x + item.width / 2 for item in nodes.values()) + 8
    body = [*map(_edge, chains), *(_drawn(parsed, index, node) for index, node in nodes.items())]
    return framed(width, height, describe(parsed), body)


def describe(cell: DrawnCell) -> str:
    """The cell in words, for those who cannot see the drawing."""
    if cell.operations:
        inner = "; ".join(
            f"node {node}, {operation}, reads {_read(cell, node) or 'nothing'}"
            for node, operation in enumerate(cell.operations, start=1)
            if _linked(cell, node)
        )
        return f"Cell of {cell.nodes} nodes. {inner}. The output reads {_read(cell, cell.nodes - 1)}."
    edges = "; ".join(f"node {e.source} to node {e.target}: {e.operation}" for e in cell.edges)
    return f"Cell of {cell.nodes} nodes. {edges}. Output: node {', '.join(map(str, cell.output))}."


def _read(cell: DrawnCell, node: int) -> str:
    """What a node reads, in words."""
    return ", ".join("the input" if e.source == 0 else f"node {e.source}" for e in cell.edges if e.target == node)


def _linked(cell: DrawnCell, node: int) -> bool:
    """Whether a node has an edge."""
    return any(node in (e.source, e.target) for e in cell.edges)


def _used(cell: DrawnCell) -> set[int]:
    """The nodes that the output depends on, itself among them."""
    used = set(cell.output)
    for edge in sorted(cell.edges, key=lambda edge: -edge.target):
        if edge.target in used:
            used.add(edge.source)
    return used


def _items(cell: DrawnCell) -> tuple[dict[int, _Item], list[_Chain], list[list[_Item]]]:
    """Nodes, edges as chains, and the columns: nodes stand in even ones by depth, labels in odd ones."""
    links: list[tuple[int, int, str | None]] = [(e.source, e.target, e.operation) for e in cell.edges]
    count = cell.nodes
    if len(cell.output) > 1:
        links += [(node, count, None) for node in cell.output]
        count += 1
    depths = [0] * count
    for node in range(cell.inputs, count):
        depths[node] = 1 + max((depths[source] for source, target, _ in links if target == node), default=0)

    nodes = {}
    for index, depth in enumerate(depths):
        if cell.operations and not _linked(cell, index):
            continue
        text = _name(cell, index)
        degree = max(sum(s == index for s, _, _ in links), sum(t == index for _, t, _ in links))
        size = max(NODE_HEIGHT, len(text) * CHARACTER + 22), max(NODE_HEIGHT, PORT * degree + 8)
        nodes[index] = _Item(2 * depth, *size, text)
    columns: list[list[_Item]] = [[] for _ in range(2 * max(depths) + 1)]
    for node in nodes.values():
        columns[node.column].append(node)

    chains, used = [], _used(cell)
    for source, target, operation in links:
        first, last = nodes[source].column, nodes[target].column
        middle = first + 1 + 2 * ((last - first - 2) // 4)  # the label stands near the middle of its edge
        items = [nodes[source]]
        for column in range(first + 1, last):
            labelled = operation is not None and column == middle
            text = (operation or "") if labelled else ""
            items.append(_Item(column, len(text) * CHARACTER + 18, LABEL_HEIGHT, text) if labelled else _Item(column))
            columns[column].append(items[-1])
        items.append(nodes[target])
        for before, after in pairwise(items):
            before.right.append(after)
            after.left.append(before)
        style = "concat" if not cell.operations else "read" if target in used else "unused"
        chains.append(_Chain(tuple(items), operation, style))
    return nodes, chains, columns


def _order(columns: list[list[_Item]]) -> None:
    """Sorts every column so that few edges cross: barycentre sweeps from several starts, the best one wins."""
    generator = random.Random(0)  # the same cell is always drawn the same
    best: tuple[float, list[list[_Item]]] | None = None
    for attempt in range(40):
        trial = [list(column) for column in columns]
        if attempt >= 8 and best is not None and best[0] < 1:  # nothing crosses
            break
        if attempt:
            for column in trial:
                generator.shuffle(column)
        settled = False
        for sweep in range(8):
            forward, before = sweep % 2 == 0, [list(column) for column in trial]
            ranks = {item: rank for column in trial for rank, item in enumerate(column)}
            for column in trial if forward else reversed(trial):
                column.sort(key=lambda item: _barycentre(item.left if forward else item.right, ranks, ranks[item]))
                ranks.update({item: rank for rank, item in enumerate(column)})
            same = trial == before
            if same and settled:  # neither direction changes anything any more
                break
            settled = same
            if same and sweep:
                continue
            cost = _crossings(trial)
            if best is None or cost < best[0]:
                best = cost, [list(column) for column in trial]
    assert best is not None
    for column, ordered in zip(columns, best[1], strict=True):
        column[:] = ordered


def _barycentre(neighbours: Sequence[_Item], ranks: Mapping[_Item, int], own: int) -> float:
    return sum(ranks[n] for n in neighbours) / len(neighbours) if neighbours else own


def _crossings(columns: Sequence[Sequence[_Item]]) -> float:
    """Number of crossing pairs, plus a little for edges that end far from the height they start at."""
    total = 0.0
    for column, following in pairwise(columns):
        ranks = {item: rank for rank, item in enumerate(following)}
        ends: list[int] = []  # of the links that start higher, sorted
        for rank, item in enumerate(column):
            own = [ranks[after] for after in item.right]
            for end in own:
                total += len(ends) - bisect_right(ends, end)
                total += 0.01 * abs((rank + 0.5) / len(column) - (end + 0.5) / len(following))
            for end in own:
                insort(ends, end)
    return total


def _place(columns: list[list[_Item]], chains: Sequence[_Chain]) -> None:
    """Coordinates: columns side by side; in a column every item as near to its neighbours' heights as the others allow."""
    offsets = [_offsets(column) for column in columns]
    pulls = {item: [(near, _pull(item, near)) for near in item.left + item.right] for column in columns for item in column}
    whole = {item: sum(weight for _, weight in near) for item, near in pulls.items()}
    for column, apart in zip(columns, offsets, strict=True):
        for item, y in zip(column, _spread(apart, [0.0] * len(column)), strict=True):
            item.y = y
    both = list(zip(columns, offsets, strict=True))
    for sweep in range(200):
        moved = 0.0
        for column, apart in both if sweep % 2 else reversed(both):
            wishes = []
            for item in column:
                near = pulls[item]
                wish = 0.0
                for other, weight in near:
                    wish += weight * other.y
                wishes.append(wish / whole[item] if near else item.y)
            for item, y in zip(column, _spread(apart, wishes), strict=True):
                moved = max(moved, abs(y - item.y))
                item.y = y
        if moved < STILL:
            break
    for chain in chains:
        _straighten(chain.items[1:-1], columns)
    top = min(item.y - item.height / 2 for column in columns for item in column) - 8
    x = 8.0
    for column in columns:
        width = max(item.width for item in column)
        for item in column:
            item.x = x + width / 2
            item.y -= top
            item.span = width
        x += width + BEND


def _straighten(inner: Sequence[_Item], columns: Sequence[Sequence[_Item]]) -> None:
    """Gives the inside of an edge one height where its neighbours leave room for that."""
    low, high = float("-inf"), float("inf")
    for item in inner:
        column = columns[item.column]
        rank = column.index(item)
        if rank > 0:
            low = max(low, column[rank - 1].y + (column[rank - 1].height + item.height) / 2 + GAP)
        if rank + 1 < len(column):
            high = min(high, column[rank + 1].y - (column[rank + 1].height + item.height) / 2 - GAP)
    if low <= high:
        height = min(max(sum(item.y for item in inner) / len(inner), low), high)
        for item in inner:
            item.y = height


def _pull(item: _Item, neighbour: _Item) -> float:
    """How strongly two items want the same height: those inside a long edge most, so that long edges are straight."""
    inner = (item.column % 2 == 1 or not item.text, neighbour.column % 2 == 1 or not neighbour.text)
    return 12.0 if all(inner) else 1.0


def _offsets(column: Sequence[_Item]) -> list[float]:
    """How far the items of a column stand below its first one at least."""
    offsets = [0.0]
    for upper, lower in pairwise(column):
        offsets.append(offsets[-1] + (upper.height + lower.height) / 2 + GAP)
    return offsets


def _spread(offsets: Sequence[float], wishes: Sequence[float]) -> list[float]:
    """The heights nearest to the wishes, in least squares, that keep the order and the distances of a column.

    With the distances subtracted this is a monotone regression, solved by pooling adjacent violators.
    """
    pools: list[tuple[float, int]] = []  # (sum, count)
    for wish, offset in zip(wishes, offsets, strict=True):
        total, count = wish - offset, 1
        while pools and pools[-1][0] * count > total * pools[-1][1]:
            above, many = pools.pop()
            total, count = above + total, many + count
        pools.append((total, count))
    means = [total / count for total, count in pools for _ in range(count)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]


def _edge(chain: _Chain) -> str:
    """One edge: curves between the columns, an arrow head at the target, and the label."""
    source, *between, target = chain.items
    x, y = source.x + source.span / 2, _port(source, source.right, chain.items[1])
    path = [f"M{source.x + source.width / 2:.1f} {y:.1f}H{x:.1f}"]
    label = ""
    for item in between:
        path.append(_curve(x, y, item.x - item.span / 2, item.y))
        x, y = item.x + item.span / 2, item.y
        if item.text:
            path.append(f"H{item.x - item.width / 2:.1f}M{item.x + item.width / 2:.1f} {y:.1f}")
            label = _label(item)
        path.append(f"H{x:.1f}")
    end, height = target.x - target.width / 2, _port(target, target.left, chain.items[-2])
    path.append(_curve(x, y, target.x - target.span / 2 - 6, height) + f"H{end - 6:.1f}")
    kind = "concat" if chain.operation is None else kind_of(chain.operation)
    colour = MUTED if chain.operation is None else KINDS[kind].light
    faint = {"none": ' stroke-width="1.3" stroke-dasharray="4 4" opacity="0.75"', "concat": PLAIN[chain.style]}
    stroke = faint.get(kind, ' stroke-width="2"')
    return (
        f'<g class="op-{kind}" color="{colour}"{stroke}>'
        f'<path d="{" ".join(path)}" fill="none" stroke="currentColor"/>'
        f'<path d="M{end:.1f} {height:.1f}l-8 -4.5v9z" fill="currentColor" stroke="none"/>{label}</g>'
    )


def _port(node: _Item, neighbours: Sequence[_Item], neighbour: _Item) -> float:
    """Height at which an edge meets its node: edges of one side stand apart, in the order of their other ends."""
    ordered = sorted(neighbours, key=lambda item: item.y)
    return node.y + PORT * (ordered.index(neighbour) - (len(ordered) - 1) / 2)


def _curve(x: float, y: float, to_x: float, to_y: float) -> str:
    half = (to_x - x) / 2
    return f"C{x + half:.1f} {y:.1f} {to_x - half:.1f} {to_y:.1f} {to_x:.1f} {to_y:.1f}"


def _label(item: _Item) -> str:
    left, top = item.x - item.width / 2, item.y - item.height / 2
    return (
        f'<rect class="label" x="{left:.1f}" y="{top:.1f}" width="{item.width:.1f}" height="{item.height:.1f}" rx="7" '
        f'fill="currentColor" fill-opacity="0.12" stroke="currentColor" stroke-opacity="0.55" stroke-width="1" '
        f'stroke-dasharray="none"/>'
        f'<text x="{item.x:.1f}" y="{item.y + 4:.1f}" text-anchor="middle" fill="currentColor" stroke="none">'
        f"{escape(item.text)}</text>"
    )


def _drawn(cell: DrawnCell, index: int, item: _Item) -> str:
    """A node, with its operation where it has one."""
    if not (cell.operations and 0 < index < cell.nodes - 1):
        return _node(item, _role(cell, index))
    operation, used = cell.operations[index - 1], index in _used(cell)
    left, top, kind = item.x - item.width / 2, item.y - item.height / 2, kind_of(operation)
    role = f"node {index}: {operation} of the sum of {_read(cell, index)}" + ("" if used else "; nothing depends on it")
    faint = "" if used else ' stroke-dasharray="4 4" opacity="0.6"'
    return (
        f'<g class="op-{kind}" color="{KINDS[kind].light}"{faint}><title>{escape(role)}</title>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{item.width:.1f}" height="{item.height:.1f}" rx="10" '
        'fill="currentColor" fill-opacity="0.12" stroke="currentColor" stroke-width="1.4"/>'
        f'<text x="{item.x:.1f}" y="{item.y + 4:.1f}" text-anchor="middle" fill="currentColor" stroke="none">'
        f"{escape(item.text)}</text></g>"
    )


def _node(item: _Item, role: str) -> str:
    left, top = item.x - item.width / 2, item.y - item.height / 2
    return (
        f'<g class="node"><title>{escape(role)}</title>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{item.width:.1f}" height="{item.height:.1f}" rx="10" '
        f'fill="{GROUND}" stroke="{MUTED}" stroke-width="1.2"/>'
        f'<text x="{item.x:.1f}" y="{item.y + 4:.1f}" text-anchor="middle" font-weight="600" fill="{INK}">'
        f"{escape(item.text)}</text></g>"
    )


def _name(cell: DrawnCell, index: int) -> str:
    if cell.recurrent and index == 0:
        return "x(t), h(t\u22121)"
    if cell.recurrent and (index == cell.nodes or cell.output == (index,)):
        return "h(t)"
    if index < cell.inputs:
        return {1: "input", 2: f"c(k\u2212{2 - index})"}.get(cell.inputs, f"input {index}")
    if index == cell.nodes or cell.output == (index,):
        return "output"
    if cell.operations:
        return f"{index}  {cell.operations[index - 1]}"
    return str(index)


def _role(cell: DrawnCell, index: int) -> str:
    if cell.recurrent and index == 0:
        return "node 0: the token and the state before it"
    if cell.recurrent and index == cell.nodes:
        return f"state after the token: mean of nodes {', '.join(map(str, cell.output))}"
    if index < cell.inputs:
        return f"node {index}: " + (
            "input" if cell.inputs == 1 else f"output of the cell {cell.inputs - index} before this one"
        )
    if cell.operations:
        return f"output: {_read(cell, index)}, nodes concatenated"
    if index == cell.nodes:
        return f"output: nodes {', '.join(map(str, cell.output))} concatenated"
    return f"node {index}: sum of its incoming edges" + (", the output" if cell.output == (index,) else "")
