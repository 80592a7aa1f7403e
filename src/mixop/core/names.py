"""Python objects by a name that a file can hold: ``package.module:name``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import BuiltinFunctionType, FunctionType, ModuleType
from typing import Any

from mixop.core.errors import MixopError, RecipeError, SpaceError
from mixop.core.trust import imported, is_allowed, may_name

SCRIPT = "__main__"
"""The module of a script or notebook; no other process can import it."""


def load(name: str, where: str, kind: str = "class") -> Any:
    """The object that a name stands for, if texts may name its module, see `mixop.core.trust`.

    Args:
        name: ``package.module:name``.
        where: what the object is for, in messages.
        kind: what it should be, in messages.

    Raises:
        RecipeError: if texts may not name it, there is none, or its module fails while it is imported.
    """
    check_name(name, where)
    module, _, path = name.partition(":")
    try:
        found: Any = imported(module)
        for piece in path.split("."):
            found = getattr(found, piece)
            _check_origin(found, name, where)
    except MixopError:
        raise
    except Exception as error:  # importing runs the outsider's module, which may fail in any way
        if module == SCRIPT:
            raise _of_a_script(name, where) from error
        raise RecipeError(
            f"Cannot load {name!r} for {where} ({error}): write package.module:Name of a {kind} that Python can import."
        ) from error
    return found


def check_name(name: str, where: str) -> None:
    """Refuses a name that texts may not use; nothing is imported.

    Raises:
        RecipeError: saying how to allow it.
    """
    module, _, path = name.partition(":")
    if not all(piece.isidentifier() for piece in (*module.split("."), *path.split("."))):
        raise RecipeError(f"Cannot load {name!r} for {where}: write package.module:Name.")
    if module == SCRIPT and not may_name(module):
        raise _of_a_script(name, where)
    if not may_name(module):
        raise _refused(module, name, where)


@contextmanager
def from_file(path: object) -> Iterator[None]:
    """Inside, the errors of reading a file's content name the file; nothing is added where there is none."""
    try:
        yield
    except (RecipeError, SpaceError) as error:
        if not path:
            raise
        raise type(error)(f"{path}: {error}") from error


def _check_origin(found: Any, name: str, where: str) -> None:
    """Refuses a way out of a module that may be named: to the ``os`` that it imports, or to a function of that."""
    if is_allowed(name.partition(":")[0]):
        return
    if isinstance(found, ModuleType) and not may_name(found.__name__):
        raise _refused(found.__name__, name, where)
    origin = found.__module__ if isinstance(found, type | FunctionType | BuiltinFunctionType) else None
    if isinstance(origin, str) and origin.partition(".")[0] in sys.stdlib_module_names:
        raise _refused(origin, name, where)


def _of_a_script(name: str, where: str) -> RecipeError:
    return RecipeError(
        f"Cannot load {name!r} for {where}: it was defined in a script or a notebook, which this process does not run. "
        f"Move it to a module that Python can import."
    )


def _refused(module: str, name: str, where: str) -> RecipeError:
    if module.partition(".")[0] == "mixop":
        return RecipeError(f"{where} names {name!r}, but mixop's own parts are named without a module: write its bare name.")
    return RecipeError(
        f"{where} names {name!r}, which would run code of {module}: if you trust whoever wrote it, add --trust {module}, "
        "or import it first in Python."
    )


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
