"""The fused executor: whole cells of the NAS-Bench-201 and DARTS spaces as compiled kernels of the processor, in float32.

Parameters lie as in the node-wise executor, so that runs may change between the two. Nothing that a cell computes on its way
is kept but the values of its nodes and the statistics of its norms: the backward pass computes the rest again, in the cache.
A draw that leaves options out is a shorter list of terms for the same kernels. Second derivatives go the node-wise way.

A signal is an image of one row, and its weights are the middle rows of those of images: other rows meet zeros only.

What the kernels do not know is refused by name when the supernet is built.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.func import functional_call
from torch.nn.functional import pad

from mixop.core.errors import RecipeError, RunError
from mixop.core.rng import bookmark, rand, randn
from mixop.core.types import Paths
from mixop.nets.ops import BatchNorm, FactorizedReduce, Noise
from mixop.nets.skeleton import edge_shape
from mixop.spaces.core import Group
from mixop.spaces.stacked import Graph, Layer, NodeGraph, Stacked
from mixop.supernet.cells import CellSupernet, options_of
from mixop.supernet.compiled import kernels, origin, vector_width
from mixop.supernet.kernel import CHANNELS_LAST, CellKernel, Chosen, Kind, Mode, Place, Term, Workspace
from mixop.supernet.nodewise import CellPass, NodewiseCell, NodewiseSupernet, chain_of, stacked_supernet
from mixop.wraps.base import Wrap
from mixop.wraps.dropout import DroppedSkip, SkipDropout
from mixop.wraps.edges import AuxiliaryEdge, AuxiliarySkip, DropPath, DropPathEdge, EdgeNormalisation
from mixop.wraps.partial import PartialChannels, PartialEdge

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
    "noise": Shape(Kind.GIVEN),
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
        self.share = 1 if self.partial is None else self.partial.k
        self._weights: dict[str, int] = {}  # names of tensors by number
        self._statistics: dict[str, int] = {}
        self._terms: list[Term] = []
        self._of: list[tuple[int, int]] = []  # of every term its edge and option; -1 for what is no option
        self._counts: list[tuple[tuple[str, int], ...]] = []  # of every term where its norms count batches
        self._drawing: list[list[tuple[int, int, nn.Module]]] = []  # of every edge the terms and options that draw
        self._dropped: list[tuple[DropPathEdge, range] | None] = []  # of every edge drop path, and the terms that it drops
        self._names = {id(tensor): name for name, tensor in chain(self.named_parameters(), self.named_buffers())}
        for e, options in enumerate(names):
            self._edge(e, options, norm)
        del self._names
        self._kernel = CellKernel(
            self._terms,
            channels=layer.out // len(graph.output) // self.share,
            share=self.share,
            stride=layer.stride,
            inputs=graph.inputs,
            nodes=graph.nodes,
            output=graph.output,
            norm=norm,
            workspace=workspace,
        )

    def _edge(self, e: int, names: Sequence[str], norm: BatchNorm) -> None:
        """Adds the terms of an edge, from the inside out."""
        group, (edges, count) = self.group, self.group.shape
        decision = group.decisions[e]
        _, stride = edge_shape(self.layer, self.graph, decision)
        _, modules = options_of(self.edges[e], "")
        first, drawing, dropped = len(self._terms), [], None

        def add(kind: Kind, place: int, option: int = -1, counts: tuple[tuple[str, int], ...] = (), **how: Any) -> None:
            self._terms.append(Term(kind=kind, source=decision.source, target=decision.target, place=place, **how))
            self._of.append((e, option))
            self._counts.append(counts)

        def shaped(shape: Shape, find: Callable[[str, dict[str, int]], Place], slot: Callable[[str], tuple[str, int]]) -> dict:
            affine = norm.affine and shape.kind not in (Kind.AVERAGE, Kind.MAXIMUM)  # the norms of pools never are
            scales = [f"{n}.{what}" for n in shape.norms for what in ("weight", "bias")] if affine else []
            running = [f"{n}.{what}" for n in shape.norms for what in ("running_mean", "running_var")] if norm.track else []
            return {
                "kernel": shape.kernel,
                "dilation": shape.dilation,
                "normalised": bool(shape.norms),
                "weights": tuple(find(key, self._weights) for key in shape.weights),
                "scales": tuple(find(key, self._weights) for key in scales),
                "statistics": tuple(find(key, self._statistics) for key in running),
                "counts": tuple(slot(f"{n}.num_batches_tracked") for n in shape.norms) if norm.track else (),
            }

        for o, name in enumerate(names):
            if group.is_absent(decision.options[o]):
                continue
            if isinstance(modules[o], (DroppedSkip, Noise)):
                drawing.append((len(self._terms), o, modules[o]))
            shape = STRIDED.get(name, SHAPES[name]) if stride == 2 else SHAPES[name]
            how = shaped(
                shape, partial(self._part, name, e), lambda key, name=name: (_attribute(name, key), self.slots[name][e])
            )
            add(shape.kind, e * count + o, o, **how)
        for o in range(len(names)):  # adds nothing, and has a gradient: see `Supernet.forward`
            add(Kind.IDLE, e * count + o, o, normalised=False)
        for wrap in reversed(chain_of(self.edges[e])):
            if isinstance(wrap, PartialEdge):  # what is not seen goes past the operations of every edge
                add(Kind.REST, edges * count + e, normalised=False)
            elif isinstance(wrap, AuxiliaryEdge):
                module, place = wrap.auxiliary, edges * (count + (self.share > 1)) + e
                if isinstance(module, FactorizedReduce):
                    named = partial(self._whole, module)
                    how = shaped(STRIDED["skip_connect"], named, lambda key, module=module: (self._name(module, key), 0))
                    add(Kind.REDUCTION, place, **how)
                else:
                    add(Kind.SKIP, place, normalised=False)
            elif isinstance(wrap, DropPathEdge):
                dropped = wrap, range(first, len(self._terms))
        self._drawing.append(drawing)
        self._dropped.append(dropped)

    def _part(self, name: str, e: int, key: str, tensors: dict[str, int]) -> Place:
        """Where the tensor of that name of the operation on an edge lies; its stack joins the tensors."""
        attribute = _attribute(name, key)
        # The parts of a stack are of one size, in the order of the slots: source-major, not that of the edges.
        whole, slots = _of_image(getattr(self, attribute)), self.slots[name]
        return Place(tensors.setdefault(attribute, len(tensors)), slots[e] * (whole.numel() // len(slots)))

    def _slot(self, name: str, e: int, key: str) -> tuple[str, int]:
        """The stack that this tensor of the operation on an edge is in, and its number there."""
        return _attribute(name, key), self.slots[name][e]

    def _whole(self, module: nn.Module, key: str, tensors: dict[str, int]) -> Place:
        """The same of a module with tensors of its own."""
        return Place(tensors.setdefault(self._name(module, key), len(tensors)))

    def _name(self, module: nn.Module, key: str) -> str:
        parent, _, last = key.rpartition(".")
        return self._names[id(getattr(module.get_submodule(parent), last))]

    def forward(
        self, inputs: list[Tensor], weights: Tensor, edge_weights: Tensor | None, active: Paths | None, progress: float
    ) -> Tensor:
        averages = self._statistics and self.norm.training and self.norm.momentum is None  # all batches count alike
        if (averages and active is not None) or (edge_weights is not None and self._wrapped):
            return super().forward(inputs, weights, edge_weights, active, progress)
        for x in (*inputs, weights):
            if x.dtype != torch.float32 or x.device.type != "cpu":
                raise RunError(
                    f"The fused executor computes in float32 on the CPU, got {x.dtype} on {x.device.type}: {INSTEAD}."
                )
        draws = any(self._drawing) or any(self._dropped)
        fence = bookmark() if draws and torch.is_grad_enabled() else nullcontext
        batch, _, *sizes = inputs[0].shape  # two sizes of images, one of signals
        shape = (batch, self._kernel.channels, *(-(-size // self.layer.stride) for size in sizes))
        chosen, scales, scale = self._choose(shape, active, progress, idle=weights.requires_grad)
        flat = self._flat(weights, edge_weights, scales, scale, progress)
        mode = Mode(batch=True)  # without running statistics, every batch is normalised by its own, in evaluation too
        if self._statistics:
            mode = self._mode(chosen) if self.norm.training else Mode(batch=False)
        used = {place.tensor for n in chosen.terms for place in (*self._terms[n].weights, *self._terms[n].scales)}
        output = self._kernel(
            [_image(x) for x in inputs],
            flat,
            [_of_image(self._tensor(name)) if i in used else None for i, name in enumerate(self._weights)],
            [self._tensor(name) for name in self._statistics],
            mode,
            partial(self._again, _Pass(active, progress, scales, fence)),
            chosen,
        )
        return output.squeeze(2) if self.layer.dims == 1 else output

    @property
    def origin(self) -> str:
        """Where its kernels are from, in a few words."""
        return origin(self._kernel.width)

    @property
    def _auxiliary(self) -> AuxiliaryEdge | None:
        return next((wrap for wrap in self.chain if isinstance(wrap, AuxiliaryEdge)), None)

    @property
    def _wrapped(self) -> bool:
        """Whether more than partial channels is around its edges."""
        return not all(isinstance(wrap, PartialEdge) for wrap in self.chain)

    def _tensor(self, name: str) -> Tensor:
        parent, _, last = name.rpartition(".")
        return getattr(self.get_submodule(parent), last)

    def _choose(
        self, shape: tuple[int, ...], active: Paths | None, progress: float, *, idle: bool
    ) -> tuple[Chosen, Tensor | None, Tensor | None]:
        """The terms that take part, with what they draw in the order of the plain executor.

        Args:
            shape: of what an operation gives.
            active: the options that run, or None for all.
            progress: time in [0, 1].
            idle: whether the weights of the others have a gradient.

        Returns:
            The terms; the factors of the options' weights ``(E, O)`` and of the edges' ``(E,)`` for what is dropped, or None.
        """
        if active is None:
            terms = self._kernel.all.terms
        else:
            terms = [n for n, (e, o) in enumerate(self._of) if self._takes_part(n, o, active[e], idle)]
        chosen, scales, scale = Chosen(terms), torch.ones(self.group.shape), torch.ones(self.group.shape[0])
        runs, masks, given = dict(chosen.runs), dict(chosen.masks), dict(chosen.given)
        for e, (drawing, dropped) in enumerate(zip(self._drawing, self._dropped, strict=True)):
            running = None if active is None else active[e]
            if running == ():
                continue
            for n, o, module in drawing:
                if running is not None and o not in running:
                    continue
                if isinstance(module, Noise):
                    given[n] = _image(randn(shape, by_example=True)).contiguous(memory_format=CHANNELS_LAST)
                elif isinstance(module, DroppedSkip) and self.training and (p := module.drop.probability(progress)):
                    mask = rand(shape, by_example=True).lt(1 - p).to(torch.uint8)
                    masks[n] = _image(mask).contiguous(memory_format=CHANNELS_LAST)
                    scales[e, o] = 1 / (1 - p)
            if dropped is not None and self.training and (p := dropped[0].probability(progress)) > 0:
                row = rand((shape[0], *[1] * (len(shape) - 1)), by_example=True).lt(1 - p).flatten().to(torch.uint8)
                runs.update(dict.fromkeys(dropped[1], row))
                scales[e] /= 1 - p
                scale[e] /= 1 - p
        if not (runs or masks):
            return Chosen(terms, given=given), None, None
        return Chosen(terms, runs, masks, given), scales, scale

    def _takes_part(self, n: int, option: int, running: tuple[int, ...], idle: bool) -> bool:
        if not running:
            return False
        if self._terms[n].kind == Kind.IDLE:
            return idle and option not in running
        return option == -1 or option in running

    def _flat(
        self, weights: Tensor, edge_weights: Tensor | None, scales: Tensor | None, scale: Tensor | None, progress: float
    ) -> Tensor:
        """The weights of all terms by their place."""
        # A term is linear in its weight, so that an edge's weight multiplies those of its options; autograd takes it apart.
        if edge_weights is not None:
            weights = weights * edge_weights[:, None]
        parts = [(weights if scales is None else weights * scales).flatten()]
        edges = len(weights)
        for wrap in (self.partial, self._auxiliary):
            if wrap is None:
                continue
            own = torch.full((edges,), 1.0 if isinstance(wrap, PartialEdge) else wrap.coefficient(progress))
            own = own if edge_weights is None else own * edge_weights
            # What is around drop path is not dropped.
            inside = any(isinstance(outer, DropPathEdge) for outer in self.chain[: self.chain.index(wrap)])
            parts.append(own * scale if scale is not None and inside else own)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @torch.no_grad()
    def _mode(self, chosen: Chosen) -> Mode:
        """Of training: counts the batch."""
        slots: dict[str, list[int]] = {}
        for n in chosen.terms:
            for name, slot in self._counts[n]:
                slots.setdefault(name, []).append(slot)
        count = 1
        for name, its in slots.items():
            counts = self._tensor(name)
            counts.view(-1)[its] += 1
            count = counts.view(-1)[its[0]]
        momentum = self.norm.momentum
        return Mode(batch=True, update=True, momentum=1 / int(count) if momentum is None else momentum)

    def _again(self, how: "_Pass", inputs: Sequence[Tensor], weights: Tensor, tensors: Sequence[Tensor | None]) -> Tensor:
        """The cell's output by the node-wise executor; running statistics are read, and copies of them are written."""
        # The kernels' forward pass has counted and mixed in this batch already: of copies, nothing is counted twice. Weights
        # are arguments, not attributes, so that the graph of the gradients reaches the tensors that autograd asked about.
        counts = {name for its in self._counts for name, _ in its}
        fixed = {name: self._tensor(name).clone() for name in (*self._statistics, *counts)}
        given = {name: x for name, x in zip(self._weights, tensors, strict=True) if x is not None}
        inputs = list(inputs)
        if signals := self.layer.dims == 1:
            inputs = [x.squeeze(2) for x in inputs]
            given = {name: _of_signal(x) if self._tensor(name).dim() == 3 else x for name, x in given.items()}
        with how.fence():
            tensors_of_cell = {f"cell.{name}": x for name, x in (given | fixed).items()}
            output = functional_call(_Nodewise(self, how), tensors_of_cell, (inputs, weights))
        return output.unsqueeze(2) if signals else output


def _image(x: Tensor) -> Tensor:
    """Images as they are; signals ``(B, C, L)`` as images of one row ``(B, C, 1, L)``."""
    return x.unsqueeze(2) if x.dim() == 3 else x


def _of_image(weight: Tensor) -> Tensor:
    """Weights of images as they are; of signals ``(n, C, k)`` as the middle rows of ``(n, C, k, k)``, which is else zero."""
    if weight.dim() != 3:
        return weight
    rows, beside = weight.unsqueeze(2), weight.shape[-1] // 2
    return pad(rows, (0, 0, beside, beside)) if beside else rows


def _of_signal(weight: Tensor) -> Tensor:
    """The middle rows: the inverse of `_of_image`."""
    return weight[:, :, weight.shape[-1] // 2]


def _attribute(name: str, key: str) -> str:
    """What a cell calls the stack of an operation's tensor."""
    return f"{name}_{key.replace('.', '_')}"


@dataclass(frozen=True)
class _Pass:
    """What a pass was: the options that ran, the time, the factors of the weights, and a fence in which it draws the same."""

    active: Paths | None
    progress: float
    scales: Tensor | None
    fence: Callable[[], AbstractContextManager]


class _Nodewise(nn.Module):
    """Calls a fused cell the node-wise way: `functional_call` needs a module, and the cell's own `forward` is the kernels'."""

    def __init__(self, cell: FusedCell, how: _Pass) -> None:
        super().__init__()
        self.cell, self.how = cell, how

    def forward(self, inputs: list[Tensor], weights: Tensor) -> Tensor:
        shape, how = self.cell.group.shape, self.how
        options, rest = weights[: shape[0] * shape[1]].view(shape), weights[shape[0] * shape[1] :]
        if how.scales is not None:  # which the wraps apply themselves
            options = options / how.scales
        rest = rest if self.cell.share > 1 and not self.cell._wrapped else None
        return CellPass(self.cell, inputs, options, None, how.active, how.progress, rest=rest).output()


class FusedSupernet(NodewiseSupernet):
    """A supernet of fused cells; images are laid out channels-last."""

    @property
    def origin(self) -> str:
        """Where the kernels of its cells are from, in a few words."""
        return ", ".join(sorted({layer.origin for layer in self.layers if isinstance(layer, FusedCell)}))


def fused(space: Stacked, *, norm: BatchNorm, generator: Generator, wraps: Sequence[Wrap] = ()) -> CellSupernet:
    """The fused supernet of a space, with the initial weights that `mixop.supernet.plain.plain` gives.

    Args:
        space: the search space with its sizes.
        norm: batch norm settings.
        generator: source of the initial weights.
        wraps: changes of how its edges compute, the first one nearest to the operations.

    Raises:
        RecipeError: for a wrap or an operation that the kernels do not know.
        RunError: where they cannot be built: no compiler, another machine, a processor without AVX2.
    """
    check_fused(space, wraps=wraps)
    make_cell = partial(FusedCell, workspace=Workspace())
    return stacked_supernet(FusedSupernet, make_cell, space, norm=norm, generator=generator, wraps=wraps)


def check_fused(space: Stacked, *, wraps: Sequence[Wrap] = ()) -> None:
    """Refuses what the kernels do not know, and builds them where the cache does not have them.

    Raises:
        RecipeError: naming it.
        RunError: where they cannot be built.
    """
    widths: set[int] = set()
    for wrap in wraps:
        if not isinstance(wrap, (EdgeNormalisation, PartialChannels, AuxiliarySkip, DropPath, SkipDropout)):
            raise RecipeError(f"The fused executor does not support the wrap {type(wrap).__name__}: {INSTEAD}.")
        if isinstance(wrap, PartialChannels) and wrap.channels == "random":
            raise RecipeError(f"The fused executor does not support random partial channels: {INSTEAD}, or the first channels.")
        if isinstance(wrap, AuxiliarySkip) and wrap.kind == "convolution":
            raise RecipeError(f"The fused executor does not support a convolution as auxiliary skip: {INSTEAD}.")
    shares = [wrap.k for wrap in wraps if isinstance(wrap, PartialChannels) and wrap.k > 1]
    if len(shares) > 1:
        raise RecipeError(f"The fused executor supports partial channels only once, got them twice: {INSTEAD}.")
    kinds = [type(wrap) for wrap in wraps]
    if shares and AuxiliarySkip in kinds and kinds.index(AuxiliarySkip) > kinds.index(PartialChannels):
        raise RecipeError(
            f"The fused executor supports an auxiliary skip inside partial channels only: list it before them, or {INSTEAD}."
        )
    if not space.adds_edges:
        raise RecipeError(
            f"The fused executor computes cells of images and signals, which {space.name} does not have: {INSTEAD}."
        )
    for layer in space.layers:
        if layer.kind == "cell":
            if layer.node is not None or space.graph_of(layer).loose:
                raise RecipeError(
                    f"The fused executor computes cells with fixed outputs, which those of {space.name} are not: {INSTEAD}."
                )
            if isinstance(space.graph_of(layer), NodeGraph):
                raise RecipeError(f"The fused executor computes operations on edges, and {space.name} has none: {INSTEAD}.")
            for _, _, decision in space.edges_of(layer):
                shape = edge_shape(layer, space.graph_of(layer), decision)
                computed = (option for option in decision.options if not space.is_absent(option))
                _check_edge([space.searched(option) for option in computed], shape[1])
                widths.add(vector_width(shape[0] // math.prod(shares)))
    for width in widths:  # a compiler that fails is found before the search begins
        kernels(width)


def _check_edge(names: Sequence[str], stride: int) -> None:
    """Refuses what the kernels of an edge do not know."""
    for name in names:
        if name not in SHAPES:
            raise RecipeError(f"The fused executor does not support the operation {name}: {INSTEAD}.")
        if stride != 1 and name in ONLY_WHOLE:
            raise RecipeError(f"The fused executor does not support {name} at stride {stride}: {INSTEAD}.")
    if stride not in (1, 2):
        raise RecipeError(f"The fused executor supports cells of stride 1 and 2, got {stride}: {INSTEAD}.")
