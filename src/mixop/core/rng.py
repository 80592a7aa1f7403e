"""Random numbers as an argument: named generators, and a fence around functions that take none.

Nothing here reads or sets torch's process-wide generators, so searches in several threads, and callers that draw meanwhile,
leave each other's numbers alone.
"""

import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mixop.core.share import present_share
from mixop.core.transfer import upload
from mixop.core.watch import Source, Watch

_CPU = torch.device("cpu")


def generators(seed: int, names: tuple[str, ...]) -> dict[str, Generator]:
    """One independent CPU generator for each name, all from one seed.

    Args:
        seed: any whole number in [0, 2**63).
        names: what the generators are for; adding a name at the end leaves the others' numbers as they were.
    """
    root = Generator().manual_seed(seed)
    return {name: Generator().manual_seed(draw_seed(root)) for name in names}


def draw_seed(generator: Generator) -> int:
    """The next whole number in [0, 2**62) of a generator, to seed another one with."""
    return int(torch.randint(2**62, (), generator=generator, device="cpu"))


class _Fences(threading.local):
    """The fence that this thread is in."""

    source: Source | None = None


_FENCES = _Fences()


@contextmanager
def fenced(generator: Generator, *, watch: bool = True) -> Iterator[Source]:
    """Inside, what takes no generator draws from numbers that ``generator`` seeds, in this thread only.

    That is `rand`, `randn` and `randperm` of this module, and with ``watch`` every random operation of torch: initialisers of
    `torch.nn` layers, `torch.distributions`, operations of others. On another device than the CPU it is a generator of that
    device with the same seed.

    Args:
        generator: gives the seed, one number of it.
        watch: whether operations of torch are looked at one by one, which costs some microseconds each; see `draws_unseen`.

    Returns:
        What is drawn from, for `watched`.
    """
    source = Source(draw_seed(generator))
    before, _FENCES.source = _FENCES.source, source
    try:
        with watched(source, watch):
            yield source
    finally:
        _FENCES.source = before


def bookmark() -> Callable[[], AbstractContextManager[Source]]:
    """A place in the numbers of this thread's fence: what it gives makes fences inside which those from here on come again."""
    source = _FENCES.source
    state = (torch.default_generator if source is None else source.on(_CPU)).get_state()

    @contextmanager
    def again() -> Iterator[Source]:
        with fenced(Generator().manual_seed(0), watch=False) as fence:
            fence.on(_CPU).set_state(state)
            yield fence

    return again


def watched(source: Source, watch: bool) -> AbstractContextManager:
    """A part of a fence in which operations of torch are looked at, if ``watch``; see `fenced`."""
    return Watch(source) if watch else nullcontext()


def rand(shape: Sequence[int], device: torch.device = _CPU, *, by_example: bool = False) -> Tensor:
    """Uniform numbers in [0, 1), float32, from the fence around this thread; from torch's generator where there is none.

    Args:
        shape: how many.
        device: where they are wanted. They are drawn on the CPU; see `mixop.core.watch.Source.uniform`.
        by_example: whether the first axis is the examples of the batch. In a pass over a share of a batch
            (`mixop.core.share`) they are then the numbers that these examples have in a pass over the whole one.
    """
    if device.type == "cpu" or torch.compiler.is_compiling():
        drawn = _draw_by_example(torch.rand, shape, None) if by_example else _draw(torch.rand, shape)
        return drawn.to(device)
    if by_example:
        return _draw_by_example(lambda shape, **_: _uniform(shape, device), shape, None)
    return _uniform(shape, device)


def randn(shape: Sequence[int], dtype: torch.dtype | None = None, *, by_example: bool = False) -> Tensor:
    """Standard normal numbers on the CPU, as `rand`."""
    return _draw_by_example(torch.randn, shape, dtype) if by_example else _draw(torch.randn, shape, dtype=dtype)


def randperm(count: int) -> Tensor:
    """The whole numbers below ``count`` in random order on the CPU, as `rand`."""
    return _draw(torch.randperm, count)


def _draw_by_example(function: Callable[..., Tensor], shape: Sequence[int], dtype: torch.dtype | None) -> Tensor:
    share = None if torch.compiler.is_compiling() else present_share()
    if share is None:
        return _draw(function, shape, dtype=dtype)
    return _draw(function, (share.of, *shape[1:]), dtype=dtype)[share.rows]


def _uniform(shape: Sequence[int], device: torch.device) -> Tensor:
    source = _FENCES.source
    if source is None:
        return upload(torch.rand(tuple(shape)), device)
    return source.uniform(math.prod(shape), device).view(tuple(shape))


def _draw(function: Callable[..., Tensor], *arguments: Any, **options: Any) -> Tensor:
    source = None if torch.compiler.is_compiling() else _FENCES.source  # what is exported has no fence
    return function(*arguments, generator=None if source is None else source.on(_CPU), device="cpu", **options)


def keep_out_of_graphs() -> None:
    """Keeps the draws of this module out of what torch compiles from now on: a graph knows no fence.

    It breaks at a draw and goes on behind it. Loads torch's compiler, which takes seconds.
    """
    global _draw
    _draw = torch.compiler.disable(_draw)  # pyright: ignore[reportAssignmentType]


_DRAWING = (
    nn.modules.dropout._DropoutNd,
    nn.RReLU,
    nn.RNNBase,
    nn.MultiheadAttention,
    nn.FractionalMaxPool2d,
    nn.FractionalMaxPool3d,
)
"""Layers of `torch.nn` that may draw in a pass."""


def draws_unseen(net: nn.Module) -> bool:
    """Whether a pass of a network may draw numbers that only a `fenced` that watches can seed.

    Parts of mixop draw by `rand` and its sisters, and few layers of `torch.nn` draw at all. Any other module counts as
    drawing, unless it has an attribute ``draws`` that is False.

    Args:
        net: the network.
    """
    return unseen(net) is not None


def unseen(net: nn.Module) -> nn.Module | None:
    """The first module of a network that makes `draws_unseen` true, None if there is none."""
    return next(filter(_may_draw, net.modules()), None)


def _may_draw(module: nn.Module) -> bool:
    home = type(module).__module__
    if home.startswith("mixop."):
        return False
    if home.startswith("torch.nn."):
        return isinstance(module, _DRAWING) and getattr(module, "dropout", 1.0) > 0
    return bool(getattr(module, "draws", True))
