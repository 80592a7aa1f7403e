"""Files and folders that are not kept: they go at the end of their block, and also where a signal ends the process at once."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mixop.core.machine import WINDOWS

_PRESENT: dict[Path, None] = {}


@contextmanager
def registered(path: Path) -> Iterator[Path]:
    """Inside, `remove_all` removes this file or folder too.

    Args:
        path: the file or folder, which need not exist.
    """
    _PRESENT[path] = None
    try:
        yield path
    finally:
        _PRESENT.pop(path, None)


@contextmanager
def scratch_folder(prefix: str = "mixop-", within: Path | None = None) -> Iterator[Path]:
    """A new folder that goes with the block.

    Args:
        prefix: start of its name.
        within: where it is made; default the system's folder for temporary files.
    """
    # Windows cannot remove what is still mapped into memory; it then stays among the temporary files.
    made = tempfile.TemporaryDirectory(prefix=prefix, dir=within, ignore_cleanup_errors=WINDOWS)
    with made as name, registered(Path(name)) as folder:
        yield folder


def remove_all() -> None:
    """Removes what is registered now. For a process that ends without leaving its blocks."""
    for path in list(_PRESENT):
        with suppress(OSError):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink()
