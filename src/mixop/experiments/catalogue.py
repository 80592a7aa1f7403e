"""All experiments by name."""

from collections.abc import Mapping

from mixop.experiments import optimisers
from mixop.experiments.base import Experiment

CATALOGUE: Mapping[str, Experiment] = {experiment.name: experiment for experiment in (*optimisers.EXPERIMENTS,)}
"""Experiments by name, document by document."""
