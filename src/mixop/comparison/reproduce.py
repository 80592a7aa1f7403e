"""Published experiments run again: at full settings or at a stated smaller scale, and beside what the papers report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch

from mixop.comparison.compare import compare
from mixop.comparison.evaluators import tabular
from mixop.comparison.published import CARRIED, Published, published
from mixop.core.door import door
from mixop.core.errors import DataError, RecipeError, unknown
from mixop.core.schedules import Schedule
from mixop.data.core import Data
from mixop.data.images.cifar import Cifar10
from mixop.data.images.sheets import Sheets
from mixop.plan.scaling import scaled_to
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.report.comparison import Comparison
from mixop.report.palette import ABSENT
from mixop.runs.runner import Runner, Teller
from mixop.spaces.nasbench201 import NasBench201
from mixop.tables.catalogue import open_table
from mixop.tables.conversion import convert
from mixop.tables.table import Table

CIFAR10 = "cifar10"
TABLE = "nasbench201"
BUDGET = 12_000.0
"""Seconds of the benchmark's clock that random search has, as published (Dong & Yang 2020, arXiv:2001.00326)."""


@dataclass(frozen=True, kw_only=True)
class Scale:
    """How large an experiment is.

    Args:
        about: in words.
        channels: of the first stage.
        cells: of each stage.
        size: height and width of the images in pixels.
        images: how many training images, of both splits; None for all.
        epochs: of a search; None for the published number, and then every setting is the published one.
        warmup: epochs at the start that train the weights only, the same for every method.
        batch: images in a batch.
        seeds: runs; None for as many as the paper reports, or 4.
    """

    about: str
    channels: int = 16
    cells: int = 5
    size: int = 32
    images: int | None = None
    epochs: int | None = None
    warmup: int | None = None
    batch: int | None = None
    seeds: int | None = None


_SMALL = Scale(
    about="3,000 + 3,000 images of 16 pixels, 8 channels, a cell a stage, 22 epochs; minutes a run on one core",
    channels=8,
    cells=1,
    size=16,
    images=6000,
    epochs=22,
    warmup=10,
    batch=64,
    seeds=3,
)

SCALES: Mapping[str, Scale] = {
    "full": Scale(about="the published settings; days on a CPU, hours on a GPU"),
    "medium": replace(
        _SMALL,
        about="6,000 + 6,000 images of 16 pixels, 16 channels, a cell a stage, 22 epochs; minutes a run on one core",
        channels=16,
        images=12_000,
    ),
    "small": _SMALL,
    "tiny": Scale(
        about="300 + 300 images of 8 pixels, 4 channels, a cell a stage, 3 epochs; seconds, to see that it runs",
        channels=4,
        cells=1,
        size=8,
        images=600,
        epochs=3,
        warmup=1,
        batch=32,
        seeds=2,
    ),
}
"""Scales by name."""

EXPERIMENTS: Mapping[str, str] = {
    f"{name.replace('_', '-')}-nasbench201": name for name in RECIPES if published(name, CIFAR10) is not None
}
"""Experiments by name, each with its recipe: a search on CIFAR-10 in NAS-Bench-201, looked up in the benchmark's table."""


@dataclass(frozen=True)
class Line:
    """One fact of an experiment.

    Args:
        what: it is about.
        paper: what is published.
        ours: what we had or found.
        result: whether it is a result, not a setting.
    """

    what: str
    paper: str
    ours: str
    result: bool = False

    @property
    def differs(self) -> bool:
        """Whether a setting is another one than the published one."""
        return not self.result and self.paper != self.ours


@dataclass(frozen=True)
class Reproduction:
    """What came out.

    Args:
        name: of the experiment.
        scale: name of the scale.
        comparison: all runs; random search is among them.
        lines: results first, then settings.
        source: of the published numbers.
    """

    name: str
    scale: str
    comparison: Comparison
    lines: tuple[Line, ...]
    source: str


@door()
def reproduce(
    name: str,
    folder: str | Path,
    out: str | Path,
    *,
    scale: str = "small",
    table: str | None = None,
    seeds: int | None = None,
    jobs: int | None = None,
    runner: Runner | None = None,
    device: str | torch.device = "cpu",
    observe: Teller | None = None,
) -> Reproduction:
    """Runs a published experiment, and random search with its published budget beside it; the same call again continues it.

    Args:
        name: one of `EXPERIMENTS`.
        folder: has CIFAR-10, as the official archive or as sheets, and, unless ``table`` is given, the benchmark's table as
            ``nasbench201.table`` or ``nasbench201.npz``; the latter is converted to a table beside ``out``.
        out: the directory of the comparison that this is.
        scale: one of `SCALES`.
        table: the table of NAS-Bench-201.
        seeds: runs; None for those of the scale.
        jobs: workers at a time; None for as many as the runner has room for.
        runner: who computes the runs, as in `mixop.compare`.
        device: where torch computes.
        observe: called with what happens in each run.

    Raises:
        RecipeError: if there is no such experiment or scale.
        DataError: if images or table are missing.
    """
    method, size = _known(name, scale)
    folder, out = Path(folder), Path(out)
    file = table_of(folder, out) if table is None else table
    evaluator = tabular(file, CIFAR10, test=True)
    data = images_of(folder, size)
    recipe, space = _recipe(method, size, data), NasBench201(channels=size.channels, cells=size.cells)
    reported = published(method, CIFAR10)
    assert reported is not None  # EXPERIMENTS has only such
    runs = seeds or size.seeds or reported.runs or 4
    result = compare(
        {method: recipe},
        space,
        data,
        out,
        budget_seconds=BUDGET,
        seeds=range(runs),
        jobs=jobs,
        runner=runner,
        evaluate=evaluator,
        rates="paper",  # by the experiment's own rule, with its warm-up
        note=f"Scale {scale}: {size.about}.",
        device=device,
        observe=observe,
    )
    lines = (*_results(method, result, open_table(file)), *_settings(method, recipe, size, data, runs, reported))
    return Reproduction(name, scale, result, lines, reported.source)


def _known(name: str, scale: str) -> tuple[str, Scale]:
    if name not in EXPERIMENTS:
        raise RecipeError(unknown("experiment", name, EXPERIMENTS))
    if scale not in SCALES:
        raise RecipeError(unknown("scale", scale, SCALES))
    return EXPERIMENTS[name], SCALES[scale]


def table_of(folder: Path, out: Path) -> str:
    """The benchmark's table in a folder, or made of what is there."""
    if (folder / f"{TABLE}.table").exists():
        return str(folder / f"{TABLE}.table")
    if not (folder / f"{TABLE}.npz").exists():
        raise DataError(
            f"{str(folder)!r} has neither {TABLE}.table nor {TABLE}.npz: give --table, a file that mixop table convert makes "
            "from the benchmark's files."
        )
    target = out.parent / f"{TABLE}.table"
    if not target.exists():
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DataError(f"Cannot write {str(target)!r} ({error.strerror}): choose another --out.") from error
        convert(folder / f"{TABLE}.npz", target)
    return str(target)


def images_of(folder: Path, scale: Scale) -> Data:
    """CIFAR-10 in a folder: as sheets, else as an official archive, which has 32 pixels and all images only."""
    if not folder.is_dir():
        raise DataError(f"--data must be a folder with CIFAR-10, got {str(folder)!r}.")
    if list(folder.glob("*_labels.npz")):
        return Sheets(str(folder), size=scale.size, images=scale.images).load()
    if (scale.size, scale.images) != (32, None):
        raise DataError(f"{str(folder)!r} has no sheets of images, which every scale but full needs: use --scale full.")
    return Cifar10(str(folder)).load()


def _recipe(method: str, scale: Scale, data: Data) -> Recipe:
    if scale.epochs is None:
        return RECIPES[method]()
    recipe = RECIPES[method](epochs=scale.epochs)
    if scale.batch is not None:
        recipe = replace(recipe, batch_size=scale.batch)
    return scaled_to(recipe, len(data.train), len(data.valid), warmup=scale.warmup)


def _results(method: str, result: Comparison, table: Table) -> list[Line]:
    """Accuracies of what was found, of every data set of the table, beside the papers'."""
    found = [trial.architecture for trial in result.row(method).runs if trial.architecture is not None]
    lines = []
    for dataset, title in (
        (CIFAR10, "CIFAR-10"),
        ("cifar100", "carried to CIFAR-100"),
        ("ImageNet16-120", "carried to ImageNet16"),
    ):
        known = published(method, dataset) if dataset == CIFAR10 else CARRIED.get(method, {}).get(dataset.lower())
        for split in ("valid", "test"):
            if dataset not in table.datasets or split not in table.splits(dataset):
                continue
            epochs = table.lengths(dataset, split)[-1]
            where: dict[str, Any] = {"dataset": dataset, "split": split, "epochs": epochs, "reveal_test": True}
            ours = [table.query(architecture, **where) for architecture in found]
            lines.append(Line(f"{title} {split}", _reported(known, split), _mean(ours), result=True))
    rival, random = published("random", CIFAR10), _mean([result.measure.scale * score for score in result.row("random").scores])
    lines.append(Line("random search, CIFAR-10 test", _reported(rival, "test"), random, result=True))
    skips = result.row(method).skips
    lines.append(Line("skip connections of 6 edges", ABSENT, ABSENT if skips is None else f"{skips:.1f}", result=True))
    return lines


def _reported(known: Published | None, split: str) -> str:
    if known is None:
        return ABSENT
    mean, deviation = (known.valid, known.valid_deviation) if split == "valid" else (known.test, known.test_deviation)
    return ABSENT if mean is None else f"{mean:.2f}" + ("" if deviation is None else f" +- {deviation:.2f}")


def _mean(values: Sequence[float]) -> str:
    if not values:
        return ABSENT
    return f"{fmean(values):.2f}" + (f" +- {stdev(values):.2f}" if len(values) > 1 else "")


def _settings(method: str, recipe: Recipe, scale: Scale, data: Data, runs: int, reported: Published) -> list[Line]:
    """Settings, ours beside the published ones."""
    own, usual = RECIPES[method](), SCALES["full"]
    pairs = {
        "runs": (str(reported.runs) if reported.runs else ABSENT, str(runs)),
        "channels": (str(usual.channels), str(scale.channels)),
        "cells a stage": (str(usual.cells), str(scale.cells)),
        "pixels": (str(usual.size), str(data.shape[-1])),
        "images": ("25,000 + 25,000", f"{len(data.train):,} + {len(data.valid):,}"),
        "epochs": (str(own.epochs), str(recipe.epochs)),
        "of them a warm-up": (str(own.warmup), str(recipe.warmup)),
        "images a batch": (str(own.batch_size), str(recipe.batch_size)),
        "architecture rate": (_rate(own.architecture_optimiser.lr), _rate(recipe.architecture_optimiser.lr)),
    }
    return [Line(what, paper, ours) for what, (paper, ours) in pairs.items()]


def _rate(rate: Schedule) -> str:
    low, high = rate.bounds
    return f"{high:.2g}" if low == high else f"{high:.2g} to {low:.2g}"
