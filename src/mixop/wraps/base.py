"""What a wrap is: a change of how an edge of the supernet computes.

An edge is a module ``edge(x, weights, active, progress)`` that an executor makes from an `EdgeSpec`. A wrap turns a maker of
edges into another one, so wraps compose; the first one of a recipe is nearest to the operations.
"""

from abc import ABC
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import reduce
from typing import ClassVar

from torch import Tensor, nn

from mixop.core.errors import RecipeError
from mixop.nets.ops import BatchNorm, operation
from mixop.spaces.core import Decision, Space
from mixop.spaces.stacked import Stacked


@dataclass(frozen=True, kw_only=True)
class EdgeSpec:
    """What an edge is made from.

    Args:
        options: its candidate operations, by the names they have in a supernet.
        skips: those of them that are skip connections.
        channels: channels of its input and output.
        stride: 1 or 2.
        norm: batch norm of the operations.
        dims: 2 where it works on images, 1 on signals.
        make: builds an operation from name, channels, stride, batch norm and dims.
    """

    options: tuple[str, ...]
    skips: tuple[str, ...] = ()
    channels: int
    stride: int
    norm: BatchNorm
    dims: int = 2
    make: Callable[[str, int, int, BatchNorm, int], nn.Module] = operation

    @classmethod
    def of(
        cls, space: Stacked, decision: Decision, *, channels: int, stride: int, norm: BatchNorm, dims: int = 2
    ) -> "EdgeSpec":
        """What the edge of a decision is made from in a supernet of a space."""
        skips = tuple(space.searched(option) for option in decision.options if space.is_skip(option))
        options = tuple(space.searched(option) for option in decision.options)
        return cls(options=options, skips=skips, channels=channels, stride=stride, norm=norm, dims=dims)


class WrappedEdge(nn.Module):
    """An edge around another one.

    Args:
        inner: the edge that it changes.
    """

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor, weights: Tensor, active: tuple[int, ...] | None = None, progress: float = 0.0) -> Tensor:
        """Value of the edge.

        Args:
            x: value of the source node ``(B, C, *positions)``.
            weights: mixing weights ``(O,)``.
            active: the options that run, or None for all.
            progress: time in [0, 1].
        """
        raise NotImplementedError


class TimedOperation(nn.Module):
    """An operation of an edge that depends on the time: called as ``operation(x, progress)``."""


MakeEdge = Callable[[EdgeSpec], nn.Module]


class Wrap(ABC):  # noqa: B024  # each subclass overrides what it changes
    """Base of the wraps; subclasses are frozen dataclasses.

    Attributes:
        weighs_edges: whether the edges into a node get mixing weights of their own.
    """

    weighs_edges: ClassVar[bool] = False

    @property
    def draws(self) -> bool:
        """Whether an edge draws random numbers in a pass."""
        return False

    def __call__(self, make_edge: MakeEdge) -> MakeEdge:
        """A maker of changed edges from a maker of edges."""
        return make_edge

    def added_skip(self, progress: float) -> float:
        """The weight of a skip connection that it adds beside the options of every edge, >= 0.

        Args:
            progress: time in [0, 1].
        """
        return 0.0

    def check(self, space: Stacked) -> None:
        """Refuses spaces that it does not fit.

        Raises:
            RecipeError: naming both.
        """
        return


def wrapped(make_edge: MakeEdge, wraps: Sequence[Wrap]) -> MakeEdge:
    """The maker of edges under all wraps, the first one nearest to the operations."""
    return reduce(lambda make, wrap: wrap(make), wraps, make_edge)


def check_wraps(wraps: Sequence[Wrap], space: Space | None = None) -> None:
    """Refuses a wrap that is listed twice, and wraps that a space does not fit.

    Raises:
        RecipeError: naming it.
    """
    kinds = [type(wrap) for wrap in wraps]
    for kind in kinds:
        if kinds.count(kind) > 1:
            raise RecipeError(f"{kind.__name__} wraps an edge once, got it {kinds.count(kind)} times: list it once.")
    if space is None:
        return
    for wrap in wraps:
        if not isinstance(space, Stacked):
            raise RecipeError(
                f"{type(wrap).__name__} changes the edges of cells, which {space.name} does not have: use a recipe without it, "
                "such as darts, drnas or gdas."
            )
        if type(wrap).__call__ is not Wrap.__call__ and not space.adds_edges:
            raise RecipeError(
                f"{type(wrap).__name__} changes how single edges compute, but those of the recurrent cell of {space.name} "
                "are computed together: use a recipe without it, such as darts, drnas or gdas."
            )
        wrap.check(space)
