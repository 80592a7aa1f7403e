"""The fused executor: whole cells of the NAS-Bench-201 and DARTS spaces as compiled kernels of the processor, in float32.

Parameters lie as in the node-wise executor, so that runs may change between the two. Nothing that a cell computes on its way
is kept but the values of its nodes and the statistics of its norms: the backward pass computes the rest again, in the cache.
Draws that leave options out, and second derivatives, go the node-wise way.

What the kernels do not know is refused by name when the supernet is built.
"""

import math
from collections.abc import Mapping, Sequence
from functools import partial

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call

from mixop.core.errors import RecipeError, RunError
from mixop.core.types import Paths
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import edge_shape
from mixop.spaces.core import Group
from mixop.spaces.stacked import Graph, Layer, NodeGraph, Stacked
from mixop.supernet.cells import CellSupernet
from mixop.supernet.compiled import kernels, vector_width
from mixop.supernet.kernel import CellKernel, Kind, Mode, Place, Term, Workspace
from mixop.supernet.nodewise import CellPass, NodewiseCell, NodewiseSupernet, stacked_supernet
from mixop.wraps.base import Wrap
from mixop.wraps.edges import EdgeNormalisation
from mixop.wraps.partial import PartialChannels

INSTEAD = "use --executor nodewise"


class Shape:
    """How the kernels compute an operation.

    Args:
        kind: of the kernels.
        weights: names of its weights within the operation, in the kernels' order.
        norms: names of its batch norms, in order; none if it has none.
        kernel: side of its convolutions.
        dilation: of its depthwise convolution.
    """

    def __init__(
        self, kind: Kind, weights: tuple[str, ...] = (), norms: tuple[str, ...] = (), kernel: int = 0, dilation: int = 1
    ) -> None:
        self.kind, self.weights, self.norms, self.kernel, self.dilation = kind, weights, norms, kernel, dilation


def _separable(kernel: int) -> Shape:
    return Shape(Kind.SEPARABLE, ("1.weight", "2.weight", "5.weight", "6.weight"), ("3", "7"), kernel)


def _dilated(kernel: int) -> Shape:
    return Shape(Kind.DEPTHWISE, ("1.weight", "2.weight"), ("3",), kernel, 2)


SHAPES: Mapping[str, Shape] = {
    "skip_connect": Shape(Kind.SKIP),
    "avg_pool_3x3": Shape(Kind.AVERAGE),
    "max_pool_3x3": Shape(Kind.MAXIMUM),
    "avg_pool_3x3_norm": Shape(Kind.AVERAGE, (), ("1",)),
    "max_pool_3x3_norm": Shape(Kind.MAXIMUM, (), ("1",)),
    "nor_conv_1x1": Shape(Kind.POINTWISE, ("1.weight",), ("2",)),
    "nor_conv_3x3": Shape(Kind.DENSE, ("1.weight",), ("2",), 3),
    "sep_conv_3x3": _separable(3),
    "sep_conv_5x5": _separable(5),
    "sep_conv_7x7": _separable(7),
    "dil_conv_3x3": _dilated(3),
    "dil_conv_5x5": _dilated(5),
}
"""The operations that the kernels know, beside absent ones, which need none."""
STRIDED: Mapping[str, Shape] = {"skip_connect": Shape(Kind.REDUCTION, ("even.weight", "odd.weight"), ("norm",))}
"""Operations that are others at stride 2."""
ONLY_WHOLE = ("nor_conv_1x1", "nor_conv_3x3")
"""Operations that are known at stride 1 alone."""


class FusedCell(NodewiseCell):
    """A cell whose mixture is computed by compiled kernels.

    Args:
        layer: its place in the network.
        graph: how it computes.
        group: its edges.
        names: for each edge the names that its options have in a supernet.
        edges: its edges.
        norm: batch norm settings.
        workspace: the network's.
    """

    def __init__(
        self,
        layer: Layer,
        graph: Graph,
        group: Group,
        names: Sequence[Sequence[str]],
        edges: nn.ModuleList,
        norm: BatchNorm,
        workspace: Workspace,
    ) -> None:
        super().__init__(layer, graph, group, names, edges, norm)
        # The kernels see a cell as a list of terms: each adds its value, times one entry of the flat mixing weights (`place`),
        # to its target. They are handed whole stacks, as few tensors, and find a term's part by its offset in a stack.
        weights: dict[str, int] = {}
        statistics: dict[str, int] = {}
        terms: list[Term] = []
        for e, options in enumerate(names):
            decision = group.decisions[e]
            _, stride = edge_shape(layer, graph, decision)
            for o, name in enumerate(options):
                if group.is_absent(decision.options[o]):
                    continue
                shape = STRIDED.get(name, SHAPES[name]) if stride == 2 else SHAPES[name]
                running = [f"{n}.{what}" for n in shape.norms for what in ("running_mean", "running_var")] if norm.track else []
                terms.append(
                    Term(
                        kind=shape.kind,
                        source=decision.source,
                        target=decision.target,
                        place=e * len(options) + o,
                        kernel=shape.kernel,
                        dilation=shape.dilation,
                        normalised=bool(shape.norms),
                        weights=tuple(self._place(name, key, e, weights) for key in shape.weights),
                        statistics=tuple(self._place(name, key, e, statistics) for key in running),
                    )
                )
        self.share = 1 if self.partial is None else self.partial.k
        if self.share > 1:  # what is not seen goes past the operations of every edge
            # These terms have no mixing weight: `forward` appends one number for each edge behind those of all options.
            first = sum(len(options) for options in names)
            terms += [
                Term(kind=Kind.REST, source=d.source, target=d.target, place=first + e, normalised=False)
                for e, d in enumerate(group.decisions)
            ]
        self._weights, self._statistics = tuple(weights), tuple(statistics)
        self._counts = tuple(name for name in self.stacks if name.endswith("num_batches_tracked"))
        self._kernel = CellKernel(
            terms,
            channels=layer.out // len(graph.output) // self.share,
            share=self.share,
            stride=layer.stride,
            inputs=graph.inputs,
            nodes=graph.nodes,
            output=graph.output,
            norm=norm,
            workspace=workspace,
        )

    def _place(self, name: str, key: str, e: int, tensors: dict[str, int]) -> Place:
        """Where the tensor of that name of the operation on an edge lies; its stack joins the tensors."""
        attribute = f"{name}_{key.replace('.', '_')}"
        # The parts of a stack are of one size, in the order of the slots: source-major, not that of the edges.
        whole, slots = getattr(self, attribute), self.slots[name]
        return Place(tensors.setdefault(attribute, len(tensors)), slots[e] * (whole.numel() // len(slots)))

    def forward(
        self, inputs: list[Tensor], weights: Tensor, edge_weights: Tensor | None, active: Paths | None, progress: float
    ) -> Tensor:
        if active is not None:
            return super().forward(inputs, weights, edge_weights, active, progress)
        for x in (*inputs, weights):
            if x.dtype != torch.float32 or x.device.type != "cpu":
                raise RunError(
                    f"The fused executor computes in float32 on the CPU, got {x.dtype} on {x.device.type}: {INSTEAD}."
                )
        # A term is linear in its weight, so that an edge's weight multiplies those of its options; autograd takes it apart.
        if edge_weights is not None:
            weights = weights * edge_weights[:, None]
        if self.share > 1:
            rest = torch.ones(len(weights)) if edge_weights is None else edge_weights
            weights = torch.cat([weights.flatten(), rest])
        mode = Mode(batch=True)  # without running statistics, every batch is normalised by its own, in evaluation too
        if self._statistics:
            mode = self._mode() if self.norm.training else Mode(batch=False)
        return self._kernel(
            inputs,
            weights,
            [getattr(self, name) for name in self._weights],
            [getattr(self, name) for name in self._statistics],
            mode,
            self._again,
        )

    @torch.no_grad()
    def _mode(self) -> Mode:
        """Of training: counts the batch."""
        for name in self._counts:
            getattr(self, name).add_(1)
        momentum = self.norm.momentum
        return Mode(batch=True, update=True, momentum=1 / self._count() if momentum is None else momentum)

    def _count(self) -> int:
        return int(getattr(self, self._counts[0])[0])

    def _again(self, inputs: Sequence[Tensor], weights: Tensor, tensors: Sequence[Tensor]) -> Tensor:
        """The cell's output by the node-wise executor; running statistics are read, and copies of them are written."""
        # The kernels' forward pass has counted and mixed in this batch already: of copies, nothing is counted twice. Weights
        # are arguments, not attributes, so that the graph of the gradients reaches the tensors that autograd asked about.
        fixed = {name: getattr(self, name).clone() for name in (*self._statistics, *self._counts)}
        given = {**dict(zip(self._weights, tensors, strict=True)), **fixed}
        return functional_call(_Nodewise(self), {f"cell.{name}": x for name, x in given.items()}, (list(inputs), weights))


class _Nodewise(nn.Module):
    """Calls a fused cell the node-wise way: `functional_call` needs a module, and the cell's own `forward` is the kernels'."""

    def __init__(self, cell: FusedCell) -> None:
        super().__init__()
        self.cell = cell

    def forward(self, inputs: list[Tensor], weights: Tensor) -> Tensor:
        shape = self.cell.group.shape
        if self.cell.share == 1:
            return CellPass(self.cell, inputs, weights, None, None, 0.0).output()
        weights, rest = weights.split([shape[0] * shape[1], shape[0]])
        return CellPass(self.cell, inputs, weights.view(shape), None, None, 0.0, rest=rest).output()


class FusedSupernet(NodewiseSupernet):
    """A supernet of fused cells; images are laid out channels-last."""


def fused(space: Stacked, *, norm: BatchNorm, generator: Generator, wraps: Sequence[Wrap] = ()) -> CellSupernet:
    """The fused supernet of a space, with the initial weights that `mixop.supernet.plain.plain` gives.

    Args:
        space: the search space with its sizes.
        norm: batch norm settings.
        generator: source of the initial weights.
        wraps: changes of how its edges compute, the first one nearest to the operations.

    Raises:
        RecipeError: for signals, and a wrap, an operation, a number of channels or a batch norm that the kernels do not know.
        RunError: where they cannot be built: no compiler, another system than Linux, a processor without AVX2.
    """
    check_fused(space, norm=norm, wraps=wraps)
    make_cell = partial(FusedCell, workspace=Workspace())
    return stacked_supernet(FusedSupernet, make_cell, space, norm=norm, generator=generator, wraps=wraps)


def check_fused(space: Stacked, *, norm: BatchNorm, wraps: Sequence[Wrap] = ()) -> None:
    """Refuses what the kernels do not know, and builds them where the cache does not have them.

    Raises:
        RecipeError: naming it.
        RunError: where they cannot be built.
    """
    widths: set[int] = set()
    for wrap in wraps:
        if not isinstance(wrap, (EdgeNormalisation, PartialChannels)):
            raise RecipeError(f"The fused executor does not support the wrap {type(wrap).__name__}: {INSTEAD}.")
        if isinstance(wrap, PartialChannels) and wrap.channels == "random":
            raise RecipeError(f"The fused executor does not support random partial channels: {INSTEAD}, or the first channels.")
    shares = [wrap.k for wrap in wraps if isinstance(wrap, PartialChannels) and wrap.k > 1]
    if len(shares) > 1:
        raise RecipeError(f"The fused executor supports partial channels only once, got them twice: {INSTEAD}.")
    if norm.affine:
        raise RecipeError(f"The fused executor does not support operations whose batch norm has a scale and shift: {INSTEAD}.")
    if not space.adds_edges:
        raise RecipeError(f"The fused executor computes cells of images, which {space.name} does not have: {INSTEAD}.")
    for layer in space.layers:
        if layer.kind == "cell":
            if layer.dims != 2:
                raise RecipeError(f"The fused executor computes cells of images, got cells of signals: {INSTEAD}.")
            if layer.node is not None or space.graph_of(layer).loose:
                raise RecipeError(
                    f"The fused executor computes cells with fixed outputs, which those of {space.name} are not: {INSTEAD}."
                )
            if isinstance(space.graph_of(layer), NodeGraph):
                raise RecipeError(f"The fused executor computes operations on edges, and {space.name} has none: {INSTEAD}.")
            for _, _, decision in space.edges_of(layer):
                shape = edge_shape(layer, space.graph_of(layer), decision)
                computed = (option for option in decision.options if not space.is_absent(option))
                _check_edge([space.searched(option) for option in computed], *shape, *shares)
                widths.add(vector_width(shape[0] // math.prod(shares)))
    for width in widths:  # a compiler that fails is found before the search begins
        kernels(width)


def _check_edge(names: Sequence[str], channels: int, stride: int, share: int = 1) -> None:
    """Refuses what the kernels of an edge do not know."""
    for name in names:
        if name not in SHAPES:
            raise RecipeError(f"The fused executor does not support the operation {name}: {INSTEAD}.")
        if stride != 1 and name in ONLY_WHOLE:
            raise RecipeError(f"The fused executor does not support {name} at stride {stride}: {INSTEAD}.")
    if stride not in (1, 2):
        raise RecipeError(f"The fused executor supports cells of stride 1 and 2, got {stride}: {INSTEAD}.")
    if channels % (4 * share):
        raise RecipeError(
            f"The fused executor needs operations on a multiple of 4 channels, got {channels}"
            f"{f' of which they see 1/{share}' if share > 1 else ''}: {INSTEAD}."
        )
