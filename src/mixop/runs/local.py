"""Tasks in worker processes, one process a task: what one of them does cannot harm the others. Or, one by one, in this process.

A worker knows what it can import. What lives in a script that is running, or in a notebook, it can only know by reading the
script again, and for some there is nothing to read: then the tasks are done here.
"""

import multiprocessing
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import forkserver, resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.reduction import ForkingPickler
from multiprocessing.spawn import get_preparation_data
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import torch

from mixop.core.errors import RunError
from mixop.core.machine import cores, keep_freed_memory
from mixop.core.surroundings import using
from mixop.core.trust import Grant, grant, receive
from mixop.runs.interrupt import InterruptedRunError, StopRequest, shielded, unshield
from mixop.runs.log import log_of, logged, make_folder
from mixop.runs.runner import Assignment, Runner, Teller
from mixop.runs.task import UnheardError, done

# A server forks every worker from one process that has imported everything: starting Python and torch again takes seconds.
# Windows has no such server.
_CONTEXT: Any = multiprocessing.get_context(
    "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
)

T = TypeVar("T")

VISIBLE = "CUDA_VISIBLE_DEVICES"
"""The variable by which CUDA is told which GPUs there are for a process."""


@dataclass(frozen=True, kw_only=True)
class Local(Runner):
    """Processes of this machine, on "cuda" each with GPUs of its own; a single one at a time in this process.

    Args:
        cores: threads of torch in each of them; None for an equal share of the cores, but at most as many as here.
        gpus: GPUs that a run has; where more runs than there are GPUs for are asked for, they share them.
    """

    words: ClassVar[str] = "processes of this machine"

    @property
    def one_machine(self) -> bool:
        return True

    def leaves(self, device: str, jobs: int | None) -> bool:
        return self._jobs(device, jobs) > 1

    def _jobs(self, device: str, jobs: int | None) -> int:
        if jobs is not None:
            return jobs
        return cores() if device == "cpu" else max(1, len(_gpus(device)) // self.gpus)

    def threads(self, jobs: int) -> int:
        """Of torch in each of several workers: as many as there is room for, but a user may have set fewer."""
        return self.cores or max(1, min(torch.get_num_threads(), cores() // jobs))

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
        jobs = self._jobs(device, jobs)
        if jobs == 1:
            return _work_here(tasks, self.threads(1), tell, stop)
        gpus = _gpus(device)
        make_folder(folder)
        visible = [_share(gpus, place, self.gpus) for place in range(jobs)]
        return _work_there(tasks, visible, self.threads(jobs), folder.resolve(), tell, stop)


def _gpus(device: str) -> list[str]:
    """The GPUs that workers are given, as CUDA calls them; none where the caller has named one, or does not use any."""
    if device != "cuda":
        return []
    named = os.environ.get(VISIBLE)
    if named is None:
        return [str(number) for number in range(torch.cuda.device_count())]
    return [name for name in named.split(",") if name.strip()]


def _share(gpus: Sequence[str], place: int, each: int) -> str | None:
    """The GPUs that the worker at a place sees: those of other places only once all are taken. None for all that there are."""
    taken = [gpus[(place * each + k) % len(gpus)] for k in range(min(each, len(gpus)))]
    return ",".join(taken) or None


@dataclass
class _Worker:
    task: Assignment
    process: Any
    pipe: Connection
    place: int
    begun: bool = False
    end: Mapping[str, Any] | None = None


def _work_there(
    tasks: Sequence[Assignment], visible: Sequence[str | None], threads: int, folder: Path, tell: Teller, stop: StopRequest
) -> dict[str, str]:
    """Tasks in workers, of which each has a place, and sees the GPUs of that place; what they print is in the folder."""
    queue, running = list(tasks), []
    failures: dict[str, str] = {}
    asked = False
    try:
        while queue or running:
            if stop and not asked:
                asked = True
                queue.clear()
                for worker in running:
                    worker.process.terminate()
            while queue and len(running) < len(visible):
                place = min(set(range(len(visible))) - {worker.place for worker in running})
                running.append(_start(queue.pop(0), threads, place, visible[place], folder))
                tell(running[-1].task.name, {"event": "begun"})
            ready = wait([end for worker in running for end in (worker.pipe, worker.process.sentinel)], timeout=0.2)
            for worker in [worker for worker in running if worker.pipe in ready or worker.process.sentinel in ready]:
                if _listen(worker, tell):
                    continue
                running.remove(worker)
                sentence = _sentence(worker, asked)
                if sentence is not None:
                    failures[worker.task.name] = sentence
                if sentence is not None or not asked:
                    tell(worker.task.name, {"event": "done"} if sentence is None else {"event": "failed", "sentence": sentence})
    finally:
        for worker in running:
            worker.process.kill()
            worker.process.join()
            worker.pipe.close()
    return failures


def _work_here(tasks: Sequence[Assignment], threads: int, tell: Teller, stop: StopRequest) -> dict[str, str]:
    failures: dict[str, str] = {}
    for task in tasks:
        if stop:
            break
        tell(task.name, {"event": "begun"})
        try:
            with using(threads):
                sentence = done(task, partial(_passing_on, tell, task.name))
        except InterruptedRunError:
            sentence = None
        except UnheardError as error:  # as where there are workers, it is the caller's and no failure of the task
            raise error.__cause__ or error from None
        if sentence is not None:
            failures[task.name] = sentence
            tell(task.name, {"event": "failed", "sentence": sentence})
        elif not stop:
            tell(task.name, {"event": "done"})
    return failures


def _passing_on(tell: Teller, name: str, record: Mapping[str, Any]) -> None:
    try:
        tell(name, record)
    except Exception as error:
        raise UnheardError from error


def check_guarded(call: str) -> None:
    """Refuses a call that a worker makes again while it reads the script.

    Args:
        call: its name.

    Raises:
        RunError: saying where to put it.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RunError(f'A script that calls {call} needs `if __name__ == "__main__":` around the call: workers import it.')


def check_workers(given: object) -> None:
    """Refuses what workers cannot be given, before anything is begun.

    Args:
        given: all that tasks are made of.

    Raises:
        RunError: saying how else to run it.
    """
    seen = _Seen()
    _sent(lambda: ForkingPickler(seen).dump(given))  # type: ignore[arg-type]
    path = get_preparation_data("worker").get("init_main_from_path")  # what a worker reads again as its __main__
    if path is not None and not Path(path).exists():
        raise RunError(
            f"Workers read the script again, but there is none at {path}, as it came from standard input: save it as a file, "
            "or run everything in this process with jobs=1."
        )
    main = sys.modules["__main__"]
    if path is None and getattr(main, "__spec__", None) is None and seen.script:
        raise RunError(
            "A part of this run is defined in a notebook or on the command line (its module is __main__), where workers "
            "cannot find it: move it to a module that can be imported, or run everything in this process with jobs=1."
        )


class _Seen:
    """Takes what would be sent, and looks whether it names something of the script; large pieces are arrays."""

    def __init__(self) -> None:
        self.script = False

    def write(self, piece: bytes) -> int:
        size = len(memoryview(piece))
        self.script |= size < 1 << 20 and b"__main__" in bytes(piece)
        return size


def _sent(send: Callable[[], T]) -> T:
    try:
        return send()
    except Exception as error:  # what cannot be sent says so in many ways, and a class of others in its own
        raise RunError(
            f"A part of this run cannot be sent to workers ({error}): define it at the top of a module, or run "
            "everything in this process with jobs=1."
        ) from error


def _start(task: Assignment, threads: int, place: int, visible: str | None, folder: Path) -> _Worker:
    if task.run.__module__ != "__main__":
        _CONTEXT.set_forkserver_preload([task.run.__module__])
    content = _sent(lambda: bytes(ForkingPickler.dumps(task)))
    if _CONTEXT.get_start_method() == "forkserver":
        # Ctrl-C in a terminal would end these two, the server with a traceback while it imports. Starting the tracker opens the
        # shield too early, so that it comes first.
        for helper in (resource_tracker, forkserver):
            with shielded():
                helper.ensure_running()
    ours, theirs = _CONTEXT.Pipe()
    given = (grant(), task.name, threads, visible, folder, theirs)
    process = _CONTEXT.Process(target=_main, args=given, name=task.name, daemon=True)
    process.start()
    theirs.close()
    with suppress(OSError):  # it has ended already, which is noticed when it is listened to
        ours.send_bytes(content)
    return _Worker(task, process, ours, place)


def _listen(worker: _Worker, tell: Teller) -> bool:
    """Takes what a worker sent; whether there may be more."""
    # Asked first. On Windows the pipe of a worker that ended before it had read anything never says that it has an end.
    lives = worker.process.is_alive()
    try:
        while worker.pipe.poll():
            message = worker.pipe.recv()
            if message.get("event") == "begun":
                worker.begun = True
            elif message.get("event") == "end":
                worker.end = message
            else:
                tell(worker.task.name, message)
    except (EOFError, OSError):
        lives = False
    if not lives:
        worker.process.join()
        worker.pipe.close()
    return lives


def _sentence(worker: _Worker, asked: bool) -> str | None:
    """Why a worker that has ended failed; None if it has not."""
    if worker.end is not None:
        return worker.end["sentence"]
    if asked:
        return None
    code = worker.process.exitcode
    if not worker.begun and code is not None and code >= 0:
        return (
            f"The worker of {worker.task.name} ended with code {code} while it read the script that began it, "
            'before its task began: put the call under `if __name__ == "__main__":`, see what the worker printed, or run '
            "everything in this process with jobs=1."
        )
    reason = f"was killed by signal {-code}, perhaps because memory ran out" if code and code < 0 else f"ended with code {code}"
    return f"The worker of {worker.task.name} {reason}: try again with fewer --jobs."


def _main(granted: Grant, name: str, threads: int, visible: str | None, folder: Path, pipe: Connection) -> None:
    """What a worker does.

    Args:
        granted: what it may import because a text names it.
        name: of its task.
        threads: of torch.
        visible: the GPUs that it sees; None for all.
        folder: of its log.
        pipe: to the parent, from which the task comes: it is read here, so that a failure can be told.
    """
    if hasattr(os, "setpgid"):
        os.setpgid(0, 0)  # Ctrl-C in a terminal reaches the parent alone, which then asks each worker to stop, once
    unshield()
    keep_freed_memory()
    if visible is not None:  # before anything asks CUDA, which looks once
        os.environ[VISIBLE] = visible
    torch.set_num_threads(threads)

    def tell(record: Mapping[str, Any]) -> None:
        try:
            pipe.send(record)
        except OSError as error:
            raise UnheardError from error

    with logged(log_of(folder, name)), suppress(UnheardError):
        tell({"event": "begun"})
        try:
            receive(granted)
            task = pipe.recv()
        except Exception as error:  # reading imports modules of others, which may fail in any way
            sentence = (
                f"The worker of {name} cannot read its task ({type(error).__name__}: {error}): define its parts in a module "
                "that can be imported, or run everything in this process with jobs=1."
            )
        else:
            try:
                sentence = done(task, tell, trace=True)
            except InterruptedRunError:
                sentence = None
        tell({"event": "end", "sentence": sentence})
