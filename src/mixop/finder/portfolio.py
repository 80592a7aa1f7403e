"""Known good networks for each kind of data: what a person would take by hand, and what a search has to beat."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from mixop.core.errors import RecipeError, SpaceError
from mixop.data.core import Data
from mixop.models.conv1d import conv1d
from mixop.models.fcn import fcn
from mixop.models.mlp import mlp
from mixop.models.resnet import resnet
from mixop.models.separable import separable
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

STRIDES = (1, 2, 4)
"""Of the first convolution. A larger one makes every step cheaper, and leaves less to see."""

LEAST_SIDE = 16
"""Positions along every axis that a stride must leave: halved twice more, 4 are left."""


@dataclass(frozen=True)
class Family:
    """Networks that differ in one size.

    Args:
        label: what they are, in a word or two.
        make: the space of a size and a stride of the first convolution; sizes left open are taken from the data.
        native: the architecture in it, by the space's notation; None for the first option of every decision.
        around: the space of a size and a stride where a search looks for better ones; None where it does not.
        stride: of the first convolution.
    """

    label: str
    make: Callable[[int, int], Space]
    native: str | None = None
    around: Callable[[int, int], Space] | None = None
    stride: int = 1

    @property
    def name(self) -> str:
        """The label as a word, for rows and directories: ``plain-ResNet``."""
        return self.label.replace(" ", "-")

    def space(self, size: int) -> Space:
        """The space of a size."""
        return self.make(size, self.stride)

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
        """``ResNet 16``; ``ResNet 16 /2`` with a first convolution of stride 2, as papers write it."""
        strided = f" /{self.family.stride}" if self.family.stride > 1 else ""
        return f"{self.family.label} {self.size}{strided}"


def _small_cells(size: int, stride: int) -> Space:
    return NasBench201(channels=size, cells=1, stem_stride=stride)


def _deep_cells(size: int, stride: int) -> Space:
    return NasBench201(channels=size, cells=3, stem_stride=stride)


def _darts(size: int, stride: int) -> Space:
    return Darts(channels=size, cells=5, stem_stride=stride)


def _plain(size: int, stride: int) -> Space:
    return resnet(channels=size, blocks=(1, 1, 1), kernels=(3,), ratios=(1,), stem_stride=stride)


def _around_plain(size: int, stride: int) -> Space:
    return resnet(channels=size, kernels=(3, 5), ratios=(1,), stem_stride=stride)


def _separable(size: int, stride: int) -> Space:
    return separable(channels=size, kernels=(3,), stem_stride=stride)


def _around_separable(size: int, stride: int) -> Space:
    return separable(channels=size, kernels=(3, 5), stem_stride=stride)


def _plain_signal(size: int, stride: int) -> Space:
    return conv1d(channels=size, blocks=(1, 1, 1), kernels=(9,), dilations=(1,), ratios=(1,), stem_stride=stride)


def _around_plain_signal(size: int, stride: int) -> Space:
    return conv1d(channels=size, kernels=(3, 9), ratios=(1,), stem_stride=stride)


def _fully_convolutional(size: int, stride: int) -> Space:
    return fcn(channels=size, kernels=((9,), (5,), (3,)), ratios=(1,), stem_stride=stride)


def _around_fully_convolutional(size: int, stride: int) -> Space:
    return fcn(channels=size, ratios=(1,), stem_stride=stride)


def _around_perceptron(size: int, _: int) -> Space:
    return mlp(width=size)


_RESNET = Family("ResNet", _small_cells, RESNET_CELL, _small_cells)
_DENSE = Family("dense cell", _small_cells, DENSE_CELL, _small_cells)
_DEEP = Family("deep ResNet", _deep_cells, RESNET_CELL, _deep_cells)
_DARTS = Family("DARTS cell", _darts, Darts().to_native(ARCHITECTURES["DARTS_V2"]))
_PLAIN = Family("plain ResNet", _plain, around=_around_plain)
_SEPARABLE = Family("separable", _separable, around=_around_separable)
_CONVOLUTIONAL = Family("plain 1-D ResNet", _plain_signal, around=_around_plain_signal)
_FCN = Family("FCN", _fully_convolutional, around=_around_fully_convolutional)
_MLP = Family("MLP", lambda size, stride: mlp(width=size, depth=2, ratios=(1,)), around=_around_perceptron)
_WIDE_MLP = Family("wide MLP", lambda size, stride: mlp(width=size, depth=2, ratios=(4,)), around=_around_perceptron)
_PERIODIC_MLP = Family(
    "periodic MLP",
    lambda size, stride: mlp(width=size, depth=2, ratios=(1,), embeddings=("periodic",)),
    around=_around_perceptron,
)

_OF_IMAGES = (
    (_PLAIN, 16),
    (_RESNET, 16),
    (_PLAIN, 32),
    (_DENSE, 16),
    (_PLAIN, 8),
    (_RESNET, 32),
    (_RESNET, 8),
    (_DEEP, 16),
    (_DENSE, 8),
    (_DARTS, 8),
    (_DEEP, 8),
)
_OF_SMALL_IMAGE_NETWORKS = ((_SEPARABLE, 16), (_SEPARABLE, 32))
"""Where a limit is kept: they learn more with as many parameters or multiply-adds than the others do."""
_OF_SIGNALS = (
    (_RESNET, 16),
    (_CONVOLUTIONAL, 16),
    (_FCN, 32),
    (_RESNET, 32),
    (_CONVOLUTIONAL, 32),
    (_FCN, 64),
    (_DENSE, 16),
)
_OF_FEATURES = ((_MLP, 64), (_WIDE_MLP, 64), (_PERIODIC_MLP, 64), (_MLP, 128), (_MLP, 32), (_WIDE_MLP, 128))
_OTHERS = ((_RESNET, 16), (_DENSE, 16), (_RESNET, 8))


def by_hand(data: Data, stride: int = 1) -> tuple[Family, ...]:
    """What a person would take without a search, the plainest first: families whose networks fit the data.

    Args:
        data: examples with a task.
        stride: of their first convolutions, one of `strides`.
    """
    kinds = {3: (_PLAIN, _RESNET), 2: (_CONVOLUTIONAL, _RESNET), 1: (_MLP, _WIDE_MLP)}
    kind = (_RESNET, _DENSE) if data.dense or data.tokens else kinds.get(len(data.shape), ())
    return tuple(family for family in (replace(family, stride=stride) for family in kind) if _fits(family, data))


def portfolio(data: Data, *, stride: int = 1, cheaper: bool = False, small: bool = False) -> tuple[Member, ...]:
    """The networks to try, those that most often do well first. Cells that cannot halve inputs of that size are left out.

    Args:
        data: examples with a task.
        stride: of their first convolutions, one of `strides`.
        cheaper: whether the plain ones take part with twice that stride too: under a limit of multiply-adds or of time, such a
            network may be wider.
        small: whether networks that are known to be good under limits go first.

    Raises:
        RecipeError: if there are none for that kind of data.
    """
    kinds = {3: _OF_IMAGES, 2: _OF_SIGNALS, 1: _OF_FEATURES}
    kind = _OTHERS if data.dense or data.tokens else kinds.get(len(data.shape), ())
    kind = (_OF_SMALL_IMAGE_NETWORKS if small and kind is _OF_IMAGES else ()) + kind
    wanted = [(replace(family, stride=stride), size) for family, size in kind]
    if cheaper and 2 * stride in strides(data, least=LEAST_SIDE // 2):
        plain = (_SEPARABLE, _PLAIN, _CONVOLUTIONAL, _RESNET)
        wanted += [(replace(family, stride=2 * stride), size) for family, size in kind if family in plain]
    fitting = {family for family in dict(wanted) if _fits(family, data)}
    members = tuple(Member(family, size) for family, size in wanted if family in fitting)
    if not members:
        raise RecipeError(
            f"mixop find knows networks for images, signals and features, but none for examples of shape {data.shape} and the "
            f"task {data.task.name}: search inside a model of your own by mixop search."
        )
    return members


def strides(data: Data, *, least: int = LEAST_SIDE) -> tuple[int, ...]:
    """Strides that the first convolution may have.

    Args:
        data: examples with a task.
        least: positions along every axis that must be left, but for a stride of 1.
    """
    axes = () if data.dense or data.tokens else data.shape[1:]
    return tuple(stride for stride in STRIDES if stride == 1 or (axes and min(axes) >= stride * least))


def _fits(family: Family, data: Data) -> bool:
    try:
        family.space(SIZES[0]).fit(data)
    except SpaceError:
        return False
    return True


def where_to_search(members: Sequence[Member]) -> Member | None:
    """The best network around which there is a space to search; None where there is none.

    Args:
        members: of the portfolio, the best first.
    """
    return next((member for member in members if member.family.around is not None), None)
