"""The relevance update of BayesNAS, once, at the end."""

from dataclasses import dataclass
from typing import ClassVar

from mixop.analysis.hessian import hessian
from mixop.core.errors import RecipeError
from mixop.monitors.base import Action, Continue, Monitor, View
from mixop.relax.base import Relaxation
from mixop.relax.switches import Switches, update_relevance
from mixop.spaces.core import Space


@dataclass(frozen=True, kw_only=True)
class RelevanceUpdate(Monitor):
    """Renews the relevance gamma and penalty weight omega of every switch once, after the last epoch of the search.

    Both are in the memory of `SwitchPenalty`. The diagonal of the Hessian is exact, by differentiating twice on one validation
    batch, at the weights that the search ends with; the authors approximate it by a layer-wise Gauss-Newton pass on the last
    training batch.

    Source: Zhou et al. 2019 (arXiv:1905.04919), algorithm 1, and code: the update follows the loop over the batches.
    """

    needs: ClassVar[tuple[str, ...]] = ("SwitchPenalty",)

    def __call__(self, view: View) -> Action:
        memory = view.memory
        if view.epoch + 1 < view.epochs:
            return Continue()
        edge, option = memory["SwitchPenalty.strengths"].tolist()
        diagonal = hessian(view.draw_loss, view.params).diagonal()
        parts = diagonal.split([value.numel() for value in view.params.values()])
        curvature = {name: part.view_as(value) for (name, value), part in zip(view.params.items(), parts, strict=True)}
        for group in view.space.groups:
            name = group.name
            switches = view.params[name].detach()
            gamma, omega = update_relevance(
                switches,
                curvature[name].to(switches),
                memory[f"SwitchPenalty.gamma.{name}"].to(switches),
                group,
                edge_strength=edge,
                option_strength=option,
            )
            memory[f"SwitchPenalty.gamma.{name}"], memory[f"SwitchPenalty.omega.{name}"] = gamma.cpu(), omega.cpu()
        return Continue()

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        if not isinstance(relaxation, Switches):
            raise RecipeError(
                f"RelevanceUpdate renews the relevance of switches, but {type(relaxation).__name__} has none: "
                "use the Switches relaxation."
            )
