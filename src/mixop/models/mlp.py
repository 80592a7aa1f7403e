"""Residual MLPs for features of tables: embedding, activation, width and depth.

Source: Gorishniy et al. 2021 (arXiv:2106.11959), its "ResNet", without dropout; periodic embeddings from Gorishniy et al. 2022
(arXiv:2203.05556).
"""

import math
from collections import OrderedDict
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError, unknown
from mixop.models.base import Shape, check_kind, check_numbers, in_a_row, ready
from mixop.nets.modules.choice import Choice
from mixop.spaces.sizes import Sizes

WAVES = 8
"""Frequencies that a feature is embedded with."""


class Periodic(nn.Module):
    """A linear map of the sines and cosines of every feature, whose frequencies are learned (arXiv:2203.05556, eq. 2)."""

    def __init__(self, features: int, width: int) -> None:
        super().__init__()
        self.frequency = nn.Parameter(0.1 * torch.randn(features, WAVES))
        self.linear = nn.Linear(2 * features * WAVES, width)

    def forward(self, x: Tensor) -> Tensor:
        angle = 2 * math.pi * x[..., None] * self.frequency
        return self.linear(torch.cat((angle.sin(), angle.cos()), -1).flatten(1))


class Block(nn.Module):
    """A residual block: how wide it is inside."""

    def __init__(self, width: int, ratios: Sequence[float]) -> None:
        super().__init__()
        self.norm = nn.BatchNorm1d(width)
        self.inner = Choice({str(hidden): inner(width, hidden) for hidden in (max(1, round(width * r)) for r in ratios)})

    def forward(self, x: Tensor) -> Tensor:
        return x + self.inner(self.norm(x))


def inner(width: int, hidden: int) -> nn.Sequential:
    """What a block adds to its shortcut."""
    return nn.Sequential(nn.Linear(width, hidden), activation(), nn.Linear(hidden, width))


def activation() -> Choice:
    """The activation, one decision for the whole network."""
    return Choice({"relu": nn.ReLU(), "gelu": nn.GELU(), "silu": nn.SiLU()}, share="activation")


def net(
    input_shape: Shape,
    outputs: int,
    dense: bool = False,
    tokens: bool = False,
    *,
    width: int = 64,
    depth: int = 4,
    ratios: tuple[float, ...] = (2, 1, 0.5, 4),
    embeddings: tuple[str, ...] = ("linear", "periodic"),
) -> nn.Module:
    """A residual MLP for feature vectors.

    Args:
        input_shape: ``(F,)``.
        outputs: numbers for an example.
        dense: whether the data have an output at every position, which is refused.
        tokens: whether the data are tokens, which is refused.
        width: of the network, >= 1.
        depth: how many blocks there are at most, >= 1; all but the first may be left out.
        ratios: width inside a block, as a multiple of ``width``, > 0.
        embeddings: how features are embedded: some of ``linear`` and ``periodic``.

    Raises:
        SpaceError: for other data than features, or arguments out of range.

    Source: Gorishniy et al. 2021 (arXiv:2106.11959), section 3.2; a linear embedding, ReLU and one ratio are its ResNet.
    """
    check_kind("mlp", Sizes(input_shape, outputs, dense, tokens))
    check_numbers("mlp", width=width, depth=depth, ratios=ratios)
    makes = {"linear": nn.Linear, "periodic": Periodic}
    for name in embeddings:
        if name not in makes:
            raise SpaceError(unknown("embedding of mlp", name, makes))
    embed = Choice({name: makes[name](input_shape[0], width) for name in embeddings})
    blocks = in_a_row([Block(width, ratios) for _ in range(depth)])
    head = nn.Sequential(nn.BatchNorm1d(width), activation(), nn.Linear(width, outputs))
    return nn.Sequential(OrderedDict(embed=embed, blocks=blocks, head=head))


mlp = ready("mlp", net)
