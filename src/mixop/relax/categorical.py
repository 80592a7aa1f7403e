"""One option of every decision runs with weight 1: drawn by logits, with score or gate gradient, or uniformly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixop.core.schedules import check_range
from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.relax.sampling import (
    as_paths,
    log_prob_of_options,
    one_hot,
    sample_options,
    score_surrogate,
    some_edges,
)
from mixop.spaces.core import Group


@dataclass(frozen=True, kw_only=True)
class Categorical(Relaxation):
    """One-hot draws of ``softmax(alpha)`` with their log-probability; the weights carry no gradient.

    Where a decision takes several options, they are drawn one after the other without replacement, each with weight 1.

    REINFORCE and PARSEC's prior use the log-probability; schemes that do not use it differentiate the loss through
    `surrogate`.

    Source: Williams 1992 (doi:10.1007/BF00992696), section 4; Casale et al. 2019 (arXiv:1902.05116), section 3.
    """

    on_host: ClassVar[bool] = True
    takes_several: ClassVar[bool] = True

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        chosen = sample_options(params, generator, count=group.take)
        return Draw(one_hot(chosen, params), log_prob=log_prob_of_options(params, chosen), active=as_paths(chosen))

    def mean(self, params: Tensor, group: Group) -> Tensor:
        return params.softmax(-1)

    def surrogate(self, loss: Tensor, draws: Mapping[str, Draw]) -> Tensor:
        return score_surrogate(loss, draws)


@dataclass(frozen=True, kw_only=True)
class CategoricalGate(Relaxation):
    """One-hot draws of ``softmax(alpha)`` whose gate has value 1 and the gradient of its log-probability.

    With ``c_e`` the derivative of the loss in the gate of decision e, its logits receive ``c_e * grad log p(Z_e)``.

    Args:
        fix: progressive fixing: a decision whose most likely option leads the second by this much in probability always
            takes it and is no longer trained, in (0, 1], or None for never. The authors look at the start of an epoch;
            here at every draw, so that what is fixed follows from the parameters alone.
        init_mean: mean of the initial logits; 1 in DSNAS.
        init_std: deviation of the initial logits, >= 0; 0.01 in DSNAS.

    Source: Hu et al. 2020 (arXiv:2002.09128), eqs. 10-12, and code for the progressive fixing.
    """

    on_host: ClassVar[bool] = True

    fix: float | None = 0.3
    init_mean: float = 0.0
    init_std: float = 1e-3

    def __post_init__(self) -> None:
        if self.fix is not None:
            check_range("fix of CategoricalGate", self.fix, above=0, at_most=1)
        check_range("init_mean of CategoricalGate", self.init_mean)
        check_range("init_std of CategoricalGate", self.init_std, at_least=0)

    def init(self, group: Group, generator: Generator) -> Tensor:
        """Logits ``(E, O)`` drawn from ``N(init_mean, init_std^2)``."""
        return self.init_mean + self.init_std * torch.randn(group.shape, generator=generator)

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        fixed = self.fixed(params)
        best = params.detach().argmax(-1, keepdim=True).cpu()
        chosen = torch.where(fixed.cpu(), best, sample_options(params, generator))
        hot = one_hot(chosen, params)
        log_prob = (hot * params.log_softmax(-1)).sum(-1, keepdim=True).masked_fill(fixed, 0.0)
        # 1 in value; d(1 + log p - const) = d log p, so the chain rule gives c_e * grad log p(Z_e).
        return Draw(hot * (1 + (log_prob - log_prob.detach())), active=as_paths(chosen))

    def mean(self, params: Tensor, group: Group) -> Tensor:
        return params.softmax(-1)

    def after_step(self, before: Tensor, after: Tensor, draw: Draw, group: Group) -> Tensor:
        # The moments of an optimiser would move a fixed decision without any gradient.
        return torch.where(self.fixed(before), before, after)

    def fixed(self, params: Tensor) -> Tensor:
        """Which decisions are fixed, ``(E, 1)`` bool."""
        probabilities = params.detach().softmax(-1)
        if self.fix is None or params.shape[-1] < 2:
            return torch.zeros_like(probabilities[:, :1], dtype=torch.bool)
        first, second = probabilities.topk(2, dim=-1).values.split(1, dim=-1)
        return first - second >= self.fix


@dataclass(frozen=True, kw_only=True)
class Uniform(Relaxation):
    """One-hot draws in which every option is equally likely; nothing is learnt about the architecture.

    Where architectures keep only some edges of each node, that many are drawn for each node and the others are absent.

    Random search with shared weights, and the weight step of SETN. The architecture comes from a derivation that compares
    samples: the mean says nothing.

    Args:
        by_cell: whether every cell draws a path of its own, instead of one for all cells of a group.
        alive: whether a node whose edges all took an absent option is drawn again.

    Source: Li & Talwalkar 2019 (arXiv:1902.07638), section 3.2; Dong & Yang 2019 (SETN, arXiv:1910.05733), section 3.3; by
        cell and alive: code of Dong et al. 2021 (NATS-Bench, arXiv:2009.00437).
    """

    differentiable_mean: ClassVar[bool] = False  # it is the same for all parameters
    takes_several: ClassVar[bool] = True

    by_cell: bool = False
    alive: bool = False

    @property
    def draws_by_cell(self) -> bool:
        return self.by_cell

    def init(self, group: Group, generator: Generator) -> Tensor:
        """Zeros ``(E, O)``: there is nothing to learn."""
        return torch.zeros(group.shape)

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        edges, options = group.shape
        # Independent of the parameters, which may belong to another relaxation: SETN trains weights with these draws.
        if group.take > 1:
            chosen = torch.stack([torch.randperm(options, generator=generator)[: group.take] for _ in range(edges)])
            return Draw(one_hot(chosen, params.new_empty(group.shape)), active=as_paths(chosen))
        chosen = torch.randint(options, (edges, 1), generator=generator)
        running = some_edges(group, range(edges), generator)
        for target in group.targets if self.alive else ():
            into = [e for e in group.into(target) if e in running]
            absent = {e: [group.is_absent(option) for option in group.decisions[e].options] for e in into}
            while all(absent[e][chosen[e]] for e in into) and not all(map(all, absent.values())):
                chosen[into] = torch.randint(options, (len(into), 1), generator=generator)
        weights = one_hot(chosen, params.new_empty(group.shape))
        if len(running) == edges:
            return Draw(weights, active=as_paths(chosen))
        runs = torch.zeros(edges, 1).index_fill_(0, torch.tensor(running), 1.0)
        paths = tuple(path if e in running else () for e, path in enumerate(as_paths(chosen)))
        return Draw(weights * runs.to(weights), active=paths)

    def mean(self, params: Tensor, group: Group) -> Tensor:
        return params.new_full(group.shape, 1 / group.shape[1])
