"""A searched cell as one compiled step of autograd: the arguments of its kernels, and the workspace that they share."""

import ctypes
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from mixop.nets.ops import BatchNorm
from mixop.supernet.again import graph_of_gradients
from mixop.supernet.compiled import kernels, vector_width

CHANNELS_LAST = torch.channels_last


class Kind(IntEnum):
    """How the kernels compute an option; the numbers are those of ``kernels/cell.cpp``."""

    SKIP = 0
    AVERAGE = 1
    MAXIMUM = 2
    POINTWISE = 3
    REDUCTION = 4
    DEPTHWISE = 5
    SEPARABLE = 6
    DENSE = 7
    REST = 8
    IDLE = 9
    GIVEN = 10


@dataclass(frozen=True)
class Place:
    """Where a tensor of a term lies: from the ``offset``-th number of the ``tensor``-th tensor on."""

    tensor: int
    offset: int = 0


@dataclass(frozen=True, kw_only=True)
class Term:
    """One option of one edge.

    Args:
        kind: how it computes.
        source: node that is read.
        target: node that it is added to.
        place: position of its weight in the flattened mix.
        kernel: side of its convolution; 0 where it has none.
        dilation: of its depthwise convolution.
        normalised: whether batch norm follows.
        weights: its weights in their order, up to 4.
        scales: scale and shift of its first batch norm, then of its second; none if they have none.
        statistics: running mean and variance of its first batch norm, then of its second; none if they are not tracked.
    """

    kind: Kind
    source: int
    target: int
    place: int
    kernel: int = 0
    dilation: int = 1
    normalised: bool = True
    weights: tuple[Place, ...] = ()
    scales: tuple[Place, ...] = ()
    statistics: tuple[Place, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Mode:
    """How a call treats batch norm.

    Args:
        batch: whether it uses the batch's statistics, not the running ones.
        update: whether the running statistics follow the batch's.
        momentum: weight of this batch in them.
    """

    batch: bool
    update: bool = False
    momentum: float = 0.0


@dataclass(frozen=True)
class Chosen:
    """What of a cell a call computes.

    Args:
        terms: numbers of the terms that take part.
        runs: whether a term adds to an image, ``(B,)`` of bytes 0 and 1, by number; all images for the others.
        masks: which numbers a skip passes on, ``(B, C, H, W)`` of bytes 0 and 1, channels last, by number.
        given: the values of the terms of the kind ``GIVEN``, ``(B, C, H', W')``, channels last, by number.
    """

    terms: Sequence[int]
    runs: Mapping[int, Tensor] = field(default_factory=dict)
    masks: Mapping[int, Tensor] = field(default_factory=dict)
    given: Mapping[int, Tensor] = field(default_factory=dict)


class _Call(ctypes.Structure):
    """``struct Cell`` of ``kernels/cell.cpp``."""

    _fields_ = (
        *((name, ctypes.c_int64) for name in ("images", "height", "width", "channels", "stride", "inputs", "nodes", "terms")),
        *((name, ctypes.c_int64) for name in ("threads", "share", "batch", "update", "learn")),
        ("eps", ctypes.c_double),
        ("momentum", ctypes.c_double),
        *((name, ctypes.c_void_p) for name in ("info", "weight", "gradient", "running", "mix", "mix_gradient")),
        *((name, ctypes.c_void_p) for name in ("value", "pitch", "slope", "slope_pitch", "wanted", "begun")),
        *((name, ctypes.c_void_p) for name in ("kept", "dense", "workspace", "runs", "mask", "given", "clock")),
    )


PARTS = (
    "pointwise products",
    "dense products",
    "matrix gradients",
    "depthwise convolutions",
    "depthwise gradients",
    "batch norms",
    "pools",
    "sums at nodes",
)
"""What the kernels spend their time on; the order is that of ``kernels/clock.h``."""

_clock: np.ndarray | None = None
"""Where calls add nanoseconds, ``(threads, parts)``; None while nobody asks."""


@contextmanager
def watched() -> Iterator[np.ndarray]:
    """Counts what the kernels of this process spend their time on.

    Yields:
        ``(threads, PARTS)``: nanoseconds of the processor so far.
    """
    global _clock
    before, _clock = _clock, np.zeros((torch.get_num_threads(), len(PARTS)), dtype=np.int64)
    try:
        yield _clock
    finally:
        _clock = before


class Workspace:
    """Memory for what the kernels need while they run: one for all cells of a network, kept from step to step."""

    def __init__(self) -> None:
        self._memory = torch.empty(0, dtype=torch.uint8)

    def of(self, size: int) -> Tensor:
        """At least ``size`` bytes, whose content is lost at the next call."""
        if len(self._memory) < size:
            self._memory = torch.empty(0, dtype=torch.uint8)  # freed first
            self._memory = torch.empty(size, dtype=torch.uint8)
        return self._memory


Rerun = Callable[[Sequence[Tensor], Tensor, Sequence[Tensor | None]], Tensor]


class CellKernel:
    """The kernels of one cell.

    Args:
        terms: its weighted options.
        channels: channels of a node that its operations see.
        share: nodes have this multiple of the channels; the rest goes past the operations by terms of the kind ``REST``, and
            both are shuffled: partial channels. 1 where operations see all.
        stride: 1 or 2: of the edges that leave input nodes.
        inputs: number of input nodes.
        nodes: number of all nodes.
        output: computed nodes that make the output, each once.
        norm: batch norm settings of its operations.
        workspace: memory that it may use while it runs.

    Raises:
        RunError: where the kernels cannot be built.
    """

    def __init__(
        self,
        terms: Sequence[Term],
        *,
        channels: int,
        share: int,
        stride: int,
        inputs: int,
        nodes: int,
        output: Sequence[int],
        norm: BatchNorm,
        workspace: Workspace,
    ) -> None:
        self.channels, self.share, self.stride, self.inputs, self.nodes = channels, share, stride, inputs, nodes
        self.output = tuple(output)
        self.hidden = tuple(node for node in range(inputs, nodes) if node not in self.output)
        # The kernels write the gradient of a hidden node. Where channels go past the operations, they add to it.
        self.begin = torch.empty_like if share == 1 else torch.zeros_like
        self.begun = np.array([n in self.output or (n >= inputs and share > 1) for n in range(nodes)], dtype=np.int64)
        self.eps, self.workspace = norm.eps, workspace
        self.width = vector_width(channels)
        kernels(self.width)  # built now, or refused now
        self.info = np.array(
            [(t.kind, t.kernel, t.dilation, t.normalised, t.source, t.target, t.place) for t in terms], dtype=np.int64
        ).reshape(-1, 7)
        self.all = Chosen([n for n, t in enumerate(terms) if t.kind != Kind.IDLE])
        weights, scales = _places([t.weights for t in terms]), _places([t.scales for t in terms])
        self.weights = (np.hstack([weights[0], scales[0]]), np.hstack([weights[1], scales[1]]))
        self.statistics = _places([t.statistics for t in terms])
        self._of_all = self._of(self.all.terms)

    def of(self, terms: Sequence[int]) -> "_Terms":
        """What the kernels read of some terms, in their order."""
        return self._of_all if terms is self.all.terms else self._of(terms)

    def _of(self, terms: Sequence[int]) -> "_Terms":
        weights, statistics = ((at[terms], offsets[terms]) for at, offsets in (self.weights, self.statistics))
        info = np.ascontiguousarray(self.info[terms])
        return _Terms(
            info=info,
            dense=int((info[:, 0] == Kind.DENSE).sum()),
            read_again=bool(np.isin(info[:, 4], self.output).any()),
            weights=weights,
            statistics=statistics,
            nowhere=np.zeros((len(terms), 8), dtype=np.int64),
        )

    def __call__(
        self,
        inputs: Sequence[Tensor],
        mix: Tensor,
        weights: Sequence[Tensor | None],
        statistics: Sequence[Tensor],
        mode: Mode,
        again: Rerun,
        chosen: Chosen | None = None,
    ) -> Tensor:
        """The output of the cell ``(B, C', H', W')``, channels last.

        Args:
            inputs: values of the input nodes ``(B, C, H, W)``, float32.
            mix: the weights of all terms by their place, of any shape.
            weights: the tensors that the terms' weights lie in; None where no chosen term reads it.
            statistics: those that the running statistics lie in; updated in place if the mode says so.
            mode: of batch norm.
            again: computes the same of ``(inputs, mix, weights)`` by torch, without a trace on the statistics: for second
                derivatives.
            chosen: what takes part; default: all terms but those of the kind ``IDLE``.
        """
        how = (tuple(statistics), mode, again, self.all if chosen is None else chosen)
        return _CellFunction.apply(self, how, mix, *inputs, *weights)  # type: ignore[return-value]


class _Terms(NamedTuple):
    """What the kernels read of some terms, in their order: `_places` of their tensors among it."""

    info: np.ndarray
    dense: int
    """How many are convolutions that read all channels."""
    read_again: bool
    """Whether any reads a node of the output."""
    weights: tuple[np.ndarray, np.ndarray]
    statistics: tuple[np.ndarray, np.ndarray]
    nowhere: np.ndarray
    """Null, for as many tensors as a term may have."""


def _places(rows: Sequence[tuple[Place, ...]]) -> tuple[np.ndarray, np.ndarray]:
    """``(terms, 4)`` tensor numbers and offsets in bytes; -1 where there is none."""
    tensors, offsets = np.full((len(rows), 4), -1, dtype=np.int64), np.zeros((len(rows), 4), dtype=np.int64)
    for n, row in enumerate(rows):
        for i, place in enumerate(row):
            tensors[n, i], offsets[n, i] = place.tensor, 4 * place.offset
    return tensors, offsets


def _pointers(places: tuple[np.ndarray, np.ndarray], tensors: Sequence[Tensor | None]) -> np.ndarray:
    """The addresses of tensors, null where there is none."""
    at, offsets = places
    bases = np.array([0 if tensor is None else tensor.data_ptr() for tensor in tensors] + [0], dtype=np.int64)
    return np.where(at >= 0, bases[at] + offsets, 0)  # -1 is the last one


class _CellFunction(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        kernel: CellKernel,
        how: tuple[tuple[Tensor, ...], Mode, Rerun, Chosen],
        mix: Tensor,
        *tensors: Tensor | None,
    ) -> Tensor:
        statistics, mode, again, chosen = how
        inputs, weights = tensors[: kernel.inputs], tensors[kernel.inputs :]
        batch, _, height, width = inputs[0].shape  # type: ignore[union-attr]
        rows, cols = -(-height // kernel.stride), -(-width // kernel.stride)

        def nodes(count: int) -> Tensor:
            return torch.empty(batch, count * kernel.share * kernel.channels, rows, cols, memory_format=CHANNELS_LAST)

        out, hidden = nodes(len(kernel.output)), nodes(len(kernel.hidden)) if kernel.hidden else None
        kept = torch.empty(len(chosen.terms) * 4 * kernel.channels, dtype=torch.float64)
        dense = torch.empty(kernel.of(chosen.terms).dense * batch * rows * cols * kernel.channels)
        call = _Prepared(kernel, inputs, mix, weights, statistics, mode, chosen)  # type: ignore[arg-type]
        call.run("mixop_cell_forward", (out, hidden), None, kept, dense)
        # What came in is kept, not the copies in another layout: second derivatives continue from there.
        ctx.save_for_backward(mix, *inputs, *weights, *statistics, out, hidden, kept, dense)
        ctx.kernel, ctx.mode, ctx.again, ctx.chosen, ctx.counts = kernel, mode, again, chosen, (len(weights), len(statistics))
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        kernel: CellKernel = ctx.kernel
        mix, *tensors, out, hidden, kept, dense = ctx.saved_tensors
        weights, statistics = tensors[kernel.inputs :][: ctx.counts[0]], tensors[len(tensors) - ctx.counts[1] :]
        inputs = tensors[: kernel.inputs]
        if torch.is_grad_enabled():  # the gradients need gradients
            count = kernel.inputs
            found = graph_of_gradients(
                lambda x: ctx.again(x[1 : 1 + count], x[0], x[1 + count :]),
                [mix, *inputs, *weights],
                ctx.needs_input_grad[2:],
                grads[0],
            )
            return (None, None, *found)
        wanted = ctx.needs_input_grad[3 : 3 + kernel.inputs]
        learn = any(ctx.needs_input_grad[3 + kernel.inputs :])
        slopes = [torch.empty_like(x, memory_format=CHANNELS_LAST) for x in inputs]
        changed = kernel.of(ctx.chosen.terms).read_again  # the gradients of outputs that are read get others added
        outer = grads[0].clone(memory_format=CHANNELS_LAST) if changed else grads[0].contiguous(memory_format=CHANNELS_LAST)
        inner = None if hidden is None else kernel.begin(hidden, memory_format=CHANNELS_LAST)
        gradients = [
            None if w is None or not learn else torch.zeros_like(w, memory_format=torch.contiguous_format) for w in weights
        ]
        mode = Mode(batch=ctx.mode.batch)
        call = _Prepared(kernel, inputs, mix, weights, statistics, mode, ctx.chosen, gradients if learn else (), wanted)
        call.run("mixop_cell_backward", (out, hidden), (slopes, outer, inner), kept, dense)
        return (
            *(None, None),
            call.mix_gradient.view_as(mix).to(mix.dtype),
            *(slope if want else None for slope, want in zip(slopes, wanted, strict=True)),
            *gradients,
        )


class _Prepared:
    """One call, with the arrays that it points to."""

    def __init__(
        self,
        kernel: CellKernel,
        inputs: Sequence[Tensor],
        mix: Tensor,
        weights: Sequence[Tensor | None],
        statistics: Sequence[Tensor],
        mode: Mode,
        chosen: Chosen,
        gradients: Sequence[Tensor | None] = (),
        wanted: Sequence[bool] = (),
    ) -> None:
        self.kernel = kernel
        self.inputs = [x.detach().contiguous(memory_format=CHANNELS_LAST) for x in inputs]
        mix, weights = mix.detach().contiguous(), [None if w is None else w.contiguous() for w in weights]
        of = kernel.of(chosen.terms)
        self.keep: list[Any] = [mix, weights, statistics, gradients, of]
        terms = chosen.terms
        batch, _, height, width = inputs[0].shape
        self.mix_gradient = torch.zeros(mix.numel(), dtype=torch.float64)
        self.call = _Call(
            images=batch, height=height, width=width, channels=kernel.channels, stride=kernel.stride, inputs=kernel.inputs,
            nodes=kernel.nodes, terms=len(terms), threads=torch.get_num_threads(), share=kernel.share,
            batch=mode.batch, update=mode.update, learn=len(gradients) > 0, eps=kernel.eps, momentum=mode.momentum,
            info=of.info.ctypes.data, weight=self._array(_pointers(of.weights, weights)),
            gradient=self._array(_pointers(of.weights, gradients)) if gradients else of.nowhere.ctypes.data,
            running=self._array(_pointers(of.statistics, statistics)),
            mix=mix.data_ptr(), mix_gradient=self.mix_gradient.data_ptr(),
            wanted=self._array(np.array(wanted, dtype=np.int64)), begun=self._array(kernel.begun),
            **{name: self._by_term(terms, tensors) if tensors else of.nowhere.ctypes.data
               for name, tensors in (("runs", chosen.runs), ("mask", chosen.masks), ("given", chosen.given))},
            clock=None if _clock is None else _clock.ctypes.data,
        )  # fmt: skip

    def _by_term(self, terms: Sequence[int], tensors: Mapping[int, Tensor]) -> int:
        return self._array(np.array([tensors[n].data_ptr() if n in tensors else 0 for n in terms], dtype=np.int64))

    def _array(self, values: np.ndarray) -> int:
        values = np.ascontiguousarray(values)
        self.keep.append(values)
        return values.ctypes.data

    def _nodes(self, inputs: Sequence[Tensor], out: Tensor, hidden: Tensor | None) -> tuple[int, int]:
        """Addresses of every node's values and the numbers between pixels."""
        kernel = self.kernel
        channels = kernel.share * kernel.channels
        pointers, pitches = [x.data_ptr() for x in inputs], [channels] * kernel.inputs
        for node in range(kernel.inputs, kernel.nodes):
            row, tensor = (kernel.output, out) if node in kernel.output else (kernel.hidden, hidden)
            assert tensor is not None
            pointers.append(tensor.data_ptr() + 4 * channels * row.index(node))
            pitches.append(channels * len(row))
        return self._array(np.array(pointers, dtype=np.int64)), self._array(np.array(pitches, dtype=np.int64))

    def run(
        self,
        name: str,
        values: tuple[Tensor, Tensor | None],
        slopes: tuple[Sequence[Tensor], Tensor, Tensor | None] | None,
        kept: Tensor,
        dense: Tensor,
    ) -> None:
        call, library = self.call, kernels(self.kernel.width)
        call.value, call.pitch = self._nodes(self.inputs, *values)
        if slopes is not None:
            call.slope, call.slope_pitch = self._nodes(*slopes)
        call.kept, call.dense = kept.data_ptr(), dense.data_ptr()
        size = library.mixop_cell_workspace(ctypes.byref(call))
        call.workspace = self.kernel.workspace.of(size).data_ptr()
        getattr(library, name)(ctypes.byref(call))
