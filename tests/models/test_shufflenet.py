"""The space of DSNAS: its block against one written by hand, its multiply-adds against those in the authors' code."""

import pytest
import torch
from by_hand import assert_equal_networks
from torch import nn

import mixop
from mixop.core.errors import MixopError
from mixop.core.flops import FlopCounter
from mixop.nets.costs import costs_of
from mixop.spaces import Sizes
from mixop.spaces.published import ARCHITECTURES

IMAGENET = {"input_shape": (3, 224, 224), "outputs": 1000, "dense": False, "tokens": False}


def layers(*sizes: tuple[int, int, int, int, int, bool]) -> nn.Sequential:
    """Convolutions as (inputs, outputs, kernel, stride, groups, followed by ReLU), each with batch norm."""
    made: list[nn.Module] = []
    for inputs, outputs, kernel, stride, groups, rectified in sizes:
        conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
        made += [conv, nn.BatchNorm2d(outputs), *[nn.ReLU()] * rectified]
    return nn.Sequential(*made)


class ByHand(nn.Module):
    """Two stages: 7x7 and xception, then xception and 3x3."""

    def __init__(self):
        super().__init__()
        self.stem = layers((2, 2, 3, 1, 1, True))
        # In the order in which the space makes them: what learns, then the other branch of a stage's first block.
        self.a = layers((2, 4, 1, 1, 1, True), (4, 4, 7, 1, 4, False), (4, 6, 1, 1, 1, True))
        self.a2 = layers((2, 2, 7, 1, 2, False), (2, 2, 1, 1, 1, True))
        self.b = layers(
            (4, 4, 3, 1, 4, False), (4, 4, 1, 1, 1, True), (4, 4, 3, 1, 4, False), (4, 4, 1, 1, 1, True),
            (4, 4, 3, 1, 4, False), (4, 4, 1, 1, 1, True),
        )  # fmt: skip
        self.c = layers(
            (8, 8, 3, 2, 8, False), (8, 8, 1, 1, 1, True), (8, 8, 3, 1, 8, False), (8, 8, 1, 1, 1, True),
            (8, 8, 3, 1, 8, False), (8, 8, 1, 1, 1, True),
        )  # fmt: skip
        self.c2 = layers((8, 8, 3, 2, 8, False), (8, 8, 1, 1, 1, True))
        self.d = layers((8, 8, 1, 1, 1, True), (8, 8, 3, 1, 8, False), (8, 8, 1, 1, 1, True))
        self.last = layers((16, 12, 1, 1, 1, True))
        self.fc = nn.Linear(12, 3, bias=False)

    def forward(self, x):
        x = self.stem(x)
        x = torch.cat((self.a2(x), self.a(x)), 1)
        x = self.shuffled(x, self.b)
        x = torch.cat((self.c2(x), self.c(x)), 1)
        x = self.shuffled(x, self.d)
        return self.fc(self.last(x).mean((2, 3)))

    def shuffled(self, x, branch):
        batch, channels, *size = x.shape
        x = x.reshape(batch * channels // 2, 2, *size).transpose(0, 1).reshape(2, batch, channels // 2, *size)
        return torch.cat((x[0], branch(x[1])), 1)


def test_blocks_are_those_of_the_authors():
    """Images of 7 x 15 pixels are halved once: 4 positions are left."""
    space = mixop.spaces.shufflenet(stem=2, widths=(8, 16), layers=(2, 2), last=12).fit(Sizes((2, 7, 15), 3))
    native = "blocks.0=7x7, blocks.1=xception, blocks.2=xception, blocks.3=3x3"
    assert_equal_networks(space, native, ByHand(), (2, 7, 15))


FLOPS = {
    0: (13396992, 15805440, 19418112, 13146112),
    1: (7325696, 8931328, 11339776, 12343296),
    4: (26304768, 28111104, 30820608, 20296192),
    5: (10599680, 11603200, 13108480, 16746240),
    8: (30670080, 31673600, 33178880, 21199360),
    9: (10317440, 10819200, 11571840, 15899520),
    16: (30387840, 30889600, 31642240, 20634880),
    17: (10176320, 10427200, 10803520, 15476160),
}
"""Multiply-adds of 3x3, 5x5, 7x7 and xception by block in DSNAS/network.py of SNAS-Series; others are as the one before."""


def imagenet() -> mixop.spaces.ModuleSpace:
    made = mixop.spaces.shufflenet()
    return type(made)(factory=made.factory, arguments=made.arguments, **IMAGENET)


def test_options_cost_what_the_authors_say():
    space = imagenet()
    costs = costs_of(space, "flops")
    for number, group in enumerate(space.groups):
        wanted = FLOPS[max(first for first in FLOPS if first <= number)]
        assert tuple(costs.options[group.name][0].tolist()) == wanted
    assert costs.fixed == 3 * 9 * 16 * 112**2 + 640 * 1024 * 7**2 + 1024 * 1000


@pytest.mark.parametrize(("name", "flops", "parameters"), [("DSNAS", 323_326_400, 3_548_176), ("SPOS", 322_918_720, 3_558_464)])
def test_published_networks_have_the_published_multiply_adds(name, flops, parameters):
    """324 M and 323 M, and 3.5 M parameters of SPOS; the code of DSNAS counts additions of the last layer too, 1 M."""
    with torch.device("meta"), torch.no_grad(), FlopCounter() as counter:
        net = mixop.build(ARCHITECTURES[name], imagenet()).eval()
        net(torch.empty(1, 3, 224, 224))
    assert counter.total == 2 * flops
    assert sum(p.numel() for p in net.parameters()) == parameters


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"widths": (64, 160)}, "must name the same stages, got 2 and 4"),
        ({"widths": (9, 10), "layers": (1, 1), "stem": 4}, "must be even and increase .* got 9, 10"),
        ({"widths": (8, 8), "layers": (1, 1), "stem": 4}, "must be even and increase"),
        ({"widths": (16,), "layers": (1,)}, "from more than the stem's 16, got 16"),
        ({"dropout": 1.0}, r"must be a number in \[0, 1\), got 1.0"),
        ({"kernels": (3, 4)}, "odd"),
    ],
)
def test_arguments_that_make_no_network_are_refused(arguments, message):
    with pytest.raises(MixopError, match=message):
        mixop.spaces.shufflenet(**arguments).fit(Sizes((3, 8, 8), 3))


def test_dropout_acts_in_training_alone():
    space = mixop.spaces.shufflenet(stem=2, widths=(4,), layers=(1,), last=64, dropout=0.5).fit(Sizes((2, 8, 8), 3))
    net = mixop.build("blocks.0=3x3", space)
    drops = [module for module in net.modules() if isinstance(module, nn.Dropout)]
    assert [module.p for module in drops] == [0.5]
