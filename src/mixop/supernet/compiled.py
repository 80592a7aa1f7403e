"""The compiled kernels of the fused executor: built by the machine's own compiler at first use, kept in a cache.

Their name in the cache is a hash of all that they depend on, except the compiler: a kernel that is there needs none, and a run
that goes on after an upgrade of the compiler keeps its numbers. Where nothing can be built, those of the wheel are taken, if it
is one that has any: they are for many processors, so they may be slower, and round otherwise.

Loading a library runs it, and a torn one kills the process. So a file is loaded only if it is whole, by the checksum that
follows the library in the same file, and if nobody but its owner can have written it; in a wheel, nobody who could not write
this module. What is not so in the cache is built again.
"""

import ctypes
import hashlib
import os
import platform
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from pathlib import Path

import torch

from mixop.core.errors import RunError
from mixop.supernet.building import LEVELS, MARK, PREBUILT, SOURCES, build, compiler, named_compiler, own_flags

_MACHINES = {"Linux": ("x86_64", "aarch64"), "Darwin": ("arm64",)}
_WIDTHS = (1, 2, 4, 8, 16)
_OTHERS = stat.S_IWGRP | stat.S_IWOTH


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


def widest_vector(machine: str | None = None, features: frozenset[str] | None = None) -> int:
    """Floats in the widest vector of a processor.

    Args:
        machine: as `platform.machine` says; default: this one.
        features: the processor's, as Linux names them; default: this machine's.

    Raises:
        RunError: if an x86 processor has no AVX2.
    """
    machine = platform.machine() if machine is None else machine
    features = _features() if features is None else features
    if machine in ("aarch64", "arm64"):  # NEON, which all have; vectors of two of its registers spill in every product
        return 4
    if "avx512f" in features:
        return 16
    if {"avx2", "fma"} <= features:
        return 8
    raise RunError("The fused executor needs a processor with AVX2 and FMA: use --executor nodewise.")


def vector_width(channels: int) -> int:
    """Floats in the widest vector that this machine has and that divides the number of channels."""
    width = widest_vector()
    while channels % width:
        width //= 2
    return width


@cache
def _features() -> frozenset[str]:
    """The features to use, as Linux names them: the processor's, without AVX-512 where torch is told to do without.

    None where another system runs.
    """
    found = _of_processor()
    return frozenset(name for name in found if not name.startswith("avx512")) if _without_avx512() else found


def _of_processor() -> frozenset[str]:
    """The processor's features as Linux names them; none where another system runs."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return frozenset()
    named = (line.split(":") for line in lines if line.startswith(("flags", "Features")))  # on x86, on ARM
    return frozenset(word for _, words in named for word in words.split())


def _without_avx512() -> bool:
    """Whether torch leaves the processor's AVX-512 alone, as ``ATEN_CPU_CAPABILITY=avx2`` tells it: then the kernels do too."""
    return "avx512f" in _of_processor() and torch.backends.cpu.get_cpu_capability() == "AVX2"


def _flags(width: int) -> list[str]:
    """The compiler's flags for this machine, and vectors of ``width`` floats."""
    return [*own_flags(width), *(["-mno-avx512f"] if _without_avx512() else [])]


def check_machine() -> None:
    """Refuses a machine on which the kernels cannot run, or neither be found nor built.

    Raises:
        RunError: for another kind of machine, a processor without AVX2, or where there are no kernels and no compiler.
    """
    system, machine = platform.system(), platform.machine()
    if machine not in _MACHINES.get(system, ()):
        raise RunError(
            f"The fused executor runs on Linux (x86-64, ARM) and macOS (Apple silicon), got {system} on {machine}: use "
            "--executor nodewise."
        )
    widest_vector()
    try:
        compiler()
    except RunError:
        if not any(_cached(_place(width)) or _prebuilt(width) for width in _WIDTHS):
            raise


@cache
def kernels(width: int) -> ctypes.CDLL:
    """The kernels for vectors of ``width`` floats: from the cache, or built now, or else those of the wheel.

    Raises:
        RunError: if there are none and they cannot be built, or others can write what is there.
    """
    check_machine()
    try:
        return _built(width)
    except RunError:
        library = _prebuilt(width)
        if library is None:
            raise
        return library


def origin(width: int) -> str:
    """Where the kernels for vectors of ``width`` floats are from, in a few words."""
    return "prebuilt" if Path(kernels(width)._name).parent == PREBUILT else "built on this machine"


def _built(width: int) -> ctypes.CDLL:
    path = _place(width)
    _check_folder(path.parent)
    library = _cached(path)
    if library is None:
        build([*compiler(), *_flags(width)], path)
        library = _cached(path)
    if library is None:
        raise RunError(
            f"The kernels of the fused executor cannot be loaded after building {path}: name another folder in MIXOP_CACHE, "
            "another compiler in CXX, or use --executor nodewise."
        )
    return library


def _prebuilt(width: int) -> ctypes.CDLL | None:
    """The kernels of the wheel for this processor; None if it has none.

    Raises:
        RunError: if they cannot be loaded.
    """
    for level in LEVELS.get(platform.machine(), ()):
        path = level.file(width)
        if width in level.widths and level.features <= _features() and _is_sound(path, _is_as_safe_as_this_module):
            try:
                return _load(path)
            except OSError as error:
                raise RunError(
                    f"The prebuilt kernels of the fused executor cannot be loaded ({error}): install libgomp, which "
                    "Debian and Ubuntu call libgomp1, or use --executor nodewise."
                ) from error
    return None


def _place(width: int) -> Path:
    """The file for a vector width: its name is a hash of sources, command, processor, C library and torch.

    torch, because the kernels share its thread library.
    """
    command = [*named_compiler(), *_flags(width)]
    parts = [" ".join(command), " ".join(sorted(_features())), torch.__version__, *platform.libc_ver()]
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
    if not _is_sound(path, lambda found: _ours(found) and not found.st_mode & _OTHERS):
        return None
    # By its path: only its owner can have replaced it since. The loader takes equal names for the same library, so the number
    # of the open file would not do.
    try:
        return _load(path)
    except (OSError, AttributeError):  # of another system that shares the cache
        return None


def _is_as_safe_as_this_module(found: os.stat_result) -> bool:
    own = Path(__file__).stat()
    return found.st_uid == own.st_uid and not found.st_mode & _OTHERS & ~own.st_mode


def _is_sound(path: Path, safe: Callable[[os.stat_result], bool]) -> bool:
    """Whether a file is there, is safe by who owns it and who can write it, and is whole."""
    try:
        number = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    with os.fdopen(number, "rb") as file:
        found = os.fstat(number)
        if not stat.S_ISREG(found.st_mode) or not safe(found):
            return False
        try:
            content = file.read()
        except OSError:
            return False
    library, mark, said = content.rpartition(MARK)
    digest, _, version = said.partition(b" ")
    return bool(mark) and hashlib.sha256(library + version).hexdigest().encode() == digest


def _load(path: Path) -> ctypes.CDLL:
    library = ctypes.CDLL(str(path))
    library.mixop_cell_workspace.restype = ctypes.c_int64
    return library
