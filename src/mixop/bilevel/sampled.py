"""What the schemes that follow the log-probability of sampled architectures share."""

from collections.abc import Mapping, Sequence
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from mixop.bilevel.base import Scheme, trial
from mixop.core.errors import RecipeError
from mixop.core.types import Draw, Params
from mixop.relax.base import Relaxation
from mixop.spaces.core import Group, Space


def log_prob_of(draws: Mapping[str, Draw]) -> Tensor:
    """The log-probability of a draw of all groups, a scalar."""
    return torch.stack([draw.log_prob for draw in draws.values() if draw.log_prob is not None]).sum()


def penalties_of(draws: Mapping[str, Draw]) -> list[Tensor]:
    """What the relaxation adds to the loss for a draw of all groups, scalars; none for most."""
    return [draw.penalty for draw in draws.values() if draw.penalty is not None]


@runtime_checkable
class Policy(Protocol):
    """A relaxation whose decisions depend on each other and that knows its own entropy."""

    def entropy_along(self, params: Params, groups: Sequence[Group], draws: Mapping[str, Draw]) -> Tensor:
        """The entropy of the decisions on the way of a draw of all groups, a scalar in nats."""
        ...


def entropy_of(relaxation: Relaxation, params: Params, draws: Mapping[str, Draw], space: Space) -> Tensor:
    """The entropy (nats) of the distribution that draws come from, a scalar, differentiable in the parameters.

    Exact where the decisions are independent; for a policy that of the decisions on the way of these draws, whose
    expectation is the entropy. Where independent decisions take several options, it is that of the first of them.
    """
    if isinstance(relaxation, Policy):
        return relaxation.entropy_along(params, space.groups, draws)
    terms = []
    for group in space.groups:
        theta = relaxation.mean(params[group.name], group)
        terms.append(-(theta * theta.clamp(min=torch.finfo(theta.dtype).tiny).log()).sum())
    return torch.stack(terms).sum()


def check_samples(part: str, samples: int, least: int) -> None:
    """Refuses a number of samples that is too small or not whole.

    Raises:
        RecipeError: with the part and the value.
    """
    if isinstance(samples, bool) or not isinstance(samples, int) or samples < least:
        raise RecipeError(f"samples of {part} must be a whole number of at least {least}, got {samples!r}.")


def check_scored(scheme: Scheme, relaxation: Relaxation) -> None:
    """Refuses relaxations whose draws have no log-probability.

    Raises:
        RecipeError: naming both.
    """
    if trial(relaxation).log_prob is None:
        raise RecipeError(
            f"{type(scheme).__name__} follows the log-probability of sampled architectures, but the draws of "
            f"{type(relaxation).__name__} have none: use the FirstOrder scheme, or a relaxation that samples architectures."
        )
