"""Blocks of ShuffleNetV2 for images, with the four choices of Single Path One-Shot and DSNAS in every one.

Source: Hu et al. 2020 (DSNAS, arXiv:2002.09128) and Guo et al. 2020 (Single Path One-Shot, arXiv:1904.00420), and the code of
both; the block is that of Ma et al. 2018 (ShuffleNetV2, arXiv:1807.11164).
"""

from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.models.base import Shape, check_kind, check_numbers, conv, ready
from mixop.nets.modules.choice import Choice
from mixop.spaces.sizes import Sizes, strides_for


class ShuffleBlock(nn.Module):
    """Half of the channels as they are, the other half through a branch, side by side; the halves are every other channel.

    The first block of a stage has all channels in both: one branch filters them, the other adds new ones.

    Args:
        inputs: channels of its input.
        outputs: channels of its output, even.
        stride: of the first block of a stage; 1 for the others.
        first: whether it is the first of its stage.
        kernel: window of the branches.
        body: what makes the branch that learns: ``body(inputs, outputs, middle, stride)``.
    """

    def __init__(self, inputs: int, outputs: int, stride: int, first: bool, kernel: int, body: "Body") -> None:
        super().__init__()
        kept = inputs if first else inputs // 2
        self.body = body(kept, outputs - kept, outputs // 2, stride)
        filtered = [*depthwise(inputs, kernel, stride), *pointwise(inputs, inputs)]
        self.other = nn.Sequential(*filtered) if first else None

    def forward(self, x: Tensor) -> Tensor:
        if self.other is not None:
            return torch.cat((self.other(x), self.body(x)), 1)
        return torch.cat((x[:, ::2], self.body(x[:, 1::2])), 1)


class Body:
    """The branch of a block that learns: makes it for channels ``inputs`` to ``outputs`` with ``middle`` between them."""

    def __init__(self, kernel: int) -> None:
        self.kernel = kernel

    def __call__(self, inputs: int, outputs: int, middle: int, stride: int) -> nn.Sequential:
        return nn.Sequential(*pointwise(inputs, middle), *depthwise(middle, self.kernel, stride), *pointwise(middle, outputs))


class XceptionBody(Body):
    """Three separable convolutions of window 3, the first with the stride."""

    def __init__(self) -> None:
        super().__init__(3)

    def __call__(self, inputs: int, outputs: int, middle: int, stride: int) -> nn.Sequential:
        layers, steps = [], ((inputs, middle, stride), (middle, middle, 1), (middle, outputs, 1))
        for given, made, step in steps:
            layers += [*depthwise(given, 3, step), *pointwise(given, made)]
        return nn.Sequential(*layers)


def depthwise(channels: int, kernel: int, stride: int) -> tuple[nn.Module, ...]:
    """A convolution of every channel by itself, and batch norm."""
    return tuple(conv(channels, channels, kernel, stride, groups=channels).children())


def pointwise(inputs: int, outputs: int) -> tuple[nn.Module, ...]:
    """A 1x1 convolution, batch norm and ReLU."""
    return (*conv(inputs, outputs, 1).children(), nn.ReLU())


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = False,
    tokens: bool = False,
    *,
    stem: int = 16,
    widths: tuple[int, ...] = (64, 160, 320, 640),
    layers: tuple[int, ...] = (4, 4, 8, 4),
    last: int = 1024,
    kernels: tuple[int, ...] = (3, 5, 7),
    dropout: float = 0.0,
) -> nn.Module:
    """A shuffling network for images of any size, of the published size by default.

    The stem and the first block of every stage have stride 2. The first of these strides become 1 where an image is small, so
    that at least 4 positions are left along every axis (`mixop.spaces.sizes.strides_for`): images of 32 pixels are halved
    three times, in the last three stages, those of 224 pixels five times, as published. A block that begins a stage keeps its
    two branches then.

    Args:
        input_shape: ``(C, H, W)``.
        outputs: numbers for an image.
        dense: whether the data have an output at every pixel, which is refused.
        tokens: whether the data are tokens, which is refused.
        stem: channels of the first convolution, >= 1.
        widths: channels of the stages, even, each more than the one before and the stem.
        layers: blocks of each stage.
        last: channels of the last convolution, >= 1.
        kernels: windows of the blocks, odd; beside these a block may be three separable convolutions, ``xception``.
        dropout: probability of a feature to be dropped before the linear map in training, in [0, 1); 0.1 as published.

    Raises:
        SpaceError: for other data than images, or arguments out of range.

    Source: DSNAS (arXiv:2002.09128), section 4.1 and its code, without the search over channels of Single Path One-Shot.
    Published networks, `DSNAS` and `SPOS`: 324 M and 323 M multiply-adds, the latter with 3.5 M parameters.
    """
    check_kind("shufflenet", Sizes(input_shape, outputs, dense, tokens))
    check_numbers("shufflenet", stem=stem, widths=widths, layers=layers, last=last, kernels=kernels)
    _check(stem, widths, layers, dropout)
    stem_stride, *strides = strides_for(input_shape[1:], (2,) * (1 + len(widths)))
    blocks, inputs = [], stem
    for width, count, stride in zip(widths, layers, strides, strict=True):
        for number in range(count):
            shape = (inputs, width, stride if number == 0 else 1, number == 0)
            options: dict[str, nn.Module] = {f"{k}x{k}": ShuffleBlock(*shape, k, Body(k)) for k in kernels}
            options["xception"] = ShuffleBlock(*shape, 3, XceptionBody())
            blocks.append(Choice(options))
            inputs = width
    start = nn.Sequential(conv(input_shape[0], stem, 3, stem_stride), nn.ReLU())
    drop = [nn.Dropout(dropout)] * (dropout > 0)
    linear = nn.Linear(last, outputs, bias=False)
    end = nn.Sequential(*pointwise(inputs, last), nn.AdaptiveAvgPool2d(1), nn.Flatten(), *drop, linear)
    return nn.Sequential(OrderedDict(stem=start, blocks=nn.Sequential(*blocks), head=end))


def _check(stem: int, widths: Sequence[int], layers: Sequence[int], dropout: float) -> None:
    if len(widths) != len(layers):
        raise SpaceError(
            f"widths and layers of shufflenet must name the same stages, got {len(widths)} and {len(layers)} of them."
        )
    if any(width % 2 for width in widths) or list(widths) != sorted(set(widths)) or widths[0] <= stem:
        raise SpaceError(
            f"widths of shufflenet must be even and increase from stage to stage, from more than the stem's {stem}, got "
            f"{', '.join(map(str, widths))}."
        )
    if isinstance(dropout, bool) or not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        raise SpaceError(f"dropout of shufflenet must be a number in [0, 1), got {dropout!r}.")


shufflenet = ready("shufflenet", net)
