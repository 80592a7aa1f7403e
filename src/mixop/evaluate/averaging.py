"""Averaged weights: when the average begins, and the average itself."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from mixop.core.errors import RecipeError


@dataclass(frozen=True, kw_only=True)
class Averaging:
    """The mean of the weights after every step since validation stopped to improve: averaged SGD with a non-monotonic trigger.

    The average begins with the step after the first epoch whose validation loss is larger than the least one of all epochs but
    the last few before it. From then on the averaged weights are validated, kept and scored; the steps go on from their own.

    Args:
        patience: those few, >= 1 epochs.

    Raises:
        RecipeError: if it is no whole number of at least 1.

    Source: Merity et al. 2018 (arXiv:1708.02182), algorithm 1; the trigger as in the code of Liu et al. 2019
    (arXiv:1806.09055). There, torch's ASGD averages from the second step on.
    """

    patience: int = 5

    def __post_init__(self) -> None:
        if isinstance(self.patience, bool) or not isinstance(self.patience, int) or self.patience < 1:
            raise RecipeError(f"patience of Averaging must be a whole number of at least 1, got {self.patience!r}.")

    def begins(self, losses: Sequence[float]) -> bool:
        """Whether the average begins, after the epoch of the last loss.

        Args:
            losses: on the validation part, after every epoch so far.
        """
        *before, last = losses
        return len(before) > self.patience and last > min(before[: -self.patience])


@torch.no_grad()
def average(averages: dict[str, Tensor], net: nn.Module, count: int) -> None:
    """Takes the weights after one step more into their mean.

    Args:
        averages: the mean by name, empty at the first step; changed.
        net: with the weights.
        count: steps in the mean with this one, >= 1.
    """
    for name, weight in net.named_parameters():
        if count == 1:
            averages[name] = weight.detach().clone()
        else:
            averages[name].lerp_(weight, 1 / count)


@contextmanager
def with_weights(net: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, a network has other weights in place of its own.

    Args:
        net: the network.
        weights: by name; others stay.
    """
    parameters = dict(net.named_parameters())
    own = {name: parameters[name].detach().clone() for name in weights}
    put(net, weights)
    try:
        yield
    finally:
        put(net, own)


@torch.no_grad()
def put(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Writes weights into a network, by name."""
    parameters = dict(net.named_parameters())
    for name, value in weights.items():
        parameters[name].copy_(value)
