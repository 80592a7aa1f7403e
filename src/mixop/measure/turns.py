"""Steps of several executors in turns, beside what the machine can do at most: what all such measurements share."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Generic, Protocol, TypeVar

import torch
from torch.nn.functional import conv2d

from mixop.core.door import door


class Timed(Protocol):
    """The seconds of an executor."""

    @property
    def executor(self) -> str:
        """Its name."""
        ...

    @property
    def step(self) -> Sequence[float]:
        """Of whole steps."""
        ...


T = TypeVar("T", bound=Timed)


@dataclass(frozen=True, kw_only=True)
class Roofline:
    """What a machine reaches.

    Args:
        gemm: at a product of matrices, in FLOP/s.
        convolution: at a 3x3 convolution of 64 channels, in FLOP/s.
        copy: at copying memory, read and written, in bytes/s.
        threads: of torch.
    """

    gemm: float
    convolution: float
    copy: float
    threads: int


@dataclass(frozen=True, kw_only=True)
class Turns(Generic[T]):
    """Executors that took steps in turns.

    Args:
        timings: of every executor; ratios are to the first one.
        flops: of a step.
        roofline: of the machine.
    """

    timings: Sequence[T]
    flops: int
    roofline: Roofline

    @property
    def limit(self) -> float:
        """Seconds that a step would take at the rate of the 3x3 convolution."""
        return self.flops / self.roofline.convolution

    def ratio(self, timing: T) -> float:
        """How many times as fast as the first executor, by medians."""
        return median(self.timings[0].step) / median(timing.step)

    def figures(self, timing: T) -> dict[str, Any]:
        """What is known of an executor, as JSON data."""
        return {"step": list(timing.step), "median": median(timing.step), "times_as_fast": self.ratio(timing)}

    def to_json(self) -> dict[str, Any]:
        """All figures as JSON data."""
        return {
            "roofline": vars(self.roofline),
            "flops": self.flops,
            "limit_seconds": self.limit,
            "executors": {timing.executor: self.figures(timing) for timing in self.timings},
        }


def seconds(run: Callable[[], object], device: str) -> float:
    """How long something takes on a device."""
    wait = torch.cuda.synchronize if torch.device(device).type == "cuda" else lambda: None
    wait()
    begin = time.perf_counter()
    run()
    wait()
    return time.perf_counter() - begin


@door()
def roofline(device: str = "cpu") -> Roofline:
    """What a device reaches now: the best of several tries."""

    def best(run: Callable[[], object]) -> float:
        run()
        return min(seconds(run, device) for _ in range(5))

    generator = torch.Generator(device).manual_seed(0)
    a = torch.randn(2048, 2048, device=device, generator=generator)
    gemm = 2 * 2048**3 / best(lambda: a @ a)
    x = torch.randn(32, 64, 32, 32, device=device, generator=generator).contiguous(memory_format=torch.channels_last)
    w = torch.randn(64, 64, 3, 3, device=device, generator=generator)
    convolution = 2 * 32 * 32 * 32 * 64 * 64 * 9 / best(lambda: conv2d(x, w, padding=1))
    big = torch.randn(2**26, device=device, generator=generator)
    copied = torch.empty_like(big)
    return Roofline(
        gemm=gemm,
        convolution=convolution,
        copy=2 * 4 * 2**26 / best(lambda: copied.copy_(big)),
        threads=torch.get_num_threads(),
    )
