"""What mkdocstrings does with docstrings before it renders them: an extension of griffe, named in mkdocs.yml."""

import importlib.util
from pathlib import Path
from typing import Any

import griffe  # pyright: ignore[reportMissingImports]

# griffe loads this file by its path, so its neighbours are not on the path that Python imports from.
_spec = importlib.util.spec_from_file_location("readable", Path(__file__).with_name("readable.py"))
assert _spec is not None
assert _spec.loader is not None
_readable = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_readable)


class Readable(griffe.Extension):
    """Docstrings as `builder.readable` turns them."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = _readable.readable(obj.docstring.value)
