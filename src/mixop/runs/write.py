"""Writing a file so that a crash leaves the old one or the new one, whole. Imports no torch."""

import os
from contextlib import suppress
from pathlib import Path

from mixop.core.errors import RunError


def write_bytes(path: Path, content: bytes, *, keep_previous: bool = False) -> None:
    """Writes a file so that a crash at any moment leaves either the old one or the new one, whole.

    Args:
        path: the file.
        content: all of its bytes.
        keep_previous: whether the file that was there stays beside it, as ``name.previous``.

    Raises:
        RunError: if it cannot be written, with the reason (a full disk, a missing permission); the old file is untouched.
    """
    scratch = path.with_name(path.name + ".partial")
    try:
        with scratch.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if keep_previous and path.exists():
            path.replace(previous(path))
        scratch.replace(path)
    except OSError as error:
        with suppress(OSError):
            scratch.unlink()
        raise RunError(
            f"Cannot write {path} ({error.strerror or error}): make room or choose another directory; "
            "what was saved before is untouched."
        ) from error


def previous(path: Path) -> Path:
    """Where the checkpoint before the last one is kept."""
    return path.with_name(path.name + ".previous")
