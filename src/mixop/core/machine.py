"""What this machine gives to this process."""

import os
from math import ceil
from pathlib import Path


def cores() -> int:
    """Cores that this process may use: by its affinity, and by the container's limit."""
    free = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(free, _limit()))


def _limit(folder: str = "/sys/fs/cgroup") -> int:
    """The container's limit in whole cores; a large number where there is none."""
    try:
        quota, period = Path(folder, "cpu.max").read_text().split()
        return ceil(int(quota) / int(period))
    except (OSError, ValueError):  # no such file, or "max"
        return 1 << 30
