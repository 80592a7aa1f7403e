"""Nested gates: options in a row, each opened by a hard-concrete gate of its own."""

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import Constant, Schedule, check_range, schedule
from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.relax.hard_concrete import activation_probability, sample_gates
from mixop.spaces.core import Group


def nested(gates: Tensor) -> Tensor:
    """The weight of every option: its gate and all before it are open, the next one is closed.

    ``w_o = z_1 ... z_o (1 - z_(o+1))``; the sum over the options from ``o`` on is ``z_1 ... z_o``.

    Args:
        gates: in [0, 1], ``(E, O - 1)``; the gate of the first option is always open.

    Returns:
        Weights ``(E, O)`` on the simplex.
    """
    first = torch.ones_like(gates[:, :1]) if gates.shape[1] else gates.new_ones(len(gates), 1)
    reached = torch.cat([first, gates], 1).cumprod(1)
    return reached - torch.cat([reached[:, 1:], torch.zeros_like(reached[:, :1])], 1)


@dataclass(frozen=True, kw_only=True)
class NestedGates(Relaxation):
    """The options of a decision in a row, from the least to the most; a hard-concrete gate opens each but the first.

    For `mixop.Width` that is a gate on every block of channels: the mask of a channel is the product of the gates up to its
    block, 0 and 1 with positive probability. Other choices should name what costs least first, such as a skip. Gates begin
    open, so that a pretrained model is what it was.

    Args:
        temperature: of the gates, > 0, a number or a schedule.
        low: lower end of the stretched interval, < 0.
        high: upper end of the stretched interval, > 1.
        start: initial logit of every gate; 2 opens it with a probability of 0.97 at the default temperature.

    Source: gates: Louizos et al. 2018 (arXiv:1712.01312), eqs. 10-12; ours: their nesting, which puts them on the simplex.
    """

    parameter_per_option: ClassVar[bool] = False

    temperature: Schedule = Constant(2 / 3)
    low: float = -0.1
    high: float = 1.1
    start: float = 2.0

    def __post_init__(self) -> None:
        check_range("temperature of NestedGates", self.temperature, above=0)
        object.__setattr__(self, "temperature", schedule(self.temperature))
        check_range("low of NestedGates", self.low)
        check_range("high of NestedGates", self.high, above=1)
        check_range("start of NestedGates", self.start)
        if not self.low < 0:
            raise RecipeError(f"low of NestedGates must be less than 0, so that gates can close, got {self.low:g}.")

    def init(self, group: Group, generator: Generator) -> Tensor:
        """A logit for every option but the first, ``(E, O - 1)``."""
        edges, options = group.shape
        return self.start + 1e-3 * torch.randn(edges, options - 1, generator=generator)

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        return Draw(nested(sample_gates(params, self.temperature(progress), self.low, self.high, generator)))

    def mean(self, params: Tensor, group: Group) -> Tensor:
        """The probability of every option to be the last one whose gate is not closed, at the last temperature."""
        return nested(activation_probability(params, self.temperature(1.0), self.low, self.high))
