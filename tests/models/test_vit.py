import pytest
import torch
import torch.nn.functional as F
from by_hand import assert_equal_networks
from torch import nn

import mixop
from mixop.core.errors import MixopError
from mixop.spaces import Sizes

SHAPE = (2, 8, 12)
SMALL = {"width": 12, "depth": 2, "patches": (4, 2), "heads": (4, 2), "ratios": (2, 1)}


class Encoder(nn.Module):
    """A block of a transformer with pre-norm, written by hand."""

    def __init__(self, width, heads, hidden):
        super().__init__()
        self.ln1, self.ln2, self.heads = nn.LayerNorm(width), nn.LayerNorm(width), heads
        self.qkv, self.project = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.fc1, self.fc2 = nn.Linear(width, hidden), nn.Linear(hidden, width)

    def forward(self, x):
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in self.qkv(self.ln1(x)).chunk(3, -1))
        x = x + self.project(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2))
        return x + self.fc2(F.gelu(self.fc1(self.ln2(x))))


class Transformer(nn.Module):
    """The plain network, written by hand."""

    def __init__(self, shape, outputs, patch, width, depth, heads, hidden):
        super().__init__()
        self.position = nn.Parameter(torch.zeros(shape[1] * shape[2] // patch**2, width))
        self.patch = nn.Conv2d(shape[0], width, patch, patch)
        self.blocks = nn.Sequential(*(Encoder(width, heads, hidden) for _ in range(depth)))
        self.ln, self.fc = nn.LayerNorm(width), nn.Linear(width, outputs)

    def forward(self, x):
        tokens = self.patch(x).flatten(2).transpose(1, 2) + self.position
        return self.fc(self.ln(self.blocks(tokens)).mean(1))


def test_the_plain_transformer_is_a_point():
    space = mixop.spaces.vit(**SMALL).fit(Sizes(SHAPE, 3))
    native = "patch=2x2, blocks.0.heads=4, blocks.0.mlp=24, blocks.1=block, blocks.1.block.heads=4, blocks.1.block.mlp=24"
    assert_equal_networks(space, native, Transformer(SHAPE, 3, 2, 12, 2, 4, 24), SHAPE)


def test_fewer_heads_of_the_same_size_are_smaller():
    space = mixop.spaces.vit(**SMALL).fit(Sizes(SHAPE, 3))
    two, four = (mixop.build(f"patch=4x4, blocks.0.heads={n}, blocks.0.mlp=12, blocks.1=skip", space) for n in (2, 4))
    sizes = [sum(p.numel() for p in net.blocks[0].heads.parameters()) for net in (two, four)]
    assert sizes == [12 * 18 + 18 + 6 * 12 + 12, 12 * 36 + 36 + 12 * 12 + 12]  # heads of 3 numbers each: read and write


def test_it_counts_patches_heads_ratios_and_depth():
    block = 2 * 2
    assert mixop.spaces.vit(**SMALL).fit(Sizes(SHAPE, 3)).size() == 2 * block * (block + 1)


def test_patches_that_do_not_divide_the_image_are_refused():
    with pytest.raises(MixopError, match="must divide images of 20x12 pixels, got 8, 2: choose from 1, 2, 4"):
        mixop.spaces.vit(patches=(8, 2)).fit(Sizes((3, 20, 12), 10))


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(MixopError, match="number of heads of vit must divide its width, got 3 and 64"):
        mixop.spaces.vit(heads=(3, 2)).fit(Sizes((3, 8, 8), 10))
