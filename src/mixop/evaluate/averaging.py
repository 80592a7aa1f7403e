"""Averaged weights: when the average begins, and the average itself."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range


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

    watches: ClassVar[bool] = True

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

    def share(self, count: int) -> float:
        """The share of the last step's weights in the mean of so many steps: an equal one."""
        return 1 / count


@dataclass(frozen=True, kw_only=True)
class MovingAverage:
    """An exponential moving average of the weights from the first step on: old steps fade, so it follows the training.

    Until it has as many steps as fade slowly enough, it is the plain mean of all of them, so that it forgets where it began.
    Statistics of batch norms are averaged alike. The averaged network is scored at the end; nothing is validated.

    Args:
        decay: share of the mean that a step keeps, in (0, 1): at 0.99 it reaches back about 100 steps.

    Raises:
        RecipeError: if it is out of range.

    Source: Polyak & Juditsky 1992; the exponential form as in Tarvainen & Valpola 2017 (arXiv:1703.01780), section 2.
    """

    watches: ClassVar[bool] = False

    decay: float = 0.99

    def __post_init__(self) -> None:
        check_range("decay of MovingAverage", self.decay, above=0)
        if not self.decay < 1:
            raise RecipeError(f"decay of MovingAverage must be less than 1, got {self.decay:g}: at 1 it never moves.")

    def share(self, count: int) -> float:
        """The share of the last step's weights in the average after so many steps."""
        return max(1 - self.decay, 1 / count)


@torch.no_grad()
def average(averages: dict[str, Tensor], net: nn.Module, share: float, *, statistics: bool = False) -> None:
    """Takes the weights after one step more into their mean.

    Args:
        averages: the mean by name, empty at the first step; changed.
        net: with the weights.
        share: of these weights in the mean, in (0, 1].
        statistics: whether numbers that are no weights are averaged too, those of batch norms.
    """
    values = dict(_averaged(net, statistics=statistics))
    known = [name for name in values if name in averages]
    if known:
        torch._foreach_lerp_([averages[name] for name in known], [values[name] for name in known], share)
    averages.update({name: value.detach().clone() for name, value in values.items() if name not in averages})


def _averaged(net: nn.Module, *, statistics: bool) -> Iterator[tuple[str, Tensor]]:
    yield from net.named_parameters()
    for name, value in net.named_buffers() if statistics else ():
        if value.is_floating_point():  # a batch norm counts its steps, too
            yield name, value


@contextmanager
def with_weights(net: nn.Module, weights: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, a network has other weights in place of its own.

    Args:
        net: the network.
        weights: by name; others stay.
    """
    tensors = dict(_averaged(net, statistics=True))
    own = {name: tensors[name].detach().clone() for name in weights}
    put(net, weights)
    try:
        yield
    finally:
        put(net, own)


@torch.no_grad()
def put(net: nn.Module, weights: Mapping[str, Tensor]) -> None:
    """Writes weights into a network, by name."""
    tensors = dict(_averaged(net, statistics=True))
    for name, value in weights.items():
        tensors[name].copy_(value)
