"""The report of a run: reads a run directory, writes one page that needs nothing else."""

from mixop.report.cell import draw_cell
from mixop.report.html import write_report

__all__ = ["draw_cell", "write_report"]
