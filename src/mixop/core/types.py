"""The words of `docs/design.md` that are tensors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, cast

from torch import Tensor
from torch.utils._pytree import tree_map_only

Mix = Mapping[str, Tensor]
"""Group name -> mixing weights, shape ``(E, O)``; any relaxation's output, need not lie on the simplex. Of a draw by cell
``(L, E, O)``: those of each of the L cells of the group, in the order of the network."""

Params = dict[str, Tensor]
"""Group name -> architecture parameters of a relaxation, usually ``(E, O)``; never inside the network."""

Paths = tuple[tuple[int, ...], ...]
"""For each decision the indices of the options that run, host-side integers: one for one-hot draws, two for two paths."""

DROPPED = -1
"""In place of an option's index: the decision is dropped, its edge absent."""

CellPaths = tuple[Paths, ...]
"""Of a draw by cell the options that run in each cell of a group, in the order of the network."""

Active = Mapping[str, Paths | CellPaths]
"""Group name -> the options that run."""


def paths_of(paths: Paths | CellPaths, cell: int) -> Paths:
    """The options that run in one of a group's cells, which may be the same in all.

    Args:
        paths: of the group.
        cell: number of the cell among those of the group, from 0.
    """
    return cast(Paths, paths[cell] if is_by_cell(paths) else paths)


def is_by_cell(paths: Paths | CellPaths) -> bool:
    """Whether every cell of a group has paths of its own."""
    return bool(paths) and bool(paths[0]) and isinstance(paths[0][0], tuple)


class Batch(NamedTuple):
    """Inputs ``(B, ...)`` and targets ``(B, ...)`` of some examples.

    ``state`` is what a recurrent network carries into the batch from the one before it; None at a start, and for all others.
    """

    x: Tensor
    y: Tensor
    state: Any = None


@dataclass(frozen=True)
class Draw:
    """One sample of the mixing weights of a group, for all of its cells or, by cell, one for each.

    Args:
        weights: mixing weights ``(E, O)``, differentiable in the parameters where the relaxation is pathwise; by cell
            ``(L, E, O)``.
        log_prob: log-probability of the draw (scalar) where the gradient is a score function, else None.
        active: for draws that leave options out, for every decision the options that run, drawn on the host, by cell for
            every cell; None if all do.
        penalty: a scalar that the relaxation adds to the loss of the architecture step for this draw, else None.
        entropy: of the decisions on the way of the draw, a scalar in nats, where they were taken one after the other across
            groups, else None.
    """

    weights: Tensor
    log_prob: Tensor | None = None
    active: Paths | CellPaths | None = None
    penalty: Tensor | None = None
    entropy: Tensor | None = None


def detached(values: Any) -> Any:
    """What a network gives or carries, cut off from the pass that made it: tensors, also in tuples, lists and mappings."""
    return tree_map_only(Tensor, Tensor.detach, values)


def in_float32(outputs: Any) -> Any:
    """Outputs of a network, numbers of another precision as float32: a tensor, or tensors in tuples, lists and mappings."""
    return tree_map_only(Tensor, lambda value: value.float() if value.is_floating_point() else value, outputs)
