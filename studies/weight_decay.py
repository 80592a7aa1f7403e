"""How strongly weights should decay where images are few: the usual decay, and that of `mixop find`, on validation images.

python studies/weight_decay.py --sheets FOLDER [--seeds 3]

Photographs of CIFAR-10 at 16 pixels (FOLDER, see `mixop.data.Sheets`), so many of each of some classes. A plain residual
network is trained on them by the protocol of `mixop find`, with each weight decay, and scored on the other images of these
classes, without the test. Printed: the accuracy with the usual decay, and the gain of others, the mean over seeds of the
difference with its standard error. A seed draws the images too. One thread each, two at once.
"""

import argparse
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from find import PLAIN

import mixop
from mixop.data.core import Data
from mixop.data.images.sheets import Sheets
from mixop.data.split import Split
from mixop.evaluate.protocol import PROTOCOLS
from mixop.finder.training import protocol_for

CASES = [  # images of each class, classes, epochs, channels
    (100, 4, 200, 16),
    (100, 10, 60, 16),
    (300, 10, 40, 16),
    (500, 4, 30, 16),
    (500, 4, 90, 16),
    (500, 4, 60, 3),
    (500, 4, 60, 8),
    (500, 4, 60, 32),
]
USUAL = PROTOCOLS["quick"].optimiser.weight_decay
FIXED = (8e-3,)


def photographs(each: int, classes: int, seed: int, sheets: str) -> Data:
    """Some images to train on, and as the part ``test`` the other images of these classes; those of the test are left out."""
    whole = Sheets(sheets, size=16, own_split=False, split=Split(valid=0.25, seed=seed)).load()
    pool, labels = whole.at("train", "valid"), whole.targets("train", "valid")
    draws = torch.Generator().manual_seed(seed)
    shuffled = [pool[labels == k][torch.randperm(int((labels == k).sum()), generator=draws)] for k in range(classes)]
    parts = [whole.examples.read(torch.cat([images[a:b] for images in shuffled])) for a, b in ((0, each), (each, None))]
    (train, other), names = parts, list(map(str, range(classes)))
    return mixop.data.from_arrays(train.x, train.y, test=(other.x, other.y), seed=seed, classes=names, name="photographs")


def scored(case: tuple[int, int, int, int], decay: float, seed: int, sheets: str) -> tuple[float, float]:
    """The weight decay, that of `find` in place of 0, and the validation score in percent."""
    torch.set_num_threads(1)
    each, classes, epochs, channels = case
    data = photographs(each, classes, seed, sheets)
    protocol = protocol_for(data, epochs)
    if decay:
        protocol = replace(protocol, optimiser=replace(protocol.optimiser, weight_decay=decay))
    family = PLAIN[3]
    space = family.space(channels).fit(data)
    with tempfile.TemporaryDirectory() as out:
        result = mixop.retrain(
            family.architecture(space), space, data, Path(out), protocol=protocol, seed=seed, threads=1, progress=False
        )
    value = result.score.value(result.score.networks[0])
    return protocol.optimiser.weight_decay, 100 * (value or 0.0)


def main() -> None:
    """Prints a row for each case."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", required=True)
    parser.add_argument("--seeds", type=int, default=3)
    args = parser.parse_args()
    heads = ["images", "classes", "channels", "epochs", f"{USUAL:g}", *(f"{decay:g}" for decay in FIXED), "that of find"]
    print("|", " | ".join(heads), "|")
    print("| --- " * len(heads) + "|")
    with ProcessPoolExecutor(2) as pool:
        decays = (USUAL, *FIXED, 0.0)
        going = {
            (case, decay): [pool.submit(scored, case, decay, seed, args.sheets) for seed in range(args.seeds)]
            for case in CASES
            for decay in decays
        }
        for case in CASES:
            each, classes, epochs, channels = case
            rows = {decay: [run.result() for run in going[case, decay]] for decay in decays}
            base = [value for _, value in rows[USUAL]]
            cells = [f"{each * classes:,}", str(classes), str(channels), str(epochs), f"{statistics.mean(base):.1f}"]
            for decay in decays[1:]:
                gains = [value - own for (_, value), own in zip(rows[decay], base, strict=True)]
                error = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
                which = "" if decay else f"{rows[decay][0][0]:.4f}: "
                cells.append(f"{which}{statistics.mean(gains):+.1f} ± {error:.1f}")
            print("|", " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
