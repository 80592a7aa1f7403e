"""Do held-out images say the same about an architecture as the images that the weights were trained on?

python studies/split_gap.py FOLDER [IMAGES] [SEEDS]

FOLDER has CIFAR-10 as `mixop.data.Sheets` reads it. The script trains the weights of NAS-Bench-201's supernet as in
docs/results.md, under draws of DrNAS, while the architecture stays at its start. In every step after the warm-up it takes the
loss and its derivative in the architecture parameters on a batch of either split, each under a separate draw. It prints, by
split, the mean loss and, for each operation, the mean of the negative derivative over steps and edges (a search raises what is
positive), with the standard error of each mean.
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
from mixop.core.types import Batch, Params
from mixop.data.images.sheets import Sheets

EPOCHS, WARMUP, CHANNELS, PIXELS = 22, 10, 8, 16
SPLITS = ("training", "validation")
LOSSES: dict[str, list[float]] = {split: [] for split in SPLITS}
SLOPES: dict[str, list[Tensor]] = {split: [] for split in SPLITS}


@dataclass(frozen=True, kw_only=True)
class Measure(FirstOrder):
    """Records both gradients and moves nothing."""

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        for split, batch in zip(SPLITS, (train_batch, valid_batch), strict=True):
            leaves = leaves_of(params)
            loss = problem.valid_loss(fixed(problem), leaves, batch)
            LOSSES[split].append(float(loss.detach()))
            SLOPES[split].append(gradient(loss, leaves)["cell"].detach().clone())
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
    names = space.groups[0].decisions[0].options
    print(f"{images} images, {seeds} seeds; -1000 dL/d eta, mean over steps and edges +- standard error")
    print(f"{'':>12}{'loss':>18}" + "".join(f"{name:>18}" for name in names))
    for split in SPLITS:
        slopes = -1000 * torch.stack(SLOPES[split]).mean(1)
        columns = [_mean(torch.tensor(LOSSES[split]), 4), *(_mean(slopes[:, o], 2) for o in range(len(names)))]
        print(f"{split:>12}" + "".join(columns))


def _mean(values: Tensor, digits: int) -> str:
    error = values.std() / len(values) ** 0.5
    return f"{values.mean():.{digits}f} +- {error:.{digits}f}".rjust(18)


if __name__ == "__main__":
    if not 2 <= len(sys.argv) <= 4:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), *(int(word) for word in [*sys.argv[2:], *("6000", "3")[len(sys.argv) - 2 :]]))
