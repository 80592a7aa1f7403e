"""What the triton executor computes by kernels of its own, as functions of torch with gradients; images, channels last.

Batch norms, mixing weights and the sums at nodes are one function, `mixture`: the maps before their norms are read once for the
statistics and once for the sum, and twice for the gradients. Second derivatives are torch's, of the same function.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, batch_norm, conv2d, max_pool2d

from mixop.core.extras import package
from mixop.supernet.again import graph_of_gradients

CHANNELS_LAST = torch.channels_last
BLOCK = 2048
"""Numbers in a block of a kernel, a power of 2. Nobody has measured which is best."""
WIDEST = 64
"""Most columns in a block, a power of 2."""


def interpreting() -> bool:
    """Whether Triton computes on the CPU, in Python: for tests, before it is imported (``TRITON_INTERPRET=1``)."""
    return os.environ.get("TRITON_INTERPRET") == "1"


@cache
def kernels() -> Any:
    """The kernels.

    Raises:
        MissingExtraError: if Triton is not installed.
    """
    package("triton", "The triton executor")
    from mixop.supernet.kernels import gpu  # a folder of sources, which is no package

    return gpu


_takers: list[Callable[[str, tuple[Any, ...]], tuple[Any, ...]]] = []


@contextmanager
def told(take: Callable[[str, tuple[Any, ...]], tuple[Any, ...]]) -> Iterator[None]:
    """Inside, somebody is told of every kernel before it runs.

    Args:
        take: called with the kernel's name and its arguments; gives the arguments that it runs with.
    """
    _takers.append(take)
    try:
        yield
    finally:
        _takers.remove(take)


def launch(name: str, grid: tuple[int, ...], *given: Any, **constants: Any) -> None:
    """Runs a kernel.

    Args:
        name: of the kernel.
        grid: programs along each axis.
        given: its arguments.
        constants: what it is compiled for.
    """
    for take in _takers:
        given = take(name, given)
    every = (x for each in given for x in (each if isinstance(each, tuple) else (each,)))
    with torch.cuda.device_of(next(x for x in every if isinstance(x, Tensor))):  # else Triton takes the current GPU
        getattr(kernels(), name)[grid](*given, **constants)


def _blocks(rows: int, columns: int, real: torch.dtype) -> tuple[tuple[int, int], dict[str, Any]]:
    """The grid of a matrix, and what its kernel is compiled for."""
    width = min(WIDEST, 1 << (columns - 1).bit_length())
    height = BLOCK // width
    language = kernels().tl
    how = {"ROWS": height, "COLS": width, "REAL": language.float64 if real == torch.float64 else language.float32}
    return (-(-rows // height), -(-columns // width)), how


def _real(*tensors: Tensor) -> torch.dtype:
    """What is computed in: float32 for float32 and less."""
    return torch.float64 if any(x.dtype == torch.float64 for x in tensors) else torch.float32


def _laid_out(x: Tensor) -> Tensor:
    return x.contiguous(memory_format=CHANNELS_LAST)


def _image(like: Tensor, channels: int, sizes: Sequence[int], stride: int = 1, dtype: torch.dtype | None = None) -> Tensor:
    """Memory for images of those sizes, or of what a stride leaves of them."""
    height, width = (-(-size // stride) for size in sizes)
    return like.new_empty((len(like), height, width, channels), dtype=dtype).permute(0, 3, 1, 2)


def _rows(x: Tensor) -> int:
    return x.numel() // x.shape[1]


@dataclass(frozen=True)
class Moments:
    """What batch norms need to know of each channel of some maps.

    Args:
        mean: of the channels of all stacks, then of the shared maps ``(N,)``.
        rate: ``1 / sqrt(variance + eps)``, likewise.
        variance: unbiased, to be kept; None where they are not the batch's.
        apart: whether shared maps have some for each edge.
    """

    mean: Tensor
    rate: Tensor
    variance: Tensor | None = None
    apart: bool = False


@torch.no_grad()
def batch_moments(stacks: Sequence[Tensor], shared: Sequence[Tensor], eps: float, edges: int) -> Moments:
    """The statistics of a batch, by two kernels whatever the number of maps.

    Args:
        stacks: maps ``(B, edges * C, H, W)``.
        shared: maps ``(B, C, H, W)``.
        eps: of batch norm.
        edges: beside each other in a stack.
    """
    maps = tuple(_laid_out(x.detach()) for x in (*stacks, *shared))
    rows, channels = _rows(maps[0]), maps[0].shape[1] // (edges if stacks else 1)
    width = max(x.shape[1] for x in maps)
    total, real = sum(x.shape[1] for x in maps), _real(*maps)
    grid, how = _blocks(rows, width, real)
    means, spreads = maps[0].new_empty((2, grid[0], total), dtype=real).unbind()
    launch("block_moments", grid, maps, means, spreads, rows, channels, total, STACKS=len(stacks), EDGES=edges, **how)
    mean, rate, variance = maps[0].new_empty((3, total), dtype=real).unbind()
    (_, across), merged = _blocks(1, total, real)
    size = how["ROWS"]
    launch("merge_moments", (across,), means, spreads, mean, rate, variance, grid[0], rows, total, EPS=eps, SIZE=size, **merged)
    return Moments(mean, rate, variance)


@dataclass(frozen=True)
class _How:
    """What a mixture is, beside its tensors."""

    edges: int
    stacks: int
    shared: int
    normed: int
    relu: bool
    eps: float
    batch: bool
    apart: bool

    def parts(self, maps: Sequence[Tensor]) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...], tuple[Tensor, ...]]:
        """The stacks, the shared maps and what was there before."""
        last = self.stacks + self.shared
        return tuple(maps[: self.stacks]), tuple(maps[self.stacks : last]), tuple(maps[last:])

    @property
    def constants(self) -> dict[str, Any]:
        return {"EDGES": self.edges, "NORMED": self.normed, "APART": self.apart, "RELU": self.relu}


def mixture(
    stacks: Sequence[Tensor],
    shared: Sequence[Tensor] = (),
    before: Sequence[Tensor] = (),
    *,
    found: Moments,
    scale: Tensor | None,
    shift: Tensor | None = None,
    edges: int,
    normed: int = 0,
    relu: bool = False,
    eps: float,
) -> tuple[Tensor, ...]:
    """Weighted sums of maps behind their batch norms, for several edges that leave one node.

    Args:
        stacks: maps ``(B, edges * C, H, W)`` before their norms.
        shared: maps ``(B, C, H, W)`` that all of the edges have; the first ``normed`` before their norms, the others without.
        before: for each edge what the sum is added to ``(B, C, H, W)``; or nothing.
        found: the statistics of stacks and normed maps. They are the batch's, and differentiated, if they have a variance.
        scale: factors ``(R, C)``, which may be one number a row, expanded: for every stack its edges, then for every shared map
            the edges; None for ones.
        shift: added to the sum of each edge ``(edges, C)``, or None.
        edges: how many.
        normed: how many of the shared maps have a norm.
        relu: whether the sum's positive part is taken; of one stack of one edge, and nothing else.
        eps: of the batch norms.

    Returns:
        For each edge its sum ``(B, C, H, W)``.
    """
    batch = found.variance is not None
    how = _How(edges, len(stacks), len(shared), normed, relu, eps, batch, found.apart)
    maps = [_laid_out(x) for x in (*stacks, *shared, *before)]
    return _Mixture.apply(how, found.mean, found.rate, scale, shift, *maps)  # type: ignore[return-value]


class _Mixture(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, how: _How, mean: Tensor, rate: Tensor, scale: Tensor | None, shift: Tensor | None, *maps: Tensor
    ) -> tuple[Tensor, ...]:
        stacks, shared, before = how.parts(maps)
        channels = shared[0].shape[1] if shared else stacks[0].shape[1] // how.edges
        dtype = maps[0].dtype
        for x in maps[1:]:
            dtype = torch.promote_types(dtype, x.dtype)
        outs = tuple(_image(maps[0], channels, maps[0].shape[2:], dtype=dtype) for _ in range(how.edges))
        kept = _channels(mean, rate, scale, shift, _rows(maps[0]), channels)
        grid, blocks = _blocks(_rows(maps[0]), channels, mean.dtype)
        launch("mixture", grid, stacks, shared, before, outs, *kept, **how.constants, **blocks)
        ctx.how, ctx.channels, ctx.before = how, channels, [x.dtype for x in before]
        ctx.save_for_backward(mean, rate, scale, shift, *stacks, *shared)
        return outs

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        how: _How = ctx.how
        mean, rate, scale, shift, *maps = ctx.saved_tensors
        want = ctx.needs_input_grad[3 : 5 + len(maps)]
        through = [g.to(dtype) for g, dtype in zip(grads, ctx.before, strict=False)]
        if torch.is_grad_enabled():  # under create_graph only: somebody will differentiate these gradients
            found = graph_of_gradients(
                lambda given: _mixture(how, mean, rate, given), [scale, shift, *maps], want, torch.cat(grads, dim=1)
            )
            return (None, None, None, *found, *through)
        stacks, shared, _ = how.parts(maps)
        slopes = tuple(_laid_out(g) for g in grads)
        channels = ctx.channels
        terms = (how.stacks + how.shared) * how.edges
        total = (terms + how.edges) * channels
        kept = _channels(mean, rate, scale, shift, _rows(maps[0]), channels)
        grid, blocks = _blocks(_rows(maps[0]), channels, mean.dtype)
        sums = mean
        if any(want[:2]) or how.batch:
            parts = mean.new_empty((grid[0], total))
            launch("mixture_sums", grid, stacks, shared, slopes, parts, *kept, total, **how.constants, **blocks)
            sums = parts.sum(0)
        by_maps: tuple[Tensor | None, ...] = (None,) * len(maps)
        if any(want[2:]):
            by_maps = tuple(torch.empty_like(x) for x in maps)
            by_stack, by_shared, _ = how.parts(by_maps)  # type: ignore[arg-type]
            launch(
                "mixture_backward", grid, stacks, shared, slopes, by_stack, by_shared, sums, *kept,
                **how.constants, BATCH=how.batch, **blocks,
            )  # fmt: skip
        by_scale = sums[: terms * channels].view(terms, channels).to(scale.dtype) if scale is not None and want[0] else None
        by_shift = sums[terms * channels :].view(how.edges, channels).to(shift.dtype) if shift is not None and want[1] else None
        return (None, None, None, by_scale, by_shift, *by_maps, *through)


def _channels(
    mean: Tensor, rate: Tensor, scale: Tensor | None, shift: Tensor | None, rows: int, channels: int
) -> tuple[Any, ...]:
    """What all kernels of a mixture are given of its channels, and its sizes."""
    strides = (0, 0) if scale is None else scale.stride()
    return mean, rate, scale, None if shift is None else shift.contiguous(), rows, channels, *strides


def _mixture(how: _How, mean: Tensor, rate: Tensor, given: Sequence[Tensor | None]) -> Tensor:
    """The sums of all edges side by side, by torch."""
    scale, shift, *maps = given
    stacks, shared, _ = how.parts(maps)  # type: ignore[arg-type]
    channels = shared[0].shape[1] if shared else stacks[0].shape[1] // how.edges

    def normalised(x: Tensor, first: int) -> Tensor:
        if how.batch:
            return batch_norm(x, None, None, None, None, True, 0.0, how.eps)
        its = slice(first, first + x.shape[1])
        return (x - mean[its, None, None]) * rate[its, None, None]

    values = [y for k, x in enumerate(stacks) for y in normalised(x, k * how.edges * channels).split(channels, dim=1)]
    for s, x in enumerate(shared):
        for e in range(how.edges):
            first = how.stacks * how.edges + (s * how.edges + e if how.apart else s)
            values.append(normalised(x, first * channels) if s < how.normed else x)
    if scale is not None:
        values = [value * row[:, None, None] for value, row in zip(values, scale, strict=True)]
    sums = [sum(values[e :: how.edges][1:], values[e]) for e in range(how.edges)]
    if shift is not None:
        sums = [value + row[:, None, None] for value, row in zip(sums, shift, strict=True)]
    return torch.cat([value.relu() if how.relu else value for value in sums], dim=1)


def depthwise(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    """Depthwise convolutions of n edges side by side, padded so that only the stride shrinks an image.

    Args:
        x: one value for all edges ``(B, C, H, W)``, or that of each ``(B, n C, H, W)``.
        weight: ``(n C, 1, k, k)``.
        stride: 1 or 2.
        dilation: distance of the taps.

    Returns:
        Values ``(B, n C, H', W')``.
    """
    return _Depthwise.apply(x, weight, stride, dilation)  # type: ignore[return-value]


def _depthwise(x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
    repeated = x.repeat(1, len(weight) // x.shape[1], 1, 1)
    return conv2d(repeated, weight, None, stride, dilation * (weight.shape[-1] - 1) // 2, dilation, len(weight))


class _Depthwise(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, dilation: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.how = stride, dilation
        out = _image(x, len(weight), x.shape[2:], stride)
        grid, blocks = _blocks(_rows(out), len(weight), _real(x))
        sizes, constants = _convolution(x, out, weight, stride, dilation)
        launch("depthwise", grid, _laid_out(x), weight.contiguous(), out, _rows(out), *sizes, **constants, **blocks)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        want = ctx.needs_input_grad[:2]
        if torch.is_grad_enabled():
            found = graph_of_gradients(lambda given: _depthwise(*given, *ctx.how), [x, weight], want, grads[0])
            return (*found, None, None)
        grad, image, taps = _laid_out(grads[0]), _laid_out(x), weight.contiguous()
        sizes, constants = _convolution(x, grad, weight, *ctx.how)
        by_x = by_weight = None
        if want[0]:
            by_x = torch.empty_like(image)
            grid, blocks = _blocks(_rows(image), x.shape[1], _real(x))
            launch("depthwise_by_image", grid, grad, taps, by_x, _rows(image), *sizes, **constants, **blocks)
        if want[1]:
            grid, blocks = _blocks(_rows(grad), len(weight), _real(x))
            sums = x.new_empty((grid[0], weight.numel()), dtype=_real(x))
            launch("depthwise_by_weight", grid, image, grad, sums, _rows(grad), *sizes, **constants, **blocks)
            by_weight = sums.sum(0).view_as(weight).to(weight.dtype)
        return by_x, by_weight, None, None


def _convolution(x: Tensor, out: Tensor, weight: Tensor, stride: int, dilation: int) -> tuple[tuple[int, ...], dict[str, int]]:
    """Sizes of what is read and of what comes out, and channels of both; what the kernel is compiled for."""
    constants = {"KERNEL": weight.shape[-1], "STRIDE": stride, "DILATION": dilation}
    return (*x.shape[2:], *out.shape[2:], x.shape[1], len(weight)), constants


def pooled(x: Tensor, stride: int, *, maximum: bool) -> Tensor:
    """A 3x3 pool: the largest value of each window, or the mean of what is in the image.

    Args:
        x: values ``(B, C, H, W)``.
        stride: 1 or 2.
        maximum: which of the two.
    """
    return _Pool.apply(x, stride, maximum)  # type: ignore[return-value]


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, stride: int, maximum: bool) -> Tensor:
        out = _image(x, x.shape[1], x.shape[2:], stride)
        which = torch.empty_like(out, dtype=torch.int8) if maximum else out
        ctx.save_for_backward(x, *([which] if maximum else []))
        ctx.how = stride, maximum
        grid, blocks = _blocks(_rows(out), x.shape[1], _real(x))
        sizes = _rows(out), *x.shape[2:], *out.shape[2:], x.shape[1]
        launch("pool", grid, _laid_out(x), out, which, *sizes, STRIDE=stride, MAXIMUM=maximum, **blocks)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, *which = ctx.saved_tensors
        stride, maximum = ctx.how
        if torch.is_grad_enabled():
            found = graph_of_gradients(lambda given: _pool(given[0], stride, maximum=maximum), [x], [True], grads[0])
            return (*found, None, None)
        grad, by_x = _laid_out(grads[0]), torch.empty_like(x, memory_format=CHANNELS_LAST)
        grid, blocks = _blocks(_rows(by_x), x.shape[1], _real(x))
        sizes = _rows(by_x), *x.shape[2:], *grad.shape[2:], x.shape[1]
        launch(
            "pool_backward", grid, grad, which[0] if maximum else grad, by_x, *sizes, STRIDE=stride, MAXIMUM=maximum, **blocks
        )
        return by_x, None, None


def _pool(x: Tensor, stride: int, *, maximum: bool) -> Tensor:
    return max_pool2d(x, 3, stride, 1) if maximum else avg_pool2d(x, 3, stride, 1, count_include_pad=False)
