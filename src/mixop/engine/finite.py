"""Divergence: numbers that are no longer finite, found before they are written down."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from mixop.core.errors import DivergedError
from mixop.runs import checkpoint


def first_not_finite(parts: Mapping[str, nn.Module | torch.optim.Optimizer | Mapping[str, Tensor]]) -> str:
    """The first of several parts that holds a number which is not finite; empty if none does.

    Args:
        parts: by the name that messages give them.
    """
    for name, part in parts.items():
        # One number for the whole part, so that a GPU is waited for once; the maximum of values with a NaN among them is NaN.
        largest = [value.abs().max().double() for value in _tensors(part)]
        if largest and not math.isfinite(float(torch.stack(largest).max())):
            return name
    return ""


def _tensors(part: nn.Module | torch.optim.Optimizer | Mapping[str, Tensor]) -> Iterator[Tensor]:
    if isinstance(part, nn.Module):
        values = part.state_dict().values()
    elif isinstance(part, torch.optim.Optimizer):
        values = [value for state in part.state.values() for value in state.values()]
    else:
        values = part.values()
    for value in values:
        if isinstance(value, Tensor) and value.is_floating_point() and value.numel():
            yield value.detach()


class FiniteCheck:
    """Whether losses and gradients stay finite: looked at when they are seen on a CPU, and in one go from another device.

    A GPU is not waited for at every step. It is asked before anything is saved or measured, so that what a checkpoint holds has
    always had a finite loss and gradient.

    Args:
        state: where the checkpoint is, if there has been one.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._seen: list[tuple[Tensor, str, str]] = []

    def see(self, value: Tensor, what: str, when: str) -> None:
        """Takes in a scalar.

        Args:
            value: on whatever device.
            what: what it is, the start of a sentence.
            when: the end of that sentence.

        Raises:
            DivergedError: if it is on the CPU and not finite.
        """
        if value.device.type != "cpu":
            self._seen.append((value.detach(), what, when))
        elif not value.isfinite():
            raise self._diverged(value.item(), what, when)

    def check(self) -> None:
        """Looks at all that was seen.

        Raises:
            DivergedError: naming the first that was not finite.
        """
        seen, self._seen = self._seen, []
        values = [value for value, _, _ in seen]
        for number, (_, what, when) in zip(torch.stack(values).tolist() if values else [], seen, strict=True):
            if not math.isfinite(number):
                raise self._diverged(number, what, when)

    def _diverged(self, number: float, what: str, when: str) -> DivergedError:
        return diverged(f"{what} became {number}{when}", self._state)


def diverged(what: str, state: Path) -> DivergedError:
    """The error for a training that has left the finite numbers.

    Args:
        what: the start of the sentence: what is not finite, and where.
        state: where the checkpoint is, if there has been one.
    """
    kept = f"; the last good state is kept in {state}" if checkpoint.exists(state) else ""
    return DivergedError(f"{what}: try a smaller learning rate or a smaller clip, in another --out{kept}.")
