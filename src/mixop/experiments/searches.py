"""Experiments that are searches: several variants of a recipe, several seeds each, measured epoch by epoch."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from mixop.analysis.shape import depth, width
from mixop.api import load_data
from mixop.comparison.compare import compare
from mixop.core.errors import SpaceError
from mixop.core.measure import Number
from mixop.core.schedules import Schedule
from mixop.evaluate.flatness import Flatness, flatness
from mixop.experiments.base import Experiment, Findings, Panel, Request
from mixop.experiments.bench import ABOUT, EPOCHS, Bench, bench
from mixop.monitors.collapse import Collapse
from mixop.recipe.core import Recipe
from mixop.report.methods import SeedRun
from mixop.runs.directory import RunDirectory
from mixop.runs.files import FLATNESS
from mixop.runs.records import SearchRecord, from_record, to_record
from mixop.spaces.core import Architecture, Space

BUDGET = 12_000.0
"""Seconds of the benchmark's clock that random search has beside them (Dong & Yang 2020, arXiv:2001.00326)."""

TABLE = "table accuracy"
"""Of what the search would have given after each epoch."""

SUPERNET = "supernet accuracy"
EIGENVALUE = "dominant eigenvalue"
ENTROPY = "entropy"
SKIPS = "skip share"
FOUND_SKIPS = "skips of what is found"
GAP = "loss by rounding"
DEPTH = "depth of the cell"
WIDTH = "width of the cell"

SHARPNESS = "largest eigenvalue in the weights"
TRACE = "trace in the weights"

Quantity = Callable[[SearchRecord, Space], float | None]
"""A number of one epoch's record of a search in a space."""

OF_RECORDS: Mapping[str, tuple[Quantity, bool]] = {
    SUPERNET: (lambda record, _: record.valid.get("accuracy"), True),
    EIGENVALUE: (lambda record, _: _number(record, "eigenvalue"), False),
    ENTROPY: (lambda record, _: record.entropy, False),
    SKIPS: (lambda record, _: record.skip_share, True),
    FOUND_SKIPS: (lambda record, _: _number(record, "chosen_skip_share"), True),
    GAP: (lambda record, _: _number(record, "gap"), True),
    DEPTH: (lambda record, space: _of_cells(depth, record, space), False),
    WIDTH: (lambda record, space: _of_cells(width, record, space), False),
}
"""How quantities are read from the records of a search, and whether they are shares."""

OF_ENDS: Mapping[str, Callable[[Flatness], Number]] = {
    SHARPNESS: lambda found: found.largest,
    TRACE: lambda found: found.trace,
}
"""What is measured of the supernet that a search ends with."""


def _number(record: SearchRecord, column: str) -> float | None:
    value = record.columns.get(column)
    return value if isinstance(value, float) else None


def watched(recipe: Recipe, *, eigenvalue: bool = False, gap: bool = False) -> Recipe:
    """A recipe whose records say how close it is to a collapse: see `mixop.monitors.Collapse`."""
    return replace(recipe, monitors=(*recipe.monitors, Collapse(eigenvalue=eigenvalue, gap=gap)))


def _of_cells(measure: Callable[[Architecture, Space, str], int], record: SearchRecord, space: Space) -> float | None:
    """The mean over the cells of what would be derived; None where a stage of the search has a space of its own."""
    try:
        architecture = space.from_native(record.architecture)
    except SpaceError:
        return None
    return fmean(measure(architecture, space, group.name) for group in space.groups)


@dataclass(frozen=True, kw_only=True)
class Searches(Experiment):
    """Several variants of a method, compared epoch by epoch.

    Args:
        variants: recipes by the name of the variant, for searches of so many epochs.
        quantities: titles of what is measured.
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
            evaluate=on.evaluator,
            rates="paper",  # by the rule of short searches already, each beside its own full search
            note=self.question,
            device=request.device,
            observe=request.observe,
        )
        runs = {name: comparison.row(name).runs for name in recipes}
        panels = {title: _panel(title, runs, on.space) for title in self.quantities}
        return Findings(panels, self._settings(on, recipes), tells=request.scale != "tiny")

    def _recipes(self, on: Bench) -> dict[str, Recipe]:
        full = self.variants(EPOCHS)
        return {name: on.paced(recipe, full[name]) for name, recipe in self.variants(on.epochs).items()}

    def _settings(self, on: Bench, recipes: Mapping[str, Recipe]) -> dict[str, str]:
        rates = {name: _rate(recipe.architecture_optimiser.lr) for name, recipe in recipes.items()}
        moved = "; ".join(f"{name} {rate}" for name, rate in rates.items())
        return {**on.settings, "architecture rates": moved}


def _panel(title: str, runs: Mapping[str, Sequence[SeedRun]], space: Space) -> Panel:
    """What was measured of some runs."""
    points: dict[str, list[dict[int, float]]] = {}
    for name, those in runs.items():
        points[name] = [_points(title, run, space) for run in those]
    epochs = sorted({epoch for those in points.values() for one in those for epoch in one})
    series = {
        name: np.array([[one.get(epoch, np.nan) for epoch in epochs] for one in those], dtype=np.float64).reshape(
            len(those), len(epochs)
        )
        for name, those in points.items()
    }
    percent = title == TABLE or (title in OF_RECORDS and OF_RECORDS[title][1])
    return Panel(title, tuple(map(float, epochs)), series, percent=percent, log=title in OF_ENDS)


def _points(title: str, run: SeedRun, space: Space) -> dict[int, float]:
    if title == TABLE:
        return {epoch: score for epoch, _, score in run.curve}
    if run.error is not None:
        return {}
    directory = RunDirectory(run.path)
    if title in OF_ENDS:
        value = OF_ENDS[title](_flatness(directory))
        return {} if value is None else {directory.searched()[-1].epoch: value}
    quantity, _ = OF_RECORDS[title]
    found = ((record.epoch, quantity(record, space)) for record in directory.searched())
    return {epoch: value for epoch, value in found if value is not None}


def _flatness(run: RunDirectory) -> Flatness:
    """Measured once, and kept in the run."""
    if not run.has(FLATNESS):
        run.write_json(FLATNESS, to_record(flatness(run, load_data(run))))
    return from_record(Flatness, run.read_json(FLATNESS), str(run / FLATNESS))


def _rate(rate: Schedule) -> str:
    low, high = rate.bounds
    return f"{high:.2g}" if low == high else f"{high:.2g} to {low:.2g}"
