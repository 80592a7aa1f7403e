"""SIGINT and SIGTERM: finish the step, save, and say how to continue."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from mixop.core.errors import RunError


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
    """Whether a signal has asked this run to stop. The second SIGINT stops at once, as if nobody listened.

    Args:
        outer: the request of whoever listens around it, which is asked to stop by the same signals.
    """

    def __init__(self, outer: "StopRequest | None" = None) -> None:
        self.outer = outer
        self.signum: int | None = None if outer is None else outer.signum

    def __bool__(self) -> bool:
        return self.signum is not None

    def _receive(self, signum: int, frame: FrameType | None) -> None:
        if self.signum is not None and signum == signal.SIGINT:
            raise KeyboardInterrupt
        request: StopRequest | None = self
        while request is not None:
            request.signum = signum
            request = request.outer


_innermost: StopRequest | None = None
"""Of those who listen in the main thread, the last to begin."""


@contextmanager
def listening() -> Iterator[StopRequest]:
    """Inside, SIGINT and SIGTERM are noted instead of ending the process; outside, all is as before.

    What listens inside of something that listens hears what that has heard: a run that begins after a signal stops at once.

    Signals reach the main thread only: a search in another thread is stopped by its owner.
    """
    global _innermost
    if threading.current_thread() is not threading.main_thread():
        yield StopRequest()
        return
    outer, request = _innermost, StopRequest(_innermost)
    _innermost = request
    before = {signum: signal.signal(signum, request._receive) for signum in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for signum, handler in before.items():
            signal.signal(signum, handler)
        _innermost = outer
