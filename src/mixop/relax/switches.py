"""Multiplicative switches on edges and options with a sparse hierarchical prior: the relaxation of BayesNAS.

Everywhere here the parameters of a group are ``(E, 1 + O)``: column 0 holds the switch of the edge, column ``1 + o`` that of
option o. ``none`` has no switch: it is the absence of all others, and its column is never read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import ClassVar

import torch
from torch import Generator, Tensor

from mixop.core.schedules import check_range
from mixop.core.transfer import constant
from mixop.core.types import Draw
from mixop.relax.base import Relaxation
from mixop.spaces.core import Group

_LEAST_OMEGA = 1e-6  # a switch without curvature would have no weight in the penalty and infinite relevance


def switched(group: Group, like: Tensor) -> Tensor:
    """Which columns of ``(E, 1 + O)`` hold a switch, bool on the device of ``like``: all but those of ``none``."""
    rows = [[1.0, *(float(not group.is_absent(option)) for option in decision.options)] for decision in group.decisions]
    return constant(tuple(chain.from_iterable(rows)), like).view(len(rows), -1) > 0


def switch_penalty(switches: Tensor, omega: Tensor, group: Group, *, edge_strength: float, option_strength: float) -> Tensor:
    """The group lasso ``sum of strength * sqrt(omega^2 * s^2)`` over all switches, a scalar in nats.

    One switch serves all cells of a type here, so the sum over the cells that the authors write inside the root is over one
    member.

    Args:
        switches: ``(E, 1 + O)``.
        omega: weight of each switch as `update_relevance` gives it, ``(E, 1 + O)``, >= 0.
        group: the decisions they belong to.
        edge_strength: lambda of edge switches, >= 0.
        option_strength: lambda of option switches, >= 0.

    Source: Zhou et al. 2019 (arXiv:1905.04919), section 4.3 and code.
    """
    terms = strengths(switches, edge_strength, option_strength) * omega.detach() * switches.abs()
    return terms.masked_fill(~switched(group, switches), 0.0).sum()


def update_relevance(
    switches: Tensor,
    hessian_diagonal: Tensor,
    gamma: Tensor,
    group: Group,
    *,
    edge_strength: float,
    option_strength: float,
) -> tuple[Tensor, Tensor]:
    """New relevance gamma and penalty weight omega of every switch, after a pass with the penalty.

    ``C = 1 / (1/gamma + H/lambda)``, ``omega = sqrt(|1/gamma - C/gamma^2|)``, ``gamma = |s| / omega``; an option depends on
    its edge, ``gamma_option <- 1 / (1/gamma_option + 1/gamma_edge)``.

    Args:
        switches: ``(E, 1 + O)``.
        hessian_diagonal: second derivative H of the loss in each switch, ``(E, 1 + O)``; the authors approximate it by
            Gauss-Newton, which is never negative, so negative entries count as 0.
        gamma: relevance before, ``(E, 1 + O)``, > 0.
        group: the decisions they belong to.
        edge_strength: lambda of edge switches, > 0.
        option_strength: lambda of option switches, > 0.

    Returns:
        ``gamma, omega``, each ``(E, 1 + O)``, >= 0; both are 0 for ``none``. ``gamma[:, 1:]`` ranks the options: larger is
        more relevant.

    Source: Zhou et al. 2019 (arXiv:1905.04919), algorithm 1, section 4.2 and code.
    """
    with torch.no_grad():
        strength = strengths(switches, edge_strength, option_strength)
        curvature = hessian_diagonal.clamp_min(0.0)
        # The same as with C above, put together so that no difference of nearly equal numbers is left.
        omega = (curvature / (strength + gamma * curvature)).sqrt().clamp_min(_LEAST_OMEGA)
        new = switches.abs() / omega
        edge, option = new[:, :1], new[:, 1:]
        both = edge * option / (edge + option).clamp_min(torch.finfo(new.dtype).tiny)
        absent = ~switched(group, switches)
        return torch.cat([edge, both], dim=1).masked_fill(absent, 0.0), omega.masked_fill(absent, 0.0)


def strengths(switches: Tensor, edge_strength: float, option_strength: float) -> Tensor:
    """The lambda of every switch ``(E, 1 + O)``."""
    strength = torch.full_like(switches, option_strength, requires_grad=False)
    strength[:, 0] = edge_strength
    return strength


@dataclass(frozen=True, kw_only=True)
class Switches(Relaxation):
    """Mixing weights ``s_edge * s_option``, deterministic, unbounded and all 1 at the start; ``none`` weighs 0.

    Args:
        threshold: what `mean` gives ``none``, >= 0: an edge whose options all weigh less in the end derives to ``none``
            where it may. The authors remove such edges by hand; the number is ours.

    Source: Zhou et al. 2019 (arXiv:1905.04919), section 3.2 and code.
    """

    mix_on_simplex: ClassVar[bool] = False

    threshold: float = 0.05

    def __post_init__(self) -> None:
        check_range("threshold of Switches", self.threshold, at_least=0)

    def init(self, group: Group, generator: Generator) -> Tensor:
        """Ones ``(E, 1 + O)``."""
        edges, options = group.shape
        return torch.ones(edges, 1 + options)

    def draw(self, params: Tensor, group: Group, progress: float, generator: Generator) -> Draw:
        weights = params[:, :1] * params[:, 1:]
        return Draw(weights.masked_fill(~switched(group, params)[:, 1:], 0.0))

    def mean(self, params: Tensor, group: Group) -> Tensor:
        """``|s_edge * s_option|``, and ``threshold`` for ``none``: the strength with which an option enters, without its sign.

        Once there is a Hessian, ``update_relevance(...)[0][:, 1:]`` is the better ranking.
        """
        return (params[:, :1] * params[:, 1:]).abs().masked_fill(~switched(group, params)[:, 1:], self.threshold)

    def prune(self, params: Tensor, kept: Sequence[Sequence[int]]) -> Tensor:
        """The switches of the edges, and those of the options that are left."""
        return torch.cat([params[:, :1], super().prune(params[:, 1:], kept)], dim=1)
