"""The discrete network that a search is for: a plain module with one operation on every kept edge."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from typing import Any, overload

import torch
from torch import Generator, Tensor, nn

from mixop.core.errors import SpaceError
from mixop.core.rng import fenced
from mixop.nets.layers import LAYERS
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.modules.weights import network
from mixop.nets.nodewise import Values, joined, run
from mixop.nets.ops import BatchNorm, FactorizedReduce, Spared, drop_path, operation
from mixop.nets.recurrent import DiscreteRecurrentCell, discrete_highway_cell
from mixop.nets.skeleton import Skeleton, State, cell_of, edge_shape, node_width, run_nodes
from mixop.nets.vertices import VertexCell
from mixop.nets.wired import WiredCell
from mixop.spaces.core import Architecture, Decision, Space
from mixop.spaces.stacked import Edge, Graph, Layer, Stacked, stacked

Kept = Sequence[tuple[Decision, str]]
"""The edges that an architecture keeps in a cell, by increasing target, each with the name of its operation."""


class DiscreteCell(nn.Module):
    """A cell with one operation on every kept edge; called with the probability of drop path, and in a network that is computed
    node by node with the values of the pass.

    Args:
        layer: its place in the network.
        graph: how it computes.
        kept: its edges.
        norm: batch norm settings.
    """

    def __init__(self, layer: Layer, graph: Graph, kept: Kept, norm: BatchNorm) -> None:
        super().__init__()
        self.graph = graph
        self.edges = [(decision.source, decision.target) for decision, _ in kept]
        self.operations = nn.ModuleList(
            operation(option, *edge_shape(layer, graph, decision), norm, layer.dims) for decision, option in kept
        )
        # Inputs are twice as large as the output of a strided cell that they are a part of.
        width, strided = node_width(layer, graph), [node for node in graph.output if node < graph.inputs and layer.stride == 2]
        self.reductions = nn.ModuleDict(
            {str(node): FactorizedReduce(width, width, norm, layer.dims, relu=False) for node in strided}
        )

    def forward(self, inputs: list[Tensor], drop: float, values: Values | None = None) -> Tensor:
        def run_edge(e: int, x: Tensor) -> Tensor:
            operation = self.operations[e]
            y = operation(x) if values is None else run(operation, x, values)
            return drop_path(y, drop) if drop > 0 and not isinstance(operation, nn.Identity | Spared) else y

        nodes = run_nodes(inputs, self.graph, self.edges, run_edge)
        output = [self.reductions[str(k)](nodes[k]) if str(k) in self.reductions else nodes[k] for k in self.graph.output]
        if values is not None:
            return joined(output)
        return output[0] if len(output) == 1 else torch.cat(output, dim=1)


def kept_edges(space: Stacked, architecture: Architecture, layer: Layer) -> list[tuple[Edge, str]]:
    """The edges of a cell that an architecture keeps, by increasing target, each with its option.

    In a cell that is the whole network, edges that are absent are left out: a layer reads most others by one.
    """
    chosen: dict[tuple[str, int], list[str]] = {}
    for group in space.cell_of(layer.group or ""):
        for choice in architecture.of(group.name):
            if layer.node is None or not group.is_absent(choice.option):
                chosen.setdefault((group.name, choice.decision), []).append(choice.option)
    return [(edge, option) for edge in space.edges_of(layer) for option in chosen.get((edge.group.name, edge.row), ())]


CELLS: Mapping[str, Callable[..., nn.Module]] = {
    "cell": DiscreteCell,
    "recurrent_cell": lambda layer, graph, kept, norm: DiscreteRecurrentCell(layer, graph, kept),
    "highway_cell": lambda layer, graph, kept, norm: discrete_highway_cell(layer, graph, kept),
    "wired": WiredCell,
}
"""The module of a layer that a group decides, by its kind; called as ``make(layer, graph, kept, norm)``."""


class DiscreteNetwork(Skeleton):
    """The network of one architecture: a plain module, ``outputs = net(x)``.

    Of tokens, ``net(x)`` takes a window as a stream of its own. A longer stream is read window by window, with the state that
    the window before left: ``outputs, state = net(x, ())`` at its start, then ``outputs, state = net(x, state)``.

    Args:
        architecture: which operation on which edge.
        space: its space, with the sizes of the network.
        norm: batch norm settings; by default as in every retraining protocol.
        auxiliary: whether it has the space's auxiliary head, which only training uses.

    Attributes:
        drop_path: in training, the probability that the output of an operation is zero for an example, in [0, 1); skip
            connections are spared. Drawn from torch's global generator, unless the caller fences it.
        drop_deeper: whether that is the probability in the last cell, and ``k / K`` of it in the k-th of K cells.
        nodewise: whether it is computed node by node while it trains, see `mixop.nets.nodewise`; else by its plain modules, as
            always in evaluation.

    Raises:
        SpaceError: if the architecture is another space's, or the space has no auxiliary head.
    """

    def __init__(self, architecture: Architecture, space: Stacked, norm: BatchNorm, *, auxiliary: bool = False) -> None:
        space.check(architecture)
        if auxiliary and space.auxiliary is None:
            raise SpaceError(f"{space.name} has no auxiliary head: leave it out, auxiliary 0 of the protocol.")

        spec = space.spec(architecture)

        def make_cell(layer: Layer, graph: Graph, edges: Sequence[Edge]) -> nn.Module:
            if spec is not None:
                return VertexCell(layer, spec, norm)
            kept = kept_edges(space, architecture, layer)
            graph = space.graph_in(architecture, edges[0].group.name) if graph.loose else graph
            operations = [(edge.decision, space.built(option, edge.decision)) for edge, option in kept]
            return cell_of(CELLS, layer)(layer, graph, operations, norm)

        super().__init__(space, make_cell, norm, space.layers_of(architecture))
        self.drop_path, self.drop_deeper, self.nodewise = 0.0, False, False
        head = space.auxiliary_of(architecture) if auxiliary else None
        self.auxiliary_inputs = head.inputs if head else ()
        self.auxiliary = LAYERS[head.kind](head, norm) if head else None

    @overload
    def forward(self, x: Tensor, state: None = None) -> Tensor: ...
    @overload
    def forward(self, x: Tensor, state: State) -> tuple[Tensor, State]: ...
    def forward(self, x: Tensor, state: State | None = None) -> Tensor | tuple[Tensor, State]:
        """Outputs ``(B, K)``, or ``(B, K, *positions)`` where the space is dense; with a state, the new state too.

        Args:
            x: inputs ``(B, *shape)``, or tokens ``(B, T)``.
            state: what the window before left, () at the start of a stream; None for a window without a stream around it.
        """
        outputs, carried = self._run(x, state)
        return outputs[-1] if state is None else (outputs[-1], carried)

    def training_outputs(self, x: Tensor, state: State | None = None) -> tuple[Tensor, Tensor | None, State]:
        """What a training needs: outputs, those of the auxiliary head if it has one and trains, and the new state.

        Args:
            x: inputs ``(B, *shape)``, or tokens ``(B, T)``.
            state: as in `forward`.
        """
        outputs, carried = self._run(x, state)
        head = self.auxiliary if self.training else None
        auxiliary = None if head is None else head(*(outputs[i] for i in self.auxiliary_inputs))
        return outputs[-1], auxiliary, carried

    def _run(self, x: Tensor, state: State | None) -> tuple[list[Tensor], State]:
        drop = self.drop_path if self.training else 0.0
        count = sum(spec.kind == "cell" for spec in self.specs)
        depths = iter(range(1, count + 1))
        share = (lambda: next(depths) / count) if drop and self.drop_deeper else lambda: 1.0
        values = Values() if self.nodewise and self.training else None

        def call(layer: nn.Module, *arguments: Any) -> Any:
            if values is None or len(arguments) != 1:
                return layer(*arguments)
            return run(layer, arguments[0], values)

        def context(spec: Layer) -> Any:  # torch 2.6 cannot export a function within a function whose type has parts
            its = (drop * share(),)
            return its if values is None or spec.kind != "cell" else (*its, values)

        return self.walk(x, context, state, call)


def build(
    architecture: Architecture | str,
    space: Space,
    *,
    generator: Generator | None = None,
    norm: BatchNorm | None = None,
    auxiliary: bool = False,
) -> nn.Module:
    """Builds the discrete network of an architecture, freshly initialised.

    Args:
        architecture: an architecture of the space, or its native string.
        space: the space with the sizes of the network (channels, cells, outputs ...).
        generator: source of the initial weights; by default torch's global generator.
        norm: batch norm settings; default affine with running statistics.
        auxiliary: whether it has the space's auxiliary head, which only training uses.

    Returns:
        A plain `torch.nn.Module`; ``net(x)`` gives its outputs. Of a module space it is the user's model with what was
        chosen in the place of every choice.

    Raises:
        SpaceError: if the architecture does not belong to the space.

    Example:
        >>> from mixop.spaces import nasbench201
        >>> space = nasbench201(channels=4, cells=1, input_shape=(3, 16, 16), outputs=10)
        >>> net = build("|nor_conv_3x3~0|+|none~0|none~1|+|skip_connect~0|none~1|skip_connect~2|", space)
        >>> net(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 10])
    """
    if isinstance(architecture, str):
        architecture = space.from_native(architecture)
    if isinstance(space, ModuleSpace):
        if auxiliary:
            raise SpaceError(f"{space.name} has no auxiliary head: leave it out, auxiliary 0 of the protocol.")
        return network(space, architecture, generator)
    return discrete(architecture, stacked(space), generator=generator, norm=norm, auxiliary=auxiliary)


def discrete(
    architecture: Architecture,
    space: Stacked,
    *,
    generator: Generator | None = None,
    norm: BatchNorm | None = None,
    auxiliary: bool = False,
) -> DiscreteNetwork:
    """The network of an architecture of cells; the arguments are those of `build`."""
    with nullcontext() if generator is None else fenced(generator):
        return DiscreteNetwork(architecture, space, norm or BatchNorm(), auxiliary=auxiliary)
