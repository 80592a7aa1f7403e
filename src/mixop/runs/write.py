"""Writing a file so that a crash leaves the old one or the new one, whole. Imports no torch.

Everything that mixop writes, other than lines that are added to a file, is written here.
"""

import os
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from mixop.core.errors import RunError
from mixop.core.files import check_replaceable
from mixop.core.machine import WINDOWS
from mixop.core.scratch import registered

SCRATCH = ".partial"
"""End of the name of a file that is being written."""

PATIENCE = 5.0
"""Seconds that Windows has to let go of a file which somebody reads, before it cannot be replaced."""


def write_bytes(path: Path, content: bytes, *, keep_previous: bool = False) -> None:
    """Writes a file so that a crash at any moment leaves either the old one or the new one, whole.

    Args:
        path: the file. If a link lies there, the link is replaced, and what it leads to stays as it is.
        content: all of its bytes.
        keep_previous: whether the file that was there stays beside it, as ``name.previous``.

    Raises:
        RunError: if it cannot be written, with the reason (a full disk, a missing permission); the old file is untouched.
    """
    try:
        with replacing(path, keep_previous=keep_previous) as file:
            file.write(content)
    except OSError as error:
        raise RunError(
            f"Cannot write {path} ({error.strerror or error}): make room or choose another directory; "
            "what was saved before is untouched."
        ) from error


def write_once(path: Path, content: bytes) -> bool:
    """Writes a file that is not there yet; of several machines that try, one succeeds, and all then read the same.

    Args:
        path: the file.
        content: all of its bytes.

    Returns:
        Whether it was written; False if it was there.

    Raises:
        RunError: if it cannot be written.
    """
    scratch = path.with_name(f"{path.name[:180]}.{os.getpid()}-{secrets.token_hex(4)}{SCRATCH}")
    try:
        with registered(scratch):
            try:
                with _new(scratch) as file:
                    file.write(content)
                    file.flush()
                    os.fsync(file.fileno())
                os.link(scratch, path)  # never in the place of another file, on network disks too
            except FileExistsError:
                return False
            finally:
                scratch.unlink(missing_ok=True)
    except OSError as error:
        raise RunError(f"Cannot write {path} ({error.strerror or error}): make room or choose another directory.") from error
    return True


@contextmanager
def replacing(path: Path, *, keep_previous: bool = False) -> Iterator[BinaryIO]:
    """A file to write into, which takes the place of ``path`` when the block has ended without an error.

    Args:
        path: as in `write_bytes`.
        keep_previous: as in `write_bytes`.

    Raises:
        OSError: if it cannot be written; what was there is untouched.
    """
    check_replaceable(path)
    _sweep(path)
    # A name that nobody else uses: two processes may write one report at a time. Long names leave it no room.
    scratch = path.with_name(f"{path.name[:180]}.{os.getpid()}-{secrets.token_hex(4)}{SCRATCH}")
    with registered(scratch):
        try:
            with _new(scratch) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            if keep_previous and path.exists():
                _rename(path, previous(path))
            _rename(scratch, path)
        except BaseException:
            with suppress(OSError):
                scratch.unlink()
            raise
    _sync_folder(path.parent)


def previous(path: Path) -> Path:
    """Where the checkpoint before the last one is kept."""
    return path.with_name(path.name + ".previous")


def _new(path: Path) -> BinaryIO:
    """Makes a file that was not there; no link is followed."""
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0)
    flags |= getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
    return os.fdopen(os.open(path, flags, 0o666), "w+b")


def _rename(path: Path, to: Path) -> None:
    """Gives a file the name of another one; on Windows it waits for whoever has one of both open, as a live page may."""
    until = time.monotonic() + (PATIENCE if WINDOWS else 0.0)
    while True:
        try:
            path.replace(to)
            return
        except PermissionError:
            if time.monotonic() >= until:
                raise
        time.sleep(0.02)


def _sync_folder(folder: Path) -> None:
    """Forces the new name to the disk, where the system can."""
    with suppress(OSError):
        number = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
        try:
            os.fsync(number)
        finally:
            os.close(number)


def _sweep(path: Path) -> None:
    """Removes what processes left that were killed while they wrote this file."""
    if WINDOWS:  # where signal 0 is no question, but Ctrl-C
        return
    for left in path.parent.glob(f"{_literal(path.name[:180])}.*{SCRATCH}"):
        owner = left.name.removeprefix(f"{path.name[:180]}.").partition("-")[0]
        if owner.isdecimal() and not _lives(int(owner)):
            left.unlink(missing_ok=True)


def _literal(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except (OSError, OverflowError):  # someone else's, or no number of a process
        return True
    return True
