"""What the spread of a Dirichlet distribution adds to the loss, beside the bound that DrNAS derives for it."""

from dataclasses import dataclass

import torch

from mixop.analysis.dirichlet import expansion
from mixop.analysis.hessian import LARGEST
from mixop.core.errors import RecipeError
from mixop.core.rng import fenced
from mixop.monitors.base import Action, Column, Continue, Monitor, View, check_whole, latest, remember
from mixop.relax.base import Relaxation
from mixop.relax.dirichlet import Dirichlet, concentration
from mixop.spaces.core import Space

_COLUMNS = (
    "loss_at_mean",
    "expected_loss",
    "expected_loss_error",
    "second_order_loss",
    "loss_bound",
    "anchor_distance",
    "hessian_trace",
    "hessian_largest",
    "hessian_smallest",
)


@dataclass(frozen=True, kw_only=True)
class DirichletBound(Monitor):
    """Measures the expected validation loss over the Dirichlet distributions, and what proposition 1 of DrNAS says of it.

    The columns are losses of fixed validation batches: of the mean mixing weights (``loss_at_mean``), the mean over draws
    (``expected_loss``, with its standard error in ``expected_loss_error``), the expansion with the Laplace variances
    (``second_order_loss``) and the bound (``loss_bound``). ``anchor_distance`` is the Euclidean distance of all concentrations
    to 1; trace, largest and smallest eigenvalue are of the Hessian in mu. The proposition needs a smallest eigenvalue of 0 or
    more, which a network's loss rarely has. It changes nothing.

    Args:
        every: epochs between two measurements, >= 1.
        draws: of the mixing weights, >= 2, a forward pass each.
        batches: validation batches, >= 1.

    Source: Chen et al. 2021 (arXiv:2006.10355), proposition 1 and appendix A.1; see `mixop.analysis.dirichlet.expansion`.
    """

    every: int = 1
    draws: int = 64
    batches: int = 1

    @property
    def second_derivatives(self) -> bool:
        return True

    def __post_init__(self) -> None:
        check_whole("every of DirichletBound", self.every, 1)
        check_whole("draws of DirichletBound", self.draws, 2)
        check_whole("batches of DirichletBound", self.batches, 1)

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        if not isinstance(relaxation, Dirichlet):
            raise RecipeError(
                f"DirichletBound is about Dirichlet distributions, and {type(relaxation).__name__} has none: use a recipe such "
                "as drnas."
            )
        shapes = [group.shape for group in space.groups]
        count = sum(decisions * options for decisions, options in shapes)
        if count > LARGEST or min(options for _, options in shapes) < 2:
            raise RecipeError(
                f"DirichletBound writes out a Hessian of at most {LARGEST} architecture parameters, with 2 options a decision "
                f"or more, and {space.name} has {count}: leave it out, or search a smaller space."
            )

    def __call__(self, view: View) -> Action:
        if not self._measures(view):
            return Continue()
        beta = {name: concentration(value.detach()) for name, value in view.params.items()}
        found = expansion(lambda mix: view.mix_loss(mix, self.batches), beta)
        with torch.no_grad(), fenced(view.generator):  # torch's sampler takes its numbers from the global generator
            drawn = {name: torch.distributions.Dirichlet(value.cpu()).sample((self.draws,)) for name, value in beta.items()}
        with torch.no_grad():
            losses = [
                float(view.mix_loss({name: draw[n].to(beta[name]) for name, draw in drawn.items()}, self.batches))
                for n in range(self.draws)
            ]
        spread = torch.tensor(losses, dtype=torch.float64)
        values = (
            found.at_mean,
            float(spread.mean()),
            float(spread.std() / self.draws**0.5),
            found.expected,
            found.bound,
            found.delta,
            found.curvature.trace,
            found.curvature.largest,
            found.curvature.smallest,
        )
        for name, value in zip(_COLUMNS, values, strict=True):
            remember(view, f"DirichletBound.{name}", value)
        return Continue()

    def columns(self, view: View) -> dict[str, Column]:
        measured = self._measures(view)
        return {name: latest(view, f"DirichletBound.{name}", measured=measured) for name in _COLUMNS}

    def _measures(self, view: View) -> bool:
        return view.epoch % self.every == 0
