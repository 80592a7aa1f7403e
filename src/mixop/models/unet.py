"""U-Nets for images with an output at every pixel: convolutions, depth, how levels are joined, and how images shrink and grow.

Source: Ronneberger et al. 2015 (arXiv:1505.04597), with batch norm and padding, so that the output is as large as the image.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mixop.models.base import Shape, check_kind, check_numbers, conv, ready
from mixop.nets.modules.choice import Choice
from mixop.spaces.sizes import Sizes


class Join(nn.Module):
    """The first convolution of a level on the way up: it reads what was there on the way down beside, in, or not at all."""

    def __init__(self, channels: int, beside: bool, used: bool = True) -> None:
        super().__init__()
        self.beside, self.used = beside, used
        self.conv = conv(2 * channels if beside else channels, channels, 3)

    def forward(self, up: Tensor, down: Tensor) -> Tensor:
        if self.beside:
            return self.conv(torch.cat((down, up), 1))
        return self.conv(up + down if self.used else up)


def second(channels: int, kernels: Sequence[int]) -> nn.Module:
    """The second convolution of a level: which window it has, in pixels that may lie apart, or whether it is left out."""
    options: dict[str, nn.Module] = {f"{k}x{k}": nn.Sequential(conv(channels, channels, k), nn.ReLU()) for k in sorted(kernels)}
    options["3x3_d2"] = nn.Sequential(conv(channels, channels, 3, dilation=2), nn.ReLU())
    return Choice({**options, "skip": nn.Identity()})


class Down(nn.Module):
    """A level on the way down: half the size, rounded up, and twice the channels."""

    def __init__(self, channels: int, kernels: Sequence[int]) -> None:
        super().__init__()
        pools = {"max": nn.MaxPool2d(2, ceil_mode=True), "mean": nn.AvgPool2d(2, ceil_mode=True)}
        self.pool = Choice({**pools, "stride": conv(channels, channels, 3, 2)})
        self.first, self.second = conv(channels, 2 * channels, 3), second(2 * channels, kernels)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.relu(self.first(self.pool(x))))


class Up(nn.Module):
    """A level on the way up: twice the size and half the channels."""

    def __init__(self, channels: int, kernels: Sequence[int]) -> None:
        super().__init__()
        near = nn.Sequential(nn.Upsample(scale_factor=2), nn.Conv2d(2 * channels, channels, 1))
        self.grow = Choice({"transposed": nn.ConvTranspose2d(2 * channels, channels, 2, 2), "nearest": near})
        self.join = Choice({"beside": Join(channels, True), "sum": Join(channels, False), "none": Join(channels, False, False)})
        self.second = second(channels, kernels)

    def forward(self, x: Tensor, down: Tensor) -> Tensor:
        up = self.grow(x)[..., : down.shape[-2], : down.shape[-1]]  # halves were rounded up
        return self.second(F.relu(self.join(up, down)))


class UNet(nn.Module):
    """Levels on the way down, and the same on the way up, each of which reads the one of its size."""

    def __init__(self, inputs: int, outputs: int, channels: int, levels: int, kernels: Sequence[int]) -> None:
        super().__init__()
        widths = [channels * 2**level for level in range(levels)]
        self.first, self.second = conv(inputs, channels, 3), second(channels, kernels)
        self.downs = nn.ModuleList(Down(width, kernels) for width in widths)
        self.ups = nn.ModuleList(Up(width, kernels) for width in reversed(widths))
        self.head = nn.Conv2d(channels, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(F.relu(self.first(x)))
        seen = []
        for down in self.downs:
            seen.append(x)
            x = down(x)
        for up in self.ups:
            x = up(x, seen.pop())
        return self.head(x)


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = True,
    tokens: bool = False,
    *,
    channels: int = 16,
    levels: int = 2,
    kernels: tuple[int, ...] = (3, 5),
) -> nn.Module:
    """A U-Net for images of any size.

    Args:
        input_shape: ``(C, H, W)``.
        outputs: numbers for a pixel.
        dense: whether the data have an output at every pixel; others are refused.
        tokens: whether the data are tokens, which is refused.
        channels: of the first level, >= 1; every further level doubles them and halves the image.
        levels: how often the image is halved, >= 1.
        kernels: windows of the second convolution of a level, odd; beside them it may be one of 3 pixels that lie 2 apart.

    Raises:
        SpaceError: for other data than images with an output at every pixel, or arguments out of range.

    Source: Ronneberger et al. 2015 (arXiv:1505.04597); windows of 3, max pooling, transposed convolutions and joins beside each
    other are its network.
    """
    check_kind("unet", Sizes(input_shape, outputs, dense, tokens))
    check_numbers("unet", channels=channels, levels=levels, kernels=kernels)
    return UNet(input_shape[0], outputs, channels, levels, kernels)


unet = ready("unet", net)
