"""Draws a network that is a chain of layers with skips, as SVG: layers from top to bottom, a lane for every one that is read.

Arcs from layer to layer would hide each other beyond a dozen skips. Here a node that is read later has a lane of its own, which
goes down from its row to the last layer that reads it, with a dot in the row of every reader.
"""

from xml.sax.saxutils import escape

from mixop.report.ink import CHARACTER, GROUND, INK, MUTED, framed
from mixop.report.palette import KINDS, kind_of
from mixop.runs.cells import DrawnCell, DrawnEdge

ROW = 34.0  # px between two layers

BOX = 24.0  # px: height of a layer

LANE = 22.0  # px between two lanes

MARGIN = 8.0


def draw_chain(cell: DrawnCell) -> str:
    """The drawing of a chain as the text of a self-contained SVG that adapts to light and dark.

    Args:
        cell: a cell that is a chain: every node has one edge from the node before it, and skips, or absent edges, from others.

    Returns:
        An ``<svg>`` element.
    """
    layers, skips = parts(cell)
    readers: dict[int, list[int]] = {}
    for edge in skips:
        readers.setdefault(edge.source, []).append(edge.target)
    names = ["input", *(layers[node].operation if node in layers else "none" for node in range(1, cell.nodes))]
    number = max(len(str(cell.nodes - 1)) * CHARACTER, CHARACTER) + 10
    wide = max(len(name) for name in names) * CHARACTER + 22
    left, right = MARGIN + number, MARGIN + number + wide
    lanes = {source: right + 16 + LANE * (lane + 0.5) for lane, source in enumerate(sorted(readers))}
    width = max(right, *lanes.values(), 0) + LANE / 2 + MARGIN
    y = [MARGIN + BOX / 2 + ROW * node for node in range(cell.nodes)]
    body = []
    for target in sorted({edge.target for edge in skips}):
        far = max(lanes[edge.source] for edge in skips if edge.target == target)
        body.append(_read(right, far, y[target]))
    for source, targets in readers.items():
        body.append(_lane(right, lanes[source], y[source], [y[target] for target in targets], last=y[max(targets)]))
    for node, name in enumerate(names):
        if node:
            body.append(_arrow(left + wide / 2, y[node - 1] + BOX / 2, y[node] - BOX / 2))
        reads = [edge.source for edge in skips if edge.target == node]
        body.append(_layer(node, name, (left, y[node], wide), reads))
    return framed(width, y[-1] + BOX / 2 + MARGIN, describe_chain(cell), body)


def parts(cell: DrawnCell) -> tuple[dict[int, DrawnEdge], list[DrawnEdge]]:
    """For every layer its edge from the layer before it, and the skips; absent edges are left out."""
    layers = {edge.target: edge for edge in cell.edges if edge.source == edge.target - 1}
    skips = [edge for edge in cell.edges if edge.source < edge.target - 1 and kind_of(edge.operation or "none") != "none"]
    return layers, skips


def describe_chain(cell: DrawnCell) -> str:
    """The network in words, for those who cannot see the drawing."""
    layers, skips = parts(cell)
    words = []
    for node in range(1, cell.nodes):
        reads = [edge.source for edge in skips if edge.target == node]
        also = f", reads also {', '.join('the input' if source == 0 else str(source) for source in reads)}" if reads else ""
        words.append(f"Layer {node}: {layers[node].operation if node in layers else 'none'}{also}")
    return f"Network of {cell.nodes - 1} layers. {'. '.join(words)}."


def _layer(node: int, name: str, box: tuple[float, float, float], reads: list[int]) -> str:
    left, y, wide = box
    tag = f'<text x="{left - 8:.1f}" y="{y + 4:.1f}" text-anchor="end" fill="{MUTED}">{node}</text>' if node else ""
    also = "" if not reads else f", and adds {', '.join('the input' if source == 0 else f'layer {source}' for source in reads)}"
    role = (
        "the network's input, after its first convolution" if node == 0 else f"layer {node}: {name} of the layer before{also}"
    )
    rect = f'x="{left:.1f}" y="{y - BOX / 2:.1f}" width="{wide:.1f}" height="{BOX:.1f}" rx="7"'
    text = f'x="{left + wide / 2:.1f}" y="{y + 4:.1f}" text-anchor="middle"'
    if node == 0:
        shape = f'<rect {rect} fill="{GROUND}" stroke="{MUTED}" stroke-width="1.2"/>'
        return f'<g class="node"><title>{role}</title>{shape}<text {text} font-weight="600" fill="{INK}">{name}</text></g>'
    kind = kind_of(name)
    return (
        f'<g class="op-{kind}" color="{KINDS[kind].light}"><title>{escape(role)}</title><g class="number">{tag}</g>'
        f'<rect class="label" {rect} fill="currentColor" fill-opacity="0.12" stroke="currentColor" stroke-opacity="0.55"/>'
        f'<text {text} fill="currentColor">{escape(name)}</text></g>'
    )


def _arrow(x: float, start: float, end: float) -> str:
    return (
        f'<g class="op-concat" color="{MUTED}"><path d="M{x:.1f} {start:.1f}V{end - 5:.1f}" fill="none" stroke="currentColor" '
        f'stroke-width="1.6"/><path d="M{x:.1f} {end:.1f}l-4 -7h8z" fill="currentColor"/></g>'
    )


def _read(box: float, x: float, y: float) -> str:
    """A thin line from the farthest lane that a layer reads to its box."""
    return (
        f'<g class="op-skip" color="{KINDS["skip"].light}"><path d="M{x:.1f} {y - 4:.1f}H{box + 7:.1f}" fill="none" '
        f'stroke="currentColor" stroke-width="1" opacity="0.5"/>'
        f'<path d="M{box + 1:.1f} {y - 4:.1f}l7 -4v8z" fill="currentColor"/></g>'
    )


def _lane(box: float, x: float, y: float, readers: list[float], *, last: float) -> str:
    """A lane, from the box of its node, with a dot in the row of every layer that reads it.

    What leaves a box leaves below its middle, and what comes in comes above it, so that the two are not one line.
    """
    start = y + 6
    down = (
        f'<path d="M{box:.1f} {start:.1f}H{x - 7:.1f}Q{x:.1f} {start:.1f} {x:.1f} {start + 7:.1f}V{last - 4:.1f}" fill="none"/>'
    )
    dots = "".join(f'<circle cx="{x:.1f}" cy="{at - 4:.1f}" r="4" fill="currentColor" stroke="none"/>' for at in readers)
    return f'<g class="op-skip" color="{KINDS["skip"].light}" stroke="currentColor" stroke-width="1.6">{down}{dots}</g>'
