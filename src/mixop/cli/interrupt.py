"""Signals to a command, from its first line to its last: nothing but one sentence, whatever they come into.

A command that has a process of its own ends at once, from the handler itself: an exception could come into an import, which
cannot be interrupted cleanly, or into a callback, where Python prints it and goes on. Files are written so that a process may
end at any moment. While a run listens (`mixop.runs.interrupt`), it saves first.

In a program that calls `mixop.cli.main` with words of its own, Ctrl-C is noted and heeded between two parts of the start.
"""

# Nothing that takes time is imported here: this comes before everything else.
import os
import signal
import sys
from types import FrameType

SENTENCE = "Interrupted: what was saved is kept, and the same command continues from there."
"""What a command says that was interrupted where no run listened."""

_SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP")
_pressed: list[int] = []


class _Ending:
    """How this process ends.

    Args:
        said: the exit code, once the command has said how it ended.
        leaving: the exit code, once a signal has ended the process.
        on_screen: whether a live display has the terminal.
    """

    said: int | None = None
    leaving: int | None = None
    on_screen: bool = False


def mind_signals() -> None:
    """From now on a signal ends this process at once, with the sentence and the exit code 128 + signal.

    An ignored SIGHUP stays ignored: that is what ``nohup`` asks for.
    """
    for signum in (getattr(signal, name) for name in _SIGNALS if hasattr(signal, name)):
        if signum == signal.SIGINT or signal.getsignal(signum) is not signal.SIG_IGN:
            signal.signal(signum, _leave)


def said(code: int) -> int:
    """Notes that the command has said how it ended: from now on a signal ends the process without another word."""
    _Ending.said = code
    return code


def on_screen(there: bool) -> None:
    """Notes whether a live display has the terminal, which hides the cursor."""
    _Ending.on_screen = there


def _leave(signum: int, _: FrameType | None) -> None:
    if _Ending.leaving is not None:  # another signal, while this one was being answered
        os._exit(_Ending.leaving)
    code = _Ending.leaving = 128 + signum if _Ending.said is None else _Ending.said
    for step in (_flush, _kill_workers, _remove_scratch, _show_cursor, *([_say] if _Ending.said is None else [])):
        try:
            step()
        except BaseException:  # a reader that has gone, a lock that was held: it ends all the same
            continue
    os._exit(code)


def _flush() -> None:
    sys.stdout.flush()


def _say() -> None:
    os.write(2, f"{SENTENCE}\n".encode())


def _show_cursor() -> None:
    if _Ending.on_screen and os.isatty(1):
        os.write(1, b"\x1b[?25h\n")


def _kill_workers() -> None:
    # Looked up, not imported: this may come into an import of the same module.
    if (processes := sys.modules.get("multiprocessing.process")) is not None:
        for worker in processes.active_children():
            worker.kill()


def _remove_scratch() -> None:
    if (scratch := sys.modules.get("mixop.core.scratch")) is not None:
        scratch.remove_all()


class Noting:
    """A context in which Ctrl-C is noted, and raises nothing inside an import; the second one does what it did before."""

    def __enter__(self) -> None:
        _pressed.clear()
        self.before = signal.getsignal(signal.SIGINT)
        try:
            signal.signal(signal.SIGINT, self._note)
        except ValueError:  # not the main thread: signals go elsewhere
            self.before = None

    def __exit__(self, *_: object) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)

    def _note(self, signum: int, frame: FrameType | None) -> None:
        if _pressed and callable(self.before):
            self.before(signum, frame)
        _pressed.append(signum)


def heed() -> None:
    """Raises `KeyboardInterrupt` if Ctrl-C was noted: called between the parts of a start."""
    if _pressed:
        raise KeyboardInterrupt
