"""The reference executor: every edge evaluates every option and adds them up, as the papers write it.

It is the oracle that faster executors are compared with, number by number, and must stay this plain.
"""

from collections.abc import Callable, Sequence

from torch import Generator, Tensor, nn

from mixop.core.rng import fenced
from mixop.core.types import Paths
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import edge_shape, run_cell
from mixop.spaces.core import Decision, Group
from mixop.spaces.stacked import Graph, Layer, NodeGraph, Stacked
from mixop.supernet.cells import CellSupernet
from mixop.supernet.nodes import node_cell
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
        return total + (weights.sum() - weights[list(running)].sum())

    def _run(self, o: int, x: Tensor, progress: float) -> Tensor:
        option = self.options[o]
        return option(x, progress) if isinstance(option, TimedOperation) else option(x)


class MixedCell(nn.Module):
    """A cell whose edges mix all options."""

    def __init__(
        self, layer: Layer, graph: Graph, group: Group, make_edge: Callable[[Decision, int, int, int], nn.Module]
    ) -> None:
        super().__init__()
        self.graph = graph
        self.wiring = [(decision.source, decision.target) for decision in group.decisions]
        self.edges = nn.ModuleList(
            make_edge(decision, *edge_shape(layer, graph, decision), layer.dims) for decision in group.decisions
        )

    def forward(
        self, inputs: list[Tensor], weights: Tensor, edge_weights: Tensor | None, active: Paths | None, progress: float
    ) -> Tensor:
        def run_edge(e: int, x: Tensor) -> Tensor | None:
            running = None if active is None else active[e]
            if running == ():
                return None
            value = self.edges[e](x, weights[e], running, progress)
            return value if edge_weights is None else edge_weights[e] * value

        return run_cell(inputs, self.graph, self.wiring, run_edge)


def plain(space: Stacked, *, norm: BatchNorm, generator: Generator, wraps: Sequence[Wrap] = ()) -> CellSupernet:
    """The reference supernet of a space, freshly initialised.

    Args:
        space: the search space with its sizes.
        norm: batch norm settings.
        generator: source of the initial weights.
        wraps: changes of how its edges compute, the first one nearest to the operations.
    """
    make = wrapped(MixedEdge, wraps)

    def make_edge(decision: Decision, channels: int, stride: int, dims: int) -> nn.Module:
        return make(EdgeSpec.of(space, decision, channels=channels, stride=stride, norm=norm, dims=dims))

    def make_cell(layer: Layer, graph: Graph, group: Group) -> nn.Module:
        if isinstance(graph, NodeGraph):
            return node_cell(space, layer, graph, group, make, norm)
        return MixedCell(layer, graph, group, make_edge)

    with fenced(generator):
        return CellSupernet(space, make_cell, norm, wraps)
