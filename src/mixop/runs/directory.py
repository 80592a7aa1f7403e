"""A run directory: everything that a run knows is in it. `mixop.runs.files` names its files. Imports no torch."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixop.core.errors import RunError
from mixop.core.measure import Measure
from mixop.runs.files import FORMAT, FORMAT_FILE, LOCK, METRICS, RECIPE, SCORE, STATE
from mixop.runs.load import Record, check_version, data_measures, is_begun, read_records, read_score, require_run
from mixop.runs.records import RetrainingRecord, Score, SearchRecord
from mixop.runs.write import write_bytes


class RunDirectory:
    """The files of one run.

    Args:
        path: the directory.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def __truediv__(self, name: str) -> Path:
        return self.path / name

    @property
    def metrics(self) -> Path:
        """One JSON object a line."""
        return self.path / METRICS

    @property
    def state(self) -> Path:
        """The checkpoint of the search."""
        return self.path / STATE

    def has(self, *names: str) -> bool:
        """Whether all of these files are there."""
        return all((self / name).exists() for name in names)

    def claim(self, identity: Mapping[str, Any], markers: Sequence[str] = (RECIPE,)) -> bool:
        """Makes the directory this run's own, or finds that it already is.

        Args:
            identity: content of each file that makes the run what it is; the first is written first.
            markers: a directory that has one of these files is a run of this kind; another must be empty.

        Returns:
            True if the directory already holds this run.

        Raises:
            RunError: if it cannot be written, holds another run, a run of another format, or something else.
        """
        self._make()
        if is_begun(self.path):
            check_version(self.path)
        if any(self.has(name) for name in markers):
            for name, content in identity.items():
                if not self.has(name):
                    continue  # killed while it was being created
                here = self.read_json(name)
                if here != _plain(content):
                    raise RunError(
                        f"{self.path} holds another run: {difference(here, _plain(content), name)}; "
                        "choose another --out, or remove that directory."
                    )
            known = self.has(*identity)
        else:
            ours = (FORMAT_FILE, ".partial", ".lock")  # what a run that was killed at its start leaves behind
            foreign = [entry.name for entry in self.path.iterdir() if not entry.name.endswith(ours)]
            if foreign:
                raise RunError(f"{self.path} is not empty and is not a run (it holds {foreign[0]}): choose another --out.")
            known = False
        if not known:
            self.write_json(FORMAT_FILE, {"format": FORMAT})
            for name, content in identity.items():
                self.write_json(name, content)
        return known

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise RunError(
                f"{self.path} cannot be a run directory (it, or a part of its path, is a file): choose another --out."
            ) from error
        except OSError as error:
            raise RunError(
                f"Cannot create {self.path} ({error.strerror or error}): choose a directory you may write to."
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise RunError(f"Run directory {self.path} is not writable: choose another --out, or change its permissions.")

    def require(self) -> None:
        """Refuses a directory that is not a run.

        Raises:
            RunError: if it does not exist, holds neither a search nor a retraining, or has another format.
        """
        require_run(self.path)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Inside, no other process works in this directory; the lock goes with the process, however it ends.

        Raises:
            RunError: if another process is working in it.
        """
        try:
            file = (self / LOCK).open("w")
        except OSError as error:
            raise RunError(
                f"Run directory {self.path} is not writable ({error.strerror or error}): choose another --out."
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(f"Another process is working in {self.path}: wait for it, or choose another --out.") from error
            yield

    def write_json(self, name: str, content: Any) -> None:
        """Writes one JSON file, atomically.

        Raises:
            RunError: if it cannot be written.
        """
        write_bytes(self / name, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    def read_json(self, name: str) -> Any:
        """Reads one JSON file.

        Raises:
            RunError: if it is missing or torn.
        """
        path = self / name
        try:
            return json.loads(path.read_text())
        except FileNotFoundError as error:
            raise RunError(f"{self.path} has no {name}: it is not a run directory, or its search is not finished.") from error
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is torn or unreadable ({error}): restore it, or start the run again.") from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one line to the metrics and forces it to the disk.

        Args:
            record: what `mixop.runs.records.to_record` made of it.

        Raises:
            RunError: if it cannot be written.
        """
        line = json.dumps(record, allow_nan=False) + "\n"
        try:
            with self.metrics.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise RunError(
                f"Cannot write {self.metrics} ({error.strerror or error}): make room, then `mixop resume {self.path}`."
            ) from error

    def records(self) -> list[Record]:
        """All records of the metrics in order; a torn last line, from a crash, is left out.

        Raises:
            RunError: if a line before the last is torn, or a line is damaged, naming it.
        """
        return read_records(self.metrics)

    def searched(self) -> list[SearchRecord]:
        """The records of the search."""
        return [record for record in self.records() if isinstance(record, SearchRecord)]

    def retrained(self) -> list[RetrainingRecord]:
        """The records of the networks that are trained from scratch."""
        return [record for record in self.records() if isinstance(record, RetrainingRecord)]

    def score(self) -> Score:
        """What the retraining found out.

        Raises:
            RunError: if it is not finished, or the file is damaged.
        """
        score = read_score(self / SCORE)
        if score is None:
            raise RunError(
                f"{self.path} has no {SCORE}: no network was trained from scratch in it, or its training is not finished."
            )
        return score

    def measures(self) -> tuple[Measure, ...]:
        """What the run's task is measured by; the first one ranks.

        Raises:
            RunError: if the directory does not say it.
        """
        return data_measures(self.path)

    def position(self) -> int:
        """Length of the metrics in bytes."""
        return self.metrics.stat().st_size if self.metrics.exists() else 0

    def truncate(self, position: int) -> None:
        """Cuts the metrics back to where they were when a checkpoint was written.

        Raises:
            RunError: if they are shorter than that: lines were lost.
        """
        length = self.position()
        if length < position:
            raise RunError(f"{self.metrics} has lost lines since the checkpoint ({length} of {position} bytes): restore it.")
        if length > position:
            os.truncate(self.metrics, position)


def _plain(content: Any) -> Any:
    return json.loads(json.dumps(content))


def difference(here: Any, given: Any, where: str) -> str:
    """The first place where two JSON values differ, in words."""
    where = where.removesuffix(".json")
    if isinstance(here, dict) and isinstance(given, dict):
        for key in [*here, *(k for k in given if k not in here)]:
            if here.get(key) != given.get(key):
                return difference(here.get(key), given.get(key), f"{where}.{key}")
    if isinstance(here, list) and isinstance(given, list) and len(here) == len(given):
        for index, (old, new) in enumerate(zip(here, given, strict=True)):
            if old != new:
                return difference(old, new, f"{where}[{index}]")
    return f"{where} is {_short(here)} there and {_short(given)} now"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 120 else text[:117] + "..."
