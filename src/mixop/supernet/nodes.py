"""The supernet's cell with an operation at every node: weighed inputs, mixed operations, a weighed concatenation."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from mixop.core.types import Paths
from mixop.nets.ops import BatchNorm, conv_norm_relu
from mixop.nets.skeleton import edge_shape
from mixop.spaces.core import Group
from mixop.spaces.stacked import Layer, NodeGraph, Stacked
from mixop.wraps.base import EdgeSpec


class NodeCell(nn.Module):
    """A cell of mixed operations at its nodes, see `NodeGraph`. All executors compute it in this way.

    Node k works on ``sum_j a_kj * v_j``, where ``v_0`` is the input, projected for that node, and ``v_j`` are the nodes before
    it; the output is ``o_0 * v_0 + concat_k(o_k * v_k)``. Operations that do not run are left out; projections all run.

    Args:
        layer: its place in the network.
        graph: how it computes.
        widths: the mixing weights that each of the groups in ``graph.weighing`` has.
        edges: the mixed operation of each node, under its wraps.
        norm: batch norm settings of the projections.

    Source: Zela et al. 2020 (arXiv:2001.10422), section 3.1 and figure 1; the authors' code.
    """

    def __init__(self, layer: Layer, graph: NodeGraph, widths: tuple[int, ...], edges: nn.ModuleList, norm: BatchNorm) -> None:
        super().__init__()
        self.graph, self.widths, self.edges = graph, widths, edges
        (given,), each = layer.channels, layer.out // len(graph.output)
        sizes = [each] * len(graph.output) + [layer.out]
        self.projections = nn.ModuleList(conv_norm_relu(given, size, 1, 1, norm, layer.dims) for size in sizes)

    def forward(
        self, inputs: list[Tensor], weights: Tensor, edge_weights: Tensor | None, active: Paths | None, progress: float
    ) -> Tensor:
        """Value of the cell.

        Args:
            inputs: its one input.
            weights: mixing weights of the operations ``(E, O)``.
            edge_weights: those of what is read, node by node, one after the other.
            active: the operations that run, or None for all.
            progress: time in [0, 1].
        """
        assert edge_weights is not None
        (x,) = inputs
        weighing = iter(edge_weights.split(self.widths))
        values: list[Tensor] = []
        for k, name in enumerate(self.graph.reads):
            read = [self.projections[k](x), *values]
            if name is not None:
                read = [weight * value for weight, value in zip(next(weighing), read, strict=True)]
            paths = None if active is None else active[k]
            total = sum(read[1:], read[0])
            values.append(torch.zeros_like(total) if paths == () else self.edges[k](total, weights[k], paths, progress))
        first, *others = next(weighing)
        joined = torch.cat([weight * value for weight, value in zip(others, values, strict=True)], dim=1)
        return first * self.projections[-1](x) + joined


def node_cell(
    space: Stacked, layer: Layer, graph: NodeGraph, group: Group, make: Callable[[EdgeSpec], nn.Module], norm: BatchNorm
) -> NodeCell:
    """A cell with the operations of a space, freshly initialised.

    Args:
        space: the search space.
        layer: the cell's place in the network.
        graph: how it computes.
        group: the operations of its nodes.
        make: makes the mixed operation of a node, under its wraps.
        norm: batch norm settings.
    """
    edges = nn.ModuleList()
    for decision in group.decisions:
        channels, stride = edge_shape(layer, graph, decision)
        edges.append(make(EdgeSpec.of(space, decision, channels=channels, stride=stride, norm=norm, dims=layer.dims)))
    return NodeCell(layer, graph, tuple(space.group(name).shape[1] for name in graph.weighing), edges, norm)
