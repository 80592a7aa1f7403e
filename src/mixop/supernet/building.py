"""Builds the kernels of the fused executor: the compiler's command, and the checksum that follows a library in its file.

The library is plain C behind `ctypes`, so that building it takes seconds and needs neither torch's headers nor ninja. This
module does without torch too: a wheel with kernels in it is built where there is none.
"""

import hashlib
import os
import platform
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from mixop.core.errors import RunError
from mixop.core.scratch import scratch_folder

MARK = b"\nmixop-kernel 1 "
"""Between a library and what follows it: checksum of library and compiler, and the compiler's version. Loaders read neither."""
SOURCES = Path(__file__).parent / "kernels"
PREBUILT = SOURCES / "prebuilt"
"""Where a wheel has its kernels; a source tree has none."""
FLAGS = ("-O3", "-std=c++17", "-ffp-contract=fast", "-fno-math-errno", "-fno-trapping-math", "-shared", "-fPIC")
"""Those of the compiler on every machine."""


@dataclass(frozen=True)
class Level:
    """Processors that a wheel has kernels for.

    Args:
        name: the compiler's, for ``-march``.
        features: what they have and not every machine of the kind, as Linux names it.
        widths: floats in the vectors of these kernels.
    """

    name: str
    features: frozenset[str]
    widths: tuple[int, ...]

    def file(self, width: int) -> Path:
        """The kernels of a wheel, for vectors of ``width`` floats."""
        return PREBUILT / f"cell_{self.name}_{width}.so".replace("-", "_")


_V3 = frozenset({"abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe"})
_V4 = _V3 | {"avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl"}
LEVELS: Mapping[str, tuple[Level, ...]] = {
    "x86_64": (Level("x86-64-v3", _V3, (1, 2, 4, 8)), Level("x86-64-v4", _V4, (16,))),
    "aarch64": (Level("armv8-a", frozenset(), (1, 2, 4)),),
}
"""By kind of machine."""


def native(system: str, machine: str) -> tuple[str, ...]:
    """The compiler's flags for a machine's own processor and threads.

    Args:
        system: as `platform.system` says.
        machine: as `platform.machine` says.
    """
    if system == "Darwin":  # Apple's compilers take an Apple processor by themselves, and come without OpenMP: see `team.h`
        return ()
    return "-march=native" if machine == "x86_64" else "-mcpu=native", "-fopenmp"


def own_flags(width: int) -> list[str]:
    """The compiler's flags for this machine, and vectors of ``width`` floats."""
    return [*FLAGS, *native(platform.system(), platform.machine()), f"-DWIDTH={width}"]


def named_compiler() -> list[str]:
    """The command that ``CXX`` gives, whether it is there or not."""
    return shlex.split(os.environ.get("CXX", "g++"))


def compiler() -> list[str]:
    """The command of the C++ compiler.

    Raises:
        RunError: if there is none.
    """
    command = named_compiler()
    if not command or shutil.which(command[0]) is None:
        name = command[0] if command else "g++"
        raise RunError(
            f"The fused executor needs a C++ compiler, but there is no {name!r} here: install g++, name one in CXX, or use the "
            "executor 'nodewise'."
        )
    return command


def build(command: Sequence[str], path: Path) -> None:
    """Builds the kernels: beside their place, forced to the disk and moved there, so that two processes may do so at once.

    Args:
        command: the compiler's, with flags.
        path: where they come, with their checksum.

    Raises:
        RunError: if the compiler fails, or the folder cannot be written.
    """
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
        file.write(library + MARK + digest + b" " + said)
        file.flush()
        os.fsync(file.fileno())
    built.chmod(0o644)


_CXX = ((19, 17), (24, 28), (28, 31), (29, 34), (30, 35), (33, 39))
"""Pairs N, M: what GLIBCXX_3.4.N names in the C++ library, systems with version 2.M of the C library have. From auditwheel."""


def prebuild(folder: Path) -> tuple[list[Path], str]:
    """Builds what a wheel holds, for the kind of machine that the compiler compiles for.

    Args:
        folder: where the kernels come, under the names that they have in `PREBUILT`.

    Returns:
        The files, and the wheel's platform: the oldest systems that have all they ask for.

    Raises:
        RunError: if there is no compiler, it fails, or it compiles for a machine that wheels have no kernels for.
    """
    command = compiler()
    target = subprocess.run([*command, "-dumpmachine"], capture_output=True, text=True, check=False).stdout.strip()
    machine = target.partition("-")[0]
    if machine not in LEVELS or "linux-gnu" not in target:
        raise RunError(f"A wheel has kernels for Linux on {' and '.join(LEVELS)}, but {command[0]!r} compiles for {target!r}.")
    built = []
    for level in LEVELS[machine]:
        for width in level.widths:
            built.append(folder / level.file(width).name)
            build([*command, *FLAGS, f"-march={level.name}", "-fopenmp", f"-DWIDTH={width}"], built[-1])
    contents = b"".join(path.read_bytes() for path in built)
    c, cxx = (
        max((int(minor) for minor in re.findall(pattern, contents)), default=0)
        for pattern in (rb"GLIBC_2\.(\d+)", rb"GLIBCXX_3\.4\.(\d+)")
    )
    return built, f"manylinux_2_{max(c, next(minor for newest, minor in _CXX if cxx <= newest))}_{machine}"
