"""Tasks in worker processes, one process a task: what one of them does cannot harm the others."""

import multiprocessing
import os
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any

import torch

from mixop.core.errors import MixopError
from mixop.engine.driver import Observer
from mixop.runs.interrupt import InterruptedRunError, StopRequest

# A server forks every worker from one process that has imported everything: starting Python and torch again takes seconds.
_CONTEXT = multiprocessing.get_context("forkserver")

Teller = Callable[[str, Mapping[str, Any]], None]
"""Called with the name of a task and what it tells: records of its run, and ``{"event": "begun" | "done" | "failed"}``."""


@dataclass(frozen=True)
class Assignment:
    """A function of a module and its arguments; it is called with ``observe`` besides.

    Args:
        name: what it is called.
        run: the function.
        arguments: its keyword arguments, which can be pickled.
    """

    name: str
    run: Callable[..., None]
    arguments: Mapping[str, Any]


@dataclass
class _Worker:
    task: Assignment
    process: Any
    pipe: Connection
    end: Mapping[str, Any] | None = None


def work(tasks: Sequence[Assignment], jobs: int, threads: int, tell: Teller, stop: StopRequest) -> dict[str, str]:
    """Runs tasks, as many at a time as there are jobs.

    Asked to stop, it asks its workers to, waits until they have saved, and returns.

    Args:
        tasks: what to do, in this order.
        jobs: workers at a time, >= 1.
        threads: of torch in each of them, >= 1.
        tell: called with what happens in each task.
        stop: whether to stop.

    Returns:
        Name of each task that failed, and the sentence why.
    """
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
            while queue and len(running) < jobs:
                running.append(_start(queue.pop(0), threads))
                tell(running[-1].task.name, {"event": "begun"})
            ready = wait([worker.pipe for worker in running], timeout=0.2)
            for worker in [worker for worker in running if worker.pipe in ready]:
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


def _start(task: Assignment, threads: int) -> _Worker:
    # An optimiser of torch imports torch._dynamo at its first step: seconds, in each worker and in the time of its search.
    _CONTEXT.set_forkserver_preload(["mixop.comparison.tasks", "torch._dynamo"])
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(target=_main, args=(task, threads, theirs), name=task.name, daemon=True)
    process.start()
    theirs.close()
    return _Worker(task, process, ours)


def _listen(worker: _Worker, tell: Teller) -> bool:
    """Takes what a worker sent; whether there may be more."""
    try:
        while worker.pipe.poll():
            message = worker.pipe.recv()
            if message.get("event") == "end":
                worker.end = message
            else:
                tell(worker.task.name, message)
    except (EOFError, OSError):
        worker.process.join()
        worker.pipe.close()
        return False
    return True


def _sentence(worker: _Worker, asked: bool) -> str | None:
    """Why a worker that has ended failed; None if it has not."""
    if worker.end is not None:
        return worker.end["sentence"]
    if asked:
        return None
    code = worker.process.exitcode
    reason = f"was killed by signal {-code}, perhaps because memory ran out" if code and code < 0 else f"ended with code {code}"
    return f"The worker of {worker.task.name} {reason}: try again with fewer --jobs."


def _main(task: Assignment, threads: int, pipe: Connection) -> None:
    """What a worker does."""
    os.setpgid(0, 0)  # Ctrl-C in a terminal reaches the parent alone, which then asks each worker to stop, once
    torch.set_num_threads(threads)
    sentence = None
    try:
        task.run(**task.arguments, observe=_sender(pipe))
    except InterruptedRunError:
        pass
    except _ParentGoneError:
        return
    except MixopError as error:
        sentence = str(error)
    except MemoryError:
        sentence = f"There is not enough memory for {task.name}: try again with fewer --jobs."
    except Exception as error:
        lines = traceback.extract_tb(error.__traceback__)
        sentence = f"{type(error).__name__} in {task.name}: {error} ({lines[-1].filename}, line {lines[-1].lineno})"
    with suppress(OSError):
        pipe.send({"event": "end", "sentence": sentence})


class _ParentGoneError(Exception):
    """Nobody listens any more: the parent was killed."""


def _sender(pipe: Connection) -> Observer:
    last = 0.0

    def send(record: Mapping[str, Any]) -> None:
        nonlocal last
        now = time.monotonic()
        if record.get("event") == "step":
            if now - last < 0.1:  # steps come by the thousand
                return
            last = now
        try:
            pipe.send({key: value for key, value in record.items() if key != "mix"})
        except OSError as error:
            raise _ParentGoneError from error

    return send
