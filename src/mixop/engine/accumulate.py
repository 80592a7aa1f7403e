"""The loss of a batch and its gradient, computed in pieces one after the other, so that only one piece is in memory.

The gradient of each piece is taken at once, and autograd is given the sum: whoever differentiates the loss sees no pieces.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from mixop.core.share import Share, shares, sharing

PieceLoss = Callable[[Mapping[str, Tensor], Share], Tensor]
"""The mean loss of a share of the batch, a scalar, from the tensors that it may be differentiated in."""


def pieces_of(count: int, accumulate: int) -> list[Share]:
    """The pieces of a batch: none of a single example, which batch norm cannot normalise, so that there may be fewer.

    Args:
        count: examples in the batch.
        accumulate: pieces that are asked for.
    """
    return shares(count, max(1, min(accumulate, count // 2)))


def in_pieces(loss_of: PieceLoss, tensors: Mapping[str, Tensor], pieces: list[Share]) -> Tensor:
    """The mean loss of a batch, with a first derivative.

    Args:
        loss_of: of one piece; called for each, within `mixop.core.share.sharing`.
        tensors: what it may be differentiated in, by name.
        pieces: of the batch.
    """
    given = tensors.values() if torch.is_grad_enabled() else [tensor.detach() for tensor in tensors.values()]
    return _Sum.apply(loss_of, tuple(tensors), pieces, *given)  # type: ignore[return-value]


class _Sum(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, loss_of: PieceLoss, names: tuple[str, ...], pieces: list[Share], *tensors: Tensor) -> Tensor:
        wanted = [k for k, want in enumerate(ctx.needs_input_grad[3:]) if want]
        total, gradient = None, dict[int, Tensor]()
        for piece in pieces:
            leaves = [tensor.detach().requires_grad_(k in wanted) for k, tensor in enumerate(tensors)]
            with torch.set_grad_enabled(bool(wanted)), sharing(piece):
                loss = piece.part * loss_of(dict(zip(names, leaves, strict=True)), piece)
            total = loss.detach() if total is None else total + loss.detach()
            if not loss.requires_grad:
                continue
            slopes = torch.autograd.grad(loss, [leaves[k] for k in wanted], allow_unused=True)
            for k, slope in zip(wanted, slopes, strict=True):
                if slope is not None:
                    gradient[k] = gradient[k] + slope if k in gradient else slope
        ctx.gradient = [gradient.get(k) for k in range(len(tensors))]
        assert total is not None, "a batch has at least one piece"
        return total

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return (None, None, None, *(None if slope is None else grads[0] * slope for slope in ctx.gradient))
