"""What a search's time buys random search that has to train, and not look up, beside what the search finds in it.

mixop table convert NAS-Bench-201-FILE --out nasbench201.table
python studies/random_training.py FOLDER nasbench201.table [RECIPE] [SEEDS]

FOLDER has CIFAR-10 as `mixop.data.Sheets` reads it. At the small scale of docs/results.md (3,000 + 3,000 images of 16 pixels, 8
channels, one cell a stage, 22 epochs) a recipe searches, and its seconds are counted. Random search then has as many: it
trains architectures from scratch for 22 epochs, in the order in which they are drawn, on the part `train`, and takes the one
that is best on the part `valid`; the last training may end later. Both are looked up in the table: test accuracy on CIFAR-10
after the benchmark's 200 epochs. One thread each; seconds are those of the processor, so other work takes nothing away.
"""

import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import mean, stdev

import torch

import mixop
from mixop.comparison.training_objective import TrainingObjective
from mixop.data.images.sheets import Sheets
from mixop.recipes import RECIPES
from mixop.tables import Table

IMAGES, PIXELS, CHANNELS, EPOCHS, WARMUP, BATCH = 6000, 16, 8, 22, 10, 64


@dataclass(frozen=True)
class Pair:
    """A search, and random search in its time: natives, seconds, and how many trainings the time bought."""

    found: str
    seconds: float
    best: str
    trainings: int


def measured(folder: str, name: str, seed: int) -> Pair:
    """Searches, then trains random architectures for as long."""
    torch.set_num_threads(1)
    data = Sheets(path=folder, size=PIXELS, images=IMAGES).load()
    space = mixop.spaces.nasbench201(channels=CHANNELS, cells=1).fit(data)
    changes = {"epochs": EPOCHS, "warmup": WARMUP, "batch_size": BATCH}
    recipe = mixop.recipes.variant(RECIPES[name](), changes)
    with tempfile.TemporaryDirectory() as out:
        begun = time.process_time()
        found = mixop.search(recipe, space, data, Path(out, "search"), seed=seed, executor="auto", threads=1)
        seconds = time.process_time() - begun
        objective = TrainingObjective(space=space, data=data, folder=Path(out, "trainings"), seed=seed)
        rng, begun, tried = Random(seed), time.process_time(), {}
        while time.process_time() - begun < seconds:
            architecture = space.random(rng)
            if architecture not in tried:
                tried[architecture] = objective(architecture, EPOCHS)[0] or 0.0
        best = max(tried, key=tried.__getitem__)
        return Pair(found.native, seconds, space.to_native(best), len(tried))


def main(folder: str, table: Table, name: str, seeds: int) -> None:
    """Measures and prints."""
    query = {"dataset": "cifar10", "split": "test", "epochs": 200, "reveal_test": True}
    with ProcessPoolExecutor(2) as pool:
        pairs = list(pool.map(measured, [folder] * seeds, [name] * seeds, range(seeds)))
    for who, natives in ((name, [p.found for p in pairs]), ("random", [p.best for p in pairs])):
        scores = [float(table.query(native, **query)) for native in natives]
        spread = f" +- {stdev(scores):.1f}" if seeds > 1 else ""
        print(f"{who:10} {mean(scores):.1f}{spread}  ({', '.join(f'{score:.1f}' for score in scores)})")
    print(f"seconds of the search: {', '.join(f'{p.seconds:.0f}' for p in pairs)}")
    print(f"trainings of {EPOCHS} epochs in it: {', '.join(str(p.trainings) for p in pairs)}")


if __name__ == "__main__":
    if not 3 <= len(sys.argv) <= 5:
        sys.exit(__doc__)
    method, count = [*sys.argv[3:], *("gaea", "5")[len(sys.argv) - 3 :]]
    main(sys.argv[1], Table.open(Path(sys.argv[2])), method, int(count))
