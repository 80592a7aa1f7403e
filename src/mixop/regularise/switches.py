"""The sparse prior of BayesNAS as a penalty, its weights adapted by a monitor."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.regularise.base import Point, Regulariser, total
from mixop.relax.base import Relaxation
from mixop.relax.switches import Switches, switch_penalty
from mixop.spaces.core import Space

INITIAL_SEED = 0
"""Of the first relevances and penalty weights: the same in every search, as part of the method and not of the run."""


def initial_relevance(space: Space) -> dict[str, tuple[Tensor, Tensor]]:
    """Relevance gamma and penalty weight omega of every switch at the start, ``(E, 1 + O)`` each, uniform on (0, 1).

    Source: Zhou et al. 2019 (arXiv:1905.04919), algorithm 1.
    """
    generator = Generator().manual_seed(INITIAL_SEED)
    least = torch.finfo(torch.float32).eps  # the draw may be 0, but a relevance is divided by
    pairs = {}
    for group in space.groups:
        edges, options = group.shape
        gamma, omega = torch.rand(2, edges, 1 + options, generator=generator).clamp_min(least)
        pairs[group.name] = gamma, omega
    return pairs


@dataclass(frozen=True, kw_only=True)
class SwitchPenalty(Regulariser):
    """``sum of lambda * omega * |s|`` over all switches; `RelevanceUpdate` renews omega after every epoch.

    Its memory is ``SwitchPenalty.gamma.GROUP``, ``SwitchPenalty.omega.GROUP`` and ``SwitchPenalty.strengths``.

    Args:
        edge_strength: lambda of edge switches, > 0.
        option_strength: lambda of option switches, > 0.

    Source: Zhou et al. 2019 (arXiv:1905.04919), section 4.3; 0.01 is one of the values of the authors' released models.
    """

    edge_strength: float = 0.01
    option_strength: float = 0.01

    def __post_init__(self) -> None:
        check_range("edge strength of SwitchPenalty", self.edge_strength, above=0)
        check_range("option strength of SwitchPenalty", self.option_strength, above=0)

    def __call__(self, at: Point) -> Tensor:
        terms = []
        for group in at.space.groups:
            key, switches = f"SwitchPenalty.omega.{group.name}", at.params[group.name]
            omega = at.memory[key] if key in at.memory else initial_relevance(at.space)[group.name][1]
            terms.append(
                switch_penalty(
                    switches,
                    omega.to(switches),
                    group,
                    edge_strength=self.edge_strength,
                    option_strength=self.option_strength,
                )
            )
        return total(terms)

    def remember(self, at: Point) -> dict[str, Tensor]:
        if "SwitchPenalty.strengths" in at.memory:
            return {}
        new = {"SwitchPenalty.strengths": torch.tensor([self.edge_strength, self.option_strength], dtype=torch.float64)}
        for name, (gamma, omega) in initial_relevance(at.space).items():
            new[f"SwitchPenalty.gamma.{name}"], new[f"SwitchPenalty.omega.{name}"] = gamma, omega
        return new

    def check(self, relaxation: Relaxation) -> None:
        if not isinstance(relaxation, Switches):
            raise RecipeError(
                f"SwitchPenalty is a prior on switches, but {type(relaxation).__name__} has none: use the Switches relaxation."
            )
