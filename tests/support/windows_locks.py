"""``msvcrt.locking`` on Linux: the same answers, by locks of bytes that belong to one open file."""

import fcntl
import os
import struct
from types import ModuleType

_fcntl = fcntl.fcntl  # kept: `like_windows` hides the module


def locking(number: int, mode: int, count: int) -> None:
    """Locks bytes from the file's position on for this open file alone, until it is closed; refused at once if they are locked.

    Args:
        number: of the open file.
        mode: ``LK_NBLCK``, the only one here.
        count: of bytes.
    """
    assert mode == msvcrt.LK_NBLCK
    wanted = struct.pack("hhqqi", fcntl.F_WRLCK, os.SEEK_SET, os.lseek(number, 0, os.SEEK_CUR), count, 0)
    try:
        _fcntl(number, fcntl.F_OFD_SETLK, wanted)
    except BlockingIOError:
        raise PermissionError(13, "Permission denied") from None


msvcrt = ModuleType("msvcrt")
msvcrt.LK_NBLCK = 2  # type: ignore[attr-defined]
msvcrt.locking = locking  # type: ignore[attr-defined]
