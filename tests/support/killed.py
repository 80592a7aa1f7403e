"""Child processes: killed in the middle of their work, or asked for a result.

They are forked from one server that has imported everything: starting Python and torch takes seconds, and so do scikit-learn
and pytest.
"""

import multiprocessing
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import torch

CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload([])  # the usual ones, of conftest.py


def kill_after(records: int, target: Callable[..., Any], *arguments: Any, pause: float = 0.0) -> None:
    """Runs ``target(*arguments, observe)`` in a child and kills it after that many records, or while it works on the next one.

    The child waits before it goes on after one record more: it is killed before it is done, however slow this process is.

    Args:
        records: calls of ``observe`` that are waited for; ``target`` must make more of them.
        target: a function of a module.
        arguments: its first arguments, which can be pickled.
        pause: seconds to wait before the kill, so that it comes at another moment of the next step. Any moment will do.
    """
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_work, args=(theirs, records, target, arguments))
    process.start()
    theirs.close()
    with ours:
        for _ in range(records):
            ours.recv()  # EOFError if the child ends before
        time.sleep(pause)
        process.kill()
        process.join()
    assert process.exitcode is not None
    assert process.exitcode < 0, "the child must be killed in the middle"
    process.close()


def result_of(target: Callable[..., Any], *arguments: Any) -> Any:
    """What ``target(*arguments)`` returns in a child, which begins without anything that this process has made.

    Args:
        target: a function of a module.
        arguments: what can be pickled, as its result can.
    """
    ours, theirs = CONTEXT.Pipe()
    process = CONTEXT.Process(target=_tell, args=(theirs, target, arguments))
    process.start()
    theirs.close()
    with ours:
        result = ours.recv()  # EOFError if the child ends before
    process.join()
    process.close()
    return result


def _tell(pipe: Connection, target: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    pipe.send(target(*arguments))


def _work(pipe: Connection, records: int, target: Callable[..., Any], arguments: tuple[Any, ...]) -> None:
    torch.set_num_threads(1)
    told = 0

    def observe(_: Any) -> None:
        nonlocal told
        told += 1
        pipe.send(told)
        if told > records:
            pipe.recv()  # until it is killed

    target(*arguments, observe)
