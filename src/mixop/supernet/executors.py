"""The executors by name: the same function of images and mixing weights, computed in different ways."""

from collections.abc import Callable, Mapping, Sequence

from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Space
from mixop.supernet.core import Supernet
from mixop.supernet.fused import check_fused, fused
from mixop.supernet.nodewise import check_nodewise, nodewise
from mixop.supernet.plain import plain
from mixop.wraps.base import Wrap

EXECUTORS: Mapping[str, Callable[..., Supernet]] = {"nodewise": nodewise, "fused": fused, "plain": plain}
"""Each is called as ``make(space, norm=, generator=, wraps=)``; with one generator all have the same initial weights."""


def check_executor(name: str, space: Space, *, norm: BatchNorm, wraps: Sequence[Wrap] = ()) -> None:
    """Refuses what an executor cannot compute, without building it.

    Args:
        name: of the executor.
        space: the search space with its sizes.
        norm: batch norm settings.
        wraps: changes of how its edges compute.

    Raises:
        RecipeError: for what it does not know, by name.
        RunError: where it cannot run on this machine.
    """
    _CHECKS[name](space, norm=norm, wraps=wraps)


_CHECKS: Mapping[str, Callable[..., None]] = {
    "nodewise": lambda space, *, norm, wraps: check_nodewise(wraps),
    "fused": check_fused,
    "plain": lambda space, *, norm, wraps: None,  # computes everything
}
