"""Several processes that compute one search together, and sums among them that autograd can differentiate any number of times.

Every number of a search is one of two kinds. A replicated one is the same in all processes: weights, architecture parameters,
losses, gradients. A shared one belongs to the examples of one process: inputs, values of layers. There are two ways from one
kind to the other and back, and each is the other's derivative:

- `Ranks.entered` gives a replicated tensor to the examples of every process; its gradient is the sum over all of them.
- `Ranks.total` sums what the processes have; its gradient is that of the sum, given to each.
- `Ranks.whole` puts the examples of all processes together; its gradient is each process's rows.

So ``torch.autograd.grad`` of a replicated loss in replicated tensors is the gradient of the whole batch, in every process, and
so is the gradient of that gradient. What stands between `entered` and `whole` or `total` must not mix the two kinds otherwise.

Source: the conjugate operators f and g of Shoeybi et al. 2019 (arXiv:1909.08053), section 3, here with second derivatives.
"""

import atexit
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, distributed
from torch.utils._pytree import tree_map_only

from mixop.core.errors import RunError
from mixop.core.launched import processes
from mixop.core.share import Share, shares


class LostRankError(RunError):
    """Another process of the same run has ended."""


@dataclass(frozen=True)
class Ranks:
    """The processes of a run, and which one this is. They meet in torch's default process group.

    Args:
        rank: number of this process, from 0. The first one owns the run's directory.
        size: how many there are.
    """

    rank: int = 0
    size: int = 1

    @property
    def alone(self) -> bool:
        """Whether this is the only process."""
        return self.size == 1

    @property
    def leads(self) -> bool:
        """Whether this is the process that owns the directory."""
        return self.rank == 0

    def divide(self, count: int) -> bool:
        """Whether the processes divide a batch of so many examples; if not, each computes all of it, without the others.

        A short last batch may have fewer examples than there are processes, and a layer may refuse to compute none.
        """
        return 1 < self.size <= count

    def share(self, count: int) -> Share:
        """What this process computes of a batch of so many examples."""
        return shares(count, self.size)[self.rank]

    def add(self, tensor: Tensor) -> Tensor:
        """Adds the tensors of all processes in place, without a gradient; the result is the same in each, to the last bit.

        Raises:
            LostRankError: if another process has ended.
        """
        with _together(self):
            distributed.all_reduce(tensor)
        return tensor

    def add_together(self, tensors: Sequence[Tensor]) -> list[Tensor]:
        """The sums of several tensors over all processes, without a gradient, in one message for each dtype."""
        totals = list(tensors)
        for kind in dict.fromkeys((tensor.dtype, tensor.device) for tensor in tensors):
            at = [k for k, tensor in enumerate(tensors) if (tensor.dtype, tensor.device) == kind]
            flat = self.add(torch.cat([tensors[k].reshape(-1) for k in at]))
            for k, piece in zip(at, flat.split([tensors[k].numel() for k in at]), strict=True):
                totals[k] = piece.view(tensors[k].shape)
        return totals

    def entered(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Replicated tensors, for the examples of this process: those with a gradient get the sum of all processes' gradients.

        They are added in one message, so all tensors of a pass should be given together.
        """
        names = [name for name, tensor in tensors.items() if tensor.requires_grad]
        if self.alone or not names:
            return dict(tensors)
        return {**tensors, **dict(zip(names, _Enter.apply(self, *(tensors[name] for name in names)), strict=True))}

    def total(self, tensor: Tensor) -> Tensor:
        """The sum of the tensors of all processes, replicated."""
        return tensor if self.alone else _Total.apply(self, tensor)[0]  # type: ignore[index]

    def whole(self, values: Any, share: Share) -> Any:
        """What a pass over a share gave, for the whole batch; tensors, also in tuples, lists and mappings.

        Args:
            values: tensors whose first axis is the examples of the share.
            share: of this process.
        """
        return values if self.alone else tree_map_only(Tensor, lambda x: _Whole.apply(self, share, x), values)

    def largest(self, *values: float) -> list[float]:
        """The largest that any process has of each of some numbers."""
        if self.alone:
            return list(values)
        found = torch.tensor(values, dtype=torch.float64)
        with _together(self):
            distributed.all_reduce(found, distributed.ReduceOp.MAX)
        return found.tolist()

    def wait(self) -> None:
        """Waits until all processes have come here."""
        self.largest(0.0)

    def check_same(self, digest: str, what: str) -> None:
        """Refuses to go on where the processes do not work at the same thing.

        Args:
            digest: hexadecimal, of what is to be the same.
            what: its name in the sentence.

        Raises:
            RunError: in every process.
        """
        number = float(int(digest[:12], 16))  # a float64 holds 48 bits
        least, most = self.largest(-number, number)
        if -least != most:
            raise RunError(f"The {self.size} processes were given different {what}: start all of them with the same command.")


ALONE = Ranks()


@contextmanager
def _together(ranks: Ranks) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # that of the backends is one
        reason = str(error).splitlines()[0].rpartition("] ")[2].partition(". ")[0]  # without the place in the backend's source
        raise LostRankError(
            f"Another of the {ranks.size} processes has ended, and process {ranks.rank} ends with it ({reason}): what was "
            "saved is kept, and the same command continues from there."
        ) from error


class _Enter(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.ranks = ranks
        ctx.set_materialize_grads(False)  # what a loss does not depend on has no gradient in any process
        return tuple(tensor.view_as(tensor) for tensor in tensors)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (None, *_where_there(lambda some: _Total.apply(ctx.ranks, *some), grads))  # type: ignore[arg-type]


class _Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, *tensors: Tensor) -> tuple[Tensor, ...]:
        ctx.ranks = ranks
        ctx.set_materialize_grads(False)
        return tuple(ranks.add_together(tensors))

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (None, *_where_there(lambda some: _Enter.apply(ctx.ranks, *some), grads))  # type: ignore[arg-type]


class _Whole(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, share: Share, x: Tensor) -> Tensor:
        ctx.how = ranks, share
        # A sum with zeros, since not every backend can put shares of different lengths together.
        whole = x.new_zeros(share.of, *x.shape[1:])
        whole[share.rows] = x
        return ranks.add(whole)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None, None, _Rows.apply(*ctx.how, grads[0])  # type: ignore[return-value]


class _Rows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, ranks: Ranks, share: Share, x: Tensor) -> Tensor:
        ctx.how = ranks, share
        return x[share.rows].clone()

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return None, None, _Whole.apply(*ctx.how, grads[0])  # type: ignore[return-value]


def _where_there(change: Callable[[Sequence[Tensor]], Sequence[Tensor]], grads: Sequence[Tensor | None]) -> list[Tensor | None]:
    """The gradients that are there, changed together; None where there is none, which is so in every process."""
    some = [grad for grad in grads if grad is not None]
    changed = iter(change(some) if some else ())
    return [None if grad is None else next(changed) for grad in grads]


def joined(device: str) -> Ranks:
    """The processes that torchrun started, or that the caller has joined by ``torch.distributed.init_process_group``.

    Joins them at the first call; the group stays until this process ends.

    Args:
        device: where torch computes; on GPUs the processes talk by NCCL, else by Gloo.

    Raises:
        RunError: if the processes do not find each other.
    """
    if not distributed.is_available():
        return ALONE
    if distributed.is_initialized():
        return Ranks(distributed.get_rank(), distributed.get_world_size())
    if processes() == 1:
        return ALONE
    try:
        # What is on the CPU in any case (signals, generators) goes by Gloo.
        distributed.init_process_group("cpu:gloo,cuda:nccl" if device.startswith("cuda") else "gloo")
    except (RuntimeError, ValueError) as error:
        raise RunError(
            f"The {processes()} processes of torchrun did not find each other ({str(error).splitlines()[0]}): start them on "
            "one machine, or give torchrun the address of the first machine."
        ) from error
    atexit.register(_leave)
    return Ranks(distributed.get_rank(), distributed.get_world_size())


def _leave() -> None:
    with suppress(RuntimeError, AssertionError, ValueError):  # the others may have ended before
        distributed.destroy_process_group()
