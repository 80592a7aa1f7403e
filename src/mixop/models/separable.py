"""Depthwise separable networks for images or signals: kernels and depth. They are small for what they learn.

Source: Howard et al. 2017 (MobileNets, arXiv:1704.04861), section 3.1, at the stages of small residual networks and with
shortcuts where the shape stays: He et al. 2016 (arXiv:1512.03385), section 4.2.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mixop.models.base import Shape, check_kind, check_numbers, conv, in_stages, ready
from mixop.nets.modules.choice import Choice
from mixop.spaces.sizes import Sizes


class Block(nn.Module):
    """A separable convolution, each channel filtered by itself, then all mixed; a shortcut past it where the shape stays."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernels: Sequence[int], dims: int) -> None:
        super().__init__()
        self.depthwise = Choice({_named(k, dims): conv(inputs, inputs, k, stride, groups=inputs, dims=dims) for k in kernels})
        self.pointwise = conv(inputs, outputs, 1, dims=dims)
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = self.pointwise(F.relu(self.depthwise(x)))
        return F.relu(y + x if self.shortcut else y)


def _named(kernel: int, dims: int) -> str:
    """``3x3`` of images, ``k3`` of signals."""
    return f"k{kernel}" if dims == 1 else f"{kernel}x{kernel}"


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = False,
    tokens: bool = False,
    *,
    channels: int = 16,
    blocks: tuple[int, ...] = (2, 2, 2),
    kernels: tuple[int, ...] = (3, 5, 7),
    stem_stride: int = 1,
) -> nn.Module:
    """A depthwise separable network for images, or signals, of any size.

    Args:
        input_shape: ``(C, H, W)`` or ``(C, L)``.
        outputs: numbers for an example.
        dense: whether the data have an output at every position, which is refused.
        tokens: whether the data are tokens, which is refused.
        channels: of the first stage, >= 1; every further stage doubles them and halves the positions.
        blocks: how many each stage has at most; all but its first may be left out.
        kernels: windows of the convolutions that filter a channel, odd.
        stem_stride: of the first convolution, which divides the positions at once.

    Raises:
        SpaceError: for other data than images and signals, or arguments out of range.

    Source: Howard et al. 2017 (arXiv:1704.04861); all blocks with kernel 3 are its own.
    """
    check_kind("separable", Sizes(input_shape, outputs, dense, tokens))
    check_numbers("separable", channels=channels, blocks=blocks, kernels=kernels, stem_stride=stem_stride)

    def block(inputs: int, width: int, stride: int) -> Block:
        return Block(inputs, width, stride, kernels, len(input_shape) - 1)

    return in_stages(input_shape, outputs, channels, blocks, stem_stride, block)


separable = ready("separable", net)
