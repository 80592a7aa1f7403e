"""Regularisers of the architecture: terms added to the loss of the architecture step."""

from mixop.regularise.anchor import AnchorL2
from mixop.regularise.base import Point, Regulariser
from mixop.regularise.cost import CostCeiling, ExpectedCost
from mixop.regularise.dirichlet import DirichletKL
from mixop.regularise.entropy import Entropy, entropy
from mixop.regularise.gates import GatePenalty
from mixop.regularise.switches import SwitchPenalty
from mixop.relax.dirichlet import dirichlet_kl

__all__ = [
    "AnchorL2",
    "CostCeiling",
    "DirichletKL",
    "Entropy",
    "ExpectedCost",
    "GatePenalty",
    "Point",
    "Regulariser",
    "SwitchPenalty",
    "dirichlet_kl",
    "entropy",
]
