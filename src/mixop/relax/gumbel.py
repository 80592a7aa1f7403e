"""Softmax under Gumbel noise: soft as SNAS, one-hot with a straight-through gradient as GDAS, on logits or on the simplex."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixop.core.schedules import Linear, Schedule, check_range, schedule
from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.relax.sampling import as_paths, gumbel_noise, one_hot, straight_through, without_idle
from mixop.spaces.core import Group


def gumbel_softmax(logits: Tensor, temperature: float, generator: Generator) -> Tensor:
    """One draw of the concrete distribution: ``softmax((logits + Gumbel noise) / temperature)``, with pathwise gradient.

    As the temperature falls to 0 the rows approach one-hot draws of ``softmax(logits)``, and the gradient's variance grows.
    The largest entry of a row is a draw of ``softmax(logits)`` at every temperature.

    Args:
        logits: unnormalised log-probabilities ``(E, O)``; a constant added to a row changes nothing, so they need no
            log-softmax.
        temperature: > 0, no unit.
        generator: source of the noise, on the CPU.

    Returns:
        ``(E, O)``, rows on the simplex.

    Source: Jang et al. 2017 (arXiv:1611.01144), eq. 2; Maddison et al. 2017 (arXiv:1611.00712), eq. 10.
    """
    return ((logits + gumbel_noise(logits, generator)) / temperature).softmax(-1)


def gumbel_draw(logits: Tensor, group: Group, temperature: float, generator: Generator, *, idle: bool | None) -> Draw:
    """One draw of a group: one-hot by `gumbel_one_hot`; soft, with all options, where they are what a node reads.

    The authors of NAS-Bench-1Shot1 draw what a node reads softly, because hard draws of it made gradients explode.

    Args:
        logits: unnormalised log-probabilities ``(E, O)``.
        group: the decisions.
        temperature: > 0.
        generator: source of the noise, on the CPU.
        idle: as in `GumbelHard`.

    Source: Dong & Yang 2019 (arXiv:1910.04465), eqs. 5-7; code of Zela et al. 2020 (arXiv:2001.10422) for the soft ones.
    """
    if group.inputs:
        everything = tuple(range(group.shape[1]))
        return Draw(gumbel_softmax(logits, temperature, generator), active=(everything,) * group.shape[0])
    return gumbel_one_hot(logits, temperature, generator, idle=adds_idle(idle, group))


def gumbel_one_hot(logits: Tensor, temperature: float, generator: Generator, *, idle: bool) -> Draw:
    """One draw that is one-hot in value and has the gradient of `gumbel_softmax`; only the option drawn runs.

    Args:
        logits: unnormalised log-probabilities ``(E, O)``.
        temperature: of the gradient, > 0.
        generator: source of the noise, on the CPU.
        idle: whether the weights of the options that do not run carry a gradient too.

    Source: Dong & Yang 2019 (arXiv:1910.04465), eqs. 5-7.
    """
    soft = gumbel_softmax(logits, temperature, generator)
    chosen = soft.detach().argmax(-1, keepdim=True).cpu()
    weights = straight_through(one_hot(chosen, soft), soft)
    return Draw(weights if idle else without_idle(weights, chosen), active=as_paths(chosen))


def adds_idle(idle: bool | None, group: Group) -> bool:
    """Whether idle options carry a gradient: as told, or as the author's code of GDAS has it in that space.

    In a cell that keeps all edges (NAS-Bench-201) the code adds the weights of idle options to the edge as numbers. In a cell
    that keeps some edges of each node (DARTS) it multiplies the chosen option by its weight, and nothing else; so does the code
    of NAS-Bench-1Shot1, whose operations are at nodes.

    Args:
        idle: what the user chose; None for the code's way.
        group: the decisions of the cell.
    """
    return (group.on_edges and not group.keep) if idle is None else idle


def concrete_log_density(params: Tensor, weights: Tensor, temperature: float) -> Tensor:
    """Log-density of the concrete distribution at ``weights``, for score gradients of soft draws.

    ``log (n-1)! + (n-1) log lambda + sum(a - (lambda+1) log z) - n log sum(exp(a) z^-lambda)``, with respect to the
    Lebesgue measure of the first ``n - 1`` coordinates.

    Args:
        params: logits a, ``(..., n)``.
        weights: points z of the simplex, ``(..., n)``; entries that underflow to 0 count as the smallest normal number.
        temperature: lambda, > 0.

    Returns:
        ``(...)`` in nats.

    Source: Maddison et al. 2017 (arXiv:1611.00712), eq. 11; used by Xie et al. 2019 (arXiv:1812.09926), section 2.4.
    """
    n = params.shape[-1]
    log_z = weights.clamp_min(torch.finfo(weights.dtype).tiny).log()
    constant = math.lgamma(n) + (n - 1) * math.log(temperature)
    slopes = (params - (temperature + 1) * log_z).sum(-1)
    return constant + slopes - n * (params - temperature * log_z).logsumexp(-1)


@dataclass(frozen=True, kw_only=True)
class GumbelSoftmax(Relaxation):
    """Soft draws ``softmax((alpha + Gumbel noise) / temperature)``; all options run.

    Args:
        temperature: > 0, a number or a schedule; SNAS falls in a straight line from 1 and stays one epoch short of 0.03.
        init_mean: mean of the initial logits; 1 in SNAS and DSNAS.
        init_std: deviation of the initial logits, >= 0; 0.01 in SNAS and DSNAS.

    Source: Xie et al. 2019 (arXiv:1812.09926), eqs. 3-5.
    """

    takes_several: ClassVar[bool] = True

    temperature: Schedule = Linear(1.0, 0.03, closed=False)
    init_mean: float = 0.0
    init_std: float = 1e-3

    def __post_init__(self) -> None:
        check_range("temperature of GumbelSoftmax", self.temperature, above=0)
        check_range("init_mean of GumbelSoftmax", self.init_mean)
        check_range("init_std of GumbelSoftmax", self.init_std, at_least=0)
        object.__setattr__(self, "temperature", schedule(self.temperature))

    def init(self, group: Group, generator: Generator) -> Tensor:
        """Logits ``(E, O)`` drawn from ``N(init_mean, init_std^2)``."""
        return self.init_mean + self.init_std * torch.randn(group.shape, generator=generator)

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        return Draw(gumbel_softmax(params, self.temperature(progress), generator))

    def mean(self, params: Tensor, group: Group) -> Tensor:
        """``softmax(alpha)``: the probability that an option weighs most, and the mean as the temperature falls to 0."""
        return params.softmax(-1)


@dataclass(frozen=True, kw_only=True)
class GumbelHard(Relaxation):
    """One-hot draws of ``softmax(alpha)`` with the gradient of the soft draw; one option of every decision runs.

    Where decisions are about what a node reads (`Group.inputs`), draws are soft: see `gumbel_draw`.

    Args:
        temperature: of the gradient, > 0, a number or a schedule; 10 to 0.1 in GDAS.
        idle: whether the weights of options that do not run are added to their edge: zero in value, and a gradient for the
            logits. None does as the authors' code: yes where cells keep all edges (NAS-Bench-201), no where they keep some
            (DARTS) or operations are at nodes (NAS-Bench-1Shot1).

    Source: Dong & Yang 2019 (arXiv:1910.04465), section 3.2 and code.
    """

    on_host: ClassVar[bool] = True
    takes_several: ClassVar[bool] = True

    temperature: Schedule = Linear(10.0, 0.1)
    idle: bool | None = None

    def __post_init__(self) -> None:
        check_range("temperature of GumbelHard", self.temperature, above=0)
        object.__setattr__(self, "temperature", schedule(self.temperature))

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        return gumbel_draw(params, group, self.temperature(progress), generator, idle=self.idle)

    def mean(self, params: Tensor, group: Group) -> Tensor:
        return params.softmax(-1)


@dataclass(frozen=True, kw_only=True)
class GumbelSimplex(Relaxation):
    """`GumbelHard` of a point theta on the simplex, with ``log(theta)`` as logits; needs an optimiser that keeps it there.

    Args:
        temperature: of the gradient, > 0, a number or a schedule; 10 to 0.1 as in GDAS.
        idle: as in `GumbelHard`.

    Source: Li et al. 2021 (arXiv:2004.07802), section 4.1 and code of GAEA GDAS.
    """

    params_on_simplex: ClassVar[bool] = True
    on_host: ClassVar[bool] = True
    takes_several: ClassVar[bool] = True

    temperature: Schedule = Linear(10.0, 0.1)
    idle: bool | None = None

    def __post_init__(self) -> None:
        check_range("temperature of GumbelSimplex", self.temperature, above=0)
        object.__setattr__(self, "temperature", schedule(self.temperature))

    def init(self, group: Group, generator: Generator) -> Tensor:
        """The uniform point ``1 / O``."""
        return torch.full(group.shape, 1 / group.shape[1])

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        # The optimiser's lower bound (1e-5) keeps the logarithm and its gradient finite.
        return gumbel_draw(params.log(), group, self.temperature(progress), generator, idle=self.idle)

    def mean(self, params: Tensor, group: Group) -> Tensor:
        return params

    def prune(self, params: Tensor, kept: Sequence[Sequence[int]]) -> Tensor:
        """What is left, on the simplex again."""
        left = super().prune(params, kept)
        return left / left.sum(-1, keepdim=True)
