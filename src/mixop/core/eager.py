"""Optimisers of torch that leave torch's compiler alone.

torch wraps what optimisers do so that its compiler keeps away from it, and loads the compiler for that: 2.6 seconds at the
first step of a process, although nothing is compiled.
"""

import inspect
from collections.abc import Callable
from functools import cache
from typing import Any, TypeVar

import torch

_WRAPPED = ("add_param_group", "zero_grad", "state_dict", "load_state_dict")
"""Methods of `torch.optim.Optimizer` that torch wraps, beside ``step``."""


Kind = TypeVar("Kind", bound=torch.optim.Optimizer)


def eager(kind: type[Kind]) -> type[Kind]:
    """An optimiser class with the same numbers, whose methods are what torch wraps.

    Args:
        kind: a class of `torch.optim`.

    Returns:
        A subclass with the same name, arguments and state. It is not differentiable itself, and not to be compiled.
    """
    return _eager(kind)


@cache
def _eager(kind: type[torch.optim.Optimizer]) -> Any:
    step = inspect.unwrap(kind.step)

    @torch.no_grad()
    def plain_step(self: torch.optim.Optimizer, closure: Callable[[], float] | None = None) -> float | None:
        return step(self, closure)

    methods: dict[str, Any] = {name: inspect.unwrap(getattr(kind, name)) for name in _WRAPPED}
    return type(kind.__name__, (kind,), {**methods, "step": plain_step, "__module__": kind.__module__})
