"""The reference executor: every edge evaluates every option and adds them up, as the papers write it.

It is the oracle that faster executors are compared with, number by number, and must stay this plain.
"""

from collections.abc import Callable, Mapping, Sequence

from torch import Generator, Tensor, nn

from mixop.core.rng import fenced
from mixop.core.transfer import indices
from mixop.core.types import Paths
from mixop.nets.loose import LooseEnds
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import MakeCell, cell_of, edge_shape, run_cell, run_nodes
from mixop.spaces.core import Decision
from mixop.spaces.stacked import Edge, Graph, Layer, NodeGraph, Stacked
from mixop.supernet.cells import CellSupernet
from mixop.supernet.highway import MixedHighwayCell
from mixop.supernet.nodes import node_cell
from mixop.supernet.recurrent import MixedRecurrentCell
from mixop.wraps.base import EdgeSpec, TimedOperation, Wrap, wrapped


class MixedEdge(nn.Module):
    """``sum_o weights[o] * operation_o(x)``.

    Source: Liu et al. 2019 (arXiv:1806.09055), eq. 2; one-hot draws as Dong & Yang 2019 (arXiv:1910.04465), eq. 6.
    """

    def __init__(self, spec: EdgeSpec) -> None:
        super().__init__()
        self.options = nn.ModuleList(spec.make(name, spec.channels, spec.stride, spec.norm, spec.dims) for name in spec.options)

    def forward(self, x: Tensor, weights: Tensor, active: tuple[int, ...] | None = None, progress: float = 0.0) -> Tensor:
        """Value of the edge.

        Args:
            x: value of the source node ``(B, C, *positions)``.
            weights: mixing weights ``(O,)``.
            active: the options that run, at least one, or None for all.
            progress: time in [0, 1].
        """
        running = range(len(self.options)) if active is None else active
        first, *others = running
        total = weights[first] * self._run(first, x, progress)
        for o in others:
            total = total + weights[o] * self._run(o, x, progress)
        if active is None:
            return total
        # The weights of options that do not run are zero in value. Where the relaxation gave them a gradient (GDAS on
        # NAS-Bench-201), adding them carries it.
        return total + (weights.sum() - weights[indices(tuple(running), weights.device)].sum())

    def _run(self, o: int, x: Tensor, progress: float) -> Tensor:
        option = self.options[o]
        return option(x, progress) if isinstance(option, TimedOperation) else option(x)


class MixedCell(nn.Module):
    """A cell whose edges mix all options.

    Args:
        layer: its place in the network.
        graph: how it computes.
        edges: its edges.
        make_edge: makes the module of an edge, of its decision, channels, stride and dims.
        norm: batch norm settings.
    """

    def __init__(
        self,
        layer: Layer,
        graph: Graph,
        edges: Sequence[Edge],
        make_edge: Callable[[Decision, int, int, int], nn.Module],
        norm: BatchNorm,
    ) -> None:
        super().__init__()
        self.graph = graph
        self.wiring = [(edge.decision.source, edge.decision.target) for edge in edges]
        self.edges = nn.ModuleList(
            make_edge(edge.decision, *edge_shape(layer, graph, edge.decision), layer.dims) for edge in edges
        )
        self.ends = LooseEnds(layer, graph, norm) if graph.loose else None

    def forward(
        self,
        inputs: list[Tensor],
        weights: Tensor | Sequence[Tensor],
        edge_weights: Tensor | Sequence[Tensor] | None,
        active: Paths | None,
        progress: float,
    ) -> Tensor:
        """The cell's output.

        Args:
            inputs: values of its input nodes.
            weights: mixing weights ``(O,)`` of every edge.
            edge_weights: of every edge, or None.
            active: the options that run on every edge, or None for all.
            progress: time in [0, 1].
        """

        def run_edge(e: int, x: Tensor) -> Tensor | None:
            running = None if active is None else active[e]
            if running == ():
                return None
            value = self.edges[e](x, weights[e], running, progress)
            return value if edge_weights is None else edge_weights[e] * value

        if self.ends is None:
            return run_cell(inputs, self.graph, self.wiring, run_edge)
        nodes = run_nodes(inputs, self.graph, self.wiring, run_edge)
        return self.ends(nodes, [source for source, _ in self.wiring], active)


def plain(space: Stacked, *, norm: BatchNorm, generator: Generator, wraps: Sequence[Wrap] = ()) -> CellSupernet:
    """The reference supernet of a space, freshly initialised.

    Args:
        space: the search space with its sizes.
        norm: batch norm settings.
        generator: source of the initial weights.
        wraps: changes of how its edges compute, the first one nearest to the operations.
    """
    with fenced(generator):
        return CellSupernet(space, mixed_cells(space, norm, wraps), norm, wraps)


def mixed_cells(space: Stacked, norm: BatchNorm, wraps: Sequence[Wrap]) -> MakeCell:
    """Makes the cells of the reference supernet; the arguments are those of `plain`."""
    make = wrapped(MixedEdge, wraps)

    def make_edge(decision: Decision, channels: int, stride: int, dims: int) -> nn.Module:
        return make(EdgeSpec.of(space, decision, channels=channels, stride=stride, norm=norm, dims=dims))

    def cell(layer: Layer, graph: Graph, edges: Sequence[Edge]) -> nn.Module:
        if isinstance(graph, NodeGraph):
            return node_cell(space, layer, graph, edges[0].group, make, norm)
        return MixedCell(layer, graph, edges, make_edge, norm)

    kinds: Mapping[str, MakeCell] = {
        "cell": cell,
        "recurrent_cell": lambda layer, graph, edges: MixedRecurrentCell(layer, graph, edges[0].group, norm),
        "highway_cell": lambda layer, graph, edges: MixedHighwayCell(layer, graph, edges[0].group, norm),
    }
    return lambda layer, graph, edges: cell_of(kinds, layer)(layer, graph, edges)
