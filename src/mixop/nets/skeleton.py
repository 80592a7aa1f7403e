"""Networks from spaces: the walk through a skeleton, and the discrete network that a search is for.

A skeleton is data (`Layer` values of a `Space`). `Skeleton` builds its modules and runs them; the
caller says what a *cell* is: mixed edges in a supernet, one operation an edge in the discrete network. So the two differ
in their cells only.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError, unknown
from mixop.nets.layers import LAYERS
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Decision, Group
from mixop.spaces.stacked import Graph, Layer, Stacked

MakeCell = Callable[[Layer, Graph, Group], nn.Module]

State = tuple[Tensor, ...]
"""What a network carries from window to window of a stream: a tensor for each of its layers that carry; () is the start."""


class Skeleton(nn.Module):
    """The fixed part of a network around its cells, and the walk through both.

    Args:
        space: the search space, with its sizes.
        make_cell: builds the module of a cell; it is called as ``cell(inputs, *context)``, inputs being the list of input
            nodes, and returns the output node.
        norm: batch norm settings of the fixed layers (always affine).
        layers: the skeleton; None for the space's own.

    Attributes:
        carries: whether some layer carries a state from window to window; such a layer is called with its state as well
            (None at the start) and returns its output and the new state.
    """

    carries: bool = False

    def __init__(
        self, space: Stacked, make_cell: MakeCell, norm: BatchNorm, *, layers: tuple[Layer, ...] | None = None
    ) -> None:
        super().__init__()
        self.specs = space.layers if layers is None else layers
        self.layers = nn.ModuleList()
        for spec in self.specs:
            if spec.kind == "cell":
                group = space.group(spec.group or "")
                self.layers.append(make_cell(spec, space.graph(group.name), group))
            elif spec.kind in LAYERS:
                self.layers.append(LAYERS[spec.kind](spec, norm))
            else:
                raise SpaceError(unknown("kind of layer", spec.kind, [*LAYERS, "cell"]))
        self.carries = any(map(_carries, self.layers))

    def walk(
        self, x: Tensor, context: Callable[[Layer], tuple] = lambda spec: (), state: State | None = None
    ) -> tuple[list[Tensor], State]:
        """Runs all layers.

        Args:
            x: inputs ``(B, *shape)``.
            context: gives a cell's further arguments.
            state: what the window before left; None or () at the start of a stream.

        Returns:
            The inputs and the output of every layer, at last the network's; and the new state, () if nothing carries.
        """
        outputs: list[Tensor] = [x]
        before, after = iter(state or ()), []
        for spec, layer in zip(self.specs, self.layers, strict=True):
            given = [outputs[i] for i in spec.inputs]
            if spec.kind == "cell":
                outputs.append(layer(given, *context(spec)))
            elif _carries(layer):
                output, carried = layer(*given, next(before, None))
                outputs.append(output)
                after.append(carried)
            else:
                outputs.append(layer(*given))
        return outputs, tuple(after)


def _carries(layer: nn.Module) -> bool:
    return getattr(layer, "carries", False)


def edge_shape(layer: Layer, graph: Graph, decision: Decision) -> tuple[int, int]:
    """``(channels, stride)`` of a cell's edge: the nodes share the cell's output, only edges from inputs are strided."""
    return layer.out // len(graph.output), layer.stride if decision.source < graph.inputs else 1


def run_cell(
    inputs: Sequence[Tensor], graph: Graph, edges: Sequence[tuple[int, int]], run_edge: Callable[[int, Tensor], Tensor | None]
) -> Tensor:
    """The output of a cell: every node the sum of its edges, the output nodes concatenated.

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
    output = [_value(nodes, k, inputs) for k in graph.output]
    return output[0] if len(output) == 1 else torch.cat(output, dim=1)


def _value(nodes: Sequence[Tensor | None], node: int, inputs: Sequence[Tensor]) -> Tensor:
    value = nodes[node]
    return torch.zeros_like(inputs[0]) if value is None else value  # every edge into the node was dropped
