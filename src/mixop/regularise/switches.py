"""The sparse prior of BayesNAS as a penalty, its weights adapted by a monitor."""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.core.transfer import upload
from mixop.regularise.base import Point, Regulariser, total
from mixop.relax.base import Relaxation
from mixop.relax.switches import Switches, switch_penalty
from mixop.spaces.core import Space


@dataclass(frozen=True, kw_only=True)
class SwitchPenalty(Regulariser):
    """``sum of lambda * omega * |s|`` over all switches; `RelevanceUpdate` renews omega at the end of the search.

    Its memory is ``SwitchPenalty.gamma.GROUP``, ``SwitchPenalty.omega.GROUP`` and ``SwitchPenalty.strengths``. Relevance gamma
    and penalty weight omega of every switch begin as draws of the run, uniform on (0, 1).

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
            switches = at.params[group.name]
            terms.append(
                switch_penalty(
                    switches,
                    upload(at.memory[f"SwitchPenalty.omega.{group.name}"], switches.device).to(switches.dtype),
                    group,
                    edge_strength=self.edge_strength,
                    option_strength=self.option_strength,
                )
            )
        return total(terms)

    def initial(self, space: Space, generator: Generator) -> dict[str, Tensor]:
        memory = {"SwitchPenalty.strengths": torch.tensor([self.edge_strength, self.option_strength], dtype=torch.float64)}
        least = torch.finfo(torch.float32).eps  # the draw may be 0, but a relevance is divided by
        for group in space.groups:
            edges, options = group.shape
            for what in ("gamma", "omega"):
                drawn = torch.rand(edges, 1 + options, generator=generator).clamp_min(least)
                memory[f"SwitchPenalty.{what}.{group.name}"] = drawn
        return memory

    def check(self, relaxation: Relaxation) -> None:
        if not isinstance(relaxation, Switches):
            raise RecipeError(
                f"SwitchPenalty is a prior on switches, but {type(relaxation).__name__} has none: use the Switches relaxation."
            )
