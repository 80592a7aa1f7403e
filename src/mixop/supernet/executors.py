"""Supernets of spaces, by the executor's name: the same function of inputs and mixing weights, computed in different ways."""

from collections.abc import Callable, Mapping, Sequence

from torch import Generator

from mixop.nets.modules.space import ModuleSpace
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Space
from mixop.spaces.stacked import stacked
from mixop.supernet.base import Supernet
from mixop.supernet.cells import CellSupernet
from mixop.supernet.fused import check_fused, fused
from mixop.supernet.module import check_module, module_supernet
from mixop.supernet.nodewise import check_wraps, nodewise
from mixop.supernet.plain import plain
from mixop.supernet.triton import check_triton, triton
from mixop.wraps.base import Wrap

EXECUTORS: Mapping[str, Callable[..., CellSupernet]] = {
    "nodewise": nodewise,
    "fused": fused,
    "triton": triton,
    "plain": plain,
}
"""Each is called as ``make(space, norm=, generator=, wraps=)``; with one generator all have the same initial weights."""


def make_supernet(name: str, space: Space, *, norm: BatchNorm, generator: Generator, wraps: Sequence[Wrap] = ()) -> Supernet:
    """The supernet of a space, freshly initialised.

    Args:
        name: of the executor. A module space computes its model as it is, whichever it is.
        space: the search space with its sizes.
        norm: batch norm settings.
        generator: source of the initial weights.
        wraps: changes of how edges of cells compute, the first one nearest to the operations.

    Raises:
        SpaceError: for a space that is neither of cells nor in a module.
    """
    if isinstance(space, ModuleSpace):
        return module_supernet(space, norm=norm, generator=generator)
    return EXECUTORS[name](stacked(space), norm=norm, generator=generator, wraps=wraps)


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
    if isinstance(space, ModuleSpace):
        check_module(name, space)
    else:
        _CHECKS[name](stacked(space), norm=norm, wraps=wraps)


_CHECKS: Mapping[str, Callable[..., None]] = {
    "nodewise": lambda space, *, norm, wraps: check_wraps(wraps),
    "fused": lambda space, *, norm, wraps: check_fused(space, wraps=wraps),
    "triton": lambda space, *, norm, wraps: check_triton(space, wraps=wraps),
    "plain": lambda space, *, norm, wraps: None,  # computes everything
}
