"""Second derivatives of functions of our own: when autograd asks for a graph of their gradient, they are computed again."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor


def graph_of_gradients(
    compute: Callable[[Sequence[Any]], Tensor], given: Sequence[Tensor | None], wanted: Sequence[bool], slope: Tensor
) -> list[Tensor | None]:
    """The gradients as functions of what they depend on, by torch.

    Args:
        compute: the value from what was given, by functions that torch differentiates.
        given: what the function was called with; None where it was called without.
        wanted: whether the gradient in each of them is.
        slope: gradient of the value.

    Returns:
        A gradient for each, None where it is not wanted or there is none.
    """
    # Views stand for what came in, so that the gradient stops here and its own graph continues to what came in.
    views = [x.view_as(x) if want and x is not None else x for x, want in zip(given, wanted, strict=True)]
    chosen = [x for x, want in zip(views, wanted, strict=True) if want and x is not None]
    found = iter(torch.autograd.grad(compute(views), chosen, slope, create_graph=True, allow_unused=True))
    return [next(found) if want else None for want in wanted]
