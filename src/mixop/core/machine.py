"""What this machine gives to this process."""

import os
import uuid
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
