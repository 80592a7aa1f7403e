"""Experiments that are searches: several variants of a recipe, several seeds each, measured epoch by epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mixop.comparison.compare import compare
from mixop.core.schedules import Schedule
from mixop.experiments.base import Experiment, Findings, Request
from mixop.experiments.bench import ABOUT, EPOCHS, Bench, bench
from mixop.experiments.quantities import panel
from mixop.monitors.collapse import Collapse
from mixop.recipe.core import Recipe

BUDGET = 12_000.0
"""Seconds of the benchmark's clock that random search has beside them (Dong & Yang 2020, arXiv:2001.00326)."""


def watched(recipe: Recipe, *, eigenvalue: bool = False, gap: bool = False) -> Recipe:
    """A recipe whose records say how close it is to a collapse: see `mixop.monitors.Collapse`."""
    return replace(recipe, monitors=(*recipe.monitors, Collapse(eigenvalue=eigenvalue, gap=gap)))


@dataclass(frozen=True, kw_only=True)
class Searches(Experiment):
    """Several variants of a method, compared epoch by epoch.

    Args:
        variants: recipes by the name of the variant, for searches of so many epochs.
        quantities: titles of what is measured, of `mixop.experiments.quantities.QUANTITIES`.
    """

    variants: Callable[[int], Mapping[str, Recipe]]
    quantities: tuple[str, ...]

    @property
    def scales(self) -> Mapping[str, str]:
        return ABOUT

    def run(self, request: Request) -> Findings:
        self.check(request)
        on = bench(request)
        recipes = self._recipes(on)
        comparison = compare(
            recipes,
            on.space,
            on.data,
            request.out,
            budget_seconds=BUDGET,
            seeds=on.seeds,
            jobs=request.jobs,
            runner=request.runner,
            evaluate=on.evaluator,
            rates="paper",  # by the rule of short searches already, each beside its own full search
            executor="auto",
            note=self.question,
            device=request.device,
            observe=request.observe,
        )
        runs = {name: comparison.row(name).runs for name in recipes}
        panels = {title: panel(title, runs, on) for title in self.quantities}
        seconds = sum(run.seconds or 0.0 for those in runs.values() for run in those)
        return Findings(panels, self._settings(on, recipes), tells=request.scale != "tiny", seconds=seconds)

    def _recipes(self, on: Bench) -> dict[str, Recipe]:
        full = self.variants(EPOCHS)
        return {name: on.paced(recipe, full[name]) for name, recipe in self.variants(on.epochs).items()}

    def _settings(self, on: Bench, recipes: Mapping[str, Recipe]) -> dict[str, str]:
        rates = {name: _rate(recipe.architecture_optimiser.lr) for name, recipe in recipes.items()}
        moved = "; ".join(f"{name} {rate}" for name, rate in rates.items())
        return {**on.settings, "architecture rates": moved}


def _rate(rate: Schedule) -> str:
    low, high = rate.bounds
    return f"{high:.2g}" if low == high else f"{high:.2g} to {low:.2g}"
