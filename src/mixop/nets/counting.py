"""Multiply-adds of a pass, by torch's counter."""

from collections.abc import Callable
from contextlib import suppress
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from mixop.core.flops import FlopCounter


def without_numbers(network: nn.Module, x: Any) -> tuple[nn.Module, Any]:
    """A copy of a network and its inputs that have shapes alone.

    Torch counts such a pass in full. On a CPU it leaves out attention and recurrent layers that run in one kernel.
    """
    return deepcopy(network).to("meta"), tree_map(lambda leaf: leaf.to("meta") if isinstance(leaf, Tensor) else leaf, x)


def multiply_adds(network: nn.Module, x: Any, run: Callable[[nn.Module, Any], Any] = lambda network, x: network(x)) -> float:
    """Multiply-adds of convolutions, linear maps and attention in one pass, half of what torch counts as operations.

    Batch norm, activations, pooling and sums count nothing, as in most published numbers.

    Args:
        network: in the mode that is meant; it is not changed.
        x: its inputs.
        run: calls it.
    """
    counter = _counted(network, x, run)
    if counter.missed:
        with suppress(Exception), torch.device("meta"):  # a module of the user's may need numbers, in any way
            counter = _counted(*without_numbers(network, x), run)
    return counter.total / 2


def _counted(network: nn.Module, x: Any, run: Callable[[nn.Module, Any], Any]) -> FlopCounter:
    with torch.no_grad(), FlopCounter() as counter:
        run(network, x)
    return counter
