"""What searches of an experiment run on: images, space and table by the scale."""

from dataclasses import dataclass, replace
from pathlib import Path

from mixop.comparison.evaluators import Tabular, tabular
from mixop.comparison.reproduce import CIFAR10, SCALES, images_of, table_of
from mixop.core.errors import DataError
from mixop.data.core import Data
from mixop.data.images.digits import Digits
from mixop.data.split import Split
from mixop.experiments.base import Request
from mixop.plan.scaling import scaled_to
from mixop.recipe.core import Recipe
from mixop.spaces.core import Space
from mixop.spaces.nasbench201 import NasBench201, NasBench201Digits

EPOCHS = 100
"""Of a search at full scale: the published number of most methods that these experiments compare."""

ABOUT = {
    **{name: scale.about for name, scale in SCALES.items()},
    "tiny": "180 + 180 digits and the table that comes with mixop, 4 channels, 3 epochs; seconds, to see that it runs",
}
"""The scales in words."""


@dataclass(frozen=True)
class Bench:
    """What a search runs on.

    Args:
        space: the search space, whose architectures the table knows.
        data: the images.
        evaluator: looks architectures up in the table: test accuracy where the table has one, else validation.
        epochs: of a search.
        batch: images in a batch; None for the recipe's.
        seeds: of the runs.
        ranked: architectures whose order is compared, where that is asked for.
        points: of a side of a landscape, where that is asked for.
        best: the best score of the table that an architecture of the space has, where regret is asked for.
    """

    space: Space
    data: Data
    evaluator: Tabular
    epochs: int
    batch: int | None
    seeds: tuple[int, ...]
    ranked: int = 100
    points: int = 21
    best: float | None = None

    @property
    def settings(self) -> dict[str, str]:
        """All that in words."""
        pixels = " x ".join(map(str, self.data.shape[1:]))
        return {
            "space": self.space.name,
            "channels": str(getattr(self.space, "channels", "")),
            "cells a stage": str(getattr(self.space, "cells", "")),
            "images": f"{len(self.data.train):,} + {len(self.data.valid):,} of {self.data.name}, {pixels} pixels",
            "epochs": str(self.epochs),
            "seeds": ", ".join(map(str, self.seeds)),
            "table accuracy": self.evaluator.words(self.data.task),
        }

    def paced(self, recipe: Recipe, full: Recipe) -> Recipe:
        """A recipe at this scale, its architecture moving as far as in the full search by the rule of all short searches.

        Args:
            recipe: with the epochs of this scale.
            full: the same with those of the full one.
        """
        if self.batch is not None:
            recipe = replace(recipe, batch_size=self.batch)
        return scaled_to(recipe, len(self.data.train), len(self.data.valid), published=full)


def bench(request: Request, channels: int = 1) -> Bench:
    """What the searches of a request run on.

    Args:
        request: which scale, and where images and table are.
        channels: what the channels of cells must be a multiple of; a scale with fewer has so many.

    Raises:
        DataError: if images or table are missing.
    """
    size, seeds = SCALES[request.scale], seeds_of(request)
    if request.scale == "tiny":
        space, data = images(request, channels)
        table = tabular(request.table or space.name)
        return Bench(space, data, table, size.epochs or EPOCHS, 64, seeds, ranked=10, points=5)
    folder = folder_of(request, "CIFAR-10 and the table of NAS-Bench-201")
    table = tabular(request.table or table_of(folder, request.out), CIFAR10, test=True)
    space, data = images(request, channels)
    points = 51 if request.scale == "full" else 21
    return Bench(space, data, table, size.epochs or EPOCHS, size.batch, seeds, points=points)


def images(request: Request, channels: int = 1) -> tuple[Space, Data]:
    """The space and the images of a request, without a table.

    Args:
        request: its scale and its folder.
        channels: what the channels of cells must be a multiple of; a scale with fewer has so many.

    Raises:
        DataError: if images are missing.
    """
    size = SCALES[request.scale]
    if request.scale == "tiny":
        few, space = Digits(split=Split(valid=0.5, test=0.8)).load(), NasBench201Digits()
        return replace(space, channels=max(space.channels, channels)).fit(few), few
    data = images_of(folder_of(request, "CIFAR-10"), size)
    return NasBench201(channels=max(size.channels, channels), cells=size.cells).fit(data), data


def folder_of(request: Request, has: str) -> Path:
    """The folder of a request.

    Raises:
        DataError: if none is given, saying what it needs.
    """
    if request.folder is None:
        raise DataError(f"The scale {request.scale} needs --data FOLDER, with {has}.")
    return request.folder


def seeds_of(request: Request) -> tuple[int, ...]:
    """The seeds of a request, or those of its scale."""
    return tuple(request.seeds) if request.seeds is not None else tuple(range(SCALES[request.scale].seeds or 3))
