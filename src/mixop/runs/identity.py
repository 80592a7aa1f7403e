"""What makes a run what it is: the files that two runs differ in, and fingerprints that bind results to them.

A checkpoint and a result carry a fingerprint of every file that they depend on. An edited file, or a checkpoint of another
run, is then refused by name instead of being used. Imports no torch.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixop.core.errors import RunError
from mixop.core.outside import as_json
from mixop.runs.files import ARCHITECTURE, DATA, RECIPE, RETRAINING, SETTINGS, SPACE

SEARCH_FILES = (RECIPE, SPACE, DATA, SETTINGS)
"""What a search depends on."""

RETRAINING_FILES = (RETRAINING, SPACE, ARCHITECTURE)
"""What a retraining depends on; its plan holds the seed, the augmentation and the fingerprint of the data."""

BOUND_TO = "bound_to"
"""The key that results and checkpoints keep their fingerprints under."""

_DATA_KEYS = ("task", "shape", "dtype", "tokens", "fingerprint", "augment")

_MISSING = object()
"""No value, which is not the same as null: a field that another version of mixop did not have."""

Bound = Mapping[str, str]
"""File name -> fingerprint of its content, SHA-256 in hexadecimal."""


def essence(name: str, content: Any) -> Any:
    """What counts of a file's content when runs are compared, as JSON data.

    The same examples or supernet from another place are the same, and an architecture is the same whoever found it.

    Args:
        name: of the file.
        content: what it holds.
    """
    content = as_json(content)
    if isinstance(content, dict) and name == DATA:
        return {key: content.get(key) for key in _DATA_KEYS}
    if isinstance(content, dict) and name == RETRAINING and isinstance(content.get("start"), dict):
        return {**content, "start": {key: value for key, value in content["start"].items() if key != "run"}}
    if isinstance(content, dict) and name == ARCHITECTURE:
        return {key: value for key, value in content.items() if key != BOUND_TO}
    return content


def binding(contents: Mapping[str, Any]) -> dict[str, str]:
    """What a checkpoint or a result of a run carries.

    Args:
        contents: of the files that it depends on, by name.
    """
    return {name: _fingerprint(essence(name, content)) for name, content in contents.items()}


def check_binding(bound: Any, now: Bound, what: Path) -> None:
    """Refuses a checkpoint or a result that was made with other files than those of the run as it is now.

    Args:
        bound: what it carries.
        now: what it would carry if it were made now.
        what: the file.

    Raises:
        RunError: naming the file that differs.
    """
    if not isinstance(bound, Mapping) or set(bound) != set(now):
        raise RunError(f"{what} does not say which run it belongs to: restore it, or run it again into another --out.")
    for name, fingerprint in now.items():
        if bound[name] != fingerprint:
            raise RunError(
                f"{what} was not made with the {name} that is beside it: one of the two was changed, or comes from another "
                "run; restore it, or run it again into another --out."
            )


def _fingerprint(content: Any) -> str:
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def difference(here: Any, given: Any, where: str) -> str:
    """The first place where two JSON values differ, in words."""
    where = where.removesuffix(".json")
    if isinstance(here, dict) and isinstance(given, dict):
        for key in [*here, *(k for k in given if k not in here)]:
            if here.get(key, _MISSING) != given.get(key, _MISSING):
                return difference(here.get(key, _MISSING), given.get(key, _MISSING), f"{where}.{key}")
    if isinstance(here, list) and isinstance(given, list) and len(here) == len(given):
        for index, (old, new) in enumerate(zip(here, given, strict=True)):
            if old != new:
                return difference(old, new, f"{where}[{index}]")
    return f"{where} is {_short(here)} there and {_short(given)} now"


def _short(value: Any) -> str:
    text = "missing" if value is _MISSING else json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
