"""What is measured of searches: in the records of every epoch, in a table, and of the supernet that is left."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TypeVar

import numpy as np
import torch

from mixop.analysis.descent import cell_phi
from mixop.analysis.ranking import tau_of_subsets
from mixop.analysis.shape import depth, width
from mixop.api import load_data, read_recipe
from mixop.core.errors import SpaceError
from mixop.core.measure import Number
from mixop.derive.base import NORMS
from mixop.evaluate.flatness import Flatness, flatness
from mixop.evaluate.landscape import Scan, scan
from mixop.evaluate.ranking import Ranking, rank
from mixop.experiments.base import Panel, Surface
from mixop.experiments.bench import Bench
from mixop.experiments.memory import step_bytes
from mixop.monitors.exploration import drawn_architectures
from mixop.recipe.stage import stage_progress
from mixop.report.methods import SeedRun
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.files import FLATNESS, LANDSCAPE, RANKING
from mixop.runs.records import SearchRecord, from_record, to_record
from mixop.spaces.core import Architecture, Space
from mixop.spaces.stacked import stacked
from mixop.tables.catalogue import open_table

T = TypeVar("T")

TABLE = "table accuracy"
"""Of what the search would have given after each epoch."""

REGRET = "regret of what is found"
"""What the best architecture of the space has more in the table, where `Bench.best` is known."""

SUPERNET = "supernet accuracy"
EIGENVALUE = "dominant eigenvalue"
ENTROPY = "entropy"
SKIPS = "skip share"
FOUND_SKIPS = "skips of what is found"
GAP = "loss by rounding"
PHI = "phi of the mixing weights"
"""How fast the loss falls by the theorem, an added skip connection included; the mean over cells."""

DEPTH = "depth of the cell"
WIDTH = "width of the cell"
SHARPNESS = "largest eigenvalue in the weights"
TRACE = "trace in the weights"
TAU = "Kendall's tau of shared weights"
RHO = "Spearman's rho of shared weights"
DRAWN = "table accuracy of drawn architectures"
TAU_BY_NORM = {norm: f"Kendall's tau, {norm} statistics" for norm in NORMS}
"""By policy of batch norm, of a search that `mixop.monitors.RankAgreement` watches."""

TAU_OF_FEW = "Kendall's tau of some of the architectures"
TAU_SPREAD = "deviation of Kendall's tau over which are ranked"

FEW = (0.1, 0.2, 0.5, 1.0)
"""Shares of the ranked architectures that are ranked alone, three at least."""

SUBSETS = 200
"""Random choices of them."""

RANGE = "range of drawn architectures"
"""Of an epoch's draws, the largest table accuracy less the smallest."""

SPREAD = "deviation of drawn architectures"
BEST_DRAWN = "best of drawn architectures"
DISTINCT = "different architectures among draws"
EXPECTED = "what draws add to the loss"
"""The expected validation loss over the Dirichlet distributions less that of their mean; so are the next two."""

EXPANDED = "what the second-order expansion adds"
BOUND = "what the bound adds"
MU_TRACE = "trace of the Hessian in mu"
MU_LEAST = "smallest eigenvalue of the Hessian in mu"
MEMORY = "memory of a step in MiB"
RISE = "mean rise of the loss around the architecture"
FALL = "mean fall of the accuracy around the architecture"
LOSSES = "rise of the validation loss around the architecture"
ACCURACIES = "fall of the validation accuracy around the architecture"

EXAMPLES, SAMPLES = 256, 16
"""Training examples, and random vectors, that the curvature in the weights is measured with."""

RADIUS = 1.0
"""How far a landscape goes from the architecture, as in DARTS-."""


@dataclass(frozen=True)
class Quantity:
    """How something is measured of a run.

    Args:
        of: the values by epoch, or by what ``along`` says.
        percent: whether they are shares.
        log: whether they are shown on a logarithmic axis.
        along: what they are measured at.
        unit: of those that have one and are no shares.
    """

    of: Callable[[SeedRun, Bench], Mapping[int, Number]]
    percent: bool = False
    log: bool = False
    along: str = "epoch"
    unit: str = ""


def _of_records(read: Callable[[SearchRecord, Space], Number], *, percent: bool = False, unit: str = "") -> Quantity:
    """Read from the record of every epoch."""

    def of(run: SeedRun, on: Bench) -> Mapping[int, Number]:
        return {record.epoch: read(record, on.space) for record in RunDirectory(run.path).searched()}

    return Quantity(of, percent, unit=unit)


def _of_end(
    measure: Callable[[RunDirectory, Bench], Number], *, percent: bool = False, log: bool = False, unit: str = ""
) -> Quantity:
    """Measured of the supernet that the search ends with."""

    def of(run: SeedRun, on: Bench) -> Mapping[int, Number]:
        directory = RunDirectory(run.path)
        return {directory.searched()[-1].epoch: measure(directory, on)}

    return Quantity(of, percent, log, unit=unit)


def _column(name: str) -> Callable[[SearchRecord, Space], Number]:
    def read(record: SearchRecord, _: Space) -> Number:
        value = record.columns.get(name)
        return value if isinstance(value, float) else None

    return read


def _phi(run: SeedRun, on: Bench) -> Mapping[int, Number]:
    """Of the mixing weights that the records hold, so that it costs a search nothing; see `mixop.monitors.Descent`."""
    directory, found = RunDirectory(run.path), {}
    recipe = read_recipe(directory)
    for record in directory.searched():
        time = stage_progress(recipe.stages, recipe.epochs, min(record.epoch, recipe.epochs) - 1, recipe.warmup)
        stage = record.stage - 1 if isinstance(record.stage, int) else len(recipe.all_wraps) - 1
        added = sum(wrap.added_skip(time) for wrap in recipe.all_wraps[stage])
        mix = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in record.mix.items()}
        cells = stacked(on.space).cells_decided
        found[record.epoch] = fmean(cell_phi(mix, on.space, cell, auxiliary=added) for cell in cells)
    return found


def _added(name: str) -> Callable[[SearchRecord, Space], Number]:
    """A loss of `mixop.monitors.DirichletBound` less that of the mean mixing weights."""
    of, middle = _column(name), _column("loss_at_mean")

    def read(record: SearchRecord, space: Space) -> Number:
        value, least = of(record, space), middle(record, space)
        return None if value is None or least is None else value - least

    return read


def _of_cells(measure: Callable[[Architecture, Space, str], int]) -> Callable[[SearchRecord, Space], Number]:
    """The mean over the cells of what would be derived; None where a stage of the search has a space of its own."""

    def read(record: SearchRecord, space: Space) -> Number:
        try:
            architecture = space.from_native(record.architecture)
        except SpaceError:
            return None
        return fmean(measure(architecture, space, group.name) for group in space.groups)

    return read


def _of_draws(measure: Callable[[np.ndarray], float]) -> Quantity:
    """Of the table accuracies of the architectures that `mixop.monitors.Exploration` drew after every epoch."""

    def of(run: SeedRun, on: Bench) -> Mapping[int, Number]:
        memory = checkpoint.load(RunDirectory(run.path).state)["search"]["memory"]
        found = {}
        for epoch, natives in drawn_architectures(memory).items():
            scores = {native: on.evaluator.look_up(on.space.from_native(native)) for native in set(natives)}
            found[epoch + 1] = measure(np.array([scores[native] for native in natives]))
        return found

    return Quantity(of, percent=True)


def _kept(run: RunDirectory, file: str, kind: type[T], fits: Callable[[T], bool], make: Callable[[], T]) -> T:
    """What was measured once, and is kept in the run; what `mixop analyse` left there with other settings is measured again.

    Args:
        run: where it is kept.
        file: its name there.
        kind: of the record.
        fits: whether it was measured as an experiment does.
        make: measures it.
    """
    if run.has(file) and fits(found := from_record(kind, run.read_json(file), str(run / file))):
        return found
    made = make()
    run.write_json(file, to_record(made))
    return made


def _flatness(run: RunDirectory, on: Bench) -> Flatness:
    examples = min(EXAMPLES, len(on.data.train))

    def fits(found: Flatness) -> bool:
        return (found.examples, found.samples, found.seed) == (examples, SAMPLES, 0)

    return _kept(
        run, FLATNESS, Flatness, fits, lambda: flatness(run, load_data(run), examples=examples, samples=SAMPLES, seed=0)
    )


def _ranking(run: RunDirectory, on: Bench) -> Ranking:
    """Of architectures drawn with one seed, so that all searches of a space rank the same ones."""
    where, table = on.evaluator, open_table(on.evaluator.table)
    asked = {"dataset": where.dataset, "split": "test" if where.test else "valid", "epochs": where.epochs, "seed": 0}
    of_all = {**asked, "norm": "batch", "examples": len(on.data.valid), "table_sha256": table.header.sha256}

    def fits(found: Ranking) -> bool:
        drawn = len(found.architectures) + found.missing
        return drawn == on.ranked and all(getattr(found, name) == value for name, value in of_all.items())

    return _kept(run, RANKING, Ranking, fits, lambda: rank(run, load_data(run), table, architectures=on.ranked, **asked))


def _scan(run: RunDirectory, on: Bench) -> Scan:
    """All searches of a space are scanned along the same directions."""
    examples = min(EXAMPLES, len(on.data.valid))

    def fits(found: Scan) -> bool:
        return (found.examples, found.points, found.radius, found.seed) == (examples, on.points, RADIUS, 0)

    return _kept(
        run,
        LANDSCAPE,
        Scan,
        fits,
        lambda: scan(run, load_data(run), radius=RADIUS, points=on.points, examples=examples, seed=0),
    )


def _regret(run: SeedRun, on: Bench) -> Mapping[int, Number]:
    best = on.best
    return {} if best is None else {epoch: None if score is None else best - score for epoch, _, score in run.curve}


def _of_few(summary: Callable[[np.ndarray], float]) -> Quantity:
    """Of Kendall's tau at the end, over random choices of so many of the ranked architectures."""

    def of(run: SeedRun, on: Bench) -> Mapping[int, Number]:
        found = _ranking(RunDirectory(run.path), on)
        shared = [found.measure.rank(one.shared) for one in found.architectures]
        trained = [found.table_measure.rank(one.trained) for one in found.architectures]
        sizes, rng = sorted({max(3, round(share * len(shared))) for share in FEW}), np.random.default_rng(0)
        taus = {size: tau_of_subsets(shared, trained, size, SUBSETS, rng) for size in sizes if size <= len(shared)}
        return {size: summary(values[np.isfinite(values)]) for size, values in taus.items() if np.isfinite(values).sum() > 1}

    return Quantity(of, along="architectures ranked")


QUANTITIES: Mapping[str, Quantity] = {
    TABLE: Quantity(lambda run, _: {epoch: score for epoch, _, score in run.curve}, percent=True),
    REGRET: Quantity(_regret, percent=True, log=True),
    SUPERNET: _of_records(lambda record, _: record.valid.get("accuracy"), percent=True),
    EIGENVALUE: _of_records(_column("eigenvalue")),
    ENTROPY: _of_records(lambda record, _: record.entropy, unit="nats"),
    SKIPS: _of_records(lambda record, _: record.skip_share, percent=True),
    FOUND_SKIPS: _of_records(_column("chosen_skip_share"), percent=True),
    GAP: _of_records(_column("gap"), percent=True),
    PHI: Quantity(_phi, log=True),
    DEPTH: _of_records(_of_cells(depth)),
    WIDTH: _of_records(_of_cells(width)),
    SHARPNESS: _of_end(lambda run, on: _flatness(run, on).largest, log=True),
    TRACE: _of_end(lambda run, on: _flatness(run, on).trace, log=True),
    TAU: _of_end(lambda run, on: _ranking(run, on).tau),
    RHO: _of_end(lambda run, on: _ranking(run, on).rho),
    RANGE: _of_draws(lambda scores: float(np.ptp(scores))),
    SPREAD: _of_draws(lambda scores: float(scores.std(ddof=1))),
    BEST_DRAWN: _of_draws(lambda scores: float(scores.max())),
    DISTINCT: _of_records(_column("distinct_share"), percent=True),
    EXPECTED: _of_records(_added("expected_loss"), unit="nats"),
    EXPANDED: _of_records(_added("second_order_loss"), unit="nats"),
    BOUND: _of_records(_added("loss_bound"), unit="nats"),
    MU_TRACE: _of_records(_column("hessian_trace")),
    MU_LEAST: _of_records(_column("hessian_smallest")),
    MEMORY: _of_end(lambda run, on: step_bytes(run, on.data) / 2**20),
    RISE: _of_end(lambda run, on: float(_scan(run, on).rise.mean()), unit="nats"),
    FALL: _of_end(lambda run, on: -float(_scan(run, on).gain.mean()), percent=True),
    **{title: _of_records(_column(f"tau_{norm}")) for norm, title in TAU_BY_NORM.items()},
    TAU_OF_FEW: _of_few(lambda taus: float(taus.mean())),
    TAU_SPREAD: _of_few(lambda taus: float(taus.std(ddof=1))),
    DRAWN: _of_end(lambda run, on: fmean(one.trained for one in _ranking(run, on).architectures), percent=True),
}
"""By title."""


def panel(title: str, runs: Mapping[str, Sequence[SeedRun]], on: Bench) -> Panel:
    """What was measured of some runs; NaN for those that failed.

    Args:
        title: one of `QUANTITIES`.
        runs: by variant, in the order of the seeds.
        on: what they ran on.
    """
    quantity = QUANTITIES[title]
    points = {name: [{} if run.error is not None else quantity.of(run, on) for run in those] for name, those in runs.items()}
    epochs = sorted({epoch for those in points.values() for one in those for epoch, value in one.items() if value is not None})
    series = {}
    for name, those in points.items():
        rows = [[np.nan if (value := one.get(epoch)) is None else value for epoch in epochs] for one in those]
        series[name] = np.array(rows, dtype=np.float64).reshape(len(those), len(epochs))
    looks = {"percent": quantity.percent, "log": quantity.log, "along": quantity.along, "unit": quantity.unit}
    return Panel(title, tuple(map(float, epochs)), series, **looks)


_SURFACES: Mapping[str, tuple[Callable[[Scan], np.ndarray], bool]] = {
    LOSSES: (lambda found: found.rise, False),
    ACCURACIES: (lambda found: -found.gain, True),
}
"""By title: what is drawn of a scan, and whether it is a share."""


def surface(title: str, runs: Mapping[str, Sequence[SeedRun]], on: Bench) -> Surface:
    """A landscape, the mean over the runs of each variant; NaN where all failed.

    Args:
        title: `LOSSES` or `ACCURACIES`.
        runs: by variant, in the order of the seeds.
        on: what they ran on.
    """
    of, percent = _SURFACES[title]
    found = {name: [_scan(RunDirectory(run.path), on) for run in those if run.error is None] for name, those in runs.items()}
    axis = next((scans[0].axis for scans in found.values() if scans), ())
    nothing = np.full((len(axis), len(axis)), np.nan)
    series = {name: np.mean([of(one) for one in scans], axis=0) if scans else nothing for name, scans in found.items()}
    return Surface(title, axis, series, "distance in the architecture parameters", percent, "" if percent else "nats")
