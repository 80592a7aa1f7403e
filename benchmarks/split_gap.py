"""Do held-out images say the same of an architecture as the images that the weights were trained on?

python benchmarks/split_gap.py FOLDER [IMAGES] [SEEDS]

FOLDER has CIFAR-10 as `mixop.data.Sheets` reads it. The weights of NAS-Bench-201's supernet are trained as in docs/results.md,
under draws of DrNAS, while the architecture stays where it begins. In every step after the warm-up the loss and its
derivative in the architecture parameters are taken on a batch of either split, each under a draw of its own. Printed, by
split: the mean loss, and the mean over steps and edges of the derivative, its sign turned so that what a search would
raise is positive, for each operation, with the standard error of each mean.
"""

import sys
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor

import mixop
from mixop.bilevel.base import Problem, fixed, gradient, leaves_of
from mixop.bilevel.direct import FirstOrder
from mixop.data.sheets import Sheets
from mixop.types import Batch, Params

EPOCHS, WARMUP, CHANNELS, PIXELS = 22, 10, 8, 16
MEASURED: list[tuple[float, Tensor, float, Tensor]] = []
"""For each step: loss and derivative on the training batch, loss and derivative on the validation batch."""


@dataclass(frozen=True, kw_only=True)
class Measure(FirstOrder):
    """Takes both gradients down and moves nothing."""

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        taken: list[float | Tensor] = []
        for batch in (train_batch, valid_batch):
            leaves = leaves_of(params)
            loss = problem.valid_loss(fixed(problem), leaves, batch)
            taken += [float(loss.detach()), gradient(loss, leaves)["cell"].detach().clone()]
        MEASURED.append(tuple(taken))  # type: ignore[arg-type]
        return {name: torch.zeros_like(value) for name, value in params.items()}


def main(folder: Path, images: int, seeds: int) -> None:
    """Measures and prints."""
    recipe = mixop.recipes.drnas(epochs=EPOCHS)
    recipe = replace(recipe, scheme=Measure(), regularisers=(), warmup=WARMUP)
    space = mixop.spaces.nasbench201(channels=CHANNELS, cells=1)
    data = Sheets(path=str(folder), size=PIXELS, images=images).load()
    for seed in range(seeds):
        with tempfile.TemporaryDirectory() as out:
            mixop.search(recipe, space, data, out, seed=seed, threads=1)
    print(f"{images} images, {seeds} seeds, {len(MEASURED)} steps; -1000 dL/d eta, mean over edges +- standard error")
    names = space.groups[0].decisions[0].options
    print(f"{'':>12}{'loss':>16}" + "".join(f"{name:>16}" for name in names))
    for row, split in enumerate(("training", "validation")):
        losses = torch.tensor([taken[2 * row] for taken in MEASURED])
        slopes = -1000 * torch.stack([taken[2 * row + 1] for taken in MEASURED]).mean(1)
        print(f"{split:>12}{_mean(losses)}" + "".join(_mean(slopes[:, o], 2) for o in range(len(names))))


def _mean(values: Tensor, digits: int = 4) -> str:
    error = values.std() / len(values) ** 0.5
    return f"{values.mean():.{digits}f} +- {error:.{digits}f}".rjust(16)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *(int(word) for word in [*sys.argv[2:], *("6000", "3")[len(sys.argv) - 2 :]]))
