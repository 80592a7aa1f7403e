"""SIGINT, SIGTERM and SIGHUP: finish the step, save, and say how to continue."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from mixop.core.errors import RunError

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
"""Signals that ask a run to stop; Windows has no SIGHUP."""


class InterruptedRunError(RunError):
    """A run was asked to stop and has saved its state.

    Args:
        message: what was saved and how to resume.
        signum: the signal that asked.
    """

    def __init__(self, message: str, signum: int) -> None:
        super().__init__(message)
        self.signum = signum


class StopRequest:
    """Whether a signal has asked this run to stop. The second SIGINT does what it did before anybody listened."""

    def __init__(self) -> None:
        self.signum: int | None = None
        self._before: dict[int, Any] = {}

    def __bool__(self) -> bool:
        return self.signum is not None

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        again, before = self.signum is not None, self._before.get(signum)
        if not again:
            self.signum = signum
        if callable(before) and (self._outer(signum) is not None or (again and signum == signal.SIGINT)):
            before(signum, frame)

    def _outer(self, signum: int) -> "StopRequest | None":
        """The request that waits outside of this one, which then hears what this one hears."""
        outer = getattr(self._before.get(signum), "__self__", None)
        return outer if isinstance(outer, StopRequest) else None

    def _listen(self) -> None:
        for signum in SIGNALS:
            before = signal.getsignal(signum)
            # nohup ignores SIGHUP, and that must stay so. SIGINT is also ignored in what a script starts in the background,
            # where `kill -INT` still asks a run to stop. None is a handler that is not Python's and could not be put back.
            if before is not None and (before is not signal.SIG_IGN or signum == signal.SIGINT):
                self._before[signum] = before
                if (outer := self._outer(signum)) is not None:
                    self.signum = outer.signum
                signal.signal(signum, self._receive)

    def _leave(self) -> None:
        for signum, before in self._before.items():
            signal.signal(signum, before)


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Inside, SIGINT, SIGTERM and SIGHUP are noted instead of ending the process; outside, all is as before.

    What listens inside of something that listens hears what that has heard: a run that begins after a signal stops at once.

    A signal that nobody has heeded when the block ends, other than by an error, is handed to whoever listened before: none is
    lost. Signals reach the main thread only: a search in another thread is stopped by its owner.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return
    try:
        request._listen()
        yield request
    finally:
        request._leave()
    if request.signum is not None and request._outer(request.signum) is None:
        signal.raise_signal(request.signum)


@contextmanager
def shielded() -> Iterator[None]:
    """Inside, signals wait. A process that is started here never gets them, until it calls `unshield`.

    For helpers in the same group of processes, which Ctrl-C in a terminal reaches too: they are to die of nothing but the end
    of their parent, and to print nothing.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows, where nothing is inherited either
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def unshield() -> None:
    """In a process that was started shielded: from now on SIGTERM ends it. The others are for its parent, and ignored."""
    for signum in SIGNALS:
        signal.signal(signum, signal.SIG_DFL if signum == signal.SIGTERM else signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
