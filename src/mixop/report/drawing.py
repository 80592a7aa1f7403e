"""The drawing of what was found, as ``architecture.svg``, the page and a notebook show it."""

from collections.abc import Mapping
from typing import Any

from mixop.report.cell import draw_cell
from mixop.report.links import draw_links, links
from mixop.report.wiring import draw_wiring
from mixop.runs.cells import parse_cell
from mixop.runs.read import RunContents

MANY = 5
"""Nodes that all do the same: more of them are drawn as numbers alone."""


def draw(cell: Mapping[str, Any]) -> str:
    """The drawing of one cell as the text of a self-contained SVG that adapts to light and dark.

    Args:
        cell: one cell of ``architecture.json``.

    Raises:
        RunError: if the mapping is no cell.
    """
    return draw_wiring(cell) if alike(cell) else draw_cell(cell)


def alike(cell: Mapping[str, Any]) -> bool:
    """Whether a cell is a graph of many nodes that all do the same.

    Raises:
        RunError: if the mapping is no cell.
    """
    operations = parse_cell(cell).operations
    return len(operations) > MANY and len(set(operations)) == 1


def drawings(run: RunContents) -> dict[str, str]:
    """The drawings of what a run has found by name: one for each cell, or one of the chain of a model's choices."""
    if run.chain:
        taken = {name: option for name, option in (run.choices or {}).items() if isinstance(option, str)}
        options = {name: rows[0].options for name, rows in run.decisions.items()}
        return {"network": draw_links(links(run.chain, taken, options))}
    return {name: draw(cell) for name, cell in run.cells.items()}
