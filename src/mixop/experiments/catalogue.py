"""All experiments by name."""

from collections.abc import Mapping

from mixop.experiments import (
    dirichlet,
    forgetting,
    gates,
    geometry,
    oneshot,
    optimisers,
    sharing,
    smoothing,
    techniques,
    theory,
)
from mixop.experiments.base import Experiment

_GROUPS = (optimisers, theory, gates, dirichlet, smoothing, geometry, sharing, forgetting, techniques, oneshot)

CATALOGUE: Mapping[str, Experiment] = {experiment.name: experiment for group in _GROUPS for experiment in group.EXPERIMENTS}
"""Experiments by name, document by document."""
