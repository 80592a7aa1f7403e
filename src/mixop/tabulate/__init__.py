"""Build your own benchmark: every architecture of a small space trained, many networks at once."""

from mixop.tabulate.build import Tabulation, tabulate
from mixop.tabulate.many import Many

__all__ = ["Many", "Tabulation", "tabulate"]
