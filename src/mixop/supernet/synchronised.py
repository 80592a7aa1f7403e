"""Batch norm of batch statistics over the examples of all processes, whoever computes it: the statistics of the whole batch.

Layers of `torch.nn`, those of the executors and a user's own all end in ``torch.nn.functional.batch_norm``. A mode of torch
around a pass takes that one function over, so no layer knows of processes.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode

from mixop.core.ranks import Ranks
from mixop.core.share import Share, shares
from mixop.supernet.again import graph_of_gradients


class SynchronisedNorms(TorchFunctionMode):
    """Inside, batch norms of this thread that take the batch's statistics take those of the batch of all processes.

    Args:
        ranks: the processes; each passes its share of the batch.
        share: of this process.
    """

    def __init__(self, ranks: Ranks, share: Share) -> None:
        super().__init__()
        self.ranks, self.share = ranks, share

    def __torch_function__(self, func: Any, types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func is functional.batch_norm:
            given = dict(zip(_NAMES, args, strict=False)) | kwargs
            if given.pop("training", False):
                return synchronised(self.ranks, self.share, **given)
        return func(*args, **kwargs)


_NAMES = ("input", "running_mean", "running_var", "weight", "bias", "training", "momentum", "eps")
"""Arguments of torch's batch norm in their order."""


def synchronised(
    ranks: Ranks,
    share: Share,
    input: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """``torch.nn.functional.batch_norm`` in training, of one process's examples with the statistics of all.

    It is differentiable twice. The gradients in ``weight`` and ``bias`` are those of this process's examples.

    Args:
        ranks: the processes.
        share: of the batch that this process has.
        input: values ``(b, C, *positions)`` of its examples, b a multiple of their number.
        running_mean: ``(C,)``, updated in place; None for none.
        running_var: ``(C,)``, updated in place with the unbiased variance.
        weight: factor of each channel ``(C,)``, or None.
        bias: added to each channel ``(C,)``, or None.
        momentum: weight of the newest batch in the running statistics.
        eps: added to the variance.

    Raises:
        ValueError: if all processes together have one value for each channel, as torch.
    """
    y, mean, variance, count = _Norm.apply(ranks, share, eps, input, weight, bias)  # type: ignore[misc]
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            for running, found in ((running_mean, mean), (running_var, variance * (count / (count - 1)))):
                running.mul_(1 - momentum).add_(found.to(running.dtype), alpha=momentum)
    return y


def _axes(x: Tensor) -> list[int]:
    return [axis for axis in range(x.dim()) if axis != 1]


def _across(channels: Tensor, x: Tensor) -> Tensor:
    """A number for each channel, to compute with values."""
    return channels.view(1, -1, *[1] * (x.dim() - 2))


def _statistics(ranks: Ranks, share: Share, x: Tensor) -> tuple[Tensor, Tensor, int]:
    """Mean and biased variance of each channel over all processes, and the number of values of each.

    Source: Chan, Golub & LeVeque 1979, the variance of a union; no sum of squares is cancelled.
    """
    count = x.numel() // x.shape[1] * share.of // (share.stop - share.start)  # every example has as many values
    if count < 2:
        raise ValueError(f"Expected more than 1 value per channel when training, got {count} in all processes together")
    values = x.detach() if x.dtype in (torch.float32, torch.float64) else x.detach().float()
    # What torch's own batch norm takes them by: many times faster than a variance where the channels are last.
    mean, variance = torch.ops.aten.batch_norm_update_stats(values, None, None, 0.0)
    table = torch.zeros(ranks.size, 2, x.shape[1], dtype=torch.float64, device=x.device)
    table[ranks.rank, 0], table[ranks.rank, 1] = mean, variance
    means, variances = ranks.add(table).unbind(1)
    parts = torch.tensor([[each.part] for each in shares(share.of, ranks.size)], dtype=torch.float64, device=x.device)
    mean = (parts * means).sum(0)
    variance = (parts * (variances + (means - mean).square())).sum(0)
    return mean.to(values.dtype), variance.to(values.dtype), count


def _normalised(ranks: Ranks, eps: float, count: int) -> Callable[[Sequence[Tensor | None]], Tensor]:
    """Batch norm as torch differentiates it any number of times."""

    def mean_over_all(values: Tensor) -> Tensor:
        total = ranks.total(values.sum(_axes(values)))
        return ranks.entered({"total": total})["total"] / count

    def compute(given: Sequence[Tensor | None]) -> Tensor:
        x, scale, shift = given
        assert x is not None
        centred = x - _across(mean_over_all(x), x)
        y = centred * _across((mean_over_all(centred.square()) + eps).rsqrt(), x)
        y = y if scale is None else y * _across(scale, x)
        return y if shift is None else y + _across(shift, x)

    return compute


class _Norm(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, ranks: Ranks, share: Share, eps: float, x: Tensor, scale: Tensor | None, shift: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor, int]:
        mean, variance, count = _statistics(ranks, share, x)
        ctx.save_for_backward(x, scale, shift, mean, variance)
        ctx.how = ranks, eps, count
        y = functional.batch_norm(x, mean, variance, scale, shift, training=False, eps=eps)
        ctx.mark_non_differentiable(mean, variance)
        return y, mean, variance, count

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        x, scale, shift, mean, variance = ctx.saved_tensors
        ranks, eps, count = ctx.how
        want = ctx.needs_input_grad[3:]
        if torch.is_grad_enabled():  # under create_graph only: somebody will differentiate these gradients
            given = (x, scale, shift)
            return (None, None, None, *graph_of_gradients(_normalised(ranks, eps, count), given, want, grads[0]))
        # As if the statistics were constants: that gives the sums of the slopes over this process's examples on the way.
        slope = grads[0]
        by_x, by_scale, by_shift = torch.ops.aten.native_batch_norm_backward(
            slope, x, scale, mean, variance, None, None, False, eps, [True, True, True]
        )
        if want[0]:
            sums = ranks.add(torch.stack([by_shift, by_scale]).to(mean.dtype)) / count
            rate = (variance + eps).rsqrt() * (1 if scale is None else scale)
            in_x = -rate * sums[1] * (variance + eps).rsqrt()
            constant = -rate * sums[0] - in_x * mean
            by_x = by_x.add_(_across(constant, x).to(x.dtype)).addcmul_(x, _across(in_x, x).to(x.dtype))
        return None, None, None, by_x if want[0] else None, by_scale if want[1] else None, by_shift if want[2] else None
