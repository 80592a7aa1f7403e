"""Known good networks for each kind of data: what a person would take by hand, and what a search has to beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from mixop.core.errors import RecipeError, SpaceError
from mixop.data.core import Data
from mixop.models.conv1d import conv1d
from mixop.models.mlp import mlp
from mixop.models.resnet import resnet
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
        around: the space of a size where a search looks for better ones; None where it does not.
        ranks: whether scores before training are known to find good networks there.
    """

    label: str
    make: Callable[[int], Space]
    native: str | None = None
    around: Callable[[int], Space] | None = None
    ranks: bool = False

    @property
    def name(self) -> str:
        """The label as a word, for rows and directories: ``plain-ResNet``."""
        return self.label.replace(" ", "-")

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


def _small_cells(size: int) -> Space:
    return NasBench201(channels=size, cells=1)


def _deep_cells(size: int) -> Space:
    return NasBench201(channels=size, cells=3)


_RESNET = Family("ResNet", _small_cells, RESNET_CELL, _small_cells, ranks=True)
_DENSE = Family("dense cell", _small_cells, DENSE_CELL, _small_cells, ranks=True)
_DEEP = Family("deep ResNet", _deep_cells, RESNET_CELL, _deep_cells)
_DARTS = Family("DARTS cell", lambda size: Darts(channels=size, cells=5), Darts().to_native(ARCHITECTURES["DARTS_V2"]))
_PLAIN = Family(
    "plain ResNet",
    lambda size: resnet(channels=size, blocks=(1, 1, 1), kernels=(3,), ratios=(1,)),
    around=lambda size: resnet(channels=size, kernels=(3, 5), ratios=(1,)),
)
_CONVOLUTIONAL = Family(
    "plain 1-D ResNet",
    lambda size: conv1d(channels=size, blocks=(1, 1, 1), kernels=(9,), dilations=(1,), ratios=(1,)),
    around=lambda size: conv1d(channels=size, kernels=(3, 9), ratios=(1,)),
)
_MLP = Family("MLP", lambda size: mlp(width=size, depth=2, ratios=(1,)), around=lambda size: mlp(width=size))
_WIDE_MLP = Family("wide MLP", lambda size: mlp(width=size, depth=2, ratios=(4,)), around=_MLP.around)

_OF_IMAGES = tuple(
    Member(*pair)
    for pair in (
        (_RESNET, 16),
        (_DENSE, 16),
        (_PLAIN, 16),
        (_RESNET, 32),
        (_RESNET, 8),
        (_DEEP, 16),
        (_PLAIN, 32),
        (_DENSE, 8),
        (_DARTS, 8),
        (_DEEP, 8),
        (_PLAIN, 8),
    )
)
_OF_SIGNALS = tuple(
    Member(*pair) for pair in ((_RESNET, 16), (_CONVOLUTIONAL, 16), (_RESNET, 32), (_CONVOLUTIONAL, 32), (_DENSE, 16))
)
_OF_FEATURES = tuple(Member(*pair) for pair in ((_MLP, 64), (_WIDE_MLP, 64), (_MLP, 128), (_MLP, 32), (_WIDE_MLP, 128)))
_OTHERS = tuple(Member(*pair) for pair in ((_RESNET, 16), (_DENSE, 16), (_RESNET, 8)))


def by_hand(data: Data) -> tuple[Family, ...]:
    """What a person would take without a search, the plainest first: families whose networks fit the data.

    Args:
        data: examples with a task.
    """
    kinds = {3: (_PLAIN, _RESNET), 2: (_CONVOLUTIONAL, _RESNET), 1: (_MLP, _WIDE_MLP)}
    kind = (_RESNET, _DENSE) if data.dense or data.tokens else kinds.get(len(data.shape), ())
    return tuple(family for family in kind if _fits(family.make(SIZES[0]), data))


def portfolio(data: Data) -> tuple[Member, ...]:
    """The networks to try, those that most often do well first. Cells that cannot halve inputs of that size are left out.

    Args:
        data: examples with a task.

    Raises:
        RecipeError: if there are none for that kind of data.
    """
    kinds = {3: _OF_IMAGES, 2: _OF_SIGNALS, 1: _OF_FEATURES}
    kind = _OTHERS if data.dense or data.tokens else kinds.get(len(data.shape), ())
    families = {member.family for member in kind}
    fitting = {family for family in families if _fits(family.make(SIZES[0]), data)}
    members = tuple(member for member in kind if member.family in fitting)
    if not members:
        raise RecipeError(
            f"mixop find knows networks for images, signals and features, but none for examples of shape {data.shape} and the "
            f"task {data.task.name}: search inside a model of your own by mixop search."
        )
    return members


def _fits(space: Space, data: Data) -> bool:
    try:
        space.fit(data)
    except SpaceError:
        return False
    return True


def where_to_search(data: Data, best: Sequence[Member]) -> Member | None:
    """The best network around which there is a space to search; None where there is none.

    Args:
        data: examples with a task.
        best: networks of the portfolio, the best first.
    """
    return next((member for member in (*best, *portfolio(data)) if member.family.around is not None), None)
