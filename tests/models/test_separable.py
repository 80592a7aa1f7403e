import pytest
import torch.nn.functional as F
from by_hand import assert_equal_networks
from torch import nn

import mixop
from mixop.spaces import Sizes

SHAPE = (2, 12, 9)
SIGNAL = (2, 19)


class Separable(nn.Module):
    def __init__(self, inputs, outputs, stride, kernel, conv, norm):
        super().__init__()
        self.conv1 = conv(inputs, inputs, kernel, stride, kernel // 2, groups=inputs, bias=False)
        self.bn1 = norm(inputs)
        self.conv2 = conv(inputs, outputs, 1, bias=False)
        self.bn2 = norm(outputs)
        self.past = stride == 1 and inputs == outputs

    def forward(self, x):
        y = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(y + x) if self.past else F.relu(y)


class Network(nn.Module):
    """A separable network, written by hand."""

    def __init__(self, channels, layers, kernel=3, stride=1, conv=nn.Conv2d, norm=nn.BatchNorm2d):
        super().__init__()
        self.conv1 = conv(2, channels, kernel, stride, kernel // 2, bias=False)
        self.bn1 = norm(channels)
        self.layers = nn.Sequential(*(Separable(*layer, conv, norm) for layer in layers))
        self.fc = nn.Linear(layers[-1][1], 3)

    def forward(self, x):
        return self.fc(self.layers(F.relu(self.bn1(self.conv1(x)))).flatten(2).mean(2))


def test_windows_and_depth_are_those_of_the_network_by_hand():
    space = mixop.spaces.separable(channels=4, blocks=(2, 2)).fit(Sizes(SHAPE, 3))
    native = (
        "stages.0.0.depthwise=3x3, stages.0.1=block, stages.0.1.block.depthwise=5x5, stages.1.0.depthwise=7x7, stages.1.1=skip"
    )
    assert_equal_networks(space, native, Network(4, [(4, 4, 1, 3), (4, 4, 1, 5), (4, 8, 2, 7)]), SHAPE)


def test_a_strided_stem_misses_nothing():
    space = mixop.spaces.separable(channels=4, blocks=(1,), kernels=(3,), stem_stride=4).fit(Sizes(SHAPE, 3))
    assert_equal_networks(space, "stages.0.0.depthwise=3x3", Network(4, [(4, 4, 1, 3)], 7, 4), SHAPE)


@pytest.mark.parametrize(("stride", "window"), [(1, 7), (2, 7), (4, 7)])
def test_signals_have_windows_of_one_axis(stride, window):
    space = mixop.spaces.separable(channels=4, blocks=(2, 1), kernels=(3, 9), stem_stride=stride).fit(Sizes(SIGNAL, 3))
    native = "stages.0.0.depthwise=k9, stages.0.1=block, stages.0.1.block.depthwise=k3, stages.1.0.depthwise=k9"
    layers = [(4, 4, 1, 9), (4, 4, 1, 3), (4, 8, 2, 9)]
    assert_equal_networks(space, native, Network(4, layers, window, stride, nn.Conv1d, nn.BatchNorm1d), SIGNAL)


def test_it_counts_windows_and_depth():
    space = mixop.spaces.separable(blocks=(2, 1), kernels=(3, 5)).fit(Sizes((3, 8, 8), 10))
    assert space.size() == 2 * (2 + 1) * 2


def test_a_block_costs_a_window_of_each_channel_and_a_matrix():
    space = mixop.spaces.separable(channels=8, blocks=(1,), kernels=(3,)).fit(Sizes((3, 8, 8), 10))
    net = mixop.build("stages.0.0.depthwise=3x3", space)
    stem, norms, classifier = 27 * 8, 2 * 3 * 8, 8 * 10 + 10
    assert sum(p.numel() for p in net.parameters()) == stem + 9 * 8 + 8 * 8 + norms + classifier
