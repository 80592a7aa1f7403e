"""A toy space whose best architecture is known: does a search find it, in seconds?

Images have one pixel. Their channels form blocks, and for each block one decision picks an elementwise map. The labels
come from a linear teacher on the optimum's maps. The maps are nearly uncorrelated on a symmetric distribution (``x`` and
``sin 3x`` correlate by 0.04, ``|x|`` with neither), so that a wrong map leaves the block's share of the label unexplained.
"""

from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import SpaceError, unknown
from mixop.core.outside import shortened
from mixop.spaces.core import Architecture, Choice, Decision, Group, check_complete
from mixop.spaces.stacked import Graph, Layer, Stacked, check_skeleton

TOY_MAPS = {
    "none": np.zeros_like,
    "skip_connect": np.positive,
    "abs": np.abs,
    "sine": lambda x: np.sin(3 * x),
}
"""The options, in order, as functions of an array; `mixop.nets.ops` has the same for tensors."""


@dataclass(frozen=True, kw_only=True)
class Toy(Stacked):
    """One decision between four elementwise maps for each block of channels; the best choice is `optimum`.

    Args:
        blocks: decisions, >= 1.
        width: channels of a block, >= 1.
        outputs: number of classes, >= 2.
        seed: decides the optimum and the teacher's weights, >= 0.

    Raises:
        SpaceError: for a number out of range.

    Example:
        >>> space = Toy(blocks=3)
        >>> space.size()
        64
        >>> space.to_native(space.from_native("abs|sine|skip_connect"))
        'abs|sine|skip_connect'
    """

    asked: ClassVar[str] = "a toy space, mixop.spaces.toy()"

    # A frozen field is read-only, so its type may be narrower than the base's: the checker cannot know that.
    blocks: int = 3
    width: int = 4
    outputs: int = 4  # pyright: ignore[reportIncompatibleVariableOverride]
    seed: int = 0
    name: str = field(default="toy", init=False)
    input_shape: tuple[int, ...] = field(init=False)  # pyright: ignore[reportIncompatibleVariableOverride]
    dense: bool = field(default=False, init=False)  # pyright: ignore[reportIncompatibleVariableOverride]
    tokens: bool = field(default=False, init=False)  # pyright: ignore[reportIncompatibleVariableOverride]

    def __post_init__(self) -> None:
        check_skeleton("toy", blocks=self.blocks, width=self.width, outputs=self.outputs)
        if self.outputs < 2:
            raise SpaceError(f"toy: outputs must be at least 2, got {self.outputs}.")
        if not isinstance(self.seed, int) or isinstance(self.seed, bool) or self.seed < 0:
            raise SpaceError(f"toy: seed must be a whole number of at least 0, got {self.seed!r}.")
        object.__setattr__(self, "input_shape", (self.blocks * self.width, 1, 1))

    @property
    def groups(self) -> tuple[Group, ...]:
        """The one group ``cell``: decision e maps block e."""
        decisions = (Decision(e, self.blocks + e, tuple(TOY_MAPS)) for e in range(self.blocks))
        return (Group("cell", tuple(decisions), roles=self.roles),)

    def graph(self, group: str) -> Graph:
        """Blocks as input nodes, mapped blocks as output nodes."""
        self.group(group)
        outputs = tuple(range(self.blocks, 2 * self.blocks))
        return Graph(inputs=self.blocks, nodes=2 * self.blocks, output=outputs)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """A slice for each block, one cell, a linear classifier."""
        width, total = self.width, self.blocks * self.width
        slices = [Layer("slice", (0,), (total,), width, offset=e * width) for e in range(self.blocks)]
        cell = Layer("cell", tuple(range(1, self.blocks + 1)), (width,) * self.blocks, total, group="cell")
        return (*slices, cell, Layer("linear_head", (self.blocks + 1,), (total,), self.outputs))

    def check(self, architecture: Architecture) -> None:
        """As `Space.check`; an architecture has a map for every block.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        super().check(architecture)
        check_complete(self, architecture)

    def to_native(self, architecture: Architecture) -> str:
        """The maps block by block, joined by ``|``."""
        self.check(architecture)
        return "|".join(architecture.options())

    def from_native(self, text: str) -> Architecture:
        """The architecture of a text like ``abs|sine|skip_connect``; space around it is ignored.

        Raises:
            SpaceError: if the text is malformed, with what was expected.
        """
        maps = text.strip().split("|") if isinstance(text, str) else []
        if len(maps) != self.blocks:
            raise SpaceError(f"An architecture of toy is written as {self.blocks} maps joined by |, got {shortened(text)}.")
        for name in maps:
            if name not in TOY_MAPS:
                raise SpaceError(unknown("map in toy", name, TOY_MAPS))
        return self._of(maps)

    @property
    def optimum(self) -> Architecture:
        """The teacher's architecture: every map that adds something in turn, shuffled by `seed`."""
        maps = [name for name in TOY_MAPS if not self.is_absent(name)]
        rng = Random(self.seed)
        rng.shuffle(maps)
        return self._of([maps[e % len(maps)] for e in range(self.blocks)])

    def _of(self, maps: list[str]) -> Architecture:
        return Architecture(self.name, (("cell", tuple(Choice(e, name) for e, name in enumerate(maps))),))


def toy(*, blocks: int = 3, width: int = 4, outputs: int = 4, seed: int = 0) -> Toy:
    """The toy space; see `Toy` for the arguments."""
    return Toy(blocks=blocks, width=width, outputs=outputs, seed=seed)


def toy_features(space: Toy, architecture: Architecture, x: NDArray[Any]) -> NDArray[np.float64]:
    """What an architecture's cell makes of images: the mapped blocks side by side.

    Args:
        space: the toy space.
        architecture: which map for which block.
        x: images, shape ``(N, E * width, 1, 1)``.

    Returns:
        Features, shape ``(N, E * width)``.
    """
    space.check(architecture)
    blocks = np.split(x.reshape(len(x), -1).astype(np.float64), space.blocks, axis=1)
    return np.concatenate([TOY_MAPS[name](block) for name, block in zip(architecture.options(), blocks, strict=True)], axis=1)


def toy_data(
    space: Toy, *, n: int, seed: int, teacher: Architecture | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Images of standard normal numbers, labelled by a linear teacher on the teacher architecture's features.

    The features are standardised, and every block has a share of the same size in every class: no class and no block is
    favoured.

    Args:
        space: the toy space; its seed decides the teacher's weights.
        n: number of images, >= 1.
        seed: decides the images, >= 0; use different seeds for training and test images.
        teacher: the architecture that labels; default ``space.optimum``.

    Returns:
        Images ``(n, E * width, 1, 1)`` float32, labels ``(n,)`` int64 in ``[0, outputs)``.

    Raises:
        SpaceError: if ``n`` is less than 1 or the teacher does not belong to the space.
    """
    check_skeleton("toy data", n=n)
    teacher = space.optimum if teacher is None else teacher
    x = np.random.default_rng(seed).standard_normal((n, *space.input_shape)).astype(np.float32)

    # Moments of the maps of a standard normal number: |x| has mean sqrt(2/pi), sin 3x has variance (1 - e^-18)/2.
    means = {"abs": np.sqrt(2 / np.pi)}
    variances = {"abs": 1 - 2 / np.pi, "sine": (1 - np.exp(-18)) / 2}
    maps = [name for name in teacher.options() for _ in range(space.width)]
    features = toy_features(space, teacher, x) - [means.get(name, 0.0) for name in maps]
    features /= np.sqrt([variances.get(name, 1.0) for name in maps])

    # Orthonormal rows (or columns, where classes outnumber the width) in each block make the shares equal.
    weights = np.random.default_rng(space.seed).standard_normal((space.blocks, space.outputs, space.width))
    left, _, right = np.linalg.svd(weights, full_matrices=False)
    weights = np.concatenate(list(left @ right), axis=1)
    return x, (features @ weights.T).argmax(axis=1)
