"""Torch's modules and functions by the number of dimensions: 1 for signals ``(B, C, L)``, 2 for images ``(B, C, H, W)``."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

CONVOLUTIONS: Mapping[int, type[nn.Conv1d] | type[nn.Conv2d]] = {1: nn.Conv1d, 2: nn.Conv2d}
BATCH_NORMS: Mapping[int, type[nn.BatchNorm1d] | type[nn.BatchNorm2d]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d}
AVERAGE_POOLS: Mapping[int, type[nn.AvgPool1d] | type[nn.AvgPool2d]] = {1: nn.AvgPool1d, 2: nn.AvgPool2d}
MAX_POOLS: Mapping[int, type[nn.MaxPool1d] | type[nn.MaxPool2d]] = {1: nn.MaxPool1d, 2: nn.MaxPool2d}

CONVOLVE: Mapping[int, Callable[..., Tensor]] = {1: functional.conv1d, 2: functional.conv2d}
POOL_MEAN: Mapping[int, Callable[..., Tensor]] = {1: functional.avg_pool1d, 2: functional.avg_pool2d}
POOL_MAX: Mapping[int, Callable[..., Tensor]] = {1: functional.max_pool1d, 2: functional.max_pool2d}
ADAPTIVE_MEAN: Mapping[int, Callable[..., Tensor]] = {1: functional.adaptive_avg_pool1d, 2: functional.adaptive_avg_pool2d}
INTERPOLATION: Mapping[int, str] = {1: "linear", 2: "bilinear"}


def dims_of(x: Tensor) -> int:
    """The dimensions of values ``(B, C, *positions)``, or of a convolution's weights."""
    return x.dim() - 2


def strided(x: Tensor, stride: int, start: int = 0) -> Tensor:
    """Every ``stride``-th position along each axis of values ``(B, C, *positions)``, from the ``start``-th on."""
    return x[(slice(None), slice(None), *[slice(start, None, stride)] * dims_of(x))]


def mean_of_positions(x: Tensor) -> Tensor:
    """The mean over all positions: ``(B, C)`` of values ``(B, C, *positions)``."""
    return x.mean(tuple(range(2, x.dim())))


def padded_to_even(x: Tensor) -> Tensor:
    """Values ``(B, C, *positions)`` with one zero more at the end of every axis of odd length."""
    return functional.pad(x, [number for size in reversed(x.shape[2:]) for number in (0, size % 2)])


def resized(x: Tensor, positions: torch.Size) -> Tensor:
    """Values ``(B, C, *positions)`` interpolated to other positions, linearly along every axis; as they are if equal.

    Pixels are areas, not points at corners (``align_corners=False``).
    """
    if x.shape[2:] == positions:
        return x
    return functional.interpolate(x, size=tuple(positions), mode=INTERPOLATION[dims_of(x)], align_corners=False)


def phases(x: Tensor) -> Tensor:
    """The positions of equal parity, one behind the other.

    Args:
        x: values ``(B, C, *positions)`` of even sizes.

    Returns:
        Of images ``(4 B, C, H/2, W/2)``, of signals ``(2 B, C, L/2)``.
    """
    if x.dim() == 3:
        return torch.cat([x[:, :, parity::2] for parity in (0, 1)])
    batch, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).view(batch, height // 2, 2, width // 2, 2, channels)
    return rows.permute(2, 4, 0, 1, 3, 5).reshape(4 * batch, height // 2, width // 2, channels).permute(0, 3, 1, 2)


def join_phases(x: Tensor) -> Tensor:
    """The inverse of `phases`: ``(B, C, H, W)`` or ``(B, C, L)`` from the phases one behind the other."""
    if x.dim() == 3:
        return torch.stack(x.chunk(2), dim=-1).flatten(2)
    count, channels, height, width = x.shape
    rows = x.permute(0, 2, 3, 1).view(2, 2, count // 4, height, width, channels).permute(2, 3, 0, 4, 1, 5)
    return rows.reshape(count // 4, 2 * height, 2 * width, channels).permute(0, 3, 1, 2)
