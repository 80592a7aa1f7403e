"""Published experiments run again: at full settings or at a stated smaller scale, and beside what the papers report."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d

from mixop.comparison.compare import compare
from mixop.comparison.evaluators import tabular
from mixop.comparison.published import CARRIED, Published, published
from mixop.core.door import door
from mixop.core.errors import DataError, RecipeError, unknown
from mixop.core.schedules import Schedule
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.images.cifar import Cifar10, Cifar100
from mixop.data.images.imagenet16 import ImageNet16
from mixop.data.images.sheets import Sheets
from mixop.data.split import Split
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


@dataclass(frozen=True)
class SearchedSet:
    """A data set that published searches ran on.

    Args:
        title: as people write it.
        suffix: of the names of its experiments.
        table: its name in the benchmark's table.
        source: reads it from a folder.
        size: height and width of its images in pixels.
        images: of both splits in the published searches; a dash where the paper does not say.
    """

    title: str
    suffix: str
    table: str
    source: Callable[[str], Source]
    size: int
    images: str = ABSENT


SETS: Mapping[str, SearchedSet] = {
    CIFAR10: SearchedSet("CIFAR-10", "", CIFAR10, Cifar10, 32, "25,000 + 25,000"),
    "cifar100": SearchedSet("CIFAR-100", "-cifar100", "cifar100", Cifar100, 32),
    "imagenet16-120": SearchedSet("ImageNet16-120", "-imagenet16", "ImageNet16-120", ImageNet16, 16),
}
"""The three sets of the benchmark, by the names of `mixop.comparison.published.DATASETS`."""


@dataclass(frozen=True)
class Search:
    """A published search in NAS-Bench-201, looked up in the benchmark's table.

    Args:
        method: its recipe.
        dataset: that it searched and was tested on, one of `SETS`.
    """

    method: str
    dataset: str

    @property
    def reported(self) -> Published:
        """What is published of it."""
        found = published(self.method, self.dataset)
        assert found is not None  # EXPERIMENTS has only such
        return found


EXPERIMENTS: Mapping[str, Search] = {
    f"{name.replace('_', '-')}-nasbench201{of.suffix}": Search(name, dataset)
    for name in RECIPES
    for dataset, of in SETS.items()
    if published(name, dataset) is not None
}
"""Published searches by name.

Those on CIFAR-100 and ImageNet16-120 search on that set itself, as in table 4 of Chen et al. 2021 (arXiv:2006.10355), whose
experiments are "task-specific"; what was searched on CIFAR-10 is looked up on the other two as well, as in Dong & Yang 2020
(arXiv:2001.00326), table 5. The two must not be mixed.
"""


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
        folder: has the images that were searched on, in their official form or, for CIFAR-10, as sheets, and, unless
            ``table`` is given, the benchmark's table as ``nasbench201.table`` or ``nasbench201.npz``; the latter is converted
            to a table beside ``out``.
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
    if name not in EXPERIMENTS:
        raise RecipeError(unknown("experiment", name, EXPERIMENTS))
    if scale not in SCALES:
        raise RecipeError(unknown("scale", scale, SCALES))
    search, size = EXPERIMENTS[name], SCALES[scale]
    method, reported = search.method, search.reported
    folder, out = Path(folder), Path(out)
    file = table_of(folder, out) if table is None else table
    evaluator = tabular(file, SETS[search.dataset].table, test=True)
    data = images_of(folder, size, search.dataset)
    recipe, space = _recipe(method, size, data), NasBench201(channels=size.channels, cells=size.cells)
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
    lines = (*_results(search, result, open_table(file)), *_settings(search, recipe, size, data, runs))
    return Reproduction(name, scale, result, lines, reported.source)


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


def images_of(folder: Path, scale: Scale, dataset: str = CIFAR10) -> Data:
    """The images that a search runs on: sheets of CIFAR-10, else the official form, made fewer and smaller by the scale."""
    of = SETS[dataset]
    if not folder.is_dir():
        raise DataError(f"--data must be a folder with {of.title}, got {str(folder)!r}.")
    if dataset == CIFAR10 and list(folder.glob("*_labels.npz")):
        return Sheets(str(folder), size=scale.size, images=scale.images).load()
    data, size = of.source(str(folder)).load(), min(scale.size, of.size)
    return data if (size, scale.images) == (of.size, None) else smaller(data, size, scale.images)


def smaller(data: Data, size: int, images: int | None) -> Data:
    """A set with fewer and smaller images.

    Args:
        data: images of classes in memory, uint8.
        size: height and width, a divisor of theirs: each pixel is the mean of a square of them.
        images: how many training images at most, the first ones of every class, equally many; None for all.
    """
    training, side = data.at("train", "valid").sort().values, data.shape[-1]
    if images is not None:
        y = data.y[training]
        each = images // data.outputs
        training = torch.cat([training[y == k][:each] for k in range(data.outputs)]).sort().values

    def arrays(at: Tensor) -> Arrays:
        means = avg_pool2d(data.x[at].float(), side // size)
        return Arrays(means.round().to(torch.uint8), data.y[at])

    return assemble(
        data.name,
        arrays(training),
        test=arrays(data.test),
        task=data.task,
        split=Split(),
        augment=data.augment,
        source=None,
        record={"smaller": {"size": size, "images": len(training)}},
    )


def _recipe(method: str, scale: Scale, data: Data) -> Recipe:
    if scale.epochs is None:
        return RECIPES[method]()
    recipe = RECIPES[method](epochs=scale.epochs)
    if scale.batch is not None:
        recipe = replace(recipe, batch_size=scale.batch)
    return scaled_to(recipe, len(data.train), len(data.valid), warmup=scale.warmup)


def _results(search: Search, result: Comparison, table: Table) -> list[Line]:
    """Accuracies of what was found beside the papers': on the set that was searched; of CIFAR-10 on the others too."""
    found = [trial.architecture for trial in result.row(search.method).runs if trial.architecture is not None]
    own, lines = SETS[search.dataset], []
    for dataset, of in SETS.items():
        carried = dataset != search.dataset
        if carried and search.dataset != CIFAR10:
            continue
        known = CARRIED.get(search.method, {}).get(dataset) if carried else search.reported
        for split in ("valid", "test"):
            if of.table not in table.datasets or split not in table.splits(of.table):
                continue
            epochs = table.lengths(of.table, split)[-1]
            where: dict[str, Any] = {"dataset": of.table, "split": split, "epochs": epochs, "reveal_test": True}
            ours = [table.query(architecture, **where) for architecture in found]
            title = f"carried to {of.title}" if carried else of.title
            lines.append(Line(f"{title} {split}", _reported(known, split), _mean(ours), result=True))
    rival, random = published("random", search.dataset), [result.measure.scale * one for one in result.row("random").scores]
    lines.append(Line(f"random search, {own.title} test", _reported(rival, "test"), _mean(random), result=True))
    skips = result.row(search.method).skips
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


def _settings(search: Search, recipe: Recipe, scale: Scale, data: Data, runs: int) -> list[Line]:
    """Settings, ours beside the published ones."""
    own, usual, reported, of = RECIPES[search.method](), SCALES["full"], search.reported, SETS[search.dataset]
    pairs = {
        "runs": (str(reported.runs) if reported.runs else ABSENT, str(runs)),
        "channels": (str(usual.channels), str(scale.channels)),
        "cells a stage": (str(usual.cells), str(scale.cells)),
        "pixels": (str(of.size), str(data.shape[-1])),
        "images": (of.images, f"{len(data.train):,} + {len(data.valid):,}"),
        "epochs": (str(own.epochs), str(recipe.epochs)),
        "of them a warm-up": (str(own.warmup), str(recipe.warmup)),
        "images a batch": (str(own.batch_size), str(recipe.batch_size)),
        "architecture rate": (_rate(own.architecture_optimiser.lr), _rate(recipe.architecture_optimiser.lr)),
    }
    return [Line(what, paper, ours) for what, (paper, ours) in pairs.items()]


def _rate(rate: Schedule) -> str:
    low, high = rate.bounds
    return f"{high:.2g}" if low == high else f"{high:.2g} to {low:.2g}"
