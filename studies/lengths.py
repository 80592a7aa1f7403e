"""Does a training that is longer harm where examples are few? What networks score after so many epochs.

python studies/lengths.py [--sheets FOLDER] [--seeds 3]

The networks `plain` of studies/find.py, by the protocol of `mixop find`, on sets that its table does not have: photographs of
CIFAR-10 at 16 pixels, 500 of each of four classes and 100 of each of ten (FOLDER, see `mixop.data.Sheets`), scored on other
images that are not the test; signals that sktime ships (outlines of arrow heads, motions of hands); tables that scikit-learn
ships (wine, the progress of diabetes, digits as 64 numbers); of these, half of the examples for the score. Printed: the mean
over seeds in percent, or the root of the squared error, and the same number less that of the training before, with its
standard error. A seed divides the set too. One thread each, two at once.
"""

import argparse
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import torch
from find import PLAIN, Job, signals
from weight_decay import photographs

import mixop
from mixop.data.core import Data
from mixop.finder.training import protocol_for

SETS = ("photographs-4", "photographs-10", "ArrowHead", "GunPoint", "wine", "diabetes", "digits")
EPOCHS = (25, 50, 100, 200, 400)


def loaded(name: str, seed: int, sheets: str) -> Data:
    """A set, divided."""
    if name.startswith("photographs"):
        return photographs(*{"4": (500, 4), "10": (100, 10)}[name.split("-")[1]], seed, sheets)
    if name in ("ArrowHead", "GunPoint"):
        return signals(Job(name, 0.0, "none", seed, "plain", ""), name)
    from sklearn import datasets

    x, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    y = np.asarray(y, dtype=np.float32 if name == "diabetes" else np.int64)
    return mixop.data.from_arrays(np.asarray(x, dtype=np.float32), y, test_share=0.5, seed=seed, name=name)


def scored(name: str, epochs: int, seed: int, sheets: str) -> float:
    """The score of a training, in percent where it is one."""
    torch.set_num_threads(1)
    data = loaded(name, seed, sheets)
    family = PLAIN[len(data.shape)]
    space = family.space(64 if len(data.shape) == 1 else 16).fit(data)
    with tempfile.TemporaryDirectory() as out:
        result = mixop.retrain(
            family.architecture(space),
            space,
            data,
            Path(out),
            protocol=protocol_for(data, epochs),
            seed=seed,
            threads=1,
            progress=False,
        )
    value = result.score.value(result.score.networks[0]) or 0.0
    return 100 * value if data.task.first.style == "percent" else value


def main() -> None:
    """Prints a row for each set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--sheets", default="", help="the folder of CIFAR-10 as sheets; without it the photographs are left out"
    )
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    names = [name for name in SETS if args.sheets or not name.startswith("photographs")]
    print("| set |", " | ".join(f"{epochs} epochs" for epochs in EPOCHS), "|")
    print("| --- " * (1 + len(EPOCHS)) + "|")
    with ProcessPoolExecutor(2) as pool:
        going = {
            (name, epochs): [pool.submit(scored, name, epochs, seed, args.sheets) for seed in range(args.seeds)]
            for name in names
            for epochs in EPOCHS
        }
        for name in names:
            cells, before = [name], None
            for epochs in EPOCHS:
                values = [run.result() for run in going[name, epochs]]
                cells.append(f"{statistics.mean(values):.1f}")
                if before:
                    gains = [value - other for value, other in zip(values, before, strict=True)]
                    error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
                    cells[-1] += f" ({statistics.mean(gains):+.1f} ± {error:.1f})"
                before = values
            print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
