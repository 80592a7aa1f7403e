"""A run directory: everything that a run knows is in it.

``recipe.json``, ``space.json``, ``data.json`` and ``environment.json`` say what it is, ``metrics.jsonl`` is the truth about
what happened, ``state.pt`` is where it stands, ``architecture.json`` what it found.
"""

import fcntl
import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from mixop.core.errors import RunError
from mixop.runs.checkpoint import write_bytes


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
        return self.path / "metrics.jsonl"

    @property
    def state(self) -> Path:
        """The checkpoint of the search."""
        return self.path / "state.pt"

    def claim(self, identity: Mapping[str, Any], markers: Sequence[str] = ("recipe.json",)) -> bool:
        """Makes the directory this run's own, or finds that it already is.

        Args:
            identity: content of each file that makes the run what it is; the first is written first.
            markers: a directory that has one of these files is a run; another must be empty.

        Returns:
            True if the directory already holds this very run.

        Raises:
            RunError: if it cannot be written, holds another run, or holds something else.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise RunError(
                f"{self.path} is in the way of a run directory (it, or a part of it, is a file): choose another --out."
            ) from error
        except OSError as error:
            raise RunError(
                f"Cannot create {self.path} ({error.strerror or error}): choose a directory you may write to."
            ) from error
        if not os.access(self.path, os.W_OK | os.X_OK):
            raise RunError(f"Run directory {self.path} is not writable: choose another --out, or change its permissions.")
        if any((self / name).exists() for name in markers):
            for name, content in identity.items():
                if not (self / name).exists():
                    continue  # killed while it was being created
                here = self.read_json(name)
                if here != _plain(content):
                    raise RunError(
                        f"{self.path} holds another run: {difference(here, _plain(content), name)}; "
                        "choose another --out, or remove that directory."
                    )
            known = all((self / name).exists() for name in identity)
        else:
            foreign = [entry.name for entry in self.path.iterdir() if not entry.name.endswith((".partial", ".lock"))]
            if foreign:
                raise RunError(f"{self.path} is not empty and is no run ({foreign[0]} is in it): choose another --out.")
            known = False
        if not known:
            for name, content in identity.items():
                self.write_json(name, content)
        return known

    def require(self) -> None:
        """Refuses a directory that is not a run.

        Raises:
            RunError: if it does not exist, or holds neither a search nor a retraining.
        """
        if not self.path.is_dir():
            raise RunError(f"There is no run directory {self.path}: give the --out of a search.")
        if not ((self / "recipe.json").exists() or (self / "retrain.json").exists()):
            raise RunError(f"{self.path} is not a run directory (it has no recipe.json): give the --out of a search.")

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Inside, no other process works in this directory; the lock goes with the process, however it ends.

        Raises:
            RunError: if another process is at work in it.
        """
        try:
            file = (self / "run.lock").open("w")
        except OSError as error:
            raise RunError(
                f"Run directory {self.path} is not writable ({error.strerror or error}): choose another --out."
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                raise RunError(f"Another process is at work in {self.path}: wait for it, or choose another --out.") from error
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
            raise RunError(f"{self.path} has no {name}: it is no run directory, or its search was not finished.") from error
        except (OSError, ValueError) as error:
            raise RunError(f"{path} is torn or unreadable ({error}): restore it, or start the run again.") from error

    def append(self, record: Mapping[str, Any]) -> None:
        """Adds one line to the metrics and forces it to the disk.

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

    def records(self) -> list[dict[str, Any]]:
        """All records of the metrics; a torn last line, from a crash, is left out.

        Raises:
            RunError: if a line before the last is torn, naming it.
        """
        if not self.metrics.exists():
            return []
        lines = self.metrics.read_bytes().split(b"\n")
        records = []
        for number, line in enumerate(lines, start=1):
            if not line:
                continue
            try:
                records.append(json.loads(line))
            except ValueError as error:
                if number == len(lines):
                    break
                raise RunError(f"Line {number} of {self.metrics} is torn: remove it, or start the run again.") from error
        return records

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


def environment(device: str) -> dict[str, Any]:
    """Versions, hardware, commit and command of this process, as a run records them."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("mixop")
    except PackageNotFoundError:  # used from a source tree
        own = "unknown"
    return {
        "mixop": own,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "platform": platform.platform(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": torch.cuda.get_device_name(device) if device.startswith("cuda") else device,
        "commit": _commit(),
        "command": shlex.join([Path(sys.argv[0]).name, *sys.argv[1:]]) if sys.argv and sys.argv[0] else "python",
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _processor() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _commit() -> str | None:
    """The commit of the directory that the command was given in, if it is a git checkout."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None
