import pytest
import torch.nn.functional as F
from by_hand import assert_equal_networks
from torch import nn

import mixop
from mixop.core.errors import MixopError
from mixop.spaces import Sizes

SHAPE = (2, 12, 9)


class BasicBlock(nn.Module):
    def __init__(self, inputs, outputs, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.down = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.down(x))


class ResNet(nn.Module):
    """The plain network, written by hand."""

    def __init__(self, inputs, outputs, channels, blocks, kernel=3, stride=1):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, channels, kernel, stride, kernel // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.layers = nn.Sequential()
        now = channels
        for stage, count in enumerate(blocks):
            for block in range(count):
                self.layers.append(BasicBlock(now, channels * 2**stage, 2 if stage and not block else 1))
                now = channels * 2**stage
        self.fc = nn.Linear(now, outputs)

    def forward(self, x):
        return self.fc(self.layers(F.relu(self.bn1(self.conv1(x)))).mean((2, 3)))


def test_the_plain_resnet_is_a_point():
    space = mixop.spaces.resnet(channels=4, blocks=(1, 2)).fit(Sizes(SHAPE, 3))
    native = (
        "stages.0.0.conv1=3x3, stages.0.0.width=1, stages.0.0.conv2=3x3, "
        "stages.1.0.conv1=3x3, stages.1.0.width=1, stages.1.0.conv2=3x3, "
        "stages.1.1=block, stages.1.1.block.conv1=3x3, stages.1.1.block.width=1, stages.1.1.block.conv2=3x3"
    )
    assert_equal_networks(space, native, ResNet(2, 3, 4, (1, 2)), SHAPE)


@pytest.mark.parametrize(("stride", "kernel"), [(2, 3), (4, 7)])
def test_a_strided_stem_misses_nothing(stride, kernel):
    """At 4, as ImageNet's: windows of 7 overlap."""
    space = mixop.spaces.resnet(channels=4, blocks=(1,), kernels=(3,), ratios=(1,), stem_stride=stride).fit(Sizes(SHAPE, 3))
    native = "stages.0.0.conv1=3x3, stages.0.0.width=1, stages.0.0.conv2=3x3"
    assert_equal_networks(space, native, ResNet(2, 3, 4, (1,), kernel, stride), SHAPE)


def test_a_left_out_block_is_no_block():
    space = mixop.spaces.resnet(channels=4, blocks=(2,), ratios=(1,), kernels=(3, 5)).fit(Sizes(SHAPE, 3))
    native = "stages.0.0.conv1=3x3, stages.0.0.width=1, stages.0.0.conv2=3x3, stages.0.1=skip"
    assert_equal_networks(space, native, ResNet(2, 3, 4, (1,)), SHAPE)


def test_it_counts_windows_widths_and_depth():
    space = mixop.spaces.resnet(blocks=(2, 1), kernels=(3, 5), ratios=(0.25, 0.5, 1)).fit(Sizes((3, 8, 8), 10))
    block = 3 * 2 * 2  # widths x windows x windows
    assert space.size() == block * (block + 1) * block


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"kernels": (3, 4)}, r"kernels of resnet must be odd whole numbers above 0, got \[3, 4\]"),
        ({"channels": 0}, "channels of resnet must be whole numbers above 0, got 0"),
        ({"ratios": ()}, r"ratios of resnet must be numbers above 0, got \[\]"),
        ({"blocks": (2, 1.5)}, r"blocks of resnet must be whole numbers above 0, got \[2, 1.5\]"),
    ],
)
def test_arguments_out_of_range_are_refused(arguments, sentence):
    with pytest.raises(MixopError, match=sentence):
        mixop.spaces.resnet(**arguments).fit(Sizes((3, 8, 8), 10))
