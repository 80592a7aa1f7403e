"""Inverted residual blocks for images, with the choices of ProxylessNAS in every layer.

Source: Cai et al. 2019 (arXiv:1812.00332) and its code; the block is that of Sandler et al. 2018 (MobileNetV2,
arXiv:1801.04381).
"""

from collections import OrderedDict
from collections.abc import Sequence

from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.models.base import Shape, check_kind, check_numbers, conv, ready
from mixop.nets.modules.choice import Choice
from mixop.spaces.sizes import Sizes


class MBConv(nn.Module):
    """An inverted residual block: wider by 1x1, filtered channel by channel, narrower by 1x1; a shortcut where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernel: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        wider = [conv(inputs, width, 1), nn.ReLU6()] if expansion > 1 else []
        self.body = nn.Sequential(*wider, conv(width, width, kernel, stride, groups=width), nn.ReLU6(), conv(width, outputs, 1))
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.shortcut else self.body(x)


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = False,
    tokens: bool = False,
    *,
    stem: int = 16,
    first: int = 8,
    widths: tuple[int, ...] = (16, 24, 40),
    layers: tuple[int, ...] = (2, 2, 2),
    strides: tuple[int, ...] = (1, 2, 2),
    last: int = 128,
    kernels: tuple[int, ...] = (3, 5, 7),
    expansions: tuple[int, ...] = (3, 6),
) -> nn.Module:
    """A mobile network for images of any size; its sizes are small ones, its choices those of the paper.

    The network of the paper's size, which has stride 2 in its stem, is `mixop.spaces.proxylessnas`.

    Args:
        input_shape: ``(C, H, W)``.
        outputs: numbers for an image.
        dense: whether the data have an output at every pixel, which is refused.
        tokens: whether the data are tokens, which is refused.
        stem: channels of the first convolution, >= 1.
        first: channels of the first block, which has a window of 3, no expansion, and no choice, >= 1.
        widths: channels of the stages.
        layers: blocks of each stage.
        strides: of each stage's first block.
        last: channels of the last convolution, >= 1.
        kernels: windows of the blocks, odd.
        expansions: how many times wider a block is inside.

    Raises:
        SpaceError: for other data than images, or arguments out of range.

    Source: Cai et al. 2019 (arXiv:1812.00332), section 4: every block has one of 3 windows and 2 expansions, and may be left
    out (its "zero" beside the shortcut) where the shape stays; all blocks with kernel 3 and expansion 6 are MobileNetV2.
    """
    sizes = Sizes(input_shape, outputs, dense, tokens)
    return chain("mobilenet", sizes, stem, first, widths, layers, (1, *strides), last, kernels, expansions)


def chain(
    name: str,
    sizes: Sizes,
    stem: int,
    first: int,
    widths: Sequence[int],
    layers: Sequence[int],
    strides: Sequence[int],
    last: int,
    kernels: Sequence[int],
    expansions: Sequence[int],
) -> nn.Module:
    """A mobile network of a name; its arguments are those of `net`, but for the strides, which begin with the stem's.

    Raises:
        SpaceError: for other data than images, or arguments out of range.
    """
    check_kind(name, sizes)
    check_numbers(name, stem=stem, first=first, last=last, kernels=kernels, expansions=expansions)
    check_numbers(name, widths=widths, layers=layers, strides=strides)
    stem_stride, *kept = strides
    if not len(widths) == len(layers) == len(kept):
        raise SpaceError(
            f"widths, layers and strides of {name} must name the same stages, got {len(widths)}, {len(layers)} and "
            f"{len(kept)} of them."
        )
    blocks, inputs = [], first
    for width, count, stride in zip(widths, layers, kept, strict=True):
        for number in range(count):
            step = stride if number == 0 else 1
            options: dict[str, nn.Module] = {
                f"{k}x{k}_e{e}": MBConv(inputs, width, step, k, e) for e in sorted(expansions, reverse=True) for k in kernels
            }
            if step == 1 and inputs == width:
                options["skip"] = nn.Identity()
            blocks.append(Choice(options))
            inputs = width
    start = nn.Sequential(conv(sizes.shape[0], stem, 3, stem_stride), nn.ReLU6(), MBConv(stem, first, 1, 3, 1))
    end = nn.Sequential(
        conv(inputs, last, 1), nn.ReLU6(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(last, sizes.outputs)
    )
    return nn.Sequential(OrderedDict(stem=start, blocks=nn.Sequential(*blocks), head=end))


mobilenet = ready("mobilenet", net)
