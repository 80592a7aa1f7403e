"""What a network costs, and limits that it has to keep."""

import time
from dataclasses import dataclass
from statistics import median

import torch
from torch import Tensor, nn

from mixop.core.schedules import check_range
from mixop.evaluate.score import multiply_adds, parameters
from mixop.nets.latency import LatencyTable

_WARM, _TIMED = 3, 15
"""Passes before the timed ones, and timed ones."""


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a network costs for one example.

    Args:
        parameters: trained ones.
        flops: multiply-adds.
        latency_ms: milliseconds on this machine, the median of several passes, or on another device by its table; None where
            nobody asked.
    """

    parameters: int
    flops: int
    latency_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class Limits:
    """The most that a network may cost.

    Args:
        parameters: trained ones, > 0; None for any number.
        flops: multiply-adds for one example, > 0.
        latency_ms: milliseconds for one example on this machine, or on the device that there is a table of, > 0.

    Raises:
        RecipeError: for a limit that nothing keeps.
    """

    parameters: float | None = None
    flops: float | None = None
    latency_ms: float | None = None

    def __post_init__(self) -> None:
        for name, value in self._given():
            check_range(f"the most {name}", value, above=0)

    def _given(self) -> list[tuple[str, float]]:
        return [(name, value) for name in _WORDS if (value := getattr(self, name)) is not None]

    def __bool__(self) -> bool:
        return bool(self._given())

    def broken(self, cost: Cost) -> str:
        """The first limit that a cost breaks, in words; empty if it keeps all."""
        for name, most in self._given():
            found = getattr(cost, name)
            if found is not None and found > most:
                return f"{found:,.6g} {_WORDS[name]} where {most:,.6g} are allowed"
        return ""

    def beside(self, cost: Cost) -> str:
        """What a network costs beside what is allowed."""
        return ", ".join(f"{getattr(cost, name):,.6g} of at most {most:,.6g} {_WORDS[name]}" for name, most in self._given())

    def __str__(self) -> str:
        return ", ".join(f"at most {value:,.6g} {_WORDS[name]}" for name, value in self._given())


_WORDS = {"parameters": "parameters", "flops": "multiply-adds", "latency_ms": "ms"}


def cost_of(net: nn.Module, example: Tensor, *, latency: LatencyTable | bool = False) -> Cost:
    """What a network costs.

    Args:
        net: in any mode; it is in evaluation mode afterwards.
        example: one input ``(1, ...)`` on the network's device.
        latency: whether its time is measured; or a device's table, which says what it would be there.

    Raises:
        DataError: if the table lacks a layer.
    """
    net.eval()
    if isinstance(latency, LatencyTable):
        milliseconds = latency.of(net, example)
    else:
        milliseconds = _latency(net, example) if latency else None
    return Cost(parameters=parameters(net), flops=multiply_adds(net, example), latency_ms=milliseconds)


@torch.no_grad()
def _latency(net: nn.Module, example: Tensor) -> float:
    seconds = []
    for _ in range(_WARM + _TIMED):
        start = time.perf_counter()
        net(example)
        if example.device.type == "cuda":
            torch.cuda.synchronize(example.device)
        seconds.append(time.perf_counter() - start)
    return 1000 * median(seconds[_WARM:])
