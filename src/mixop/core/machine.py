"""What this machine gives to this process."""

import ctypes
import os
import platform
import uuid
from contextlib import suppress
from functools import cache
from math import ceil
from pathlib import Path

WINDOWS = os.name == "nt"
"""Whether files and signals follow the rules of Windows: what is open can neither be removed nor renamed, for one."""


@cache
def machine() -> str:
    """What this machine is known by as long as it runs: all its processes have one kernel, those of other machines have not."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:  # not Linux
        return f"{uuid.getnode():x}"


def cores() -> int:
    """Cores that this process may use: by its affinity, and by the container's limit."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(free, _limit()))


def _limit(folder: str = "/sys/fs/cgroup") -> int:
    """The container's limit in whole cores; a large number where there is none."""
    try:
        quota, period = Path(folder, "cpu.max").read_text(encoding="utf-8").split()
        return ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 30


def memory() -> int:
    """Bytes that this process may still take: of the machine's free memory, and of the container's limit."""
    try:
        lines = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text(encoding="utf-8").splitlines())
        free = int(lines["MemAvailable"].split()[0]) * 1024
    except (OSError, ValueError, KeyError):  # not Linux
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2 if hasattr(os, "sysconf") else 4 << 30
    return min(free, _memory_limit())


def _memory_limit(folder: str = "/sys/fs/cgroup") -> int:
    """What the container's limit leaves, in bytes; a large number where there is none."""
    try:
        limit, used = (Path(folder, name).read_text(encoding="utf-8") for name in ("memory.max", "memory.current"))
        return max(0, int(limit) - int(used))
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 60


_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""Names of options of glibc's ``mallopt``."""

_KEPT_BLOCK = 256 << 20
"""Bytes of the largest block that the process keeps when it is freed; those of older versions of glibc keep 32 MiB at most."""


def keep_freed_memory() -> None:
    """Lets this process keep the memory that it frees, for the next step, in place of giving it back to the system.

    The same step of a training frees and takes the same tensors again, and a page that was given back costs a fault at its next
    use, up to a tenth of the time of a retraining. Larger blocks are given back all the same.

    For processes of mixop's own. On glibc only, and not where the user has tuned it by the environment.
    """
    tuned = any(name.startswith("MALLOC_") for name in os.environ) or "malloc" in os.environ.get("GLIBC_TUNABLES", "")
    if tuned or platform.libc_ver()[0] != "glibc":
        return
    with suppress(OSError, AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        # Either option alone would stop glibc from finding the other one by itself.
        if mallopt(_MMAP_THRESHOLD, _KEPT_BLOCK) or mallopt(_MMAP_THRESHOLD, 32 << 20):
            mallopt(_TRIM_THRESHOLD, (1 << 31) - 1)
