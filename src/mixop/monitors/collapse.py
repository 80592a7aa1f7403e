"""The live warning: a search that collapses says so while there is time to stop it."""

from collections.abc import Sequence
from dataclasses import dataclass

from mixop.analysis.collapse import (
    chosen_skip_share,
    parameter_free_share,
    parameter_free_weight,
    skip_share,
)
from mixop.analysis.entropy import relative_entropy
from mixop.analysis.hessian import dominant_eigenvalue
from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.monitors.base import Action, Column, Continue, Monitor, View, check_whole, latest, recall, remember
from mixop.monitors.eigenvalue import growth
from mixop.relax.base import Relaxation
from mixop.spaces.core import Space


@dataclass(frozen=True, kw_only=True)
class Collapse(Monitor):
    """Watches a search for the signs of collapse, writes them down and warns; never stops or changes anything.

    Warned of, each in a sentence of its column ``warning``:

    - *skip connections*: more than ``skips`` of the derived architecture, and their mixing weight rose in the last ``window``
      epochs. Published rules are stricter for the cells of DARTS (P-DARTS keeps 2 of 8, DARTS+ stops at 2); one half is ours,
      for any space.
    - *operations without parameters*: more than ``parameter_free`` of the derived architecture, and rising in the same
      way; left out where skip connections are warned of. Zela et al. (section 3) describe such cells; the number is ours.
    - *early decision*: entropy below ``entropy`` of its maximum within the first quarter of the search. Ours.
    - *sharpness*: the moving mean of the dominant eigenvalue grew by more than ``factor``, measured as in DARTS-ES.

    The gap between supernet and derived network has no threshold: none holds over spaces. Read it with `docs/collapse.md`.

    Args:
        every: epochs between two measurements of eigenvalue and gap, >= 1; the rest is cheap and looked at every epoch.
        eigenvalue: whether the dominant eigenvalue is measured: a dozen or more Hessian-vector products.
        gap: whether the gap is measured: two passes over the validation split.
        window: epochs over which a weight must have risen, >= 1.
        skips: share of skip connections that is too much, in [0, 1].
        parameter_free: share of operations without parameters that is too much, in [0, 1].
        entropy: share of the largest entropy that is too little, in [0, 1].
        factor: growth of the eigenvalue's mean that is too much, > 0.
        weight_decay: added to the Hessian's diagonal, >= 0.
        batches: validation batches that the Hessian is averaged over, >= 1.

    Source: Zela et al. 2020 (arXiv:1909.09656); Wang et al. 2021 (arXiv:2108.04392) on the gap.
    """

    every: int = 1
    eigenvalue: bool = False
    gap: bool = False
    window: int = 5
    skips: float = 0.5
    parameter_free: float = 0.8
    entropy: float = 0.1
    factor: float = 1.3
    weight_decay: float = 1e-3
    batches: int = 1

    @property
    def second_derivatives(self) -> bool:
        return self.eigenvalue

    def __post_init__(self) -> None:
        check_whole("every of Collapse", self.every, 1)
        check_whole("batches of Collapse", self.batches, 1)
        check_whole("window of Collapse", self.window, 1)
        for name in ("skips", "parameter_free", "entropy"):
            check_range(f"{name} of Collapse", getattr(self, name), at_least=0, at_most=1)
        check_range("factor of Collapse", self.factor, above=0)
        check_range("weight decay of Collapse", self.weight_decay, at_least=0)

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        if self.eigenvalue and not relaxation.differentiable_mean:
            raise RecipeError(
                "Collapse(eigenvalue=True) measures the curvature of the loss in the architecture parameters, but the mean of "
                f"{type(relaxation).__name__} is not differentiable in them: use eigenvalue=False."
            )

    def __call__(self, view: View) -> Action:
        mean = view.mean()
        for key, weight in (("skip", skip_share(mean, view.space)), ("free", parameter_free_weight(mean, view.space))):
            if weight is not None:
                remember(view, f"Collapse.{key}", weight)
        if self._measures(view):
            if self.eigenvalue:
                value = dominant_eigenvalue(
                    lambda params: view.valid_loss(params, self.batches), view.params, weight_decay=self.weight_decay
                )
                remember(view, "Collapse.eigenvalues", value)
            gap = view.gap() if self.gap else None
            if gap is not None:
                remember(view, "Collapse.gap", gap)
        return Continue()

    def columns(self, view: View) -> dict[str, Column]:
        architecture = view.space.from_native(view.architecture())
        columns: dict[str, Column] = {
            "chosen_skip_share": chosen_skip_share(architecture, view.space),
            "parameter_free_share": parameter_free_share(architecture, view.space),
            "relative_entropy": relative_entropy(view.mean()),
        }
        if self.eigenvalue:
            columns["eigenvalue"] = latest(view, "Collapse.eigenvalues", measured=self._measures(view))
        if self.gap:
            columns["gap"] = latest(view, "Collapse.gap", measured=self._measures(view))
        warnings = self._warnings(view, columns)
        return {**columns, "warning": " ".join(warnings) or None}

    def _measures(self, view: View) -> bool:
        return view.epoch % self.every == 0

    def _warnings(self, view: View, columns: dict[str, Column]) -> list[str]:
        found = []
        skips, skip_weights = columns["chosen_skip_share"], recall(view, "Collapse.skip")
        free, free_weights = columns["parameter_free_share"], recall(view, "Collapse.free")
        if isinstance(skips, float) and skips > self.skips and self._rose(skip_weights):
            found.append(
                f"{skips:.0%} of the derived architecture are skip connections, and their weight rose from "
                f"{skip_weights[-1 - self.window]:.2f} to {skip_weights[-1]:.2f} in {self.window} epochs."
            )
        elif isinstance(free, float) and free > self.parameter_free and self._rose(free_weights):
            found.append(
                f"{free:.0%} of the derived architecture have no parameters to learn, and the weight of such operations rose "
                f"from {free_weights[-1 - self.window]:.2f} to {free_weights[-1]:.2f} in {self.window} epochs."
            )
        left = columns["relative_entropy"]
        if isinstance(left, float) and left < self.entropy and 4 * (view.epoch + 1) <= view.epochs:
            found.append(
                f"The entropy of the mixing weights is at {left:.0%} of its maximum in the first quarter of the search: "
                "it decided before the network weights could tell."
            )
        grown = growth(recall(view, "Collapse.eigenvalues"))
        if grown is not None and grown > self.factor:
            found.append(
                f"The dominant eigenvalue's mean grew {grown:.2f} times in its last 4 measurements: the validation loss turns "
                "sharp in the architecture, which comes before a collapse."
            )
        return found

    def _rose(self, series: Sequence[float]) -> bool:
        return len(series) > self.window and series[-1] > series[-1 - self.window]
