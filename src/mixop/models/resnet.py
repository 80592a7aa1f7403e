"""Residual networks for images: kernels, width and depth. The plain ResNet is one of them.

Source: He et al. 2016 (arXiv:1512.03385): basic blocks and the stem for small images of its section 4.2, with projections as
shortcuts where a shape changes.
"""

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from mixop.models.base import Shape, check_kind, check_numbers, conv, in_stages, ready
from mixop.nets.modules.choice import Choice
from mixop.nets.modules.width import Width
from mixop.spaces.sizes import Sizes


class Block(nn.Module):
    """A residual block: which windows its two convolutions have, and how many channels lie between them."""

    def __init__(self, inputs: int, outputs: int, stride: int, kernels: Sequence[int], ratios: Sequence[float]) -> None:
        super().__init__()
        self.conv1 = Choice({f"{k}x{k}": conv(inputs, outputs, k, stride) for k in kernels})
        self.width = Width(outputs, ratios)
        self.conv2 = Choice({f"{k}x{k}": conv(outputs, outputs, k) for k in kernels})
        self.shortcut = nn.Identity() if stride == 1 and inputs == outputs else conv(inputs, outputs, 1, stride)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.conv2(self.width(F.relu(self.conv1(x)))) + self.shortcut(x))


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = False,
    tokens: bool = False,
    *,
    channels: int = 16,
    blocks: tuple[int, ...] = (2, 2, 2),
    kernels: tuple[int, ...] = (3, 5, 7),
    ratios: tuple[float, ...] = (0.5, 1),
    stem_stride: int = 1,
) -> nn.Module:
    """A residual network for images of any size.

    Args:
        input_shape: ``(C, H, W)``.
        outputs: numbers for an image.
        dense: whether the data have an output at every pixel, which is refused.
        tokens: whether the data are tokens, which is refused.
        channels: of the first stage, >= 1; every further stage doubles them and halves the image.
        blocks: how many each stage has at most; all but its first may be left out.
        kernels: windows of the convolutions, odd.
        ratios: channels inside a block, as shares of those around it, increasing, in (0, 1].
        stem_stride: of the first convolution, which divides the image at once; 1 as published for small images.

    Raises:
        SpaceError: for other data than images, or arguments out of range.

    Source: He et al. 2016 (arXiv:1512.03385); all blocks with kernels 3 and ratio 1 are the plain network.
    """
    check_kind("resnet", Sizes(input_shape, outputs, dense, tokens))
    check_numbers("resnet", channels=channels, blocks=blocks, kernels=kernels, ratios=ratios, stem_stride=stem_stride)

    def block(inputs: int, width: int, stride: int) -> Block:
        return Block(inputs, width, stride, kernels, ratios)

    return in_stages(input_shape, outputs, channels, blocks, stem_stride, block)


resnet = ready("resnet", net)
