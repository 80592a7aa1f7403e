import pytest
from by_hand import assert_equal_networks
from torch import nn

import mixop
from mixop.spaces import Sizes

SHAPE = (3, 25)


def by_hand(*kernels: int, widths: tuple[int, int, int] = (4, 8, 4), stride: int = 1) -> nn.Module:
    """The published network: convolution, batch norm and ReLU three times, the mean over time, a linear layer."""
    layers, inputs = [], 3
    for at, (kernel, width) in enumerate(zip(kernels, widths, strict=True)):
        conv = nn.Conv1d(inputs, width, kernel, stride=1 if at else stride, padding=kernel // 2, bias=False)
        layers += [conv, nn.BatchNorm1d(width), nn.ReLU()]
        inputs = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool1d(1), nn.Flatten(), nn.Linear(inputs, 5))


def test_the_published_network_is_a_point():
    space = mixop.spaces.fcn(channels=4).fit(Sizes(SHAPE, 5))
    native = "blocks.0.conv=k9, blocks.0.width=1, blocks.1.conv=k5, blocks.1.width=1, blocks.2.conv=k3, blocks.2.width=1"
    assert_equal_networks(space, native, by_hand(9, 5, 3), SHAPE)


def test_a_narrow_network_is_really_smaller():
    space = mixop.spaces.fcn(channels=4).fit(Sizes(SHAPE, 5))
    native = (
        "blocks.0.conv=k17, blocks.0.width=0.5, blocks.1.conv=k3, blocks.1.width=0.25, blocks.2.conv=k9, blocks.2.width=0.75"
    )
    assert_equal_networks(space, native, by_hand(17, 3, 9, widths=(2, 2, 3)), SHAPE)


def test_a_stride_divides_the_signal_at_once_and_misses_nothing():
    space = mixop.spaces.fcn(channels=4, kernels=((3,), (5,), (3,)), ratios=(1,), stem_stride=4).fit(Sizes(SHAPE, 5))
    native = "blocks.0.conv=k3, blocks.0.width=1, blocks.1.conv=k5, blocks.1.width=1, blocks.2.conv=k3, blocks.2.width=1"
    assert_equal_networks(space, native, by_hand(7, 5, 3, stride=4), SHAPE)


@pytest.mark.parametrize("kernels", [(9, 5, 3), (), 9, ((2,),), ((3, 3.5),)])
def test_wrong_windows_are_a_sentence(kernels):
    with pytest.raises(mixop.MixopError, match="kernels of fcn must"):
        mixop.spaces.fcn(kernels=kernels).fit(Sizes(SHAPE, 5))
