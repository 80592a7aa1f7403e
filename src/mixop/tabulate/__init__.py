"""Build your own benchmark: every architecture of a small space trained, many networks at once."""

from mixop.tabulate.build import tabulate
from mixop.tabulate.how import Tabulation
from mixop.tabulate.many import Many

__all__ = ["Many", "Tabulation", "tabulate"]
