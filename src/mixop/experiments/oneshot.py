"""Searches in NAS-Bench-1Shot1, by the regret of what they would find after every epoch, looked up in NAS-Bench-101.

Source: Zela, Siems & Hutter 2020 (arXiv:2001.10422); the settings of the searches are those of the authors' code.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from mixop.comparison.evaluators import tabular
from mixop.comparison.reproduce import SCALES, images_of
from mixop.core.errors import DataError
from mixop.core.optim import SGD, Adam
from mixop.core.schedules import Constant, Cosine
from mixop.data.images.digits import Digits
from mixop.data.split import Split
from mixop.experiments.base import Findings, Judged, Pattern, Request
from mixop.experiments.bench import EPOCHS, Bench, folder_of, seeds_of
from mixop.experiments.quantities import ENTROPY, REGRET, SUPERNET, TABLE
from mixop.experiments.rules import RULE, above
from mixop.experiments.searches import Searches
from mixop.recipe.core import Recipe
from mixop.recipes import RECIPES
from mixop.spaces.nasbench1shot1 import NasBench1Shot1
from mixop.tables.catalogue import open_table

PAPER = "Zela et al. 2020, NAS-Bench-1Shot1 (arXiv:2001.10422)"

METHODS = ("darts", "pcdarts", "gdas", "rsws")
MOVING = METHODS[:3]

WHOLE = 423_624
"""Networks of NAS-Bench-101."""

BEST = {1: 1 - 0.054487, 2: 1 - 0.057592, 3: 1 - 0.053385}
"""The best mean test accuracy in each space, by the authors' code."""

CELLS = 3
"""Of a network at all scales but full, where there are 9: one a stage."""


def methods(epochs: int) -> dict[str, Recipe]:
    """Each with the optimisers and batches of the authors' searches, which have no warm-up."""
    weights = SGD(lr=Cosine(0.025, 0.001), momentum=0.9, weight_decay=3e-4)
    architecture = Adam(lr=Constant(3e-4), betas=(0.5, 0.999), weight_decay=1e-3)
    settings = {"weight_optimiser": weights, "architecture_optimiser": architecture, "batch_size": 96, "warmup": 0}
    return {name: replace(RECIPES[name](epochs=epochs), **settings) for name in METHODS}


def bench_of(number: int) -> Callable[[Request], Bench]:
    """What the searches of one of the three spaces run on."""

    def made(request: Request) -> Bench:
        if request.table is None:
            raise DataError(
                "A search in NAS-Bench-1Shot1 needs --table FILE, a table of NAS-Bench-101: mixop table convert makes it from "
                "the authors' nasbench_only108.tfrecord."
            )
        size, tiny = SCALES[request.scale], request.scale == "tiny"
        if tiny:
            data = Digits(split=Split(valid=0.5, test=0.8)).load()
        else:
            data = images_of(folder_of(request, "CIFAR-10"), size)
        cells = 9 if size.epochs is None else CELLS
        space = NasBench1Shot1(number=number, channels=size.channels, cells=cells).fit(data)
        table, opened = tabular(request.table, test=True), open_table(request.table)
        table.check(space, data)
        what = {"dataset": table.dataset, "split": "test", "epochs": table.epochs}
        highest = opened.optimum(**what, reveal_test=True).value / opened.measure().scale
        best = BEST[number] if len(opened) == WHOLE else highest
        batch = 32 if tiny else size.batch
        return Bench(space, data, table, size.epochs or EPOCHS, batch, seeds_of(request), best=best)

    return made


def _less_regret(findings: Findings) -> Judged:
    of = findings.panels[REGRET]
    moving = np.mean([of.at_end(name) for name in MOVING], axis=0)
    return above(of.at_end("rsws") - moving, "regret at the end, random search less the mean of the others", percent=True)


def _falls(findings: Findings) -> Judged:
    of = findings.panels[REGRET]
    differences = np.concatenate([of.within(name, 0.0, 0.25) - of.within(name, 0.75, 1.0) for name in MOVING])
    return above(differences, "regret, first less last quarter of the epochs", percent=True)


@dataclass(frozen=True, kw_only=True)
class OneShot(Searches):
    """Searches in one of the three spaces."""

    @property
    def scales(self) -> Mapping[str, str]:
        words = {
            "full": "9 cells of 16 channels, 100 epochs on CIFAR-10; days on a CPU, hours on a GPU",
            "medium": SCALES["medium"].about,
            "small": SCALES["small"].about,
            "tiny": "180 + 180 digits, 3 cells of 4 channels, 3 epochs; seconds, to see that it runs",
        }
        return {name: f"{about}; needs a table of NAS-Bench-101" for name, about in words.items()}


EXPERIMENTS = tuple(
    OneShot(
        name=f"one-shot-{number}",
        question=f"How does the regret of searches in space {number} of NAS-Bench-1Shot1 go over the epochs?",
        source=f"{PAPER}, anytime regret of one-shot optimisers",
        patterns=(
            Pattern(
                "What DARTS, PC-DARTS and GDAS would find gets better over the search.",
                "test regret, mean over the first less that over the last quarter of the epochs, over the three and all seeds: "
                f"{RULE}. The claim is ours: the paper was not at hand.",
                _falls,
            ),
            Pattern(
                "They end with less regret than random search with shared weights.",
                f"test regret at the end, random search less the mean of the three, seed by seed: {RULE}. The claim is ours.",
                _less_regret,
            ),
        ),
        variants=methods,
        quantities=(REGRET, TABLE, SUPERNET, ENTROPY),
        on=bench_of(number),
    )
    for number in (1, 2, 3)
)
"""The three spaces."""
