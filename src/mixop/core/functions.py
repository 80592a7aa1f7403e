"""Functions of a user by their import name, so that a value which names one survives JSON and another process."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

from mixop.core.errors import RecipeError


def name_of(function: Callable[..., Any], what: str) -> str:
    """The name ``package.module:function`` that leads to a function.

    Args:
        function: the function.
        what: what it is for, in messages: "A loss".

    Raises:
        RecipeError: for a lambda or a function inside another one, which no name leads to.
    """
    name = getattr(function, "__qualname__", "")
    if not callable(function) or not name or "<" in name or not getattr(function, "__module__", None):
        raise RecipeError(
            f"{what} must be a function at the top of a module, so that a run can find it again, got {function!r}: "
            "move it there, and give it a name."
        )
    return f"{function.__module__}:{name}"


def function_of(name: str, what: str) -> Callable[..., Any]:
    """The function that a name leads to.

    Args:
        name: ``package.module:function``; ``__main__`` is the script that runs.
        what: what it is for, in messages: "A loss".

    Raises:
        RecipeError: if there is none.
    """
    module, colon, path = name.partition(":")
    if not colon or not module or not path:
        raise RecipeError(f"{what} is named package.module:function, got {name!r}.")
    try:
        found: Any = sys.modules[module] if module in sys.modules else import_module(module)
        for piece in path.split("."):
            found = getattr(found, piece)
    except Exception as error:  # importing runs the module of a user, which may fail in any way
        raise RecipeError(f"{what} {name!r} cannot be loaded ({error}): name a function that Python can import.") from error
    if not callable(found):
        raise RecipeError(f"{what} {name!r} must be a function, got {type(found).__name__}.")
    return found
