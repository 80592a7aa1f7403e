"""The words of `docs/design.md` that are tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import Tensor

Mix = Mapping[str, Tensor]
"""Group name -> mixing weights, shape ``(E, O)``; any relaxation's output, need not lie on the simplex."""

Params = dict[str, Tensor]
"""Group name -> architecture parameters of a relaxation, usually ``(E, O)``; never inside the network."""

Paths = tuple[tuple[int, ...], ...]
"""For each decision the indices of the options that run, host-side integers: one for one-hot draws, two for two paths."""

DROPPED = -1
"""In place of an option's index: the decision is dropped, its edge absent."""

Active = Mapping[str, Paths]
"""Group name -> the options that run."""


class Batch(NamedTuple):
    """Inputs ``(B, ...)`` and targets ``(B, ...)`` of some examples.

    ``state`` is what a recurrent network carries into the batch from the one before it; None at a start, and for all others.
    """

    x: Tensor
    y: Tensor
    state: Any = None


@dataclass(frozen=True)
class Draw:
    """One sample of the mixing weights of a group.

    Args:
        weights: mixing weights ``(E, O)``, differentiable in the parameters where the relaxation is pathwise.
        log_prob: log-probability of the draw (scalar) where the gradient is a score function, else None.
        active: for draws that leave options out, for every decision the options that run, drawn on the host; None if all do.
    """

    weights: Tensor
    log_prob: Tensor | None = None
    active: Paths | None = None
