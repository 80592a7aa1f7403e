"""Python objects by a name that a file can hold: ``package.module:name``."""

import importlib
import sys
from collections.abc import Callable
from typing import Any

from mixop.core.errors import RecipeError

SCRIPT = "__main__"
"""The module of a script or notebook; no other process can import it."""


def load(name: str, where: str, kind: str = "class") -> Any:
    """The object that a name stands for; its module is imported.

    Args:
        name: ``package.module:name``.
        where: what the object is for, in messages.
        kind: what it should be, in messages.

    Raises:
        RecipeError: if there is none, or its module fails while it is imported.
    """
    module, _, path = name.partition(":")
    try:
        found: Any = importlib.import_module(module)
        for piece in path.split("."):
            found = getattr(found, piece)
    except Exception as error:  # importing runs the outsider's module, which may fail in any way
        if module == SCRIPT:
            raise RecipeError(
                f"Cannot load {name!r} for {where}: it was defined in a script or a notebook, which this process does not run. "
                f"Move it to a module that Python can import."
            ) from error
        raise RecipeError(
            f"Cannot load {name!r} for {where} ({error}): write package.module:Name of a {kind} that Python can import."
        ) from error
    return found


def name_of(function: Callable[..., Any], where: str) -> str:
    """The name that leads back to a function.

    Args:
        function: a function from the top of a module, or of a script that is running.
        where: what it is for, in messages.

    Raises:
        RecipeError: for a lambda, a function inside a function, or anything else that no name leads to.
    """
    module, path = getattr(function, "__module__", None), getattr(function, "__qualname__", None)
    if not callable(function) or not module or not path:
        raise RecipeError(f"{where} must be a function from the top of a module, got {type(function).__name__}: {function!r}.")
    if "<" in path:
        what = "a lambda" if path.endswith("<lambda>") else f"{function.__name__}, which is defined inside a function"
        raise RecipeError(f"{where} is {what}, and no file can refer to it: write it with def at the top of a module.")
    found: Any = sys.modules.get(module)
    for piece in path.split("."):
        found = getattr(found, piece, None)
    if found is not function:
        raise RecipeError(f"{where} cannot be found as {module}:{path}: define it under that name at the top of its module.")
    return f"{module}:{path}"
