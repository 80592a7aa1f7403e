"""Derivations: from a trained supernet to the discrete architecture."""

from mixop.derive.activation import ActivationThreshold
from mixop.derive.argmax import Argmax
from mixop.derive.base import Derivation, Trained
from mixop.derive.ceiling import UnderCeiling
from mixop.derive.perturbation import PerturbationSelection
from mixop.derive.relevance import Relevance
from mixop.derive.sampled import BestSampled, most_probable
from mixop.derive.skips import RestrictedSkips

ALL: dict[str, type[Derivation]] = {
    "argmax": Argmax,
    "activation_threshold": ActivationThreshold,
    "best_sampled": BestSampled,
    "perturbation_selection": PerturbationSelection,
    "relevance": Relevance,
    "restricted_skips": RestrictedSkips,
    "under_ceiling": UnderCeiling,
}
"""Every derivation by its name on the command line."""

__all__ = [
    "ALL",
    "ActivationThreshold",
    "Argmax",
    "BestSampled",
    "Derivation",
    "PerturbationSelection",
    "Relevance",
    "RestrictedSkips",
    "Trained",
    "UnderCeiling",
    "most_probable",
]
