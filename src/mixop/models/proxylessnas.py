"""The network of ProxylessNAS at its published size: 21 mobile blocks for images of 224 pixels, and for smaller ones.

Source: Cai et al. 2019 (arXiv:1812.00332), and the defaults of the authors' search.
"""

from torch import nn

from mixop.models.base import Shape, check_numbers, ready
from mixop.models.mobilenet import chain
from mixop.spaces.sizes import Sizes, strides_for

EPSILON = 1e-3
"""Of batch norms, as in the authors' code."""


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = False,
    tokens: bool = False,
    *,
    stem: int = 32,
    first: int = 16,
    widths: tuple[int, ...] = (24, 40, 80, 96, 192, 320),
    layers: tuple[int, ...] = (4, 4, 4, 4, 4, 1),
    strides: tuple[int, ...] = (2, 2, 2, 1, 2, 1),
    last: int = 1280,
    kernels: tuple[int, ...] = (3, 5, 7),
    expansions: tuple[int, ...] = (3, 6),
) -> nn.Module:
    """The mobile network of ProxylessNAS for images of any size, with its choices: kernel and expansion of every block.

    The stem has stride 2. Of this and the strides of the stages the first ones become 1 where an image is small, so that at
    least 4 positions are left along every axis (`mixop.spaces.sizes.strides_for`): images of 32 pixels are halved three times,
    by the last three strides, those of 224 pixels five times, as published.

    Args:
        input_shape: ``(C, H, W)``.
        outputs: numbers for an image.
        dense: whether the data have an output at every pixel, which is refused.
        tokens: whether the data are tokens, which is refused.
        stem: channels of the first convolution, >= 1.
        first: channels of the first block, which has a window of 3, no expansion, and no choice, >= 1.
        widths: channels of the stages.
        layers: blocks of each stage.
        strides: of each stage's first block, for images of 224 pixels.
        last: channels of the last convolution, >= 1.
        kernels: windows of the blocks, odd.
        expansions: how many times wider a block is inside.

    Raises:
        SpaceError: for other data than images, or arguments out of range.

    Source: Cai et al. 2019 (arXiv:1812.00332), section 4.2 and the authors' code. Published networks, `PROXYLESS_MOBILE`,
    `PROXYLESS_CPU` and `PROXYLESS_GPU`, with multiply-adds and parameters: 320.4 M and 4.08 M, 439.2 M and 4.36 M, 465.3 M and
    7.12 M (logs of the authors' code); the first layer and widths of the last two are others than these defaults.
    """
    check_numbers("proxylessnas", strides=strides)
    sizes, given = Sizes(input_shape, outputs, dense, tokens), strides_for(input_shape[1:], (2, *strides))
    made = chain("proxylessnas", sizes, stem, first, widths, layers, given, last, kernels, expansions)
    for module in made.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = EPSILON
    return made


proxylessnas = ready("proxylessnas", net)
