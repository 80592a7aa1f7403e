"""How many threads torch uses: never more than the cores that this process may use."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from pathlib import Path

import torch


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


@contextmanager
def using(threads: int) -> Iterator[None]:
    """Inside, torch computes on the CPU with so many threads.

    Args:
        threads: how many; 0 for torch's own number, but no more than there are cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or min(before, cores()))
    try:
        yield
    finally:
        torch.set_num_threads(before)
