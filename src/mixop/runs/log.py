"""What workers print: a file of each task, in a folder of the run."""

import io
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

from mixop.core.errors import RunError
from mixop.core.files import append_to


def log_of(folder: Path, name: str) -> Path:
    """What the worker of a task printed.

    Args:
        folder: of the workers.
        name: of the task.
    """
    return folder / f"{name}.log"


def make_folder(folder: Path) -> None:
    """Makes the folder of the workers, if it is not there.

    Raises:
        RunError: if it cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RunError(f"Cannot make {folder} ({error.strerror or error}): choose another --out.") from error


@contextmanager
def logged(path: Path) -> Iterator[None]:
    """Inside, what this process and its libraries print goes to the end of a file, behind a line that names the machine."""
    with append_to(path) as file, io.TextIOWrapper(file, encoding="utf-8", line_buffering=True) as text:
        kept = [os.dup(number) for number in (1, 2)]
        sys.stdout.flush()
        sys.stderr.flush()
        for number in (1, 2):  # of libraries that are not Python's
            os.dup2(file.fileno(), number)
        text.write(f"-- {time.strftime('%Y-%m-%d %H:%M:%S')} {socket.gethostname()}, process {os.getpid()}\n")
        try:
            with redirect_stdout(text), redirect_stderr(text):
                yield
        finally:
            for number, before in zip((1, 2), kept, strict=True):
                os.dup2(before, number)
                os.close(before)
