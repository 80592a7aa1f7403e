"""Fully convolutional networks for signals: the window and the width of three convolutions. The published one is one of them.

Source: Wang et al. 2017 (arXiv:1611.06455), section II-B.
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.models.base import Shape, check_kind, check_numbers, conv, ready
from mixop.nets.modules.choice import Choice
from mixop.nets.modules.width import Width
from mixop.spaces.sizes import Sizes


class Block(nn.Module):
    """A convolution with batch norm and ReLU: which window it has, and how many of its channels there are."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernels: Sequence[int], ratios: Sequence[float]) -> None:
        super().__init__()
        self.conv = Choice({f"k{k}": conv(inputs, outputs, max(k, 2 * stride - 1), stride, dims=1) for k in kernels})
        self.relu = nn.ReLU()
        self.width = Width(outputs, ratios)

    def forward(self, x: Tensor) -> Tensor:
        return self.width(self.relu(self.conv(x)))


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = False,
    tokens: bool = False,
    *,
    channels: int = 32,
    kernels: tuple[tuple[int, ...], ...] = ((9, 5, 17), (5, 3, 9), (3, 5, 9)),
    ratios: tuple[float, ...] = (0.25, 0.5, 0.75, 1),
    stem_stride: int = 1,
) -> nn.Module:
    """A fully convolutional network for signals of any length: convolutions, the mean over the signal, a linear classifier.

    Args:
        input_shape: ``(C, L)``.
        outputs: numbers for a signal.
        dense: whether the data have an output at every position, which is refused.
        tokens: whether the data are tokens, which is refused.
        channels: of the first and the last convolution, >= 1; those between have twice as many. 128 as published.
        kernels: for each convolution the windows that it may have, odd. The published ones are 8, 5 and 3; 9 stands for 8, so
            that it has a middle.
        ratios: channels of each convolution, as shares of those, increasing, in (0, 1].
        stem_stride: of the first convolution, which divides the signal at once; 1 as published.

    Raises:
        SpaceError: for other data than signals, or arguments out of range.

    Source: Wang et al. 2017 (arXiv:1611.06455), section II-B: the first window of each and ratio 1.
    """
    check_kind("fcn", Sizes(input_shape, outputs, dense, tokens))
    check_numbers("fcn", channels=channels, ratios=ratios, stem_stride=stem_stride)
    if not isinstance(kernels, list | tuple) or not kernels or not all(isinstance(each, list | tuple) for each in kernels):
        raise SpaceError(
            f"kernels of fcn must hold a list of windows for each convolution, ((9,), (5,), (3,)), got {kernels!r}."
        )
    blocks, inputs = [], input_shape[0]
    for number, windows in enumerate(kernels):
        check_numbers("fcn", kernels=windows)
        width = channels if number in (0, len(kernels) - 1) else 2 * channels
        blocks.append(Block(inputs, width, 1 if number else stem_stride, windows, ratios))
        inputs = width
    head = nn.Sequential(nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(inputs, outputs))
    return nn.Sequential(OrderedDict(blocks=nn.Sequential(*blocks), head=head))


fcn = ready("fcn", net)
