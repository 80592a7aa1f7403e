"""Experiments that are searches: several variants of a recipe, several seeds each, measured epoch by epoch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from mixop.comparison.compare import compare
from mixop.core.schedules import Schedule
from mixop.experiments.base import Experiment, Findings, Request
from mixop.experiments.bench import ABOUT, EPOCHS, Bench, bench
from mixop.experiments.quantities import panel, surface
from mixop.monitors.collapse import Collapse
from mixop.recipe.core import Recipe
from mixop.report.methods import SeedRun

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
        pooled: the name of the curve that a variant's runs belong to, where several share one.
        notes: sentences about how it is measured.
        surfaces: titles of landscapes that are drawn, of the same module.
        on: what the searches of a request run on.
        watch: adds to every recipe what depends on what it runs on; None for nothing.
    """

    variants: Callable[[int], Mapping[str, Recipe]]
    quantities: tuple[str, ...]
    pooled: Callable[[str], str] = str
    notes: tuple[str, ...] = ()
    surfaces: tuple[str, ...] = ()
    on: Callable[[Request], Bench] = bench
    watch: Callable[[Recipe, Bench], Recipe] | None = None

    @property
    def scales(self) -> Mapping[str, str]:
        return ABOUT

    def run(self, request: Request) -> Findings:
        self.check(request)
        on = self.on(request)
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
        runs: dict[str, list[SeedRun]] = {}
        for name in recipes:
            runs.setdefault(self.pooled(name), []).extend(comparison.row(name).runs)
        panels = {title: panel(title, runs, on) for title in self.quantities}
        seconds = sum(run.seconds or 0.0 for those in runs.values() for run in those)
        return Findings(
            panels,
            self._settings(on, recipes),
            self.notes,
            tells=request.scale != "tiny",
            seconds=seconds,
            surfaces={title: surface(title, runs, on) for title in self.surfaces},
        )

    def _recipes(self, on: Bench) -> dict[str, Recipe]:
        full = self.variants(EPOCHS)
        paced = {name: on.paced(recipe, full[name]) for name, recipe in self.variants(on.epochs).items()}
        return paced if self.watch is None else {name: self.watch(recipe, on) for name, recipe in paced.items()}

    def _settings(self, on: Bench, recipes: Mapping[str, Recipe]) -> dict[str, str]:
        rates = {name: _rate(recipe.architecture_optimiser.lr) for name, recipe in recipes.items()}
        moved = "; ".join(f"{name} {rate}" for name, rate in rates.items())
        return {**on.settings, "architecture rates": moved}


def _rate(rate: Schedule) -> str:
    low, high = rate.bounds
    return f"{high:.2g}" if low == high else f"{high:.2g} to {low:.2g}"
