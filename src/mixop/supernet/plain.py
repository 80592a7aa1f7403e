"""The reference executor: every edge evaluates every option and adds them up, as the papers write it.

It is the oracle that faster executors are compared with, number by number, and shall stay this plain.
"""

from torch import Generator, Tensor, nn

from mixop.network import edge_shape, run_cell
from mixop.ops import BatchNorm, operation
from mixop.rng import fenced
from mixop.spaces.core import Graph, Group, Layer, Space
from mixop.supernet.core import Supernet
from mixop.types import Paths


class MixedEdge(nn.Module):
    """``sum_o weights[o] * operation_o(x)``.

    Source: Liu et al. 2019 (arXiv:1806.09055), eq. 2; one-hot draws as Dong & Yang 2019 (arXiv:1910.04465), eq. 6.
    """

    def __init__(self, options: tuple[str, ...], channels: int, stride: int, norm: BatchNorm) -> None:
        super().__init__()
        self.options = nn.ModuleList(operation(name, channels, stride, norm) for name in options)

    def forward(self, x: Tensor, weights: Tensor, active: tuple[int, ...] | None = None) -> Tensor:
        """Value of the edge.

        Args:
            x: value of the source node ``(B, C, H, W)``.
            weights: mixing weights ``(O,)``.
            active: the options that run, or None for all.
        """
        running = range(len(self.options)) if active is None else active
        first, *others = running
        total = weights[first] * self.options[first](x)
        for o in others:
            total = total + weights[o] * self.options[o](x)
        if active is None:
            return total
        # The weights of options that do not run are zero in value; adding them carries the straight-through gradient.
        return total + (weights.sum() - weights[list(running)].sum())


class MixedCell(nn.Module):
    """A cell whose edges mix all options."""

    def __init__(self, layer: Layer, graph: Graph, group: Group, norm: BatchNorm) -> None:
        super().__init__()
        self.graph = graph
        self.wiring = [(decision.source, decision.target) for decision in group.decisions]
        self.edges = nn.ModuleList(
            MixedEdge(decision.options, *edge_shape(layer, graph, decision), norm) for decision in group.decisions
        )

    def forward(self, inputs: list[Tensor], weights: Tensor, active: Paths | None) -> Tensor:
        def run_edge(e: int, x: Tensor) -> Tensor:
            return self.edges[e](x, weights[e], None if active is None else active[e])

        return run_cell(inputs, self.graph, self.wiring, run_edge)


def plain(space: Space, *, norm: BatchNorm, generator: Generator) -> Supernet:
    """The reference supernet of a space, freshly initialised.

    Args:
        space: the search space with its sizes.
        norm: batch norm settings.
        generator: source of the initial weights.
    """

    def make_cell(layer: Layer, graph: Graph, group: Group) -> nn.Module:
        return MixedCell(layer, graph, group, norm)

    with fenced(generator):
        return Supernet(space, make_cell, norm)
