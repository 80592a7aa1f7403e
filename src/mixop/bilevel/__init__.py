"""Schemes: how the gradient of the architecture (the hypergradient) is computed."""

from mixop.bilevel.base import InnerStep, Problem, Scheme, gradient
from mixop.bilevel.direct import FirstOrder, SingleLevel
from mixop.bilevel.importance import ImportanceWeighted, importance_weights
from mixop.bilevel.none import Frozen
from mixop.bilevel.rate import TunedRate
from mixop.bilevel.score_function import ScoreFunction
from mixop.bilevel.second_order import SecondOrder

__all__ = [
    "FirstOrder",
    "Frozen",
    "ImportanceWeighted",
    "InnerStep",
    "Problem",
    "Scheme",
    "ScoreFunction",
    "SecondOrder",
    "SingleLevel",
    "TunedRate",
    "gradient",
    "importance_weights",
]
