"""How good are cells at the small scale of docs/results.md itself, and does the benchmark's table agree?

python studies/scale_truth.py FOLDER TABLE [RANDOM] [SEEDS]

FOLDER has CIFAR-10 as `mixop.data.Sheets` reads it, TABLE is NAS-Bench-201 as `mixop table convert` writes it. Cells of
one operation only, the benchmark's best on CIFAR-10, and random ones are trained from scratch like the supernet's weights
(3,000 images of 16 pixels, 8 channels, one cell a stage, 22 epochs) and scored on the 3,000 held-out images. Printed: each
with its accuracies by seed and the table's test accuracy, best first, and Spearman's correlation of the two.
"""

import random
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import torch
from scipy.stats import spearmanr

import mixop
from mixop.comparison.training_objective import TrainingObjective
from mixop.core.optim import SGD
from mixop.core.schedules import Cosine
from mixop.data.images.sheets import Sheets
from mixop.evaluate.protocol import PROTOCOLS
from mixop.tables import Table

IMAGES, PIXELS, CHANNELS, EPOCHS = 6000, 16, 8, 22
OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
SGD_SEARCH = SGD(lr=Cosine(0.025, 0.001), momentum=0.9, weight_decay=3e-4)


def native(options: list[str]) -> str:
    """A cell in the benchmark's notation."""
    a, b, c, d, e, f = options
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


def accuracy(text: str, seed: int, folder: Path) -> float:
    """Held-out accuracy in percent of a cell trained from scratch."""
    torch.set_num_threads(1)
    data = Sheets(path=str(folder), size=PIXELS, images=IMAGES).load()
    space = mixop.spaces.nasbench201(channels=CHANNELS, cells=1)
    space = space.fit(data)
    protocol = replace(PROTOCOLS["quick"], name="as in a search", batch_size=64, optimiser=SGD_SEARCH, clip=5.0)
    with tempfile.TemporaryDirectory() as out:
        objective = TrainingObjective(space=space, data=data, folder=Path(out), protocol=protocol, seed=seed)
        return 100 * (objective(space.from_native(text), EPOCHS)[0] or 0.0)


def main(folder: Path, table: Path, count: int, seeds: int) -> None:
    """Measures and prints."""
    rng, truth = random.Random(0), Table.open(table)
    query = {"dataset": "cifar10", "split": "test", "epochs": 200, "reveal_test": True}
    cells = {f"all {name}": native([name] * 6) for name in OPERATIONS[1:]}
    cells["the table's best"] = truth.optimum(**query).native
    cells |= {f"random {i}": native([rng.choice(OPERATIONS) for _ in range(6)]) for i in range(count)}
    jobs = [(text, seed) for text in cells.values() for seed in range(seeds)]
    with ProcessPoolExecutor(2) as pool:
        found = list(pool.map(accuracy, *zip(*jobs, strict=True), [folder] * len(jobs)))
    here = {name: found[i * seeds : (i + 1) * seeds] for i, name in enumerate(cells)}
    there = {name: truth.query(text, **query) for name, text in cells.items()}
    for name in sorted(cells, key=lambda name: -fmean(here[name])):
        runs = " ".join(f"{value:.1f}" for value in here[name])
        print(f"{name:18} {fmean(here[name]):5.1f}  ({runs})  table {there[name]:5.1f}  {cells[name]}")
    rho, _ = spearmanr([fmean(here[name]) for name in cells], [there[name] for name in cells])
    print(f"Spearman's correlation with the table, {len(cells)} cells: {rho:.2f}")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    main(Path(sys.argv[1]), Path(sys.argv[2]), *(int(word) for word in [*sys.argv[3:], *("10", "2")[len(sys.argv) - 3 :]]))
