import torch.nn.functional as F
from by_hand import assert_equal_networks
from torch import nn

import mixop
from mixop.spaces import Sizes

SHAPE = (3, 25)


class Residual(nn.Module):
    def __init__(self, inputs, inner, outputs, kernel, dilation):
        super().__init__()
        padding = dilation * (kernel - 1) // 2
        self.conv1 = nn.Conv1d(inputs, inner, kernel, padding=padding, dilation=dilation, bias=False)
        self.bn1 = nn.BatchNorm1d(inner)
        self.conv2 = nn.Conv1d(inner, outputs, kernel, padding=padding, dilation=dilation, bias=False)
        self.bn2 = nn.BatchNorm1d(outputs)
        same = inputs == outputs
        self.down = nn.Identity() if same else nn.Sequential(nn.Conv1d(inputs, outputs, 1, bias=False), nn.BatchNorm1d(outputs))

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + self.down(x))


class ResNet1d(nn.Module):
    """A network for signals, written by hand: max pooling between its stages, the mean at its end."""

    def __init__(self, kernel, dilation, width=1):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv1d(3, 4, 7, padding=3, bias=False), nn.BatchNorm1d(4), nn.ReLU())
        self.one = Residual(4, int(4 * width), 4, kernel, dilation)
        self.two = Residual(4, int(8 * width), 8, kernel, dilation)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        return self.fc(self.two(F.max_pool1d(self.one(self.stem(x)), 3, 2, 1)).mean(2))


def native(kernel, dilation, width=1):
    window = f"k{kernel}_d{dilation}"
    return (
        f"stages.0.0.conv1={window}, stages.0.0.width={width}, stages.0.0.conv2={window}, stages.1.pool=max, "
        f"stages.1.blocks.0.conv1={window}, stages.1.blocks.0.width={width}, stages.1.blocks.0.conv2={window}, "
        "head.pool=mean"
    )


def test_a_plain_network_is_a_point():
    space = mixop.spaces.conv1d(channels=4, blocks=(1, 1)).fit(Sizes(SHAPE, 5))
    assert_equal_networks(space, native(3, 1), ResNet1d(3, 1), SHAPE)
    assert_equal_networks(space, native(9, 2), ResNet1d(9, 2), SHAPE)


def test_a_narrow_network_is_really_smaller():
    space = mixop.spaces.conv1d(channels=4, blocks=(1, 1)).fit(Sizes(SHAPE, 5))
    assert_equal_networks(space, native(5, 1, 0.5), ResNet1d(5, 1, 0.5), SHAPE)


def test_it_counts_windows_widths_pools_and_depth():
    space = mixop.spaces.conv1d(blocks=(2, 1), kernels=(3, 5), dilations=(1, 2, 4), ratios=(0.5, 1)).fit(Sizes(SHAPE, 5))
    block = 2 * 6 * 6  # widths x windows x windows
    assert space.size() == block * (block + 1) * 3 * block * 2
