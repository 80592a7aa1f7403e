"""What a strided first convolution is worth in little time: plain networks on photographs, with strides of 1, 2 and 4.

python studies/strides.py --sheets FOLDER [--minutes 1.5] [--channels 16 6 3] [--sets cifar10-16 cifar10-32] [--seeds 1]

A plain residual network is trained by the protocol of `mixop find` on three quarters of the training images, for as many epochs
as fit into the minutes of one processor, and scored on the other quarter: CIFAR-10 at 16 and at 32 pixels (FOLDER, see
`mixop.data.Sheets`). The test is not looked at. 1.5 minutes are as many epochs as 2 minutes on all training images. One thread
each, two at once.
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from find import PLAIN, SETS, Job, epochs_in, processor_seconds, trained

from mixop.finder.contender import Entry
from mixop.finder.costs import Limits
from mixop.finder.portfolio import Member

STRIDES = {"cifar10-16": (1, 2), "cifar10-32": (1, 2, 4)}


@processor_seconds()
def scored(name: str, stride: int, minutes: float, channels: int, seed: int, sheets: str) -> tuple[float, int]:
    """The validation score in percent, and the epochs."""
    torch.set_num_threads(1)
    data = SETS[name](Job(name, minutes, "none", seed, "plain", sheets))
    contender, why = Entry(data, Limits()).member(Member(replace(PLAIN[3], stride=stride), channels))
    assert contender is not None, why
    epochs = epochs_in(60 * minutes, contender, data, whole=False)
    with tempfile.TemporaryDirectory() as folder:
        return 100 * trained(contender, data, Path(folder, "whole"), epochs, seed, whole=False), epochs


def main() -> None:
    """Prints a row for each set, stride and time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", required=True)
    parser.add_argument("--minutes", type=float, nargs="*", default=[1.5])
    parser.add_argument("--channels", type=int, nargs="*", default=[16, 6, 3])
    parser.add_argument("--sets", nargs="*", choices=STRIDES, default=[*STRIDES])
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    print("| set | stride | minutes | channels | epochs | validation accuracy, % |", "| --- " * 6 + "|", sep="\n")
    with ProcessPoolExecutor(2, max_tasks_per_child=1) as pool:
        for minutes, channels in product(args.minutes, args.channels):
            rows = [(name, stride, minutes, channels) for name in args.sets for stride in STRIDES[name]]
            going = [[pool.submit(scored, *row, seed, args.sheets) for seed in range(args.seeds)] for row in rows]
            for row, runs in zip(rows, going, strict=True):
                scores, epochs = zip(*(run.result() for run in runs), strict=True)
                cells = [", ".join(map(str, epochs)), ", ".join(f"{score:.1f}" for score in scores)]
                print("|", " | ".join([*map(str, row), *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
