"""Terms that a network adds to the loss of its training: slowness of a hidden state, a balance of experts, and the like.

A module calls `add_loss` in its pass. Whoever trains the network gathers the terms of a pass around it and adds them to the
task's loss. Outside of that, in scoring for example, they are forgotten. As with the mixing weights that choices read, what
belongs to a pass is with the pass and its thread, so that the network stays a function of its arguments.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from torch import Tensor

from mixop.core.errors import SpaceError

_GATHERED: ContextVar["list[Tensor] | None"] = ContextVar("_GATHERED", default=None)


def add_loss(term: Tensor) -> None:
    """Adds a term to the loss of the training step whose pass this is; does nothing in other passes.

    Steps of the weights have such terms: a network's parameters learn from them. The loss that the architecture learns from,
    scores and measures are the task's alone.

    Args:
        term: a scalar to differentiate, times its weight; a mean over the batch, as the task's loss is.

    Raises:
        SpaceError: if it is no scalar.
    """
    if not isinstance(term, Tensor) or term.dim() > 0:
        got = f"a tensor of shape {tuple(term.shape)}" if isinstance(term, Tensor) else type(term).__name__
        raise SpaceError(f"add_loss takes a scalar tensor, got {got}: take its mean, and multiply it by its weight.")
    terms = _GATHERED.get()
    if terms is not None:
        terms.append(term)


@contextmanager
def added_losses() -> Iterator[list[Tensor]]:
    """Inside, the terms that networks add are gathered in the list that it gives."""
    terms: list[Tensor] = []
    token = _GATHERED.set(terms)
    try:
        yield terms
    finally:
        _GATHERED.reset(token)


def total_loss(loss: Tensor, terms: list[Tensor]) -> Tensor:
    """The loss with the terms that a network added to it."""
    for term in terms:
        loss = loss + term.to(loss.dtype)
    return loss
