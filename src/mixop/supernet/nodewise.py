"""The node-wise executor: what depends on a source node only is computed once for all edges that leave it.

The numbers are those of the plain executor, in a different order of additions. For every source node: one ReLU, one pool and
pool norm of each kind, one convolution of each kind over all edges that have it; the mixing weight is the scale of the batch
norm that ends an operation, so that weighting costs nothing, forward and backward. Absent options (``none``) are never
computed. An operation without a batched form (noise, the toy space's maps, your own) runs on its edge as in the plain
executor. Images are laid out channels-last; signals are computed by the same functions in one dimension.

What the network draws (drop path, dropout, random channels, noise) is drawn in the order of the plain executor.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mixop.core.errors import RecipeError
from mixop.core.rng import fenced
from mixop.core.types import Active, Mix, Paths
from mixop.nets.dims import POOL_MAX, dims_of, join_phases
from mixop.nets.loose import LooseEnds
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import State, edge_shape, node_width
from mixop.spaces.core import Decision, Group
from mixop.spaces.stacked import Edge, Graph, Layer, NodeGraph, Stacked
from mixop.supernet.batched import (
    BATCHED,
    CHANNELS_LAST,
    PHASED,
    POOLS,
    Bundle,
    NodeValue,
    StackedNorm,
    has_batched_form,
    laid_out,
)
from mixop.supernet.cells import CellSupernet
from mixop.supernet.nodewise_recurrent import NodewiseRecurrentCell
from mixop.supernet.plain import mixed_cells
from mixop.supernet.stacked import StackedCell, StackedSupernet
from mixop.wraps.base import EdgeSpec, TimedOperation, Wrap, WrappedEdge, wrapped
from mixop.wraps.dropout import SkipDropout
from mixop.wraps.edges import AuxiliarySkip, DropPath, EdgeNormalisation
from mixop.wraps.partial import PartialChannels, PartialEdge, shuffle_channels

KNOWN_WRAPS = (PartialChannels, EdgeNormalisation, AuxiliarySkip, DropPath, SkipDropout)


class NodewiseEdge(nn.Module):
    """The innermost edge: holds the operations that run by themselves, and is given the way to compute its value."""

    def __init__(self, spec: EdgeSpec) -> None:
        super().__init__()
        self.options = nn.ModuleList(spec.make(name, spec.channels, spec.stride, spec.norm, spec.dims) for name in spec.options)

    def forward(self, x: Tensor, evaluate: Callable[[Tensor], Tensor], active: object = None, progress: float = 0.0) -> Tensor:
        """Value of the edge; wraps hand ``evaluate`` through in place of mixing weights."""
        return evaluate(x)


class NodewiseCell(StackedCell):
    """A cell that is computed source node by source node.

    Args:
        layer: its place in the network.
        graph: how it computes.
        group: its edges.
        names: for each edge the names that its options have in a supernet.
        edges: its edges, made of `NodewiseEdge`.
        norm: batch norm settings.
    """

    def __init__(
        self, layer: Layer, graph: Graph, group: Group, names: Sequence[Sequence[str]], edges: nn.ModuleList, norm: BatchNorm
    ) -> None:
        kinds: dict[str, dict[int, int]] = {}  # kind -> edge -> option
        alone: list[list[int]] = [[] for _ in names]  # for each edge the options that run by themselves
        skips: dict[int, int] = {}  # edge -> option that is the identity
        chain = chain_of(edges[0])
        for e, options in enumerate(names):
            modules = _innermost(edges[e]).options
            for o, name in enumerate(options):
                option, module = group.decisions[e].options[o], modules[o]
                if group.is_skip(option) and isinstance(module, nn.Identity) and e not in skips:
                    skips[e] = o
                elif has_batched_form(name, module):
                    kinds.setdefault(name, {})[e] = o
                elif not group.is_absent(option):
                    alone[e].append(o)
        super().__init__(layer, graph, group, edges, {kind: list(its.items()) for kind, its in kinds.items()})
        self.skips, self.kinds, self.alone, self.chain = skips, kinds, alone, chain
        self.norm = StackedNorm(norm)
        self.ends = LooseEnds(layer, graph, norm) if graph.loose else None
        self.outgoing = [[e for e, d in enumerate(group.decisions) if d.source == s] for s in range(graph.nodes)]
        order = sorted(range(len(group.decisions)), key=lambda e: (group.decisions[e].source, e))
        self.slots = {kind: {e: i for i, e in enumerate([e for e in order if e in its])} for kind, its in self.kinds.items()}
        self.bundles = {
            kind: [tuple(slots[e] for e in edges if e in slots) for edges in self.outgoing if any(e in slots for e in edges)]
            for kind, slots in self.slots.items()
        }

    @property
    def partial(self) -> PartialEdge | None:
        """The partial channels of its edges, None if they see all."""
        return next((wrap for wrap in self.chain if isinstance(wrap, PartialEdge)), None)

    def forward(
        self, inputs: list[Tensor], weights: Tensor, edge_weights: Tensor | None, active: Paths | None, progress: float
    ) -> Tensor:
        output = self.begin(inputs, weights, edge_weights, active, progress).output()
        if output.requires_grad and output.dim() == 4:
            # The mean over the image sends its gradient back in another layout, in which batch norm is much slower.
            output.register_hook(lambda grad: grad.contiguous(memory_format=CHANNELS_LAST))
        return output

    def begin(
        self, inputs: list[Tensor], weights: Tensor, edge_weights: Tensor | None, active: Paths | None, progress: float
    ) -> "CellPass":
        """A pass that is about to compute the output; the arguments are those of `forward`."""
        return CellPass(self, inputs, weights, edge_weights, active, progress)


class Sum:
    """A value that is being added up: tensors, and tensors times a number."""

    def __init__(self) -> None:
        self.terms: list[Tensor] = []
        self.scaled: list[tuple[Tensor, Tensor]] = []
        self.idle: list[Tensor] = []

    def join(self, other: "Sum") -> None:
        self.terms += other.terms
        self.scaled += other.scaled
        self.idle += other.idle

    def total(self, shape: Sequence[int], like: Tensor) -> Tensor:
        """The value; zeros of the shape where nothing was added."""
        total, own = None, False  # `own`: made here, so that adding in place is safe
        for term in self.terms:
            if total is None:
                total = term
            else:
                total, own = total.add_(term) if own else total + term, True
        for x, weight in self.scaled:
            if total is None:
                total = x * weight
            else:
                total = total.addcmul_(x, weight) if own else torch.addcmul(total, x, weight)
            own = True
        if total is None:
            total = laid_out(torch.zeros(tuple(shape), dtype=like.dtype, device=like.device))
        # Zero in value; they carry the gradient of idle options, where the relaxation gave them one.
        return total + torch.stack(self.idle).sum() if self.idle else total


class CellPass:
    """One forward pass of a cell.

    Args:
        cell: the cell.
        inputs: values of its input nodes.
        weights: mixing weights ``(E, O)``.
        edge_weights: of its edges ``(E,)``, or None.
        active: the options that run, or None for all.
        progress: time in [0, 1].
        rest: weights ``(E,)`` of what passes by partial channels, where they are not the edge weights.
    """

    def __init__(
        self,
        cell: NodewiseCell,
        inputs: list[Tensor],
        weights: Tensor,
        edge_weights: Tensor | None,
        active: Paths | None,
        progress: float,
        *,
        rest: Tensor | None = None,
    ) -> None:
        self.cell, self.active, self.progress = cell, active, progress
        self.inputs = inputs
        self.wrapped = not (cell.chain == () or _defers(cell.chain))
        self.partial = cell.partial
        self.edge_weights = None if edge_weights is None else edge_weights.unbind()
        if edge_weights is not None and not self.wrapped:
            weights = weights * edge_weights[:, None]
        if rest is not None:
            self.edge_weights = rest.unbind()
        self.weights = [row.unbind() for row in weights.unbind()]
        self.learns = weights.requires_grad
        self._parts: dict[str, tuple[Tensor, ...]] = {}
        self._pieces: dict[str, tuple[Tensor, ...]] = {}
        batch, _, *sizes = inputs[0].shape
        channels = node_width(cell.layer, cell.graph)
        self.shape = (batch, channels, *(-(-size // cell.layer.stride) for size in sizes))

    def output(self) -> Tensor:
        cell, graph = self.cell, self.cell.graph
        self.nodes: list[Tensor] = list(self.inputs)
        self.sums: dict[int, Sum] = {}
        self.rests: dict[int, Tensor] = {}
        for node in range(graph.nodes):
            if node >= graph.inputs:
                self.nodes.append(self._node(node))
            edges = [e for e in cell.outgoing[node] if self._running(e) != ()]
            if edges:
                self._leave(node, edges)
        if cell.ends is not None:
            return cell.ends(self.nodes, [decision.source for decision in cell.group.decisions], self.active)
        output = [self.nodes[k] for k in graph.output]
        return output[0] if len(output) == 1 else torch.cat(output, dim=1)

    def _running(self, e: int) -> Sequence[int]:
        return range(len(self.weights[e])) if self.active is None else self.active[e]

    def _stride(self, node: int) -> int:
        return self.cell.layer.stride if node < self.cell.graph.inputs else 1

    def _leave(self, node: int, edges: list[int]) -> None:
        """Evaluates all batched operations on the edges that leave a node."""
        x, stride = self.nodes[node], self._stride(node)
        if self.partial is not None:
            if self.partial.random:
                return  # every edge sees other channels
            seen, rest = x.split([self.partial.seen, x.shape[1] - self.partial.seen], dim=1)
            x = seen
            if not self.wrapped:
                self.rests[node] = rest if stride == 1 else POOL_MAX[dims_of(rest)](rest, 2, stride=2, ceil_mode=True)
        source = NodeValue(x, stride)
        self.sums.update(self._evaluate(source, edges))

    def _node(self, node: int) -> Tensor:
        """The value of a node: the sum over the edges into it, in their order."""
        cell = self.cell
        total, rest = Sum(), Sum()
        for e in cell.group.into(node):
            if self._running(e) == ():
                continue
            s = cell.group.decisions[e].source
            if self.wrapped:
                value = cell.edges[e](self.nodes[s], lambda x, e=e: self._value(e, x), None, self.progress)
                total.terms.append(value if self.edge_weights is None else self.edge_weights[e] * value)
                continue
            total.join(self.sums.pop(e))
            x = self.nodes[s] if self.partial is None else self.nodes[s][:, : self.partial.seen]
            self._alone(e, x, total)
            if self.partial is not None:
                if self.edge_weights is None:
                    rest.terms.append(self.rests[s])
                else:
                    rest.scaled.append((self.rests[s], self.edge_weights[e]))
        if self.partial is None or self.wrapped:
            return total.total(self.shape, self.inputs[0])
        batch, channels, *size = self.shape
        seen = total.total((batch, self.partial.seen, *size), self.inputs[0])
        other = rest.total((batch, channels - self.partial.seen, *size), self.inputs[0])
        return shuffle_last(torch.cat([seen, other], dim=1), self.partial.k)

    def _value(self, e: int, x: Tensor) -> Tensor:
        """The value of one edge inside its wraps."""
        if self.partial is not None and self.partial.random:
            total = self._evaluate(NodeValue(x, self._stride(self.cell.group.decisions[e].source)), [e])[e]
        else:
            total = self.sums.pop(e)
        self._alone(e, x, total)
        batch, _, *sizes = self.shape
        return total.total((batch, x.shape[1], *sizes), x)

    def _alone(self, e: int, x: Tensor, total: Sum) -> None:
        """Adds the operations of an edge that have no batched form."""
        options = _innermost(self.cell.edges[e]).options
        running = self._running(e)
        for o in self.cell.alone[e]:
            if o in running:
                option = options[o]
                value = option(x, self.progress) if isinstance(option, TimedOperation) else option(x)
                total.scaled.append((value, self.weights[e][o]))

    def _evaluate(self, source: NodeValue, edges: list[int]) -> dict[int, Sum]:
        """What the batched operations add to each of some edges that leave one node."""
        cell = self.cell
        sums = {e: Sum() for e in edges}
        together: dict[tuple[tuple[int, ...], bool], list[Tensor]] = {}  # by edges and whether in phases
        for kind, its in cell.kinds.items():
            some = tuple(e for e in edges if e in its and its[e] in self._running(e))
            if not some:
                continue
            weights = [self.weights[e][its[e]] for e in some]
            bundle = Bundle(cell, kind, tuple(cell.slots[kind][e] for e in some), torch.stack(weights), cell.norm, self._tensor)
            if kind in POOLS:
                value, shared = POOLS[kind](source), True
                if kind.endswith("_norm"):
                    value, shared = bundle.pool_norm(value, "1")
                if shared:
                    for e, weight in zip(some, weights, strict=True):
                        sums[e].scaled.append((value, weight))
                    continue
            else:
                value = BATCHED[kind](source, bundle)
            together.setdefault((some, kind in PHASED and source.has_phases), []).append(value)
        for (some, phased), values in together.items():
            total = values[0]
            for value in values[1:]:
                total = total + value
            total = join_phases(total) if phased else total
            for e, part in zip(some, total.split(total.shape[1] // len(some), dim=1), strict=True):
                sums[e].terms.append(part)
        for e in edges:
            if e in cell.skips and cell.skips[e] in self._running(e):
                sums[e].scaled.append((source.x, self.weights[e][cell.skips[e]]))
        self._add_idle(sums)
        return sums

    def _add_idle(self, sums: dict[int, Sum]) -> None:
        """Adds the weights of the options that do not run, by edge."""
        if self.active is not None and self.learns:
            for e, its in sums.items():
                its.idle += [weight for o, weight in enumerate(self.weights[e]) if o not in self._running(e)]

    def _tensor(self, attribute: str, slots: tuple[int, ...]) -> Tensor:
        """The parameters of some slots of a stack, one behind the other."""
        stack, whole = self.cell.stacks[attribute], getattr(self.cell, attribute)
        bundles = self.cell.bundles[stack.kind]
        if slots in bundles:  # all edges that leave a node: one piece of the stack, without a copy
            if attribute not in self._pieces:
                self._pieces[attribute] = whole.split([stack.rows * len(bundle) for bundle in bundles])
            return self._pieces[attribute][bundles.index(slots)]
        if attribute not in self._parts:
            self._parts[attribute] = stack.split(whole)
        parts = [self._parts[attribute][slot] for slot in slots]
        return torch.cat(parts) if len(parts) > 1 else parts[0]


def shuffle_last(x: Tensor, groups: int) -> Tensor:
    """`mixop.wraps.partial.shuffle_channels` that keeps images channels-last."""
    if x.dim() == 3:
        return shuffle_channels(x, groups)
    rows = x.permute(0, 2, 3, 1)
    return rows.unflatten(3, (groups, -1)).transpose(3, 4).flatten(3).permute(0, 3, 1, 2)


def chain_of(edge: nn.Module) -> tuple[WrappedEdge, ...]:
    """The wraps of an edge, from the outside in."""
    chain: list[WrappedEdge] = []
    while isinstance(edge, WrappedEdge):
        chain.append(edge)
        edge = edge.inner
    return tuple(chain)


def _innermost(edge: nn.Module) -> NodewiseEdge:
    while isinstance(edge, WrappedEdge):
        edge = edge.inner
    assert isinstance(edge, NodewiseEdge)
    return edge


def _defers(chain: tuple[WrappedEdge, ...]) -> bool:
    """Whether partial channels are all that wraps an edge: then shuffling waits until a node's edges are added up."""
    return len(chain) == 1 and isinstance(chain[0], PartialEdge) and not chain[0].random


class NodewiseSupernet(StackedSupernet):
    """A supernet of node-wise cells; images are laid out channels-last."""

    def forward(
        self, x: Tensor, mix: Mix, active: Active | None = None, *, progress: float = 0.0, state: State | None = None
    ) -> Any:
        return super().forward(laid_out(x), mix, active, progress=progress, state=state)


def check_wraps(wraps: Sequence[Wrap], executor: str = "nodewise") -> None:
    """Refuses wraps that cells computed node by node do not know.

    Args:
        wraps: changes of how edges compute.
        executor: who asks.

    Raises:
        RecipeError: naming one.
    """
    for wrap in wraps:
        if not isinstance(wrap, KNOWN_WRAPS):
            raise RecipeError(
                f"The {executor} executor does not support the wrap {type(wrap).__name__}: use --executor plain, which takes "
                "any."
            )


def nodewise(space: Stacked, *, norm: BatchNorm, generator: Generator, wraps: Sequence[Wrap] = ()) -> CellSupernet:
    """The node-wise supernet of a space, with the initial weights that `mixop.supernet.plain.plain` gives.

    Args:
        space: the search space with its sizes.
        norm: batch norm settings.
        generator: source of the initial weights.
        wraps: changes of how its edges compute, the first one nearest to the operations.

    Raises:
        RecipeError: for a wrap that it does not know.
    """
    check_wraps(wraps)
    return stacked_supernet(NodewiseSupernet, NodewiseCell, space, norm=norm, generator=generator, wraps=wraps)


def stacked_supernet(
    make_net: Callable[..., NodewiseSupernet],
    make_cell: Callable[..., NodewiseCell],
    space: Stacked,
    *,
    norm: BatchNorm,
    generator: Generator,
    wraps: Sequence[Wrap],
) -> CellSupernet:
    """A supernet of node-wise cells, or of cells made from them.

    Args:
        make_net: the supernet's class.
        make_cell: makes a cell, called as `NodewiseCell`.
        space: the search space with its sizes.
        norm: batch norm settings.
        generator: source of the initial weights.
        wraps: changes of how its edges compute.
    """
    make = wrapped(NodewiseEdge, wraps)

    mixed = mixed_cells(space, norm, wraps)

    def cell(layer: Layer, graph: Graph, edges_of: Sequence[Edge]) -> nn.Module:
        group = edges_of[0].group
        if layer.kind == "recurrent_cell":
            return NodewiseRecurrentCell(layer, graph, group, norm)
        if not shares_sources(space, layer):
            return mixed(layer, graph, edges_of)  # every operation reads another value: there is nothing to share
        names = [searched_names(space, decision) for decision in group.decisions]
        shapes = [edge_shape(layer, graph, decision) for decision in group.decisions]
        edges = nn.ModuleList(
            make(EdgeSpec.of(space, decision, channels=channels, stride=stride, norm=norm, dims=layer.dims))
            for decision, (channels, stride) in zip(group.decisions, shapes, strict=True)
        )
        return make_cell(layer, graph, group, names, edges, norm)

    with fenced(generator):
        return make_net(space, cell, norm, wraps)


def shares_sources(space: Stacked, layer: Layer) -> bool:
    """Whether the operations of a cell read the values of nodes, which they may share, and are decided by one group."""
    shared = layer.kind == "cell" and layer.node is None and len(space.cell_of(layer.group or "")) == 1
    return shared and not isinstance(space.graph_of(layer), NodeGraph)


def searched_names(space: Stacked, decision: Decision) -> tuple[str, ...]:
    """The names of an edge's options in a supernet."""
    return tuple(space.searched(option) for option in decision.options)
