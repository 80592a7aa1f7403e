"""Networks from spaces: the walk through a skeleton, and the discrete network that a search is for.

A skeleton is data (`Layer` values of a `Space`). `Skeleton` builds its modules and runs them; the
caller says what a *cell* is: mixed edges in a supernet, one operation an edge in the discrete network. So the two differ
in their cells only.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError, unknown
from mixop.nets.layers import LAYERS
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Decision
from mixop.spaces.stacked import Edge, Graph, Layer, Stacked

T = TypeVar("T")

MakeCell = Callable[[Layer, Graph, Sequence[Edge]], nn.Module]

State = tuple[Tensor, ...]
"""What a network carries from window to window of a stream: a tensor for each of its layers that carry; () is the start."""


class Skeleton(nn.Module):
    """The fixed part of a network around its cells, and the walk through both.

    Args:
        space: the search space, with its sizes.
        make_cell: builds the module of a layer that a group decides; it is called as ``cell(inputs, *context)``, inputs being
            the list of input nodes, and returns the output node.
        norm: batch norm settings of the fixed layers (always affine).
        layers: the layers, where they are not those of the space's supernet.

    Attributes:
        carries: whether some layer carries a state from window to window; such a layer is called with its state as well
            (None at the start) and returns its output and the new state.
    """

    carries: bool = False

    def __init__(self, space: Stacked, make_cell: MakeCell, norm: BatchNorm, layers: tuple[Layer, ...] | None = None) -> None:
        super().__init__()
        self.specs = space.layers if layers is None else layers
        self.layers = nn.ModuleList()
        for spec in self.specs:
            if spec.group is not None:
                self.layers.append(make_cell(spec, space.graph_of(spec), space.edges_of(spec)))
            elif spec.kind in LAYERS:
                self.layers.append(LAYERS[spec.kind](spec, norm))
            else:
                raise SpaceError(unknown("kind of layer", spec.kind, LAYERS))
        self.carries = any(map(_carries, self.layers))

    def walk(
        self,
        x: Tensor,
        context: Callable[[Layer], tuple] = lambda spec: (),
        state: State | None = None,
        call: Callable[..., Any] = lambda layer, *arguments: layer(*arguments),
    ) -> tuple[list[Tensor], State]:
        """Runs all layers.

        Args:
            x: inputs ``(B, *shape)``.
            context: gives a cell's further arguments.
            state: what the window before left; None or () at the start of a stream.
            call: calls a layer's module with its arguments.

        Returns:
            The inputs and the output of every layer, at last the network's; and the new state, () if nothing carries.
        """
        outputs: list[Tensor] = [x]
        before, after = state or (), []
        for spec, layer in zip(self.specs, self.layers, strict=True):
            given = [outputs[i] for i in spec.inputs]
            arguments = given if spec.group is None else [given, *context(spec)]
            if spec.tied:
                arguments = [*arguments, self.layers[spec.tied - 1].weight]
            if _carries(layer):
                output, carried = call(layer, *arguments, before[len(after)] if before else None)
                outputs.append(output)
                after.append(carried)
            else:
                outputs.append(call(layer, *arguments))
        return outputs, tuple(after)


def _carries(layer: nn.Module) -> bool:
    return getattr(layer, "carries", False)


def cell_of(kinds: Mapping[str, T], layer: Layer) -> T:
    """What an executor or a network has for the kind of a layer that a group decides.

    Args:
        kinds: what it has for each.
        layer: the layer.

    Raises:
        SpaceError: if it has none for that kind.
    """
    if layer.kind not in kinds:
        raise SpaceError(unknown("kind of cell", layer.kind, kinds))
    return kinds[layer.kind]


def node_width(layer: Layer, graph: Graph) -> int:
    """The channels of a cell's nodes: they share the cell's output, or have those of its inputs where its ends are loose."""
    return layer.channels[0] if graph.loose else layer.out // len(graph.output)


def edge_shape(layer: Layer, graph: Graph, decision: Decision) -> tuple[int, int]:
    """``(channels, stride)`` of a cell's edge: only edges from inputs are strided."""
    return node_width(layer, graph), layer.stride if decision.source < graph.inputs else 1


def run_cell(
    inputs: Sequence[Tensor], graph: Graph, edges: Sequence[tuple[int, int]], run_edge: Callable[[int, Tensor], Tensor | None]
) -> Tensor:
    """The output of a cell: every node the sum of its edges, the output nodes concatenated.

    The arguments are those of `run_nodes`.
    """
    nodes = run_nodes(inputs, graph, edges, run_edge)
    output = [nodes[k] for k in graph.output]
    return output[0] if len(output) == 1 else torch.cat(output, dim=1)


def run_nodes(
    inputs: Sequence[Tensor], graph: Graph, edges: Sequence[tuple[int, int]], run_edge: Callable[[int, Tensor], Tensor | None]
) -> list[Tensor]:
    """The values of all nodes of a cell, each the sum of its edges.

    Args:
        inputs: values of the input nodes, ``(B, C, *positions)`` each.
        graph: the cell's graph.
        edges: ``(source, target)`` of every edge, targets not decreasing.
        run_edge: ``run_edge(e, x)`` is the value of edge e at its source's value x; None if it adds nothing.
    """
    nodes: list[Tensor | None] = [*inputs, *[None] * (graph.nodes - graph.inputs)]
    for e, (source, target) in enumerate(edges):
        value = run_edge(e, _value(nodes, source, inputs))
        present = nodes[target]
        if value is not None:
            nodes[target] = value if present is None else present + value
    return [_value(nodes, k, inputs) for k in range(graph.nodes)]


def _value(nodes: Sequence[Tensor | None], node: int, inputs: Sequence[Tensor]) -> Tensor:
    value = nodes[node]
    return torch.zeros_like(inputs[0]) if value is None else value  # every edge into the node was dropped
