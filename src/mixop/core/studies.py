"""Optuna, where it is installed."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

from mixop.core.errors import MissingExtraError


def optuna_for(purpose: str) -> Any:
    """The package, imported when it is first used.

    Args:
        purpose: what needs it, the beginning of a sentence.

    Raises:
        MissingExtraError: if it is not installed.
    """
    try:
        return import_module("optuna")
    except ImportError as error:
        raise MissingExtraError("optuna", "hpo", purpose) from error


@contextmanager
def quiet(optuna: Any) -> Iterator[None]:
    """Inside, Optuna neither logs every study nor warns that a setting is new."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
