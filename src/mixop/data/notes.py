"""What a reader saw and did not read, and what it read in a way that one may not expect: for the record and the screen.

A reader accounts for everything that it sees. What it leaves out is in the set's record under ``"left_out"``, and Python warns
of it once, by a `DataWarning`, which the command line shows as one line.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mixop.core.errors import DataWarning

NAMED = 5
"""Names of each kind that the record holds; a set of a million files may leave out as many."""

SHOWN = 2
"""Names of each kind that a sentence holds."""

FACTS = {
    "images_in_subfolders": "{} images from subfolders of their class",
    "images_without_their_transparency": "{} images without their transparency",
    "images_of_several_frames": "the first frame of {} images that have several",
    "images_turned_upright": "{} images turned upright by their orientation tag",
}
"""How the screen says what a record counts."""


class LeftOut:
    """What was left out, by its kind: how many, and the names of the first few."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}

    def add(self, kind: str, name: str) -> None:
        """Counts one.

        Args:
            kind: what it is, in the plural: ``files that are no images``.
            name: which one.
        """
        self._counts[kind] = self._counts.get(kind, 0) + 1
        names = self._names.setdefault(kind, [])
        if len(names) < NAMED:
            names.append(name)

    def count(self, kind: str) -> int:
        """How many there were of a kind."""
        return self._counts.get(kind, 0)

    @property
    def record(self) -> dict[str, Any]:
        """For a set's record: ``{"left_out": {kind: {"count": 2, "first": [...]}}}``, or nothing."""
        kinds = {kind: {"count": count, "first": self._names[kind]} for kind, count in self._counts.items()}
        return {"left_out": kinds} if kinds else {}

    def __str__(self) -> str:
        return said(self.record)


def left_out(kind: str, names: Sequence[str]) -> dict[str, Any]:
    """The record of a reader that leaves out one kind of thing, or nothing."""
    found = LeftOut()
    for name in names:
        found.add(kind, name)
    return found.record


def said(record: Mapping[str, Any]) -> str:
    """What a record says was left out, in words: ``hidden files (1: .DS_Store)``; empty if nothing was."""
    kinds, split = [], record.get("split", {})
    for kind, found in record.get("left_out", {}).items():
        names = found["first"][:SHOWN]
        more = ", ..." if found["count"] > len(names) else ""
        kinds.append(f"{kind} ({found['count']:,}: {', '.join(names)}{more})")
    if unused := split.get("lists_not_used"):
        kinds.append(f"lists of the index file of other names ({', '.join(unused)})")
    if count := split.get("examples_in_no_list"):
        kinds.append(f"examples in no list of the index file ({count:,})")
    return ", ".join(kinds)


def facts(record: Mapping[str, Any]) -> str:
    """What a record says was read in a way that one may not expect, in words; empty if nothing was."""
    found = [text.format(f"{record[key]:,}") for key, text in FACTS.items() if record.get(key)]
    for names in record.get("classes_that_differ_only_in_case", ()):
        found.append(f"classes whose names differ only in case ({' and '.join(names)})")
    return ", ".join(found)


def told(name: str, record: Mapping[str, Any]) -> str:
    """Everything that one may want to know of how a set was read, in one line; empty if there is nothing.

    Args:
        name: of the set.
        record: its record.
    """
    lines = [*_warnings(name, record), *([f"{name} was read with {text}."] if (text := facts(record)) else [])]
    return " ".join(lines)


def warn(name: str, record: Mapping[str, Any]) -> None:
    """Warns of what was left out, and of data that nothing can be learnt from.

    Args:
        name: of the set.
        record: its record.
    """
    for text in _warnings(name, record):
        warnings.warn(text, DataWarning, stacklevel=3)


def _warnings(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    if text := said(record):
        yield f"{name} was read without {text}."
    if same := record.get("no_variation"):
        yield f"Nothing can be learnt from {name}: {' and '.join(same)}."
