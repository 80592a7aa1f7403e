"""Relaxations: functions from architecture parameters to mixing weights."""

from mixop.relax.base import Relaxation
from mixop.relax.categorical import Categorical, CategoricalGate, Uniform
from mixop.relax.dirichlet import Dirichlet
from mixop.relax.gates import BinaryGates
from mixop.relax.gumbel import GumbelHard, GumbelSimplex, GumbelSoftmax
from mixop.relax.hard_concrete import HardConcrete
from mixop.relax.nested import NestedGates
from mixop.relax.policy import LstmPolicy
from mixop.relax.simplex import SimplexPoint
from mixop.relax.softmax import Softmax
from mixop.relax.switches import Switches

ALL: dict[str, type[Relaxation]] = {
    "softmax": Softmax,
    "dirichlet": Dirichlet,
    "simplex": SimplexPoint,
    "gumbel_softmax": GumbelSoftmax,
    "gumbel_hard": GumbelHard,
    "gumbel_simplex": GumbelSimplex,
    "categorical": Categorical,
    "categorical_gate": CategoricalGate,
    "uniform": Uniform,
    "binary_gates": BinaryGates,
    "hard_concrete": HardConcrete,
    "switches": Switches,
    "lstm_policy": LstmPolicy,
    "nested_gates": NestedGates,
}
"""Every relaxation by its name on the command line."""

__all__ = [
    "ALL",
    "BinaryGates",
    "Categorical",
    "CategoricalGate",
    "Dirichlet",
    "GumbelHard",
    "GumbelSimplex",
    "GumbelSoftmax",
    "HardConcrete",
    "LstmPolicy",
    "NestedGates",
    "Relaxation",
    "SimplexPoint",
    "Softmax",
    "Switches",
    "Uniform",
]
