"""Spaces of cells as data: cell graphs, and the skeleton that stacks cells into a network. Imports no torch."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from mixop.core.errors import SpaceError
from mixop.spaces.core import Architecture, Space
from mixop.spaces.model_spec import ModelSpec

POINTWISE = frozenset({"nor_conv_1x1", "noise"})
"""Operations that look at nothing but their own position, where they are not strided; absent edges and skips do so too."""


@dataclass(frozen=True)
class Graph:
    """How a cell computes: nodes ``0 .. inputs-1`` are given, every other is the sum of its edges.

    Args:
        inputs: number of input nodes.
        nodes: number of all nodes.
        output: nodes whose channel-wise concatenation is the cell's output.
    """

    inputs: int
    nodes: int
    output: tuple[int, ...]


@dataclass(frozen=True)
class NodeGraph(Graph):
    """A cell with an operation at every node, which reads a weighed sum of what is before it.

    Node 0 is the cell's input, every other node computes its operation on a sum: of a projection of the input, its own, and of
    the nodes before it. The output is a projection of the input plus the concatenation of all nodes, each with its weight. The
    decisions of the cell's group are the operations of the nodes 1, 2 and so on.

    Source: Zela et al. 2020 (arXiv:2001.10422), section 3.

    Args:
        inputs: 1.
        nodes: number of all nodes, the input among them.
        output: the nodes 1, 2 and so on.
        reads: for each of those the group that weighs what it reads; None where it adds up all of it.
        joins: the group that weighs what the output reads, the input first.
    """

    reads: tuple[str | None, ...] = ()
    joins: str = ""

    @property
    def weighing(self) -> tuple[str, ...]:
        """The groups that weigh what is read, node by node, at last that of the output."""
        return (*(name for name in self.reads if name is not None), self.joins)


@dataclass(frozen=True)
class Layer:
    """One layer of the skeleton.

    Args:
        kind: what it is; `mixop.nets.skeleton` has a table of kinds. ``cell`` is the searched one.
        inputs: which outputs it reads: 0 is the network's input, k the output of the k-th layer (counted from 1).
        channels: input channels, one for each input.
        out: output channels (the network's outputs for the head).
        stride: 1, or 2 where the layer halves every axis.
        group: for cells, the group that decides; else None.
        offset: for slices, the first channel that is taken; else 0.
        dims: 2 where it works on images ``(B, C, H, W)``, 1 on signals ``(B, C, L)``.
    """

    kind: str
    inputs: tuple[int, ...]
    channels: tuple[int, ...]
    out: int
    stride: int = 1
    group: str | None = None
    offset: int = 0
    dims: int = 2


class Stacked(Space):
    """A space of cells: its decisions are edges of cell graphs, and a skeleton of layers stacks the cells into a network.

    Attributes:
        additive: whether what a network costs is a sum over its decisions.
    """

    additive: ClassVar[bool] = True

    @abstractmethod
    def graph(self, group: str) -> Graph:
        """The cell graph that the decisions of a group live on."""

    @property
    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The skeleton, in order of computation; the last layer gives the outputs."""

    @property
    def built(self) -> tuple[Layer, ...]:
        """The skeleton of the network that is built from an architecture; by default that of the supernet."""
        return self.layers

    def spec(self, architecture: Architecture) -> ModelSpec | None:
        """The built cell as a graph with operations at its vertices; None where operations are on edges, as in most spaces."""
        return None

    @property
    def pointwise(self) -> frozenset[str]:
        """Options that look at nothing but their own position; a space with operations of its own may add them."""
        return POINTWISE | {*self.roles.absent, *self.roles.skips}

    @property
    def auxiliary(self) -> Layer | None:
        """The auxiliary head that training may add, reading the output of one layer; None if the space has none."""
        return None

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
