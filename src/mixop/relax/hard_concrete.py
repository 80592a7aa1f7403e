"""Hard-concrete gates: every option has its own gate in [0, 1], closed and open with positive probability."""

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import Linear, Schedule, check_range, schedule
from mixop.core.transfer import upload
from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.relax.sampling import as_paths, one_hot, straight_through, without_idle
from mixop.spaces.core import Group

_REDRAWS = 100  # of gates that are all closed; logits far below 0 would otherwise never end


def activation_probability(params: Tensor, temperature: float, low: float = -0.1, high: float = 1.1) -> Tensor:
    """Probability that a gate is not 0: ``sigmoid(beta - temperature * log(-low / high))``.

    Args:
        params: gate logits beta, any shape.
        temperature: of the gates, > 0.
        low: lower end of the stretched interval, < 0.
        high: upper end of the stretched interval, > 1.

    Source: Louizos et al. 2018 (arXiv:1712.01312), eq. 12; Zhou et al. 2020 (arXiv:2006.16537), section 4.1.
    """
    return (params - temperature * math.log(-low / high)).sigmoid()


def sample_gates(params: Tensor, temperature: float, low: float, high: float, generator: Generator) -> Tensor:
    """One gate for every logit: a binary concrete draw, stretched to ``[low, high]`` and clamped to [0, 1].

    Pathwise gradient; 0 where the clamp holds.

    Args:
        params: gate logits beta, any shape.
        temperature: > 0.
        low: lower end of the stretched interval, < 0.
        high: upper end of the stretched interval, > 1.
        generator: source of the noise, on the CPU.

    Source: Louizos et al. 2018 (arXiv:1712.01312), eqs. 10-11; the authors' code of PR-DARTS. The paper of PR-DARTS prints
        another form of the noise, which is no relaxation of a Bernoulli variable.
    """
    noise = torch.rand(params.shape, generator=generator, dtype=params.dtype).logit()
    stretched = low + (high - low) * ((params + upload(noise, params.device)) / temperature).sigmoid()
    return stretched.clamp(0.0, 1.0)


@dataclass(frozen=True, kw_only=True)
class HardConcrete(Relaxation):
    """Independent gates for every option, no competition within a decision.

    Args:
        temperature: > 0, a number or a schedule.
        low: lower end of the stretched interval, < 0.
        high: upper end of the stretched interval, > 1.
        sample: how many options of a decision run at least, with weight 1 and the gate's gradient (code); as many as it takes,
            where those are more. None runs all, weighted with the gates themselves (paper).
        drop: probability that an option is passed over when the ``sample`` largest gates are taken, in [0, 1); it then
            runs only if too few others remain. With 0, gates that are all closed are drawn again.

    Source: Zhou et al. 2020 (arXiv:2006.16537), section 4.1 and code.
    """

    mix_on_simplex: ClassVar[bool] = False
    on_host: ClassVar[bool] = True
    takes_several: ClassVar[bool] = True

    temperature: Schedule = Linear(1.0, 0.1)
    low: float = -0.1
    high: float = 1.1
    sample: int | None = 2
    drop: float = 0.4

    def __post_init__(self) -> None:
        check_range("temperature of HardConcrete", self.temperature, above=0)
        object.__setattr__(self, "temperature", schedule(self.temperature))
        check_range("low of HardConcrete", self.low)
        check_range("high of HardConcrete", self.high, above=1)
        check_range("drop of HardConcrete", self.drop, at_least=0)
        if not self.low < 0:
            raise RecipeError(f"low of HardConcrete must be less than 0, so that gates can close, got {self.low:g}.")
        if not self.drop < 1:
            raise RecipeError(f"drop of HardConcrete must be less than 1, got {self.drop:g}.")
        whole = isinstance(self.sample, int) and not isinstance(self.sample, bool)
        if self.sample is not None and not (whole and self.sample >= 1):
            raise RecipeError(f"sample of HardConcrete must be a whole number of at least 1, or None, got {self.sample!r}.")

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        temperature = self.temperature(progress)
        gates = sample_gates(params, temperature, self.low, self.high, generator)
        if self.sample is None:
            return Draw(gates)
        for _ in range(_REDRAWS if self.drop == 0 else 0):
            if gates.any():
                break
            gates = sample_gates(params, temperature, self.low, self.high, generator)
        running = self._largest(gates.detach().cpu(), generator, max(self.sample, group.take))
        # The authors' cell runs the options with a gate above 0 and knows nothing of the others.
        return Draw(without_idle(straight_through(one_hot(running, gates), gates), running), active=as_paths(running))

    def _largest(self, gates: Tensor, generator: Generator, count: int) -> Tensor:
        """Indices ``(E, K)`` of the ``count`` options that run, largest score first."""
        dropped = torch.rand(gates.shape, generator=generator, dtype=gates.dtype) < self.drop
        # Gates at exactly 1 tie: one random order of the options decides, the same for all decisions.
        order = torch.randperm(gates.shape[-1], generator=generator)
        ranked = (gates - dropped.to(gates))[:, order].argsort(dim=-1, descending=True, stable=True)
        return order[ranked[:, :count]]

    def mean(self, params: Tensor, group: Group) -> Tensor:
        """Activation probability of every gate at the last temperature; rows need not sum to 1.

        Its order, within a decision and between decisions, is that of the logits and so the same at every temperature.
        """
        return activation_probability(params, self.temperature(1.0), self.low, self.high)
