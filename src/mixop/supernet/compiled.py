"""The compiled kernels of the fused executor: built by the machine's own compiler at first use, kept in a cache.

The library is plain C behind `ctypes`, so that building it takes seconds and needs neither torch's headers nor ninja. Its
name in the cache is a hash of all that it depends on; it is written beside and moved into place, so that two processes may
build it at once.
"""

import ctypes
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import torch

from mixop.core.errors import RunError

SOURCES = Path(__file__).parent / "kernels"
FLAGS = ("-O3", "-march=native", "-std=c++17", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-fopenmp")


def cache_folder() -> Path:
    """Where built kernels are kept: ``MIXOP_CACHE``, else ``mixop`` in the user's cache directory (``XDG_CACHE_HOME``)."""
    given = os.environ.get("MIXOP_CACHE")
    if given:
        return Path(given)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "mixop"


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
    """Floats in the widest vector that this machine has and that divides the number of channels, a multiple of 4."""
    width = widest_vector()
    while channels % width:
        width //= 2
    return width


@cache
def _processor_flags() -> frozenset[str]:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return frozenset()
    return frozenset(word for line in lines if line.startswith("flags") for word in line.split(":")[1].split())


def check_machine() -> list[str]:
    """Refuses a machine on which the kernels cannot be built.

    Returns:
        The compiler's command.

    Raises:
        RunError: for another system than Linux, a processor without AVX2, or if there is no compiler.
    """
    if platform.system() != "Linux":
        raise RunError(f"The fused executor runs on Linux, got {platform.system()}: use --executor nodewise.")
    widest_vector()
    return _compiler()


@cache
def kernels(width: int) -> ctypes.CDLL:
    """The kernels for vectors of ``width`` floats, built if the cache does not have them.

    Raises:
        RunError: if there is no compiler, or it does not succeed.
    """
    compiler = check_machine()
    command = [*compiler, *FLAGS, f"-DWIDTH={width}", "-shared", "-fPIC"]
    path = cache_folder() / f"cell-{_fingerprint(command)}.so"
    if not path.exists():
        _build(command, path)
    try:
        library = ctypes.CDLL(str(path))
        library.mixop_cell_workspace.restype = ctypes.c_int64
    except (OSError, AttributeError) as error:
        raise RunError(
            f"Cannot load the kernels of the fused executor ({error}): delete {path} to build them again."
        ) from error
    return library


def _compiler() -> list[str]:
    command = shlex.split(os.environ.get("CXX", "g++"))
    if not command or shutil.which(command[0]) is None:
        name = command[0] if command else "g++"
        raise RunError(
            f"The fused executor needs a C++ compiler, but there is no {name!r} here: install g++, name one in CXX, or use the "
            "executor 'nodewise'."
        )
    return command


def _fingerprint(command: list[str]) -> str:
    """A hash of sources, command, compiler, processor and torch, whose thread library the kernels share."""
    version = subprocess.run([command[0], "--version"], capture_output=True, text=True, check=False)
    parts = [" ".join(command), version.stdout, " ".join(sorted(_processor_flags())), torch.__version__]
    parts += [path.read_text() for path in sorted(SOURCES.iterdir()) if path.suffix in (".h", ".cpp")]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:20]


def _build(command: list[str], path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
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
            built.replace(path)
    except OSError as error:
        raise RunError(
            f"Cannot keep the kernels of the fused executor in {path.parent} ({error.strerror or error}): name a folder that "
            "can be written in MIXOP_CACHE."
        ) from error
