"""What a long run will take: seconds and bytes, from a few steps of a copy that nothing else sees."""

import math
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks

from mixop.core.errors import MemoryLimitError

ENOUGH, MOST = 0.1, 20
"""Seconds of steps that are timed at least, and steps at most: a single short one may take twice its usual time."""


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """What a run will take.

    Args:
        seconds: of the whole run.
        fixed_bytes: weights, gradients and what optimisers remember, whatever the batch.
        image_bytes: kept for the backward pass, for each image of a batch.
        batch_size: images in a batch.
    """

    seconds: float
    fixed_bytes: int
    image_bytes: int
    batch_size: int

    @property
    def peak_bytes(self) -> int:
        """Memory at the end of a forward pass, beside that of the program and the data."""
        return self.fixed_bytes + self.batch_size * self.image_bytes

    def largest_batch(self, free: int) -> int:
        """The largest batch that fits into this number of bytes, at least 0."""
        return max(0, (free - self.fixed_bytes) // max(1, self.image_bytes))

    def check(self, free: int) -> None:
        """Refuses a batch that does not fit.

        Args:
            free: bytes that are free.

        Raises:
            MemoryLimitError: with the largest batch that does.
        """
        if self.peak_bytes > free:
            fits = self.largest_batch(free)
            way_out = f"a batch size of {fits} fits" if fits >= 2 else "take fewer channels or cells"
            raise MemoryLimitError(
                f"A batch of {self.batch_size} needs about {gigabytes(self.peak_bytes)}, but {gigabytes(free)} are free: "
                f"{way_out}."
            )

    def __str__(self) -> str:
        return f"about {duration(self.seconds)} and {gigabytes(self.peak_bytes)} of memory"


def saved_bytes(run: Callable[[], Tensor]) -> int:
    """Bytes of what a forward pass keeps for the backward pass, every storage counted once.

    Args:
        run: the forward pass.
    """
    storages: dict[int, int] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        storages[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(pack, lambda tensor: tensor):
        kept = run()  # alive until the end, so that no storage is counted under the address of another
    del kept
    return sum(storages.values())


def memory(*, forward: Callable[[int], Tensor], weights: int, batch_size: int) -> Estimate:
    """An estimate of the memory alone, from two small forward passes.

    Args:
        forward: gives the loss of a number of images.
        weights: bytes of the weights; their gradients and momentum are as large.
        batch_size: images in a batch.
    """
    small, large = 2, 6
    few, more = saved_bytes(lambda: forward(small)), saved_bytes(lambda: forward(large))
    per_image = max(0, more - few) // (large - small)
    return Estimate(seconds=0.0, fixed_bytes=3 * weights, image_bytes=per_image, batch_size=batch_size)


def estimate(
    *, forward: Callable[[int], Tensor], step: Callable[[], None], weights: int, batch_size: int, steps: float, device: str
) -> Estimate:
    """An estimate from two small forward passes and a few whole steps: one or, where they are short, as many as `ENOUGH` says.

    Args:
        forward: gives the loss of a number of images.
        step: one whole step, or a run of them; called only if the memory for it is there.
        weights: bytes of the weights; their gradients and momentum are as large.
        batch_size: images in a batch, >= 2.
        steps: such steps of the whole run.
        device: where they are computed.

    Raises:
        MemoryLimitError: if the batch does not fit into the free memory.
    """
    found = memory(forward=forward, weights=weights, batch_size=batch_size)
    found.check(free_bytes(device))
    step()  # the first one is slower: memory is got, algorithms are chosen
    _wait(device)
    began, taken, seconds = time.perf_counter(), 0, 0.0
    while taken == 0 or (taken < MOST and seconds < ENOUGH):
        step()
        _wait(device)
        taken, seconds = taken + 1, time.perf_counter() - began
    return replace(found, seconds=seconds / taken * steps)


def _wait(device: str) -> None:
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize(device)


def free_bytes(device: str) -> int:
    """Free memory of a device, in bytes; on the CPU what the system, or the container's limit, can give without swapping."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    # Where nothing better is known: all that there is, or on Windows a modest machine.
    available = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if hasattr(os, "sysconf") else 4 << 30
    for line in _text("/proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            available = int(line.split()[1]) * 1024
    return int(min(available, _container_bytes()))


def _container_bytes(folder: str = "/sys/fs/cgroup") -> float:
    """What a container's limit leaves free, in bytes; infinite where there is none."""
    limit, used = _text(f"{folder}/memory.max").strip(), _text(f"{folder}/memory.current").strip()
    if not (limit.isdecimal() and used.isdecimal()):
        return math.inf
    cached = [line.split()[1] for line in _text(f"{folder}/memory.stat").splitlines() if line.startswith("inactive_file ")]
    return max(0, int(limit) - int(used) + sum(int(count) for count in cached))  # read files give way when memory is needed


def _text(path: str) -> str:
    """A file of the system, empty where it does not exist."""
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""


@contextmanager
def enough_memory(batch_size: int, what: str) -> Iterator[None]:
    """Inside, running out of memory is an error that says what to do.

    Raises:
        MemoryLimitError: in place of torch's error.
    """
    try:
        yield
    except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
        if not isinstance(error, RuntimeError) or isinstance(error, torch.OutOfMemoryError) or "allocate memory" in str(error):
            raise MemoryLimitError(
                f"There is not enough memory for a {what} with batches of {batch_size}: try --batch-size "
                f"{max(2, batch_size // 2)}; the last good state is kept."
            ) from error
        raise


def duration(seconds: float) -> str:
    """A length of time for people: ``40 s``, ``12 min``, ``3 h 20 min``, ``5 d 4 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def gigabytes(count: int) -> str:
    """A number of bytes for people."""
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 / 10 else f"{count / 2**20:.0f} MiB"
