"""The compiled kernels of the fused executor: built by the machine's own compiler at first use, kept in a cache.

The library is plain C behind `ctypes`, so that building it takes seconds and needs neither torch's headers nor ninja. Its
name in the cache is a hash of all that it depends on, except the compiler: a kernel that is there needs none, and a run that
goes on after an upgrade of the compiler keeps its numbers.

Loading a library runs it, and a torn one kills the process. So a file of the cache is loaded only if it is whole, by the
checksum that follows the library in the same file, and if nobody but its owner can have written it. Anything else is built
again. A file is written beside its place, forced to the disk and moved there, so that two processes may build it at once.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import stat
import subprocess
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from mixop.core.errors import RunError
from mixop.core.scratch import scratch_folder

_MARK = b"\nmixop-kernel 1 "
"""Between a library and what follows it: checksum of library and compiler, and the compiler's version. Loaders read neither."""
_WIDTHS = (1, 2, 4, 8, 16)
_OTHERS = stat.S_IWGRP | stat.S_IWOTH
SOURCES = Path(__file__).parent / "kernels"
FLAGS = ("-O3", "-march=native", "-std=c++17", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fopenmp")


def cache_folder() -> Path:
    """Where built kernels are kept: ``MIXOP_CACHE``, else ``mixop`` in the user's cache directory (``XDG_CACHE_HOME``)."""
    given = _given_folder()
    if given is not None:
        return given
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mixop"


def _given_folder() -> Path | None:
    given = os.environ.get("MIXOP_CACHE")
    return Path(given) if given else None


def widest_vector(flags: frozenset[str] | None = None) -> int:
    """Floats in the widest vector of this machine's processor.

    Args:
        flags: the processor's features as Linux names them; default: this machine's.

    Raises:
        RunError: if the processor has no AVX2.
    """
    flags = _processor_flags() if flags is None else flags
    if "avx512f" in flags:
        return 16
    if {"avx2", "fma"} <= flags:
        return 8
    raise RunError("The fused executor needs a processor with AVX2 and FMA: use --executor nodewise.")


def vector_width(channels: int) -> int:
    """Floats in the widest vector that this machine has and that divides the number of channels."""
    width = widest_vector()
    while channels % width:
        width //= 2
    return width


@cache
def _processor_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith("flags") for word in line.split(":")[1].split())


def check_machine() -> None:
    """Refuses a machine on which the kernels cannot run, or neither be found nor built.

    Raises:
        RunError: for another system than Linux, a processor without AVX2, or if there is no compiler and nothing in the cache.
    """
    if platform.system() != "Linux":
        raise RunError(f"The fused executor runs on Linux, got {platform.system()}: use --executor nodewise.")
    widest_vector()
    try:
        compiler()
    except RunError:
        if not any(_cached(_place(width)) for width in _WIDTHS):
            raise


def compiler() -> list[str]:
    """The command of the C++ compiler.

    Raises:
        RunError: if there is none.
    """
    command = _named_compiler()
    if not command or shutil.which(command[0]) is None:
        name = command[0] if command else "g++"
        raise RunError(
            f"The fused executor needs a C++ compiler, but there is no {name!r} here: install g++, name one in CXX, or use the "
            "executor 'nodewise'."
        )
    return command


@cache
def kernels(width: int) -> ctypes.CDLL:
    """The kernels for vectors of ``width`` floats, built if the cache does not have them.

    Raises:
        RunError: if they are not in the cache and cannot be built, or others can write what is there.
    """
    check_machine()
    path = _place(width)
    _check_folder(path.parent)
    library = _cached(path)
    if library is None:
        _build([*compiler(), *_flags(width)], path)
        library = _cached(path)
    if library is None:
        raise RunError(
            f"The kernels of the fused executor cannot be loaded after building {path}: name another folder in MIXOP_CACHE, "
            "another compiler in CXX, or use --executor nodewise."
        )
    return library


def _flags(width: int) -> list[str]:
    return [*FLAGS, f"-DWIDTH={width}", "-shared", "-fPIC"]


def _named_compiler() -> list[str]:
    return shlex.split(os.environ.get("CXX", "g++"))


def _place(width: int) -> Path:
    """The file for a vector width: its name is a hash of sources, command, processor, C library and torch.

    torch, because the kernels share its thread library.
    """
    command = [*_named_compiler(), *_flags(width)]
    parts = [" ".join(command), " ".join(sorted(_processor_flags())), torch.__version__, *platform.libc_ver()]
    parts += [path.read_text() for path in sorted(SOURCES.iterdir()) if path.suffix in (".h", ".cpp")]
    return cache_folder() / f"cell-{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()[:20]}.so"


def _check_folder(folder: Path) -> None:
    """Refuses a folder in which others could put or replace a kernel; one of our own making is closed to them.

    Raises:
        RunError: saying what to do.
    """
    if folder != _given_folder():
        with suppress(OSError):
            if (mode := stat.S_IMODE(folder.stat().st_mode)) & _OTHERS and folder.stat().st_uid == os.getuid():
                folder.chmod(mode & ~_OTHERS)
    for place in (folder, *folder.absolute().parents):
        try:
            found = place.stat()
        except OSError:  # not there yet
            continue
        above = place != folder
        # A parent with the sticky bit, as /tmp has, lets nobody move what belongs to another.
        open_to_all = found.st_mode & (stat.S_IWOTH if above else _OTHERS) and not (above and found.st_mode & stat.S_ISVTX)
        if open_to_all or not (above or _ours(found)):
            whose = "can be written by other users" if open_to_all else "belongs to another user"
            raise RunError(
                f"The fused executor keeps its kernels in {folder}, but {place} {whose}: name a folder of your own in "
                "MIXOP_CACHE, or change its permissions."
            )


def _ours(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.getuid())  # root can do what it likes anyway


def _cached(path: Path) -> ctypes.CDLL | None:
    """The library in a file of the cache; None if there is none, or it is torn, or others may have written it."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode) or not _ours(found) or found.st_mode & _OTHERS:
            return None
        try:
            content = file.read()
        except OSError:
            return None
        library, mark, said = content.rpartition(_MARK)
        digest, _, version = said.partition(b" ")
        if not mark or hashlib.sha256(library + version).hexdigest().encode() != digest:
            return None
    # By its path: only its owner can have replaced it since. The loader takes equal names for the same library, so the number
    # of the open file would not do.
    try:
        loaded = ctypes.CDLL(str(path))
        loaded.mixop_cell_workspace.restype = ctypes.c_int64
    except (OSError, AttributeError):  # of another system that shares the cache
        return None
    return loaded


def _build(command: list[str], path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with scratch_folder(within=path.parent) as folder:
            built = Path(folder) / path.name
            done = subprocess.run(
                [*command, "-o", str(built), str(SOURCES / "cell.cpp")], capture_output=True, text=True, check=False
            )
            if done.returncode:
                lines = (
                    [line for line in done.stderr.splitlines() if "error" in line] or done.stderr.splitlines() or ["no message"]
                )
                raise RunError(
                    f"The compiler {command[0]!r} did not build the kernels of the fused executor ({lines[0].strip()}): name "
                    "another one in CXX, or use --executor nodewise."
                )
            _finish(built, command[0])
            built.replace(path)
    except OSError as error:
        raise RunError(
            f"Cannot keep the kernels of the fused executor in {path.parent} ({error.strerror or error}): name a folder that "
            "can be written in MIXOP_CACHE."
        ) from error


def _finish(built: Path, name: str) -> None:
    """Adds the checksum to a library that was built, and forces it to the disk."""
    said = subprocess.run([name, "--version"], capture_output=True, check=False).stdout.partition(b"\n")[0]
    library = built.read_bytes()
    digest = hashlib.sha256(library + said).hexdigest().encode()
    with built.open("r+b") as file:
        file.write(library + _MARK + digest + b" " + said)
        file.flush()
        os.fsync(file.fileno())
    built.chmod(0o644)
