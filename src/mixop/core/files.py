"""Opening files that a user names, or that lie where one of ours should: a pipe would hang, and a device never end."""

import errno
import os
import stat
from io import BufferedReader, BufferedWriter
from pathlib import Path
from typing import Any

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFLNK: "a symbolic link",
}


def open_file(path: str | os.PathLike[str]) -> BufferedReader:
    """Opens a regular file, or a link to one, to read its bytes.

    Raises:
        OSError: if it cannot be opened, or is something else, which ``strerror`` says.
    """
    # Without O_NONBLOCK, opening a pipe waits for someone who writes into it.
    return _opened(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0), "rb")


def read_file(path: str | os.PathLike[str]) -> bytes:
    """The bytes of a regular file.

    Raises:
        OSError: as `open_file`.
    """
    with open_file(path) as file:
        return file.read()


def append_to(path: str | os.PathLike[str]) -> BufferedWriter:
    """Opens a regular file, new or there, to add bytes at its end; it is never another file that a link leads to.

    Raises:
        OSError: as `open_file`.
    """
    if Path(path).is_symlink():
        raise OSError(errno.EINVAL, _words(stat.S_IFLNK), str(path))
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    return _opened(path, flags, "ab")


def check_replaceable(path: Path) -> None:
    """Refuses a place that holds neither nothing, nor a regular file, nor a link to one of both.

    Raises:
        OSError: if it holds something else.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return
    _check_regular(mode, path)


def _opened(path: str | os.PathLike[str], flags: int, mode: str) -> Any:
    number = os.open(path, flags | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0), 0o666)
    try:
        _check_regular(os.fstat(number).st_mode, path)
        return os.fdopen(number, mode)
    except BaseException:
        os.close(number)
        raise


def _check_regular(mode: int, path: str | os.PathLike[str]) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, _words(stat.S_IFMT(mode)), str(path))


def _words(kind: int) -> str:
    return f"it is {_KINDS.get(kind, 'something else')}, not a file"
