import torch
import torch.nn.functional as F
from by_hand import assert_equal_networks
from torch import nn

import mixop
from mixop.models.mlp import Periodic
from mixop.spaces import Sizes


class Residual(nn.Module):
    def __init__(self, width, hidden):
        super().__init__()
        self.norm, self.fc1, self.fc2 = nn.BatchNorm1d(width), nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        return x + self.fc2(F.relu(self.fc1(self.norm(x))))


class ResNet(nn.Module):
    """The residual network for tables of Gorishniy et al. 2021, section 3.2, written by hand."""

    def __init__(self, features, outputs, width, hidden):
        super().__init__()
        self.enter = nn.Linear(features, width)
        self.blocks = nn.Sequential(*(Residual(width, size) for size in hidden))
        self.norm, self.leave = nn.BatchNorm1d(width), nn.Linear(width, outputs)

    def forward(self, x):
        return self.leave(F.relu(self.norm(self.blocks(self.enter(x)))))


def test_the_plain_network_is_a_point():
    space = mixop.spaces.mlp(width=8, depth=3).fit(Sizes((5,), 2))
    native = "embed=linear, blocks.0.inner=16, blocks.1=skip, blocks.2=block, blocks.2.block.inner=4, activation=relu"
    assert_equal_networks(space, native, ResNet(5, 2, 8, (16, 4)), (5,))


def test_it_counts_embeddings_activations_widths_and_depth():
    space = mixop.spaces.mlp(depth=3, ratios=(2, 1)).fit(Sizes((5,), 2))
    assert space.size() == 2 * 3 * 2 * (2 + 1) ** 2


def test_periodic_features_are_sines_and_cosines():
    """Gorishniy et al. 2022, eq. 2, one feature and frequency at a time."""
    embed = Periodic(2, 3)
    x = torch.tensor([[0.3, -1.2]])
    angles = [2 * torch.pi * embed.frequency[f] * x[0, f] for f in range(2)]
    wanted = torch.cat([torch.cat((angle.sin(), angle.cos())) for angle in angles])
    torch.testing.assert_close(embed(x)[0], embed.linear(wanted))
