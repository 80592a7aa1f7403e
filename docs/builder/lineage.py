"""Which recipe came out of which, as a drawing and as a text.

The drawing takes its colours from the page around it, so that it can be read on a light and on a dark one. The text stands in
docs/methods.md, where tests hold it equal to this table.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from html import escape
from itertools import pairwise

ROW, STEP, HEIGHT, CHARACTER = 30, 26, 22, 7.4
"""Of the drawing, in pixels: a row, an indentation, a box, and a character of a name."""

MARK = "#0072B2"
"""The blue of Okabe and Ito, which colour-blind readers tell apart from black, grey and white."""


@dataclass(frozen=True)
class Ancestry:
    """Where a recipe comes from.

    Args:
        parent: the recipe that it changes; None for one that begins a family.
        change: what is different, in a few words.
        also: further recipes that it takes something from.
    """

    parent: str | None
    change: str
    also: tuple[str, ...] = ()


LINEAGE: dict[str, Ancestry] = {
    "darts": Ancestry(None, "softmax over options, weights and architecture on two splits"),
    "darts2": Ancestry("darts", "gradient through one step of the weights"),
    "rdarts_l2": Ancestry("darts2", "more weight decay"),
    "rdarts_dp": Ancestry("darts2", "paths are dropped"),
    "darts_es": Ancestry("darts2", "stops when the loss becomes sharp"),
    "darts_ada": Ancestry("darts_es", "goes back instead, with more weight decay"),
    "sdarts_rs": Ancestry("darts", "weights learn under noisy mixing weights"),
    "sdarts_adv": Ancestry("darts", "weights learn under the worst mixing weights nearby"),
    "darts_pt": Ancestry("darts", "keeps the option whose removal hurts most"),
    "darts_minus": Ancestry("darts", "a skip connection beside the options, faded out"),
    "pcdarts": Ancestry("darts", "a quarter of the channels, weighed edges"),
    "sdarts_rs_pc": Ancestry("pcdarts", "weights learn under noisy mixing weights", ("sdarts_rs",)),
    "sdarts_adv_pc": Ancestry("pcdarts", "weights learn under the worst mixing weights nearby", ("sdarts_adv",)),
    "gaea_pcdarts": Ancestry("pcdarts", "multiplicative steps on the simplex", ("gaea",)),
    "pdarts": Ancestry("darts", "stage by stage deeper, with fewer options"),
    "drnas": Ancestry("darts", "mixing weights drawn from a Dirichlet distribution"),
    "drnas_progressive": Ancestry("drnas", "two stages: fewer options, more channels"),
    "drnas_progressive_paper": Ancestry("drnas_progressive", "the stages that the paper states"),
    "drnas_progressive_201": Ancestry("drnas_progressive", "the stages for NAS-Bench-201"),
    "gaea": Ancestry("darts", "multiplicative steps on the simplex, one level"),
    "gaea_bilevel": Ancestry("gaea", "on two levels"),
    "snas": Ancestry("darts", "Gumbel-softmax draws, one level"),
    "dsnas": Ancestry("snas", "one path, a score gradient"),
    "gdas": Ancestry("darts", "one path, drawn by hard Gumbel"),
    "gdas_darts": Ancestry("gdas", "in the DARTS space"),
    "gaea_gdas": Ancestry("gdas", "multiplicative steps on the simplex", ("gaea",)),
    "setn": Ancestry("darts", "uniform paths for the weights"),
    "proxylessnas": Ancestry("darts", "binary gates, one of them open"),
    "prdarts": Ancestry("darts", "independent gates and their penalties"),
    "parsec": Ancestry("darts", "importance weights over drawn paths"),
    "bayesnas": Ancestry("darts", "sparse switches, pruned by relevance"),
    "darts_rnn": Ancestry("darts", "on texts, for recurrent cells"),
    "enas": Ancestry(None, "shared weights, a policy proposes"),
    "enas_macro": Ancestry("enas", "a whole network, layer by layer"),
    "enas_micro": Ancestry("enas", "two cells, node by node"),
    "enas_rnn": Ancestry("enas", "a recurrent cell for texts"),
    "rsws": Ancestry("enas", "the same shared weights, nothing learnt"),
    "prune": Ancestry(None, "gates on a trained model, under a ceiling of cost; ours"),
}
"""Every recipe; a parent stands before its children."""


def ancestors(name: str) -> list[str]:
    """The recipes that one comes from, the first of its family first."""
    parent = LINEAGE[name].parent
    return [*ancestors(parent), parent] if parent else []


def children(name: str) -> list[str]:
    """The recipes that change this one."""
    return [child for child, ancestry in LINEAGE.items() if ancestry.parent == name]


def around(name: str) -> list[str]:
    """What a recipe's page draws: its ancestors, itself and its children."""
    return [*ancestors(name), name, *children(name)]


def in_order(names: Iterable[str]) -> list[str]:
    """The same names with every recipe directly behind its parent."""
    kept = set(names)
    ordered: list[str] = []

    def visit(name: str) -> None:
        if name in kept:
            ordered.append(name)
        for child in children(name):
            visit(child)

    for name, ancestry in LINEAGE.items():
        if ancestry.parent is None:
            visit(name)
    return ordered


def tree(names: Iterable[str] = LINEAGE) -> str:
    """The same as a text: a name to a line, under its parent, with what it changes."""
    rows = in_order(names)
    branches = {name: _branch(name, set(rows)) for name in rows}
    width = max(len(branch) for branch in branches.values()) + 2
    return "\n".join(f"{branch:{width}}{_note(name)}" for name, branch in branches.items())


def _branch(name: str, kept: set[str]) -> str:
    """A name behind the lines that lead to it from the first of its family."""
    lines = ""
    for parent, child in pairwise([*ancestors(name), name]):
        last = [one for one in children(parent) if one in kept][-1] == child
        lines += ("└─ " if last else "├─ ") if child == name else ("   " if last else "│  ")
    return lines + name


def drawing(names: Iterable[str], marked: str | None = None) -> str:
    """An SVG of recipes as an indented tree; each name leads to its page, in the same folder.

    Args:
        names: what to draw, with every ancestor.
        marked: the recipe of the page, in blue.

    Returns:
        One element without a line feed in it, so that it can stand in Markdown.
    """
    rows = in_order(names)
    y_of = {name: ROW * row + ROW // 2 + 2 for row, name in enumerate(rows)}
    x_of = {name: 4 + STEP * len(ancestors(name)) for name in rows}
    width = max(x_of[name] + CHARACTER * (len(name) + 3) + 6.4 * len(_note(name)) for name in rows)
    parts = []
    for name in rows:
        parent = LINEAGE[name].parent
        if parent in y_of:
            trunk, y = x_of[parent] + 10, y_of[name]
            parts.append(f'<path d="M{trunk} {y_of[parent] + HEIGHT // 2}V{y}H{x_of[name]}"/>')
    lines = f'<g fill="none" stroke="currentColor" opacity="0.45">{"".join(parts)}</g>'
    boxes = "".join(_box(name, x_of[name], y_of[name], name == marked) for name in rows)
    label = f"lineage of {marked}" if marked else "lineage of all recipes"
    return (
        f'<div class="lineage"><svg role="img" aria-label="{label}" viewBox="0 0 {width:.0f} {ROW * len(rows) + 4}" '
        f'width="{width:.0f}" xmlns="http://www.w3.org/2000/svg" font-size="12">{lines}{boxes}</svg></div>'
    )


def _note(name: str) -> str:
    """What a recipe changes, and from where else it takes something."""
    ancestry = LINEAGE[name]
    return ancestry.change + (f" (with {' and '.join(ancestry.also)})" if ancestry.also else "")


def _box(name: str, x: float, y: float, marked: bool) -> str:
    """A name in its box, as a link, and the note beside it."""
    width = CHARACTER * len(name) + 14
    look = f'fill="{MARK}" stroke="{MARK}"' if marked else 'fill="none" stroke="currentColor" stroke-opacity="0.7"'
    colour = "#fff" if marked else "currentColor"
    return (
        f'<a href="{name}.html"><rect x="{x}" y="{y - HEIGHT // 2}" width="{width:.0f}" height="{HEIGHT}" rx="5" {look}/>'
        f'<text x="{x + 7}" y="{y + 4}" font-family="monospace" fill="{colour}">{name}</text></a>'
        f'<text x="{x + width + 8:.0f}" y="{y + 4}" fill="currentColor" font-family="sans-serif">{escape(_note(name))}</text>'
    )
