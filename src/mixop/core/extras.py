"""Packages that only an extra brings, imported when they are first used."""

from collections.abc import Mapping
from typing import Any

from mixop.core.errors import MissingExtraError
from mixop.core.trust import imported

PACKAGES: Mapping[str, tuple[str, str]] = {
    "PIL": ("pillow", "images"),
    "mlflow": ("mlflow-skinny", "mlflow"),
    "networkx": ("networkx", "graphs"),
    "optuna": ("optuna", "hpo"),
    "pandas": ("pandas", "frames"),
    "ray": ("ray", "ray"),
    "submitit": ("submitit", "slurm"),
    "tensorboard": ("tensorboard", "tensorboard"),
    "trackio": ("trackio", "trackio"),
    "triton": ("triton", "triton"),
    "wandb": ("wandb", "wandb"),
}
"""The module of each, the package that one installs, and the extra of mixop that names it."""


def package(module: str, purpose: str) -> Any:
    """A package of an extra.

    Args:
        module: one of `PACKAGES`.
        purpose: what needs it, the beginning of a sentence.

    Raises:
        MissingExtraError: if it is not installed.
    """
    name, extra = PACKAGES[module]
    try:
        return imported(module)
    except ImportError as error:
        raise MissingExtraError(name, extra, purpose) from error
