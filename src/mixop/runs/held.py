"""The system's lock of an open file, free the moment its process ends: ``flock``, on Windows ``LockFile``. Imports no torch."""

import errno
import time
from typing import IO

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None
    import msvcrt

HELD = (errno.EAGAIN, errno.EACCES)
"""How the system says that another process holds a lock; any other error says that the disk has no such locks."""

AT = 1 << 30
"""The byte that is locked on Windows, where nobody else can read what is locked: far behind all that the file says."""

PAUSE = 0.1
"""Seconds between two tries on Windows, where a lock that waits gives up after ten seconds."""


def hold(file: IO[bytes], *, wait: bool) -> None:
    """Takes the lock of an open file, until it is closed.

    Args:
        file: opened to write, without a buffer.
        wait: whether to wait while another process holds it.

    Raises:
        OSError: one of `HELD` if another process holds it and nobody waits; another one if the disk has no such locks.
    """
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        return
    while True:
        file.seek(AT)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
            return
        except OSError as error:
            if not (wait and error.errno in HELD):
                raise
        finally:
            file.seek(0)
        time.sleep(PAUSE)
