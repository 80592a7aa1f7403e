import pytest
from by_hand import assert_equal_networks
from torch import nn

import mixop
from mixop.core.errors import MixopError
from mixop.spaces import Sizes


class InvertedResidual(nn.Module):
    def __init__(self, inputs, outputs, stride, expansion):
        super().__init__()
        width = inputs * expansion
        layers = []
        if expansion != 1:
            layers += [nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
        layers += [nn.Conv2d(width, width, 3, stride, 1, groups=width, bias=False), nn.BatchNorm2d(width), nn.ReLU6()]
        self.conv = nn.Sequential(*layers, nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs))
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x):
        return x + self.conv(x) if self.residual else self.conv(x)


class MobileNetV2(nn.Module):
    """The plain network, written by hand."""

    def __init__(self, inputs, outputs, stem, first, rows, last):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(inputs, stem, 3, 1, 1, bias=False), nn.BatchNorm2d(stem), nn.ReLU6())
        self.blocks = nn.Sequential(InvertedResidual(stem, first, 1, 1))
        now = first
        for width, count, stride in rows:
            for block in range(count):
                self.blocks.append(InvertedResidual(now, width, 1 if block else stride, 6))
                now = width
        self.last = nn.Sequential(nn.Conv2d(now, last, 1, bias=False), nn.BatchNorm2d(last), nn.ReLU6())
        self.fc = nn.Linear(last, outputs)

    def forward(self, x):
        return self.fc(self.last(self.blocks(self.stem(x))).mean((2, 3)))


def test_the_plain_mobilenet_is_a_point():
    arguments = {"stem": 4, "first": 3, "widths": (3, 6), "layers": (2, 2), "strides": (1, 2), "last": 8}
    space = mixop.spaces.mobilenet(**arguments).fit(Sizes((2, 10, 7), 3))
    native = ", ".join(f"blocks.{number}=3x3_e6" for number in range(4))
    assert_equal_networks(space, native, MobileNetV2(2, 3, 4, 3, [(3, 2, 1), (6, 2, 2)], 8), (2, 10, 7))


def test_stages_of_different_lengths_are_refused():
    with pytest.raises(MixopError, match="must name the same stages, got 2, 3 and 3"):
        mixop.spaces.mobilenet(widths=(8, 8)).fit(Sizes((3, 8, 8), 10))
