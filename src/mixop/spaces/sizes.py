"""What a network reads and gives: the shape of one input, and how many numbers come out, once or at every position.

A space leaves these sizes open or names them; `Space.fit` takes the open ones from the data.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from mixop.core.errors import SpaceError

AXES = {1: ("length",), 2: ("height", "width")}
"""What the positions of an input are counted along, by the number of dimensions."""

SHAPES = "(C, H, W) for images, (C, L) for signals, (F,) for feature vectors, (V, T) for tokens"


class Sized(Protocol):
    """What `Space.fit` asks of data.

    Attributes:
        shape: of one input: ``(C, H, W)`` images, ``(C, L)`` signals, ``(F,)`` features, ``(V, T)`` windows of T tokens of a
            vocabulary of V.
        outputs: numbers that a network gives for an example, or for each of its positions.
        dense: whether there is an output at every position.
        tokens: whether inputs are tokens.
    """

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def outputs(self) -> int: ...
    @property
    def dense(self) -> bool: ...
    @property
    def tokens(self) -> bool: ...


@dataclass(frozen=True)
class Sizes:
    """Sizes without data, for `Space.fit`.

    Args:
        shape: of one input, see `Sized`.
        outputs: numbers for an example or a position, >= 1.
        dense: whether there is an output at every position.
        tokens: whether inputs are tokens.
    """

    shape: tuple[int, ...]
    outputs: int
    dense: bool = False
    tokens: bool = False


USUAL = Sizes((3, 32, 32), 10)
"""Those of CIFAR-10."""


def checked_shape(space: str, shape: object) -> tuple[int, ...] | None:
    """The shape of one input as a tuple, None where it is open.

    Raises:
        SpaceError: if it is not one to three whole numbers >= 1.
    """
    if shape is None:
        return None
    numbers = tuple(shape) if isinstance(shape, list | tuple) else ()
    if not 1 <= len(numbers) <= 3 or any(not isinstance(n, int) or isinstance(n, bool) or n < 1 for n in numbers):
        raise SpaceError(f"{space}: input shape must be {SHAPES}, whole numbers of at least 1, got {shape!r}.")
    return numbers


def check_sizes(space: str, shape: tuple[int, ...] | None, outputs: object, dense: object, tokens: object) -> None:
    """Refuses sizes that contradict each other; None is open.

    Raises:
        SpaceError: with the name and the value.
    """
    if outputs is not None and (not isinstance(outputs, int) or isinstance(outputs, bool) or outputs < 1):
        raise SpaceError(f"{space}: outputs must be a whole number of at least 1, got {outputs!r}.")
    for name, value in (("dense", dense), ("tokens", tokens)):
        if value is not None and not isinstance(value, bool):
            raise SpaceError(f"{space}: {name} must be true or false, got {value!r}.")
    if tokens and shape is not None and len(shape) != 2:
        raise SpaceError(f"{space}: tokens have the input shape (V, T), vocabulary and window, got {shape}.")
    if dense and shape is not None and len(shape) == 1:
        raise SpaceError(f"{space}: a feature vector has no positions to give outputs at: use dense=False, got {shape}.")


def strides_for(sizes: tuple[int, ...] | None, strides: Sequence[int], least: int = 4) -> tuple[int, ...]:
    """The strides of a network for large images on images of another size: the first ones are left out where it is small.

    Of the strides above 1 as many of the last ones stay as leave the network's last map so many positions along every axis;
    the others become 1. Networks for CIFAR usually end in maps of 4 x 4 as well, those for 224 pixels in 7 x 7. A stride rounds
    up.

    Args:
        sizes: positions of an input along every axis; None where that is open, which leaves all strides.
        strides: of the network's layers in their order, each >= 1.
        least: positions that are left along every axis.

    Example:
        >>> strides_for((224, 224), (2, 2, 2, 2, 1, 2)), strides_for((32, 32), (2, 2, 2, 2, 1, 2))
        ((2, 2, 2, 2, 1, 2), (1, 1, 2, 2, 1, 2))
    """
    kept, left = list(strides), sizes
    for at in reversed(range(len(kept))):
        if left is None or kept[at] == 1:
            continue
        smaller = tuple(-(-size // kept[at]) for size in left)
        if min(smaller, default=0) < least:
            left = (0,)  # nor does any earlier one stay
            kept[at] = 1
        else:
            left = smaller
    return tuple(kept)


def positions(shape: tuple[int, ...]) -> dict[str, int]:
    """The number of positions along each axis by its name; empty for feature vectors."""
    return dict(zip(AXES.get(len(shape) - 1, ()), shape[1:], strict=True))


def check_halvings(space: str, shape: tuple[int, ...], halvings: int) -> None:
    """Refuses an input that a network would halve until nothing is left.

    Args:
        space: its name, for the message.
        shape: of one input.
        halvings: how often every axis is halved.

    Raises:
        SpaceError: naming the smallest size that works.
    """
    # Every halving rounds up; the last one must still have two positions to halve.
    least = 2 ** (halvings - 1) + 1 if halvings else 1
    for axis, size in positions(shape).items():
        if size < least:
            raise SpaceError(
                f"{space}: {halvings} halvings leave nothing of an input whose {axis} is {size}: the smallest {axis} that "
                f"works is {least}."
            )
