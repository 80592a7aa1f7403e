"""Residual networks for signals: kernel and dilation, width, depth and pooling.

Source: the residual network of Wang et al. 2017 (arXiv:1611.06455) for time series; dilations as in Bai et al. 2018
(arXiv:1803.01271).
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mixop.models.base import Shape, check_kind, check_numbers, conv, in_a_row, ready
from mixop.nets.modules.choice import Choice
from mixop.nets.modules.width import Width
from mixop.spaces.sizes import Sizes

Windows = Sequence[tuple[int, int]]
"""Kernels and dilations."""


class Block(nn.Module):
    """A residual block: which windows its two convolutions have, and how many channels lie between them."""

    def __init__(self, inputs: int, outputs: int, windows: Windows, ratios: Sequence[float]) -> None:
        super().__init__()
        self.conv1 = window(inputs, outputs, windows)
        self.width = Width(outputs, ratios)
        self.conv2 = window(outputs, outputs, windows)
        self.shortcut = nn.Identity() if inputs == outputs else conv(inputs, outputs, 1, dims=1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.width(F.relu(self.conv1(x)))) + self.shortcut(x))


def window(inputs: int, outputs: int, windows: Windows) -> Choice:
    """Which window a convolution has: ``k5_d2`` are 5 values, 2 apart."""
    return Choice({f"k{k}_d{d}": conv(inputs, outputs, k, dilation=d, dims=1) for k, d in windows})


def halve(channels: int) -> Choice:
    """How a signal is halved, its length rounded up."""
    pools = {"max": nn.MaxPool1d(3, 2, 1), "mean": nn.AvgPool1d(3, 2, 1)}
    return Choice({"stride": conv(channels, channels, 3, 2, dims=1), **pools})


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = False,
    tokens: bool = False,
    *,
    channels: int = 16,
    blocks: tuple[int, ...] = (2, 2, 2),
    kernels: tuple[int, ...] = (3, 5, 9),
    dilations: tuple[int, ...] = (1, 2),
    ratios: tuple[float, ...] = (0.5, 1),
    stem_stride: int = 1,
) -> nn.Module:
    """A residual network for signals of any length.

    Args:
        input_shape: ``(C, L)``.
        outputs: numbers for a signal.
        dense: whether the data have an output at every position, which is refused.
        tokens: whether the data are tokens, which is refused.
        channels: of the first stage, >= 1; every further stage doubles them and halves the signal.
        blocks: how many each stage has at most; all but its first may be left out.
        kernels: values that a convolution reads, odd.
        dilations: how far apart these are.
        ratios: channels inside a block, as shares of those around it, increasing, in (0, 1].
        stem_stride: of the first convolution, which divides the signal at once.

    Raises:
        SpaceError: for other data than signals, or arguments out of range.

    Source: Wang et al. 2017 (arXiv:1611.06455), section II-C, with blocks of two convolutions.
    """
    check_kind("conv1d", Sizes(input_shape, outputs, dense, tokens))
    counts = {"channels": channels, "blocks": blocks, "dilations": dilations, "stem_stride": stem_stride}
    check_numbers("conv1d", **counts, kernels=kernels, ratios=ratios)
    windows = [(kernel, dilation) for dilation in dilations for kernel in kernels]
    stages, inputs = [], channels
    for number, count in enumerate(blocks):
        width = channels * 2**number
        first = Block(inputs, width, windows, ratios)
        stage = in_a_row([first, *(Block(width, width, windows, ratios) for _ in range(count - 1))])
        stages.append(nn.Sequential(OrderedDict(pool=halve(inputs), blocks=stage)) if number else stage)
        inputs = width
    stem = nn.Sequential(conv(input_shape[0], channels, max(7, 2 * stem_stride - 1), stem_stride, dims=1), nn.ReLU())
    pool = Choice({"mean": nn.AdaptiveAvgPool1d(1), "max": nn.AdaptiveMaxPool1d(1)})
    head = nn.Sequential(OrderedDict(pool=pool, flat=nn.Flatten(), linear=nn.Linear(inputs, outputs)))
    return nn.Sequential(OrderedDict(stem=stem, stages=nn.Sequential(*stages), head=head))


conv1d = ready("conv1d", net)
