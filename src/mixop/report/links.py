"""Draws a network whose decisions follow one another as SVG: a box for each with what was taken, in rows like a text."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from xml.sax.saxutils import escape, quoteattr

from mixop.report.ink import CHARACTER, GROUND, INK, MUTED
from mixop.report.palette import KINDS, kind_of

WIDE = 1030.0
"""px that a row is wide at most: what a page has room for."""

HEIGHT, GAP, LINE = 34.0, 22.0, 84.0
"""px of a box, between two boxes, and from row to row."""

LEFT_OUT = ("skip", "none")
"""Kinds of options that leave a place of the chain out."""

COLOURS = tuple(name for name in KINDS if name not in LEFT_OUT)
"""Kinds whose colours the other options have, in their order."""


@dataclass(frozen=True)
class Link:
    """A place of a chain.

    Args:
        name: of its decision, shortened to what the places do not have in common.
        option: what is taken there.
        kind: whose colours it has.
    """

    name: str
    option: str
    kind: str

    @property
    def width(self) -> float:
        """Of its box in px."""
        return max(len(self.option) * CHARACTER, 0.85 * len(self.name) * CHARACTER) + 20


def links(chain: Sequence[str], taken: Mapping[str, str], options: Mapping[str, Sequence[str]]) -> list[Link]:
    """The places of a chain.

    Args:
        chain: decisions in the order in which they follow one another.
        taken: the option of each.
        options: of each those that there are; equal names have equal colours.
    """
    names = dict.fromkeys(option for name in chain for option in options.get(name, ()) if kind_of(option) not in LEFT_OUT)
    colours = {name: COLOURS[index % len(COLOURS)] for index, name in enumerate(names)}
    parts = [name.split(".") for name in chain]
    common = 0
    while all(len(part) > common + 1 and part[common] == parts[0][common] for part in parts):
        common += 1
    return [
        Link(".".join(part[common:]), taken[name], colours.get(taken[name], kind_of(taken[name])))
        for name, part in zip(chain, parts, strict=True)
    ]


def draw_links(places: Sequence[Link]) -> str:
    """The drawing of a chain as the text of a self-contained SVG that adapts to light and dark.

    Args:
        places: from the network's input to its output.

    Returns:
        An ``<svg>`` element; with an XML header it is a file, inside HTML a figure.
    """
    ends = [Link("", "input", ""), *places, Link("", "output", "")]
    rows = _rows(ends, WIDE)
    widest = max(link.width for link in ends) + 3 * GAP
    for narrower in range(int(WIDE), int(widest), -8):  # rows of about the same length
        tried = _rows(ends, narrower)
        if len(tried) > len(rows):
            break
        rows = tried
    width = max(at + link.width for row in rows for at, link in row) + GAP
    height = LINE * (len(rows) - 1) + HEIGHT + 36
    body = []
    for number, row in enumerate(rows):
        middle = 28 + LINE * number + HEIGHT / 2
        if number:
            body.append(_turn(rows[number - 1], row[0][0], middle))
        for (at, link), (then, _) in pairwise(row):
            body.append(_arrow(f"M{at + link.width:.1f} {middle:.1f}H{then - 6:.1f}", then, middle))
        body += [_box(at, middle, link) for at, link in row]
    return (
        f'<svg class="mixop-cell mixop-chain" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" '
        f'width="{width:.0f}" height="{height:.0f}" style="--own: {width:.0f}px" role="img" '
        f"aria-label={quoteattr(describe(places))} "
        f"font-family=\"ui-monospace, 'SF Mono', Menlo, Consolas, 'DejaVu Sans Mono', monospace\" font-size=\"12\">\n"
        f"<style>{_dark_style()}</style>\n" + "\n".join(body) + "\n</svg>"
    )


def _rows(links: Sequence[Link], wide: float) -> list[list[tuple[float, Link]]]:
    """The links with their places from the left, as many in a row as have room."""
    rows: list[list[tuple[float, Link]]] = [[]]
    x = 8.0
    for link in links:
        if rows[-1] and x + link.width > wide - GAP:
            rows.append([])
            x = 8.0 + GAP
        rows[-1].append((x, link))
        x += link.width + GAP
    return rows


def describe(places: Sequence[Link]) -> str:
    """The chain in words, for those who cannot see the drawing."""
    return f"Chain of {len(places)} decisions. {'; '.join(f'{link.name}: {link.option}' for link in places)}."


def _turn(row: Sequence[tuple[float, Link]], start: float, middle: float) -> str:
    """The way from the end of a row to the start of the next one."""
    at, last = row[-1]
    before, between, edge = middle - LINE, middle - LINE / 2 - 4, at + last.width + GAP / 2
    path = (
        f"M{at + last.width:.1f} {before:.1f}H{edge - 8:.1f}q8 0 8 8V{between - 8:.1f}q0 8 -8 8H16q-8 0 -8 8V{middle - 8:.1f}"
        f"q0 8 8 8H{start - 6:.1f}"
    )
    return _arrow(path, start, middle)


def _arrow(path: str, x: float, y: float) -> str:
    return (
        f'<g class="way" color="{MUTED}"><path d="{path}" fill="none" stroke="currentColor" stroke-width="1.5"/>'
        f'<path d="M{x:.1f} {y:.1f}l-8 -4.5v9z" fill="currentColor"/></g>'
    )


def _box(x: float, middle: float, link: Link) -> str:
    at = x + link.width / 2
    shape = f'<rect x="{x:.1f}" y="{middle - HEIGHT / 2:.1f}" width="{link.width:.1f}" height="{HEIGHT:.0f}" rx="9"'
    text = f'<text x="{at:.1f}" y="{middle + 4:.1f}" text-anchor="middle"'
    if not link.kind:
        return (
            f'<g class="node">{shape} fill="{GROUND}" stroke="{MUTED}" stroke-width="1.2"/>'
            f'{text} font-weight="600" fill="{INK}">{escape(link.option)}</text></g>'
        )
    dashed = ' stroke-dasharray="4 4"' if link.kind in LEFT_OUT else ""
    return (
        f'<g class="op-{link.kind}" color="{KINDS[link.kind].light}"><title>{escape(f"{link.name}: {link.option}")}</title>'
        f'{shape} fill="currentColor" fill-opacity="0.12" stroke="currentColor" stroke-width="1.4"{dashed}/>'
        f'{text} fill="currentColor">{escape(link.option)}</text></g>'
        f'<text class="place" x="{at:.1f}" y="{middle - HEIGHT / 2 - 6:.1f}" text-anchor="middle" font-size="10" '
        f'fill="{MUTED}">{escape(link.name)}</text>'
    )


def _dark_style() -> str:
    """Colours for a dark ground; light ones are attributes."""
    kinds = "".join(f".mixop-chain .op-{name}{{color:{kind.dark}}}" for name, kind in KINDS.items())
    return (
        "@media screen and (prefers-color-scheme: dark){"
        f"{kinds}.mixop-chain .way{{color:#98a2b3}}.mixop-chain .place{{fill:#98a2b3}}"
        ".mixop-chain .node rect{fill:#262d38;stroke:#8791a3}.mixop-chain .node text{fill:#e8ebf1}}"
    )
