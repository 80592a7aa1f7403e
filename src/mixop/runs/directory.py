"""A run directory: everything that a run knows is in it. `mixop.runs.files` names its files. Imports no torch."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from mixop.core.errors import RunError
from mixop.core.files import append_to
from mixop.core.measure import Measure
from mixop.runs.files import (
    ARCHITECTURE,
    DATA,
    ENVIRONMENT,
    FORMAT,
    FORMAT_FILE,
    LOCK,
    METRICS,
    RECIPE,
    RETRAINING,
    SCORE,
    SETTINGS,
    SPACE,
    STATE,
)
from mixop.runs.identity import binding, check_binding, difference, essence
from mixop.runs.load import (
    Record,
    check_version,
    data_measures,
    is_begun,
    read_object,
    read_records,
    read_score,
    require_run,
)
from mixop.runs.lock import Lock
from mixop.runs.records import RetrainingRecord, Score, SearchRecord
from mixop.runs.write import write_bytes

_BEFORE_A_CHECKPOINT = (ARCHITECTURE, ENVIRONMENT, SETTINGS, DATA, SPACE, RECIPE, RETRAINING)
"""Files that a run writes before its first checkpoint; those that say what it is come last, for a removal that is cut short."""


class RunDirectory:
    """The files of one run.

    Args:
        path: the directory.
        owned: whether this process writes in it. Where several processes do one run together, one of them owns its directory;
            for the others every writer does nothing.
    """

    def __init__(self, path: str | Path, *, owned: bool = True) -> None:
        self.path, self.owned = Path(path), owned
        self._lock: Lock | None = None
        self._wrote = False

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

    def holds(self, identity: Mapping[str, Any], markers: Sequence[str] = (RECIPE,), *, unused: Sequence[str] = ()) -> bool:
        """Whether the directory is this run's already. Nothing is written.

        A run that was stopped before its first checkpoint leaves nothing worth keeping: its directory is free again.

        Args:
            identity: content of each file that makes the run what it is.
            markers: a directory that has one of these files is a run of this kind; another must be empty.
            unused: files of the identity that nothing depends on yet: what is there counts as absent.

        Raises:
            RunError: if it holds another run, a run of another format, or something else.
        """
        foreign = self._foreign()
        if not foreign:
            return False
        if is_begun(self.path):
            check_version(self.path)
        if not any(self.has(name) for name in markers):
            raise RunError(f"{self.path} is not empty and is not a run (it holds {foreign[0]}): choose another --out.")
        there = [name for name in identity if self.has(name) and name not in unused]
        for name in sorted(there, key=lambda name: name != DATA):  # other data explains other differences
            here, given = essence(name, self.read_json(name)), essence(name, identity[name])
            if name == DATA and here != given:
                raise RunError(
                    f"{self.path} holds a run on other data ({difference(here, given, name)}): choose another --out, or "
                    "restore the files that it began with."
                )
            if here != given:
                raise RunError(
                    f"{self.path} holds another run: {difference(here, given, name)}; "
                    "choose another --out, or remove that directory."
                )
        return len(there) == len(identity)

    def claim(self, identity: Mapping[str, Any], markers: Sequence[str] = (RECIPE,), *, unused: Sequence[str] = ()) -> bool:
        """Makes the directory this run's own, or finds that it already is. The lock must be held.

        Args:
            identity: as in `holds`; the first file is written last, so that what it stands for is whole.
            markers: as in `holds`.
            unused: as in `holds`.

        Returns:
            True if the directory already held this run.

        Raises:
            RunError: as `holds`, or if it cannot be written.
        """
        if not self.owned:
            return False
        assert self._lock is not None, "a claim without the lock lets two processes write"
        known = self.holds(identity, markers, unused=unused)
        if not known:
            if not self._foreign():
                for name in _BEFORE_A_CHECKPOINT:
                    (self / name).unlink(missing_ok=True)
            self.write_json(FORMAT_FILE, {"format": FORMAT})
            for name, content in reversed(list(identity.items())):
                if not self.has(name) or name in unused:
                    self.write_json(name, content)
        return known

    def _foreign(self) -> list[str]:
        """Names of what a run that was stopped before its first checkpoint does not leave behind."""
        entries = sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else []
        ours = {LOCK}
        if self._has_format():  # else files of these names are someone else's
            ours |= {FORMAT_FILE, *_BEFORE_A_CHECKPOINT}
            if self.has(RECIPE) or not self.has(RETRAINING):
                ours.remove(ARCHITECTURE)  # of a search it is the result; a retraining is given one
        return [name for name in entries if name not in ours and not name.endswith(".partial")]

    def _has_format(self) -> bool:
        try:
            return read_object(self / FORMAT_FILE) == {"format": FORMAT}
        except RunError:  # torn, or something else of that name
            return False

    def _make(self) -> bool:
        """Makes the directory; whether it was not there before."""
        new = not self.path.exists()
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
        return new

    def require(self) -> None:
        """Refuses a directory that is not a run.

        Raises:
            RunError: if it does not exist, holds neither a search nor a retraining, or has another format.
        """
        require_run(self.path)

    @contextmanager
    def locked(self, *, wait: bool = False) -> Iterator[None]:
        """Inside, no other process works in this directory, which is made if need be; the lock goes with the process.

        Every writer of this object makes sure that the lock is still held. If nothing was written, the lock's file goes again,
        and so does the directory if it was made here.

        Args:
            wait: whether to wait for another process that works here, which will not be long.

        Raises:
            RunError: if it cannot be made or written, or, where nobody waits, another process is working in it.
        """
        if not self.owned:
            yield
            return
        made, new = self._make(), not self.has(LOCK)
        self._lock, self._wrote = Lock(self.path, wait=wait), False
        try:
            yield
        finally:
            # What was refused leaves no trace, least of all in a directory that is not a run.
            self._lock.release(remove=new and not self._wrote)
            self._lock = None
            if made and not self._wrote:
                with suppress(OSError):
                    self.path.rmdir()

    def check_binding(self, bound: Any, names: Sequence[str], what: str) -> None:
        """Refuses a result that was made with other files than those that are there now.

        Args:
            bound: what it carries, by `mixop.runs.identity.binding`.
            names: of the files that it depends on.
            what: its own file.

        Raises:
            RunError: naming the file that differs.
        """
        check_binding(bound, binding({name: self.read_json(name) for name in names}), self / what)

    def check_lock(self) -> None:
        """Makes sure, before something is written, that the lock is still this process's, if it was taken.

        Raises:
            RunError: if someone removed it.
        """
        if self._lock is not None:
            self._lock.check()
            self._wrote = True

    def save(self, name: str, content: bytes) -> None:
        """Writes one file, atomically.

        Raises:
            RunError: if it cannot be written, or the lock is gone.
        """
        if self.owned:
            self.check_lock()
            write_bytes(self / name, content)

    def write_json(self, name: str, content: Any) -> None:
        """Writes one JSON file, atomically.

        Raises:
            RunError: if it cannot be written.
        """
        self.save(name, (json.dumps(content, indent=2, allow_nan=False) + "\n").encode())

    def read_json(self, name: str) -> dict[str, Any]:
        """Reads the object in one JSON file.

        Raises:
            RunError: if it is missing, torn, or holds something else.
        """
        if not self.has(name):
            raise RunError(f"{self.path} has no {name}: it is not a run directory, or its search is not finished.")
        return read_object(self / name)

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one line to the metrics and forces it to the disk.

        Args:
            record: what `mixop.runs.records.to_record` made of it.

        Raises:
            RunError: if it cannot be written.
        """
        if not self.owned:
            return
        self.check_lock()
        line = json.dumps(record, allow_nan=False) + "\n"
        try:
            with append_to(self.metrics) as file:
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
        if not self.owned:
            return
        self.check_lock()
        length = self.position()
        if length < position:
            raise RunError(f"{self.metrics} has lost lines since the checkpoint ({length} of {position} bytes): restore it.")
        if length > position:
            with append_to(self.metrics) as file:
                file.truncate(position)
