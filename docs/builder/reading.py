"""What mkdocstrings does with docstrings before it renders them: an extension of griffe, named in mkdocs.yml."""

import importlib.util
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import griffe  # pyright: ignore[reportMissingImports]

# griffe loads this file by its path, so its neighbours are not on the path that Python imports from.
_spec = importlib.util.spec_from_file_location("readable", Path(__file__).with_name("readable.py"))
assert _spec is not None
assert _spec.loader is not None
_readable = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_readable)

PAGES = Path(__file__).parents[2] / "build" / "docs" / "api"
SHOWN = re.compile(r'^<span id="([\w.]+)"></span>\n\n::: ([\w.]+)$', re.M)
"""On the pages of the reference: the name that users write, and where it is defined."""


class Readable(griffe.Extension):
    """Docstrings as `builder.readable` turns them, in which names that the reference shows are links."""

    def on_package(self, *, pkg: Any, **_: Any) -> None:
        written = dict(pair for page in PAGES.glob("*.md") for pair in SHOWN.findall(page.read_text()))
        home = written | {path: path for path in written.values()}
        for obj in _objects(pkg):
            if obj.docstring is not None:
                obj.docstring.value = _readable.readable(obj.docstring.value, partial(_path, obj=obj, home=home))


def _objects(obj: Any) -> Iterator[Any]:
    yield obj
    for member in obj.members.values():
        if not member.is_alias:
            yield from _objects(member)


def _path(name: str, *, obj: Any, home: dict[str, str]) -> str | None:
    """Where the reference shows what a docstring names; None where it does not, and for what the object itself is."""
    if name not in home:
        try:
            name = obj.resolve(name)
        except (griffe.NameResolutionError, AttributeError):
            return None
        try:
            name = obj.modules_collection[name].canonical_path
        except (KeyError, griffe.AliasResolutionError, griffe.CyclicAliasError):
            return None
    path = home.get(name)
    return None if path == obj.canonical_path else path
