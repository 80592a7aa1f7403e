"""The lock of a directory: one process works in it at a time, and notices if its lock is taken away. Imports no torch."""

import os
from pathlib import Path
from typing import IO

from mixop.core.errors import RunError
from mixop.runs.files import LOCK

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class LockedError(RunError):
    """Another process holds a lock."""


class Lock:
    """An exclusive lock on a directory, held by this process until `release`; it goes with the process, however it ends.

    The kernel's lock belongs to an open file, not to its name: someone may remove the file, or the whole directory, and
    another process may then lock a new one of the same name. `check` finds that out.

    Args:
        folder: the directory, which exists.
        name: of the lock's file in it. A directory whose work is divided has a lock for each piece.
        wait: whether to wait while another process holds it.

    Raises:
        LockedError: if another process holds it, and nobody waits.
        RunError: if the file cannot be made, or the system has no such locks.
    """

    def __init__(self, folder: Path, name: str = LOCK, *, wait: bool = False) -> None:
        self.folder, self.path = folder, folder / name
        self._file = self._take(wait)

    def _take(self, wait: bool) -> IO[bytes]:
        if fcntl is None:
            raise RunError("A run directory is locked by fcntl, which Windows does not have: use Linux, macOS or WSL.")
        while True:
            file = self._open()
            try:
                fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except OSError as error:
                file.close()
                raise LockedError(
                    f"Another process is working in {self.folder}: wait for it, or choose another --out."
                ) from error
            if _same(file, self.path):
                return file
            file.close()  # the holder before us removed it after we opened it

    def _open(self) -> IO[bytes]:
        try:
            # Never through a link, and never waiting for the other end of a pipe.
            number = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o644)
            return os.fdopen(number, "wb", buffering=0)
        except OSError as error:
            raise RunError(
                f"Run directory {self.folder} is not writable ({error.strerror or error}): choose another --out."
            ) from error

    def check(self) -> None:
        """Makes sure that the lock is still there.

        Raises:
            RunError: if it was removed or replaced.
        """
        if not _same(self._file, self.path):
            raise RunError(
                f"{self.path} was removed while this run was working, and another process may work there now: this one stops "
                "and writes nothing more; run it again into another --out."
            )

    def release(self, *, remove: bool = False) -> None:
        """Gives the lock back.

        Args:
            remove: whether its file goes too.
        """
        if remove and _same(self._file, self.path):
            self.path.unlink()
        self._file.close()


def _same(file: IO[bytes], path: Path) -> bool:
    """Whether a path leads to an open file."""
    here = os.fstat(file.fileno())
    try:
        there = path.lstat()
    except OSError:
        return False
    return (here.st_dev, here.st_ino) == (there.st_dev, there.st_ino)
