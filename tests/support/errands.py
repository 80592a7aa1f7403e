"""Tasks for workers elsewhere, which must be able to import them: each goes on from a file in its directory."""

import os
import signal
import sys
import time
from pathlib import Path

from mixop.core.errors import RunError
from mixop.core.files import append_to
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.runs.lock import Lock


def count(*, folder, steps, pause, observe, sentence=""):
    """Counts to ``steps`` in a directory that one worker at a time works in, from where it was left; and notes who counted."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = Lock(folder)
    try:
        with listening() as stop:
            sys.stdout.write(f"counting in {folder.name}\n")
            while (done := counted(folder)) < steps:
                if stop.signum is not None:
                    raise InterruptedRunError("Stopped.", stop.signum)
                with append_to(folder / "count") as file:
                    file.write(f"{done + 1} {os.getpid()} {os.environ.get('RAY_NODE', '')}\n".encode())
                observe({"event": "step", "step": done + 1, "steps": steps})
                time.sleep(pause)
    finally:
        lock.release()
    if sentence:
        raise RunError(sentence)


def counted(folder: Path) -> int:
    return len((folder / "count").read_text().splitlines()) if (folder / "count").exists() else 0


def dies(*, folder, times, observe):
    """Kills its own process some times, and then is done."""
    folder.mkdir(parents=True, exist_ok=True)
    if counted(folder) < times:
        with append_to(folder / "count") as file:
            file.write(b"died\n")
        os.kill(os.getpid(), signal.SIGKILL)
