"""The candidate operations in batched form: one kind of operation on several edges that leave one node.

A function of `BATCHED` takes a `NodeValue`, the value of the node, and a `Bundle`, the operations of its kind on n edges, and
gives their weighted outputs side by side, ``(B, n * C, *positions)`` in the order of the edges. Those of `POOLS` depend on the
node alone up to the weight.
"""

from collections.abc import Callable, Mapping
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import batch_norm, pad
from torch.nn.modules.batchnorm import _NormBase

from mixop.nets.dims import CONVOLVE, POOL_MAX, POOL_MEAN, dims_of, padded_to_even, phases, strided
from mixop.nets.ops import BatchNorm, FactorizedReduce
from mixop.supernet.again import graph_of_gradients
from mixop.supernet.stacked import StackedCell

CHANNELS_LAST = torch.channels_last


def laid_out(x: Tensor) -> Tensor:
    """Values in the layout that is computed in: images channels-last, signals as they are written."""
    return x.contiguous(memory_format=CHANNELS_LAST) if x.dim() == 4 else x.contiguous()


class StackedNorm(nn.Module):
    """Batch norm over stacked channels, with scale, shift and statistics as arguments; training or evaluation is its own.

    Args:
        norm: its settings.

    Attributes:
        momentum: weight of the newest batch in the running statistics; None for the mean over all batches.
    """

    def __init__(self, norm: BatchNorm) -> None:
        super().__init__()
        self.momentum: float | None = norm.momentum
        self.eps, self.track = norm.eps, norm.track

    def forward(self, x: Tensor, scale: Tensor | None, shift: Tensor | None, statistics: "Statistics | None") -> Tensor:
        """The normalised values.

        Args:
            x: values ``(B, K, *positions)``.
            scale: factor of each channel ``(K,)``, or None.
            shift: added to each channel ``(K,)``, or None.
            statistics: running statistics, which training updates; None if there are none.
        """
        if statistics is None:
            return batch_norm(x, None, None, scale, shift, True, 0.0, self.eps)
        mean, variance = statistics.mean, statistics.variance
        if not self.training:
            return batch_norm(x, mean, variance, scale, shift, False, 0.0, self.eps)
        # Momentum 1 leaves exactly this batch's statistics in fresh buffers, the variance unbiased as torch keeps it. They are
        # then mixed into those of every operation that the values belong to: these lie in several stretches of a stack, or,
        # where one pool stands for all edges (`pool_norm`), there are more of them than channels here.
        batch_mean, batch_variance = torch.zeros_like(mean[: x.shape[1]]), torch.zeros_like(mean[: x.shape[1]])
        y = batch_norm(x, batch_mean, batch_variance, scale, shift, True, 1.0, self.eps)
        statistics.update(batch_mean, batch_variance, self.momentum)
        return y


NORMS = (_NormBase, StackedNorm)
"""The modules of a network that keep running statistics; ``momentum`` and the mode of each may be set."""


class Statistics:
    """Running statistics of some slots of a stack, views of the cell's buffers.

    Args:
        parts: of every stretch of neighbouring slots the running means and variances ``(k * C,)`` and the numbers of batches
            ``(k,)``.
    """

    def __init__(self, parts: list[tuple[Tensor, Tensor, Tensor]]) -> None:
        self.parts = parts

    @property
    def mean(self) -> Tensor:
        """Running means of all channels."""
        return torch.cat([mean for mean, _, _ in self.parts])

    @property
    def variance(self) -> Tensor:
        """Running variances of all channels."""
        return torch.cat([variance for _, variance, _ in self.parts])

    @torch.no_grad()
    def update(self, mean: Tensor, variance: Tensor, momentum: float | None) -> None:
        """Mixes a batch's statistics in: those of all slots side by side, or of one that stands for all."""
        first, _, counts = self.parts[0]
        channels = len(first) // len(counts)
        # One row for each slot; a single row belongs to all of them.
        means, variances = mean.view(-1, channels), variance.view(-1, channels)
        at = 0
        for old_mean, old_variance, counts in self.parts:
            counts += 1  # views of the buffers, like the means: all is written in place
            share = 1 / counts[0].item() if momentum is None else momentum
            rows = slice(None) if len(means) == 1 else slice(at, at + len(counts))
            at += len(counts)
            for old, new in ((old_mean, means), (old_variance, variances)):
                old.view(len(counts), channels).mul_(1 - share).add_(new[rows], alpha=share)


class NodeValue:
    """The value of a node, and what is computed from it once for all of its edges.

    Args:
        x: its value ``(B, C, *positions)``, or as much of it as operations see.
        stride: of the edges that leave it.
    """

    def __init__(self, x: Tensor, stride: int) -> None:
        self.x, self.stride = laid_out(x), stride
        self.has_phases = stride == 1 and all(size % 2 == 0 for size in x.shape[2:])

    @cached_property
    def relu(self) -> Tensor:
        """Its positive part."""
        return torch.relu(self.x)

    @cached_property
    def relu_phases(self) -> Tensor:
        """The phases of its positive part, see `mixop.nets.dims.phases`."""
        return phases(self.relu)


class Bundle:
    """The operations of one kind on some of the edges that leave a node.

    Args:
        cell: the cell.
        kind: the operation's name in a supernet.
        slots: their places in the stacks.
        weights: their mixing weights ``(n,)``.
        norm: the cell's batch norm.
        parts: gives the tensor of these slots from the name of a stack.
    """

    def __init__(
        self,
        cell: StackedCell,
        kind: str,
        slots: tuple[int, ...],
        weights: Tensor,
        norm: StackedNorm,
        parts: Callable[[str, tuple[int, ...]], Tensor],
    ) -> None:
        self.cell, self.kind, self.slots, self.weights, self._norm, self._parts = cell, kind, slots, weights, norm, parts

    def __len__(self) -> int:
        return len(self.slots)

    def __getitem__(self, key: str) -> Tensor:
        """The tensors of that name within the operation, one behind the other."""
        return self._parts(self._attribute(key), self.slots)

    def _attribute(self, key: str) -> str:
        return f"{self.kind}_{key.replace('.', '_')}"

    def norm(self, x: Tensor, key: str, *, weighted: bool) -> Tensor:
        """Their batch norm of that name; the last one of an operation carries the mixing weight.

        Args:
            x: values of all operations side by side ``(B, n * C, *positions)``.
            key: its name within the operation.
            weighted: whether the result is multiplied with the mixing weight of each operation.
        """
        # w * norm(x) is a norm whose scale is w: weighting costs no pass over the values, and the gradient of w is that of a
        # scale, which batch norm computes anyway. The sum over the channels is autograd's, of `expand`.
        scale = shift = None
        if weighted:
            scale = self.weights[:, None].expand(-1, x.shape[1] // len(self)).reshape(-1).contiguous()
        if self._attribute(f"{key}.weight") in self.cell.stacks:
            gamma, beta = self[f"{key}.weight"], self[f"{key}.bias"]
            scale, shift = (gamma, beta) if scale is None else (gamma * scale, beta * scale)
        elif scale is not None:
            shift = None
        return self._norm(x, scale, shift, self.statistics(key))

    def statistics(self, key: str) -> Statistics | None:
        """The running statistics of a batch norm, None if there are none."""
        names = [self._attribute(f"{key}.{what}") for what in ("running_mean", "running_var", "num_batches_tracked")]
        if names[0] not in self.cell.stacks:
            return None
        means, variances, counts = (getattr(self.cell, name) for name in names)
        channels = len(means) // len(counts)
        # Neighbouring slots as slices: those are views, which training writes to, and an index would make copies.
        stretches: list[list[int]] = []
        for slot in self.slots:
            if stretches and stretches[-1][1] == slot:
                stretches[-1][1] += 1
            else:
                stretches.append([slot, slot + 1])
        places = [(slice(a * channels, b * channels), slice(a, b)) for a, b in stretches]
        return Statistics([(means[rows], variances[rows], counts[slots]) for rows, slots in places])

    def pool_norm(self, x: Tensor, key: str) -> tuple[Tensor, bool]:
        """The batch norm of a pool: of the pool alone, without weights, where the edges share their statistics.

        Returns:
            The values and whether they are shared; if not, they are those of all edges, weighted.
        """
        # In training all edges normalise the same values by the same batch, so one map serves them all, each with its weight.
        # In evaluation each has statistics of its own, collected in the steps in which it ran.
        statistics = self.statistics(key)
        if statistics is None or self._norm.training:
            return self._norm(x, None, None, statistics), True
        return self.norm(x.repeat(1, len(self), *[1] * dims_of(x)), key, weighted=True), False


def _dense(kernel: int) -> "Batched":
    def run(source: NodeValue, bundle: Bundle) -> Tensor:
        weight = bundle["1.weight"]
        y = CONVOLVE[dims_of(weight)](source.relu, weight, stride=source.stride, padding=kernel // 2)
        return bundle.norm(y, "2", weighted=True)

    return run


PHASED = ("dil_conv_3x3", "dil_conv_5x5")
"""Operations whose result is in phases where the source has them."""


def _depthwise(x: Tensor, weight: Tensor, stride: int, dilation: int = 1) -> Tensor:
    kernel = weight.shape[-1]
    return CONVOLVE[dims_of(weight)](x, weight, None, stride, dilation * (kernel - 1) // 2, dilation, len(weight))


Between = Callable[[Tensor, Tensor, int, int], Tensor]


def _between(x: Tensor, depthwise: Tensor, stride: int, dilation: int) -> Tensor:
    """Depthwise convolutions of n edges side by side: of one value ``(B, C, *positions)``, or each of its own."""
    channels = x.shape[1]
    if channels == len(depthwise):
        return _depthwise(x, depthwise, stride, dilation)
    return torch.cat([_depthwise(x, weight, stride, dilation) for weight in depthwise.split(channels)], dim=1)


def depthwise_pointwise(
    x: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int = 1, dilation: int = 1, *, between: Between = _between
) -> Tensor:
    """Depthwise and pointwise convolutions of n edges, side by side; what is between the two is not kept for the gradient.

    Args:
        x: one value for all edges ``(B, C, *positions)``, or that of each ``(B, n C, *positions)``.
        depthwise: weights ``(n C, 1, k, k)``, of signals ``(n C, 1, k)``.
        pointwise: weights ``(n C, C, 1, 1)``, of signals ``(n C, C, 1)``.
        stride: of the depthwise convolutions.
        dilation: of the depthwise convolutions.
        between: computes those, of ``(x, depthwise, stride, dilation)``.

    Returns:
        Values ``(B, n C, *positions)``.
    """
    if torch.is_autocast_enabled(x.device.type):  # which a function of our own does not know, and its gradient still less
        dtype = torch.get_autocast_dtype(x.device.type)
        x, depthwise, pointwise = x.to(dtype), depthwise.to(dtype), pointwise.to(dtype)
    return _DepthwisePointwise.apply(x, depthwise, pointwise, stride, dilation, between)  # type: ignore[return-value]


def _pointwise(x: Tensor, weight: Tensor) -> Tensor:
    """1x1 convolutions of n edges, each of its own channels."""
    return CONVOLVE[dims_of(weight)](x, weight, groups=len(weight) // weight.shape[1])


class _DepthwisePointwise(torch.autograd.Function):
    """Half of what a separable convolution would keep is between the two: it is cheaper to compute again than to hold."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, depthwise: Tensor, pointwise: Tensor, stride: int, dilation: int, between: Between
    ) -> Tensor:
        ctx.save_for_backward(x, depthwise, pointwise)
        ctx.how, ctx.between = (stride, dilation), between
        return _pointwise(between(x, depthwise, stride, dilation), pointwise)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        x, depthwise, pointwise = ctx.saved_tensors
        groups, dims = len(pointwise) // pointwise.shape[1], dims_of(pointwise)
        want = ctx.needs_input_grad[:3]
        # Gradients are enabled in a backward pass only under create_graph: somebody will differentiate these gradients.
        if torch.is_grad_enabled():
            gradients = graph_of_gradients(
                lambda t: _pointwise(_between(t[0], t[1], *ctx.how), t[2]), ctx.saved_tensors, want, grads[0]
            )
            return (*gradients, None, None, None)
        # Else z, the value between the two convolutions, is computed again. The pointwise one is differentiated by its own
        # backward function, which needs no forward pass; the depthwise one by autograd, with z as its result.
        grad = laid_out(grads[0])
        inner = [t.detach().requires_grad_(w) for t, w in zip((x, depthwise), want[:2], strict=True)]
        with torch.enable_grad():
            z = ctx.between(inner[0], inner[1], *ctx.how)
        slope, by_pointwise, _ = torch.ops.aten.convolution_backward(
            grad,
            z.detach(),
            pointwise,
            None,
            [1] * dims,
            [0] * dims,
            [1] * dims,
            False,
            [0] * dims,
            groups,
            [any(want[:2]), want[2], False],
        )
        chosen = [t for t in inner if t.requires_grad]
        found = iter(torch.autograd.grad(z, chosen, slope) if chosen else ())
        return (*(next(found) if w else None for w in want[:2]), by_pointwise if want[2] else None, None, None, None)


def _separable(source: NodeValue, bundle: Bundle) -> Tensor:
    y = depthwise_pointwise(source.relu, bundle["1.weight"], bundle["2.weight"], source.stride)
    y = torch.relu(bundle.norm(y, "3", weighted=False))
    y = depthwise_pointwise(y, bundle["5.weight"], bundle["6.weight"])
    return bundle.norm(y, "7", weighted=True)


def _dilated(source: NodeValue, bundle: Bundle) -> Tensor:
    """A convolution of dilation 2 as an undilated one, which is several times faster: pixels see those of their phase only.

    Strided, only one phase is looked at. Not strided, the result is in phases where the size is even.
    """
    # Taps two pixels apart meet pixels of one parity only. So the phases, as images of their own, need no dilation; and the
    # norm sees the same numbers in another order, so that the pixels are put back once, after the kinds are added up.
    if source.stride == 2:
        x, dilation = laid_out(strided(source.relu, 2)), 1
    elif source.has_phases:
        x, dilation = source.relu_phases, 1
    else:
        x, dilation = source.relu, 2
    y = depthwise_pointwise(x, bundle["1.weight"], bundle["2.weight"], 1, dilation)
    return bundle.norm(y, "3", weighted=True)


def _reduction(source: NodeValue, bundle: Bundle) -> Tensor:
    """Both 1x1 convolutions of a factorised reduction as one of two positions an axis, whose other entries are zero."""
    # In an image the even grid is the upper left pixel of each 2x2 block, the odd grid its lower right one. Three of four
    # products are with zeros; one convolution in place of two and a shifted copy is worth that. Each edge has its even channels
    # before its odd ones, as the concatenation in the plain module does.
    n, channels, dims = len(bundle), source.x.shape[1], dims_of(source.x)
    even = pad(bundle["even.weight"], (0, 1) * dims).view(n, -1, channels, *[2] * dims)
    odd = pad(bundle["odd.weight"], (1, 0) * dims).view(n, -1, channels, *[2] * dims)
    weight = torch.cat([even, odd], dim=1).flatten(0, 1)
    return bundle.norm(CONVOLVE[dims](padded_to_even(source.relu), weight, stride=2), "norm", weighted=True)


def _average(source: NodeValue) -> Tensor:
    return POOL_MEAN[dims_of(source.x)](source.x, 3, source.stride, 1, count_include_pad=False)


def _maximum(source: NodeValue) -> Tensor:
    return POOL_MAX[dims_of(source.x)](source.x, 3, source.stride, 1)


Batched = Callable[[NodeValue, Bundle], Tensor]

BATCHED: Mapping[str, Batched] = {
    "nor_conv_1x1": _dense(1),
    "nor_conv_3x3": _dense(3),
    "sep_conv_3x3": _separable,
    "sep_conv_5x5": _separable,
    "sep_conv_7x7": _separable,
    "dil_conv_3x3": _dilated,
    "dil_conv_5x5": _dilated,
    "skip_connect": _reduction,
}
"""Operations that end in a batch norm; ``skip_connect`` where it is strided."""

POOLS: Mapping[str, Callable[[NodeValue], Tensor]] = {
    "avg_pool_3x3": _average,
    "max_pool_3x3": _maximum,
    "avg_pool_3x3_norm": _average,
    "max_pool_3x3_norm": _maximum,
}


def has_batched_form(name: str, module: nn.Module) -> bool:
    """Whether the operation of that name, which is this module on its edge, has a batched form."""
    if BATCHED.get(name) is _reduction:  # a skip is a reduction on strided edges alone, and a wrap may have changed it
        return isinstance(module, FactorizedReduce)
    return name in BATCHED or name in POOLS
