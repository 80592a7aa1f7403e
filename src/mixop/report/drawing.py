"""The drawing of a cell of any kind, as the file ``architecture.svg``, the page and a notebook show it."""

from collections.abc import Mapping
from typing import Any

from mixop.report.cell import draw_cell
from mixop.report.wiring import draw_wiring
from mixop.runs.cells import parse_cell

MANY = 5
"""Nodes that all do the same: more of them are drawn as numbers alone."""


def draw(cell: Mapping[str, Any]) -> str:
    """The drawing of one cell as the text of a self-contained SVG that adapts to light and dark.

    Args:
        cell: one cell of ``architecture.json``.

    Raises:
        RunError: if the mapping is no cell.
    """
    operations = parse_cell(cell).operations
    alike = len(operations) > MANY and len(set(operations)) == 1
    return draw_wiring(cell) if alike else draw_cell(cell)
