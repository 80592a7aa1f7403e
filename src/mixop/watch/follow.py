"""Follows the runs below a directory: finds new ones, drops those that are gone, and reads what they add to their metrics."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mixop.core.errors import RunError
from mixop.core.outside import MalformedError
from mixop.runs.files import (
    ARCHITECTURE,
    COMPARISON,
    COSTS,
    DATA,
    ENVIRONMENT,
    FORMAT_FILE,
    KNOWN,
    METRICS,
    RECIPE,
    RETRAINING,
    SCORE,
    SETTINGS,
    SPACE,
    TRIAL,
    TUNING,
)
from mixop.runs.load import Record, parse_record, read_object
from mixop.runs.read import RunContents, read_run
from mixop.runs.tail import Tail

DEEPEST = 4
"""Folders between the directory and a run: a comparison of several searches has two."""

MOST_RUNS = 500
"""Runs that are followed; others below the directory wait until one of them is gone."""

MOST_BYTES = 4 << 20
"""New bytes of metrics that one look reads: a file of thousands of epochs comes in several, and the page fills as it does."""

_SMALL = (FORMAT_FILE, RECIPE, RETRAINING, SPACE, DATA, ENVIRONMENT, SETTINGS, ARCHITECTURE, COSTS, SCORE, KNOWN, TRIAL)
"""Files besides the metrics whose change changes what a run says."""

Mark = tuple[int, int, int]
"""What changes with a file: its number, its length, and when it was written."""


@dataclass
class Followed:
    """A run that is followed.

    Args:
        number: its own for as long as it is followed; a page asks for it by this and not by a path.
        name: its path below the directory that is watched; of the directory itself its own name.
        path: its directory.
        contents: what was read last; None where nothing could be.
        error: why the last look could not read it; empty where it could.
        changed: when its metrics were written last, or without any when it began, in seconds since 1970; None if unknown.
        records: all of them, in the order in which they were written.
        networks: that its retraining trains; 0 where it is a search alone.
        trial: what its part in a comparison or a tuning ended with; empty where it has none, or not yet.
        more: whether there is more to read now.
        version: counts the looks that found something new.
    """

    number: int
    name: str
    path: Path
    contents: RunContents | None = None
    error: str = ""
    changed: float | None = None
    records: list[Record] = field(default_factory=list, repr=False)
    networks: int = 0
    trial: Mapping[str, Any] = field(default_factory=dict)
    more: bool = False
    version: int = 0
    _tail: Tail = field(init=False, repr=False)
    _lines: int = 0
    _broken: str = ""
    _marks: tuple[Mark | None, ...] = ()

    def __post_init__(self) -> None:
        self._tail = Tail(self.path / METRICS)

    def look(self, most: int) -> tuple[bool, int]:
        """Reads what is new, at most so many bytes of the metrics; whether anything was, and how many bytes were read."""
        before = self._tail.position
        try:
            added = self._add(most)
        except OSError as error:
            return self._failed(f"{self.path / METRICS} cannot be read ({error.strerror or error})."), 0
        marks = tuple(_mark(self.path / name) for name in _SMALL)
        read = max(self._tail.position - before, 0)
        if not added and marks == self._marks:
            return False, read
        self._marks = marks
        try:
            planned = read_object(self.path / RETRAINING).get("networks")
            self.networks = len(planned) if isinstance(planned, list) else 0
            self.trial = read_object(self.path / TRIAL)
            self.contents, self.error = read_run(self.path, self.records), self._broken
        except RunError as error:
            return self._failed(str(error)), read
        return True, read

    def _failed(self, sentence: str) -> bool:
        known, self.error = self.error, sentence
        return sentence != known

    def _add(self, most: int) -> bool:
        mark = _mark(self.path / METRICS) or _mark(self.path / ENVIRONMENT)
        self.changed = None if mark is None else mark[2] / 1e9
        read = self._tail.read(most)
        self.more = read.more
        if read.again:
            self.records, self._lines, self._broken = [], 0, ""
        for line in read.lines:
            self._lines += 1
            if not line.strip():
                continue
            where = f"Line {self._lines} of {self.path / METRICS}"
            try:
                self.records.append(parse_record(line, where))
            except MalformedError as error:
                self._broken = f"{where} is torn or damaged ({error}), and is left out here."
            except RunError as error:
                self._broken = str(error)
        return read.again or bool(read.lines)


class Follower:
    """The runs below a directory, as far as they have come at the last look.

    ``more`` says whether that look left something unread, and ``version`` counts the looks that found something new.

    Args:
        folder: the directory: of a run, of a comparison, of a tuning, or any with some of these in it.

    Raises:
        RunError: if it is none.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise RunError(
                f"There is no directory {self.folder}: give the --out of a search, or a directory with several runs."
            )
        self.more = False
        self.version = 0
        self._runs: dict[Path, Followed] = {}
        self._marks: tuple[Mark | None, ...] = ()
        self._next = 0

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.folder.resolve().name or str(self.folder.resolve())

    @property
    def runs(self) -> Sequence[Followed]:
        """The runs by their names, numbers in them as numbers: ``trial-9`` before ``trial-10``."""
        return sorted(self._runs.values(), key=lambda run: _in_order(run.name))

    def run(self, number: int) -> Followed | None:
        """The run with a number; None where it is gone."""
        return next((run for run in self._runs.values() if run.number == number), None)

    def look(self, most: int = MOST_BYTES) -> bool:
        """Reads what is new; whether anything is.

        Args:
            most: bytes of metrics to read.
        """
        found = list(runs_below(self.folder))
        marks = tuple(_mark(path) for path in (self.folder / COMPARISON, self.folder / TUNING, *self.folder.glob(f"*/{TRIAL}")))
        changed, self._marks = marks != self._marks, marks
        for path in [path for path in self._runs if path not in found]:
            del self._runs[path]
            changed = True
        for path in found[:MOST_RUNS]:
            if path not in self._runs and len(self._runs) < MOST_RUNS:
                name = str(path.relative_to(self.folder)) if path != self.folder else self.name
                self._runs[path] = Followed(self._next, name, path)
                self._next += 1
        self.more = False
        # Those that are behind the least come first, so that a long file keeps no other one waiting.
        for run in sorted(self._runs.values(), key=lambda run: run.more):
            if most <= 0:
                self.more = True
                break
            new, read = run.look(most)
            run.version += new
            changed, most = changed or new, most - read
            self.more = self.more or run.more
        self.version += changed
        return changed


def runs_below(folder: Path, depth: int = 0) -> Iterator[Path]:
    """Directories that hold a search or a retraining, in order; no link is followed."""
    try:
        with os.scandir(folder) as entries:
            there = sorted(entries, key=lambda entry: _in_order(entry.name))
    except OSError:  # gone in the meantime, or not ours to read
        return
    names = {entry.name for entry in there}
    if names & {RECIPE, RETRAINING} and names >= {SPACE, DATA, ENVIRONMENT}:
        yield folder
    for entry in there:
        if depth < DEEPEST and not entry.name.startswith(".") and entry.is_dir(follow_symlinks=False):
            yield from runs_below(folder / entry.name, depth + 1)


def _in_order(name: str) -> list[tuple[int, str]]:
    return [(int(piece), "") if piece.isdecimal() else (-1, piece) for piece in re.split(r"(\d+)", name)]


def _mark(path: Path) -> Mark | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
