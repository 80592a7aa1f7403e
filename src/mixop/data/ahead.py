"""Threads that read what will be asked for: of image files, and of data sets that read slowly."""

from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

LIMIT = 4096
"""Most items that wait to be asked for: half a megabyte each for photographs of ImageNet's size."""


class ReadAhead:
    """Reads items by their number, ahead of time where it was said what comes next.

    What an item becomes depends on its number alone, so that batches are the same for any number of threads, with or without
    reading ahead.

    Args:
        read: gives the item of a number; called by several threads at once.
        workers: threads.
        name: of the threads.
    """

    def __init__(self, read: Callable[[int], Any], workers: int, name: str) -> None:
        self.pool = ThreadPoolExecutor(workers, name)
        self._read = read
        self._waiting: dict[int, Future[Any]] = {}

    def take(self, at: Iterable[int]) -> list[Future[Any]]:
        """Items on their way, in order. Threads take jobs first come, first served, so none waits for a later one."""
        return [self._waiting.pop(i, None) or self.pool.submit(self._read, i) for i in at]

    def expect(self, at: Iterable[int]) -> None:
        """Begins to read items that will be asked for; of too many, the oldest are forgotten: nobody came for them."""
        for i in at:
            if i not in self._waiting:
                self._waiting[i] = self.pool.submit(self._read, i)
        for i in list(self._waiting)[: max(0, len(self._waiting) - LIMIT)]:
            self._waiting.pop(i).cancel()
