"""Spaces of cells as data: cell graphs, and the skeleton that stacks cells into a network. Imports no torch."""

from abc import abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import ClassVar, NamedTuple

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.core import Architecture, Decision, Group, Space
from mixop.spaces.model_spec import ModelSpec

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
        loose: whether the output of an architecture's cell are, in place of those, the nodes that none of its edges reads, its
            inputs among them. A supernet joins them by a 1x1 convolution for each, where the cell is not recurrent.
        chain: whether its nodes are the layers of a network, each reading the one before; it is drawn as such.
        node: the operation of all nodes between inputs and outputs, where edges have none; None where edges have their own.
    """

    inputs: int
    nodes: int
    output: tuple[int, ...]
    recurrent: bool = False
    loose: bool = False
    chain: bool = False
    node: str | None = None


def loose_ends(graph: Graph, sources: Iterable[int]) -> tuple[int, ...]:
    """The nodes of a graph that no edge reads.

    Args:
        graph: of a cell.
        sources: what its edges read.
    """
    read = set(sources)
    return tuple(node for node in range(graph.nodes) if node not in read)


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
        kind: what it is; `mixop.nets.layers` has a table of the fixed kinds, `mixop.nets.discrete` one of those that a group
            decides: ``cell``, whose nodes are sums of its edges; ``recurrent_cell``, a graph for every token of a stream;
            ``highway_cell``, the same where the activation of its first node is decided too, and every option of a supernet
            has weights of its own; and ``wired``, a drawn graph.
        inputs: which outputs it reads: 0 is the network's input, k the output of the k-th layer (counted from 1).
        channels: input channels, one for each input.
        out: output channels (the network's outputs for the head).
        stride: 1, or 2 where the layer halves every axis.
        group: the group that decides, or the cell that several groups decide about, of a layer that is searched or drawn; else
            None.
        offset: for slices, the first channel that is taken; else 0.
        dims: 2 where it works on images ``(B, C, H, W)``, 1 on signals ``(B, C, L)``.
        tied: number of the layer whose weight it takes as well, counted from 1, as a decoder tied to its embedding; else 0.
        settings: numbers of its own by name, rates of dropout for example. They change no shape and no weight, so layers that
            differ in nothing else are equal.
        node: for a cell that is the whole network, the node that the layer computes; it reads all nodes before it, in order.
            None where the layer computes a cell.
        dropout: for heads, the share of the features that is set to zero in training, in [0, 1).
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
    node: int | None = None
    dropout: float = 0.0

    def setting(self, name: str) -> float:
        """A number of its own by name; 0 where it has none."""
        return dict(self.settings).get(name, 0.0)


class Edge(NamedTuple):
    """An edge of a cell, and what decides it.

    Args:
        group: the group.
        row: number of the decision in it.
        decision: source, target and options.
    """

    group: Group
    row: int
    decision: Decision


class Stacked(Space):
    """A space of cells: its decisions are edges of cell graphs, and a skeleton of layers stacks the cells into a network.

    Attributes:
        rebuilt: whether the network of an architecture is built otherwise than its path in the supernet: other layers, or other
            operations for the same options. It can then not begin with the weights of that path.
        additive: whether what a network costs is a sum over its decisions.
    """

    rebuilt: ClassVar[bool] = False
    additive: ClassVar[bool] = True

    @abstractmethod
    def graph(self, group: str) -> Graph:
        """The cell graph that the decisions of a group live on."""

    @property
    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The skeleton of the supernet, in order of computation; the last layer gives the outputs."""

    def layers_of(self, architecture: Architecture) -> tuple[Layer, ...]:
        """The skeleton of the network of an architecture; by default the supernet's."""
        return self.layers

    def cell_of(self, cell: str) -> tuple[Group, ...]:
        """The groups that decide about a cell, in the space's order: the group of that name, or several.

        Raises:
            SpaceError: if there is no such cell.
        """
        found = tuple(group for group in self.groups if (group.cell or group.name) == cell)
        if not found:
            raise SpaceError(unknown(f"cell of {self.name}", cell, dict.fromkeys(g.cell or g.name for g in self.groups)))
        return found

    @property
    def cells_decided(self) -> tuple[str, ...]:
        """The names of its cells: those of the groups, but for groups that decide about one cell together."""
        return tuple(dict.fromkeys(group.cell or group.name for group in self.groups))

    def edges_of(self, layer: Layer) -> tuple[Edge, ...]:
        """The edges that a layer computes, by increasing target, those of one target group by group."""
        found = [
            Edge(group, row, decision)
            for group in self.cell_of(layer.group or "")
            for row, decision in enumerate(group.decisions)
            if layer.node is None or decision.target == layer.node
        ]
        return tuple(sorted(found, key=lambda edge: edge.decision.target))  # which keeps the order of equals

    def graph_of(self, layer: Layer) -> Graph:
        """The graph that a layer computes: of its cell, or of the node that it is, whose inputs are the nodes before."""
        if layer.node is not None:
            return Graph(inputs=layer.node, nodes=layer.node + 1, output=(layer.node,))
        return self.graph(self.cell_of(layer.group or "")[0].name)

    def graph_in(self, architecture: Architecture, group: str) -> Graph:
        """The graph of a group's cell in an architecture: with its loose ends as the output, where they are."""
        graph = self.graph(group)
        if not graph.loose:
            return graph
        decisions = self.group(group).decisions
        read = (decisions[choice.decision].source for choice in architecture.of(group))
        return replace(graph, output=loose_ends(graph, read), loose=False)

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

    @property
    def adds_edges(self) -> bool:
        """Whether every node of its cells is the sum of its edges, each an operation with weights of its own.

        What changes single edges (wraps, fused kernels) works on such cells only.
        """
        return all(layer.kind == "cell" for layer in self.layers if layer.group is not None)

    @property
    def drops_paths(self) -> bool:
        """Whether single edges of its networks can be left out by drop path; those of a recurrent cell share weights."""
        return all(layer.kind != "recurrent_cell" for layer in self.layers)

    def auxiliary_of(self, architecture: Architecture) -> Layer | None:
        """The auxiliary head of the network of an architecture, reading one of `layers_of`; by default `auxiliary`."""
        return self.auxiliary

    def searched(self, option: str) -> str:
        """The operation that stands for an option inside a supernet; by default the option itself."""
        return option

    def built(self, option: str, decision: Decision) -> str:
        """The operation that stands for an option in the network of an architecture; by default the option itself.

        Args:
            option: one of the decision's.
            decision: the edge that it is on.
        """
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
