"""Ctrl-C while a command starts: imports may swallow a `KeyboardInterrupt`, or make another error of it."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_pressed: list[int] = []


@contextmanager
def noting_ctrl_c() -> Iterator[None]:
    """Inside, Ctrl-C raises `KeyboardInterrupt` as always, and is noted. The engine has its own handler while it runs."""
    _pressed.clear()
    if threading.current_thread() is not threading.main_thread():  # signals go elsewhere
        yield
        return
    before = signal.signal(signal.SIGINT, _note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def pressed() -> bool:
    """Whether Ctrl-C was noted."""
    return bool(_pressed)


def heed() -> None:
    """Raises the `KeyboardInterrupt` that an import has swallowed, if one has."""
    if _pressed:
        raise KeyboardInterrupt


def _note(signum: int, _: FrameType | None) -> None:
    _pressed.append(signum)
    raise KeyboardInterrupt
