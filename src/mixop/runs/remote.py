"""Tasks on other machines, which share a disk with this one: what is sent, what comes back, and who is sent again.

A worker tells what happens by lines of a file on that disk, whatever system started it, and this process reads them. So one
view shows all machines, and a worker needs no way back: it goes on when the process that sent it has died, and the next call
waits for the lock of its directory.
"""

import json
import sys
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import chdir, suppress
from dataclasses import dataclass, field, replace
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import torch

from mixop.core.files import append_to, open_file
from mixop.core.outside import MalformedError, parse_object
from mixop.core.schedules import check_range
from mixop.core.trust import Grant, grant, receive
from mixop.runs.interrupt import InterruptedRunError, StopRequest
from mixop.runs.lock import LockedError
from mixop.runs.log import log_of, logged, make_folder
from mixop.runs.runner import Assignment, Runner, Teller
from mixop.runs.task import done

PAUSE = 0.5
"""Seconds between two looks at what workers have told."""

STEP = 1.0
"""Least time between two steps that a worker tells, in seconds: each is a write on the shared disk."""

LOCKED = 2.0
"""Seconds after which a worker asks again for a directory that another one still works in."""

LEAVE = 60.0
"""Seconds that workers have to save and end, once they were asked to stop."""


class LostError(Exception):
    """A worker has ended without a word: its machine went away, or the system took it back."""


@dataclass(frozen=True)
class Ended:
    """What a worker returns.

    Args:
        sentence: why the task failed; None if it has not.
        stopped: whether something asked the worker to stop before its task was done.
    """

    sentence: str | None = None
    stopped: bool = False


class Sent(Protocol):
    """A task that was sent away."""

    def ended(self) -> bool:
        """Whether there is nothing more to wait for."""
        ...

    def result(self) -> Ended:
        """What the worker returned.

        Raises:
            LostError: if it returned nothing.
        """
        ...

    def cancel(self) -> None:
        """Asks the worker to stop."""
        ...


class _Granted:
    """What the sender finds and may name. Whoever reads it does as well: it is read before the task, whose parts need that.

    Args:
        given: what may be named.
        path: where Python looks for modules.
    """

    def __init__(self, given: Grant, path: Sequence[str]) -> None:
        self.given, self.path = given, [folder for folder in path if folder]

    def __reduce__(self) -> tuple[Callable[[Grant, Sequence[str]], "_Granted"], tuple[Grant, Sequence[str]]]:
        return _received, (self.given, self.path)


def _received(given: Grant, path: Sequence[str]) -> _Granted:
    sys.path += [folder for folder in path if folder not in sys.path]
    receive(given)
    return _Granted(given, path)


@dataclass(frozen=True)
class Errand:
    """A task on its way to another machine; it is called there.

    Args:
        granted: what the worker may name and find. It stands before the task, so that it is read first.
        task: what to do.
        folder: of logs and of what is told.
        home: the directory that the command was given in, to which the paths of the task may be relative.
        threads: of torch.
    """

    granted: _Granted
    task: Assignment
    folder: Path
    home: Path
    threads: int

    def __call__(self) -> Ended:
        """Does the task."""
        torch.set_num_threads(self.threads)
        task = replace(self.task, run=_patient(self.task.run))
        log, told = (name(self.folder, task.name) for name in (log_of, told_of))
        with chdir(self.home), logged(log), append_to(told) as file:

            def tell(record: Mapping[str, Any]) -> None:
                # What would only be computed when somebody reads it (`Later`) is read here.
                file.write(json.dumps(record, default=dict).encode() + b"\n")
                file.flush()

            tell({"event": "begun"})
            try:
                return Ended(done(task, tell, pause=STEP, trace=True))
            except InterruptedRunError:
                return Ended(stopped=True)

    def checkpoint(self) -> Any:
        """What submitit sends again where the time is up, or somebody with more right needs the machine."""
        return import_module("submitit.helpers").DelayedSubmission(self)


def told_of(folder: Path, name: str) -> Path:
    """What the worker of a task told, one JSON object a line; beside its `log_of`."""
    return folder / f"{name}.jsonl"


@dataclass(frozen=True, kw_only=True)
class Remote(Runner):
    """Workers on other machines, which see the same files under the same paths, and have the same Python.

    Args:
        cores: of the CPU that a run has; None for one.
        retries: how often a run is sent again whose worker was lost, >= 0. It goes on from its last checkpoint.
    """

    retries: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("number of retries", self.retries, at_least=0)

    @property
    def one_machine(self) -> bool:
        return False

    def leaves(self, device: str, jobs: int | None) -> bool:
        return True

    def work(
        self,
        tasks: Sequence[Assignment],
        *,
        folder: Path,
        device: str,
        jobs: int | None,
        tell: Teller,
        stop: StopRequest,
    ) -> dict[str, str]:
        if not tasks:
            return {}
        folder = folder.resolve()
        make_folder(folder)
        errands = [Errand(_Granted(grant(), sys.path), task, folder, Path.cwd(), self.cores or 1) for task in tasks]
        with self.sending(folder, self.gpus if device.startswith("cuda") else 0, jobs) as send:
            return _overseen(errands, jobs or len(errands), send, self.retries, tell, stop)

    @abstractmethod
    def sending(self, folder: Path, gpus: int, jobs: int | None) -> Any:
        """A context of a function that sends errands away.

        Args:
            folder: of the workers.
            gpus: that each of them has.
            jobs: at a time; None for no limit.
        """


@dataclass
class _Underway:
    errand: Errand
    sent: Sent
    at: int
    begun: bool = False
    rest: bytes = field(default=b"")

    @property
    def name(self) -> str:
        return self.errand.task.name

    def listen(self, tell: Teller) -> None:
        """Passes on what the worker has told since the last time."""
        with suppress(OSError), open_file(told_of(self.errand.folder, self.name)) as file:
            file.seek(self.at)
            content = file.read()
            self.at += len(content)
            *lines, self.rest = (self.rest + content).split(b"\n")
            for line in lines:
                with suppress(MalformedError):  # torn, where a machine went away
                    record = parse_object(line)
                    if record.get("event") != "begun":
                        tell(self.name, record)
                    elif not self.begun:
                        self.begun = True
                        tell(self.name, record)


def _overseen(
    errands: Sequence[Errand],
    jobs: int,
    send: Callable[[Sequence[Errand]], Sequence[Sent]],
    retries: int,
    tell: Teller,
    stop: StopRequest,
) -> dict[str, str]:
    """Sends errands away, as many at a time as there are jobs, and those again whose worker was lost."""
    queue, running = list(errands), []
    failures: dict[str, str] = {}
    lost: Counter[str] = Counter()
    until: float | None = None
    try:
        while queue or running:
            if stop and until is None:
                until = time.monotonic() + LEAVE
                queue.clear()
                for one in running:
                    one.sent.cancel()
            if until is not None and time.monotonic() > until:
                break
            if queue and len(running) < jobs:
                some = queue[: jobs - len(running)]
                del queue[: len(some)]
                ends = [_length(told_of(errand.folder, errand.task.name)) for errand in some]
                running += [_Underway(*each) for each in zip(some, send(some), ends, strict=True)]
            for one in list(running):
                ended = one.sent.ended()  # asked first: what was told before the end is then read
                one.listen(tell)
                if not ended:
                    continue
                running.remove(one)
                again = _end(one, until is not None, lost, retries, failures, tell)
                queue += [one.errand] * again
            if running:
                time.sleep(PAUSE)
    finally:
        for one in running:
            one.sent.cancel()
    return failures


def _end(one: _Underway, asked: bool, lost: Counter[str], retries: int, failures: dict[str, str], tell: Teller) -> bool:
    """Takes what a worker returned; whether its errand is to be sent again."""
    name = one.name
    try:
        result = one.sent.result()
        reason = "it was asked to stop" if result.stopped else ""
    except LostError as error:
        result, reason = Ended(), str(error)
    if asked and (reason or result.sentence is not None):
        return False
    if reason:
        lost[name] += 1
        if lost[name] <= retries:
            return True
        log = log_of(one.errand.folder, name)
        result = Ended(f"The worker of {name} was lost {lost[name]} times ({reason}): see {log}, and give the command again.")
    if not one.begun:
        tell(name, {"event": "begun"})
    if result.sentence is None:
        tell(name, {"event": "done"})
    else:
        failures[name] = result.sentence
        tell(name, {"event": "failed", "sentence": result.sentence})
    return False


def _length(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _patient(run: Callable[..., None]) -> Callable[..., None]:
    """A function that waits for a directory that another worker still works in: one that was sent by a call that has died."""

    def waiting(**arguments: Any) -> None:
        while True:
            try:
                return run(**arguments)
            except LockedError:
                time.sleep(LOCKED)

    return waiting
