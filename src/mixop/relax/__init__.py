"""Relaxations: functions from architecture parameters to mixing weights."""

from mixop.relax.base import Relaxation
from mixop.relax.dirichlet import Dirichlet
from mixop.relax.simplex import SimplexPoint
from mixop.relax.softmax import Softmax

ALL: dict[str, type[Relaxation]] = {"softmax": Softmax, "dirichlet": Dirichlet, "simplex": SimplexPoint}
"""Every relaxation by its name on the command line."""

__all__ = ["ALL", "Dirichlet", "Relaxation", "SimplexPoint", "Softmax"]
