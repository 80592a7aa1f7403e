"""Which modules a text may name. Importing a module runs it, so a file that comes from elsewhere must not choose one.

A name such as ``package.module:Name`` leads to what this process has imported already, and to modules that the user allowed by
naming them on the command line. mixop's own parts have bare names. The standard library and mixop's own modules, its commands
among them, are imported but must be allowed: nobody's part lies there, but much that does harm when it is called.

The command line finds modules of the working directory too, but only those that the user allowed and what these import
themselves. On ``sys.path`` the directory would be open to everybody: torch tries to import ``triton`` where it is not
installed, and would be given a ``triton.py`` that lies beside the user.
"""

import importlib
import importlib.abc
import importlib.machinery
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

_OURS = "mixop"
_SAFE_PATH = "PYTHONSAFEPATH"
_IMPORTLIB = ("importlib", "_frozen_importlib", "_frozen_importlib_external")
_allowed: set[str] = set()
_NAME = re.compile(r"(?<![\w.:/\\])([A-Za-z_]\w*(?:\.\w+)*):[A-Za-z_]\w*(?![\w:/\\])")


@dataclass(frozen=True)
class Grant:
    """What a process may name, to be given to its workers.

    Args:
        modules: their names.
        folder: where the command line finds modules of the user, None where they are found as Python finds them.
        found: modules that were found there, in the order in which they were imported.
    """

    modules: frozenset[str]
    folder: str | None
    found: tuple[str, ...]


def allow(modules: Iterable[str]) -> None:
    """Lets texts name these modules, which are imported once one does."""
    _allowed.update(modules)


def named_in(text: str) -> list[str]:
    """The modules that a user's words name: of ``mine:relaxation``, also inside of lists and JSON."""
    return _NAME.findall(text)


def is_allowed(module: str) -> bool:
    """Whether the user named a module."""
    return module in _allowed


def may_name(module: str) -> bool:
    """Whether a text may name a module."""
    root = module.partition(".")[0]
    if module in _allowed:
        return True
    if module == "__main__":  # a script of the user's, but not the command line itself
        return not any(isinstance(finder, _Beside) for finder in sys.meta_path)
    return module in sys.modules and root != _OURS and root not in sys.stdlib_module_names


def imported(module: str) -> ModuleType:
    """A module, imported if need be; ask `may_name` first."""
    return importlib.import_module(module)


@contextmanager
def finding(folder: str | Path) -> Iterator[None]:
    """Inside, allowed modules are looked for in a folder too, after all other places; afterwards they are allowed no more.

    Other Pythons that are started inside, the servers of `multiprocessing` among them, keep the working directory off their
    path as well: they begin with ``python -c``, which would put it first.
    """
    finder, before, safe = _Beside(str(folder)), set(_allowed), os.environ.get(_SAFE_PATH)
    sys.meta_path.append(finder)
    os.environ[_SAFE_PATH] = "1"
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        if safe is None:
            os.environ.pop(_SAFE_PATH, None)
        else:
            os.environ[_SAFE_PATH] = safe
        _allowed.clear()
        _allowed.update(before)


def grant() -> Grant:
    """What this process may name."""
    modules = frozenset(name for name in (*sys.modules, *_allowed) if may_name(name) and name != "__main__")
    finder = next((finder for finder in sys.meta_path if isinstance(finder, _Beside)), None)
    return Grant(modules, finder.folder if finder else None, tuple(finder.found) if finder else ())


def receive(given: Grant) -> None:
    """Lets this process, a worker, name what its parent may."""
    allow(given.modules)
    if given.folder is not None:
        sys.meta_path.append(_Beside(given.folder))
        allow(given.found)
        for module in given.found:  # unpickling imports by name, which the finder does not answer
            imported(module)


class _Beside(importlib.abc.MetaPathFinder):
    """Finds modules in a folder, for `imported` and for modules that lie in that folder themselves."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self.found: dict[str, None] = {}  # keeps the order

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if path is not None:  # a module of a package: Python knows where that lies
            return None
        asking = _importer()
        ours = asking == __name__ and any(name.partition(".")[0] == fullname for name in _allowed)
        if not ours and asking.partition(".")[0] not in self.found:
            return None
        spec = importlib.machinery.PathFinder.find_spec(fullname, [self.folder], target)
        if spec is not None:
            self.found[fullname] = None
        return spec


def _importer() -> str:
    """The name of the module whose code asks for an import."""
    frame: Any = sys._getframe(2)
    while frame is not None and frame.f_globals.get("__name__", "").partition(".")[0] in _IMPORTLIB:
        frame = frame.f_back
    return "" if frame is None else frame.f_globals.get("__name__", "")
