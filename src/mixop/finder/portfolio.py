"""Known good networks for each kind of data: what a person would take by hand, and what a search has to beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mixop.core.errors import RecipeError
from mixop.data.core import Data
from mixop.models.conv1d import conv1d
from mixop.models.mlp import mlp
from mixop.spaces.core import Architecture, Space
from mixop.spaces.darts import Darts
from mixop.spaces.nasbench201 import NasBench201
from mixop.spaces.published import ARCHITECTURES

RESNET_CELL = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
"""The residual block in the space of NAS-Bench-201. Source: Dong & Yang 2020 (arXiv:2001.00326), table 5."""

DENSE_CELL = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
"""The cell with the best CIFAR-10 test accuracy in NAS-Bench-201, 94.37 %. Source: as above, section 4."""

SIZES = (2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
"""Channels, or features, that a family is tried with where a limit leaves out its own sizes."""


@dataclass(frozen=True)
class Family:
    """Networks that differ in one size.

    Args:
        label: what they are, in a word or two.
        make: the space of a size; sizes left open are taken from the data.
        native: the architecture in it, by the space's notation; None for the first option of every decision.
        searched: whether a search may work in its space.
    """

    label: str
    make: Callable[[int], Space]
    native: str | None = None
    searched: bool = False

    def architecture(self, space: Space) -> Architecture:
        """Its architecture in the space of a size, fitted to the data."""
        return next(iter(space.architectures())) if self.native is None else space.from_native(self.native)


@dataclass(frozen=True)
class Member:
    """A network of a family.

    Args:
        family: its family.
        size: channels or features, >= 1.
    """

    family: Family
    size: int

    @property
    def label(self) -> str:
        """``ResNet 16``."""
        return f"{self.family.label} {self.size}"


_RESNET = Family("ResNet", lambda size: NasBench201(channels=size, cells=1), RESNET_CELL, searched=True)
_DENSE = Family("dense cell", lambda size: NasBench201(channels=size, cells=1), DENSE_CELL, searched=True)
_DEEP = Family("deep ResNet", lambda size: NasBench201(channels=size, cells=3), RESNET_CELL, searched=True)
_DARTS = Family(
    "DARTS cell", lambda size: Darts(channels=size, cells=5), Darts().to_native(ARCHITECTURES["DARTS_V2"]), searched=False
)
_CONVOLUTIONAL = Family(
    "plain 1-D ResNet",
    lambda size: conv1d(channels=size, blocks=(1, 1, 1), kernels=(9,), dilations=(1,), ratios=(1,)),
)
_MLP = Family("MLP", lambda size: mlp(width=size, depth=2, ratios=(1,)))
_WIDE_MLP = Family("wide MLP", lambda size: mlp(width=size, depth=2, ratios=(4,)))

_OF_IMAGES = tuple(
    Member(*pair)
    for pair in ((_RESNET, 16), (_DENSE, 16), (_RESNET, 32), (_RESNET, 8), (_DEEP, 16), (_DENSE, 8), (_DARTS, 8), (_DEEP, 8))
)
_OF_SIGNALS = tuple(
    Member(*pair) for pair in ((_RESNET, 16), (_CONVOLUTIONAL, 16), (_RESNET, 32), (_CONVOLUTIONAL, 32), (_DENSE, 16))
)
_OF_FEATURES = tuple(Member(*pair) for pair in ((_MLP, 64), (_WIDE_MLP, 64), (_MLP, 128), (_MLP, 32), (_WIDE_MLP, 128)))
_OTHERS = tuple(Member(*pair) for pair in ((_RESNET, 16), (_DENSE, 16), (_RESNET, 8)))


def portfolio(data: Data) -> tuple[Member, ...]:
    """The networks to try, those that most often do well first.

    Args:
        data: examples with a task.

    Raises:
        RecipeError: if there are none for that kind of data.
    """
    if data.dense or data.tokens:
        return _OTHERS
    kinds = {3: _OF_IMAGES, 2: _OF_SIGNALS, 1: _OF_FEATURES}
    if len(data.shape) not in kinds:
        raise RecipeError(
            f"mixop find knows networks for images, signals and features, but an example has shape {data.shape}: search inside "
            "a model of your own by mixop search."
        )
    return kinds[len(data.shape)]


def search_space(data: Data, best: Sequence[Member]) -> Space:
    """Where to search: the space of the best network whose family allows it, as wide as that network.

    Args:
        data: examples with a task.
        best: networks of the portfolio, the best first.
    """
    if len(data.shape) == 1 and not data.tokens:
        return mlp(width=best[0].size)
    return next((member.family.make(member.size) for member in best if member.family.searched), _RESNET.make(16))
