"""Spaces of cells as data: cell graphs, and the skeleton that stacks cells into a network. Imports no torch."""

from abc import abstractmethod
from dataclasses import dataclass, field

from mixop.core.errors import SpaceError
from mixop.spaces.core import Space

POINTWISE = frozenset({"nor_conv_1x1", "noise"})
"""Operations that look at nothing but their own position, where they are not strided; absent edges and skips do so too."""


@dataclass(frozen=True)
class Graph:
    """How a cell computes: nodes ``0 .. inputs-1`` are given, every other is the sum of its edges.

    Args:
        inputs: number of input nodes.
        nodes: number of all nodes.
        output: nodes whose channel-wise concatenation is the cell's output; their mean where it is recurrent.
        recurrent: whether it reads its own output of the token before, together with its input; node 0 is what both give.
    """

    inputs: int
    nodes: int
    output: tuple[int, ...]
    recurrent: bool = False


@dataclass(frozen=True)
class Layer:
    """One layer of the skeleton.

    Args:
        kind: what it is; `mixop.nets.layers` has a table of the fixed kinds. Those that a group decides are ``cell``, whose
            nodes are sums of its edges, and ``recurrent_cell``, which is a graph for every token of a stream.
        inputs: which outputs it reads: 0 is the network's input, k the output of the k-th layer (counted from 1).
        channels: input channels, one for each input.
        out: output channels (the network's outputs for the head).
        stride: 1, or 2 where the layer halves every axis.
        group: for cells, the group that decides; else None.
        offset: for slices, the first channel that is taken; else 0.
        dims: 2 where it works on images ``(B, C, H, W)``, 1 on signals ``(B, C, L)``.
        tied: number of the layer whose weight it takes as well, counted from 1, as a decoder tied to its embedding; else 0.
        settings: numbers of its own by name, rates of dropout for example. They change no shape and no weight, so layers that
            differ in nothing else are equal.
    """

    kind: str
    inputs: tuple[int, ...]
    channels: tuple[int, ...]
    out: int
    stride: int = 1
    group: str | None = None
    offset: int = 0
    dims: int = 2
    tied: int = 0
    settings: tuple[tuple[str, float], ...] = field(default=(), compare=False)

    def setting(self, name: str) -> float:
        """A number of its own by name; 0 where it has none."""
        return dict(self.settings).get(name, 0.0)


class Stacked(Space):
    """A space of cells: its decisions are edges of cell graphs, and a skeleton of layers stacks the cells into a network."""

    @abstractmethod
    def graph(self, group: str) -> Graph:
        """The cell graph that the decisions of a group live on."""

    @property
    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The skeleton, in order of computation; the last layer gives the outputs."""

    @property
    def pointwise(self) -> frozenset[str]:
        """Options that look at nothing but their own position; a space with operations of its own may add them."""
        return POINTWISE | {*self.roles.absent, *self.roles.skips}

    @property
    def auxiliary(self) -> Layer | None:
        """The auxiliary head that training may add, reading the output of one layer; None if the space has none."""
        return None

    @property
    def adds_edges(self) -> bool:
        """Whether every node of its cells is the sum of its edges, each an operation with weights of its own.

        What changes or drops single edges (wraps, drop path, fused kernels) works on such cells only.
        """
        return all(layer.kind == "cell" for layer in self.layers if layer.group is not None)

    def searched(self, option: str) -> str:
        """The operation that stands for an option inside a supernet; by default the option itself."""
        return option


def stacked(space: Space) -> Stacked:
    """A space that must be one of cells.

    Raises:
        SpaceError: if it is not.
    """
    if not isinstance(space, Stacked):
        raise SpaceError(f"{space.name} has no cells, and this needs a space of cells, such as nasbench201 or darts.")
    return space


def check_skeleton(space: str, **sizes: int) -> None:
    """Refuses sizes of a skeleton that are not whole numbers >= 1.

    Raises:
        SpaceError: with the name and the value.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise SpaceError(f"{space}: {name.replace('_', ' ')} must be a whole number of at least 1, got {size!r}.")
