import torch
import torch.nn.functional as F
from by_hand import assert_equal_networks
from torch import nn

import mixop
from mixop.spaces import Sizes


def conv(inputs, outputs):
    return nn.Sequential(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False), nn.BatchNorm2d(outputs), nn.ReLU())


class UNet(nn.Module):
    """The plain network of two levels, written by hand, for images whose sides can be halved twice."""

    def __init__(self, inputs, outputs, c):
        super().__init__()
        self.enter = nn.Sequential(conv(inputs, c), conv(c, c))
        self.down1 = nn.Sequential(conv(c, 2 * c), conv(2 * c, 2 * c))
        self.down2 = nn.Sequential(conv(2 * c, 4 * c), conv(4 * c, 4 * c))
        self.grow2, self.up2 = nn.ConvTranspose2d(4 * c, 2 * c, 2, 2), nn.Sequential(conv(4 * c, 2 * c), conv(2 * c, 2 * c))
        self.grow1, self.up1 = nn.ConvTranspose2d(2 * c, c, 2, 2), nn.Sequential(conv(2 * c, c), conv(c, c))
        self.leave = nn.Conv2d(c, outputs, 1)

    def forward(self, x):
        one = self.enter(x)
        two = self.down1(F.max_pool2d(one, 2))
        y = self.down2(F.max_pool2d(two, 2))
        y = self.up2(torch.cat((two, self.grow2(y)), 1))
        return self.leave(self.up1(torch.cat((one, self.grow1(y)), 1)))


def test_the_plain_unet_is_a_point():
    space = mixop.spaces.unet(channels=4).fit(Sizes((2, 8, 12), 3, dense=True))
    levels = "second=3x3, " + ", ".join(f"downs.{k}.pool=max, downs.{k}.second=3x3" for k in range(2))
    native = levels + "".join(f", ups.{k}.grow=transposed, ups.{k}.join=beside, ups.{k}.second=3x3" for k in range(2))
    assert_equal_networks(space, native, UNet(2, 3, 4), (2, 8, 12))


def test_it_counts_convolutions_pools_and_joins():
    space = mixop.spaces.unet(levels=3, kernels=(3, 5, 7)).fit(Sizes((3, 16, 16), 2, dense=True))
    second = 5  # three windows, one of pixels that lie apart, or none
    assert space.size() == second * (3 * second) ** 3 * (2 * 3 * second) ** 3
