"""How many threads torch uses: never more than the cores that this process may use, unless asked to."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from mixop.core.machine import cores


@contextmanager
def using(threads: int) -> Iterator[None]:
    """Inside, torch computes on the CPU with this number of threads.

    Args:
        threads: how many; 0 for torch's own number, but no more than there are cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(threads or min(before, cores()))
    try:
        yield
    finally:
        torch.set_num_threads(before)
