"""A loss and its gradient recorded once as a CUDA graph, and replayed: no launch of single kernels, which on a GPU is most of
the time of a step of a full mixture.

Only the network is inside: what draws mixing weights, and the optimisers, stay outside, so that rates and temperatures change
freely. The network's weights are read where they lie; other ones, of the passes of a second-order scheme, are copied in.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.func import functional_call

from mixop.core.types import Batch, Mix
from mixop.nets.added import added_losses, total_loss
from mixop.supernet.base import Supernet
from mixop.tasks.base import Task

Recorder = Callable[[Callable[[], None]], Callable[[], None]]
"""Turns work on tensors that stay where they are into a function that does it again."""


def cuda_graph(work: Callable[[], None]) -> Callable[[], None]:
    """Records work as a CUDA graph.

    Args:
        work: without synchronisation, and always on the same tensors; it is done three times beforehand.
    """
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            work()
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        work()
    return graph.replay


class CapturedLoss:
    """The task's loss of batches under full mixtures, with its gradient, by recorded work.

    Args:
        net: the supernet; it draws nothing by itself and carries nothing from batch to batch.
        task: whose loss.
        record: how work is recorded.
    """

    def __init__(self, net: Supernet, task: Task, record: Recorder = cuda_graph) -> None:
        self.net, self.task, self._record = net, task, record
        self._pieces: dict[tuple, _Piece] = {}

    def __call__(
        self, batch: Batch, mix: Mix, *, learn: bool, given: Mapping[str, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Loss and outputs; the loss has a first derivative in the mix, where that has one, and in the weights if they learn.

        Args:
            batch: inputs and targets; work is recorded for every shape.
            mix: mixing weights of every group.
            learn: whether it is a weight step: batch-norm statistics then follow, and weights have a gradient.
            given: other weights than the network's own by name, with a derivative where they ask for one; not to learn.
        """
        slopes = any(value.requires_grad for value in mix.values())
        shapes = tuple(value.shape for value in mix.values())
        others = None if given is None else tuple((name, weight.requires_grad) for name, weight in given.items())
        key = (learn, slopes, batch.x.shape, batch.x.dtype, batch.y.shape, shapes, others)
        if key not in self._pieces:
            self._pieces[key] = _Piece(self.net, self.task, self._record, batch, mix, given, learn=learn, slopes=slopes)
        piece = self._pieces[key]
        weights = piece.weights if given is None else given.values()
        return _Loss.apply(piece, batch, *mix.values(), *weights)  # type: ignore[return-value]


class _Piece:
    """Recorded work for batches of one shape, with the tensors that it reads and writes."""

    def __init__(
        self,
        net: Supernet,
        task: Task,
        record: Recorder,
        batch: Batch,
        mix: Mix,
        given: Mapping[str, Tensor] | None,
        *,
        learn: bool,
        slopes: bool,
    ) -> None:
        self.net, self.task, self.learn = net, task, learn
        self.x, self.y = batch.x.clone(), batch.y.clone()
        self.mix = {name: value.detach().clone().requires_grad_(slopes) for name, value in mix.items()}
        self.given = {name: w.detach().clone().requires_grad_(w.requires_grad) for name, w in (given or {}).items()}
        self.weights = [p for p in net.parameters() if p.requires_grad] if learn else list(self.given.values())
        tensors = [*self.mix.values(), *self.weights]
        self.places = [k for k, tensor in enumerate(tensors) if tensor.requires_grad]
        self.wanted = [tensors[k] for k in self.places]
        self.loss = self.outputs = torch.empty(0)
        self.gradient: Sequence[Tensor | None] = ()
        before = {name: buffer.clone() for name, buffer in net.named_buffers()}
        self.replay = record(self._work)
        for name, buffer in net.named_buffers():  # recording did the work several times
            buffer.copy_(before[name])

    def _work(self) -> None:
        with torch.enable_grad():
            terms: list[Tensor] = []
            if self.learn:
                with added_losses() as terms:
                    outputs = self.net(self.x, self.mix)
            else:
                still: Mapping[str, Tensor] = {name: p.detach() for name, p in self.net.named_parameters()}
                statistics = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
                outputs = functional_call(self.net, {**still, **self.given, **statistics}, (self.x, self.mix))
            loss = self.task.loss(outputs.float(), self.y)
            if self.wanted:
                self.gradient = torch.autograd.grad(total_loss(loss, terms), self.wanted, allow_unused=True)
        self.loss, self.outputs = loss.detach(), outputs.detach()

    def run(self, batch: Batch, tensors: Sequence[Tensor]) -> tuple[Tensor, Tensor, list[Tensor | None]]:
        mix, weights = tensors[: len(self.mix)], tensors[len(self.mix) :]
        with torch.no_grad():
            self.x.copy_(batch.x)
            self.y.copy_(batch.y)
            for ours, given in zip(self.mix.values(), mix, strict=True):
                ours.copy_(given)
            if self.given:
                torch._foreach_copy_(list(self.given.values()), list(weights))
            self.replay()
            # The next replay writes over what this one wrote.
            return self.loss.clone(), self.outputs.clone(), [None if g is None else g.clone() for g in self.gradient]


class _Loss(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, piece: _Piece, batch: Batch, *tensors: Tensor) -> tuple[Tensor, Tensor]:
        loss, outputs, gradient = piece.run(batch, tensors)
        found = dict(zip(piece.places, gradient, strict=True))
        ctx.gradient = [found.get(k) for k in range(len(tensors))]
        ctx.mark_non_differentiable(outputs)
        return loss, outputs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (None, None, *(None if g is None else grads[0] * g for g in ctx.gradient))
