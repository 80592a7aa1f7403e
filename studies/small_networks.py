"""Which known networks learn most with few parameters or multiply-adds: one of each kind, as wide as a limit allows.

python studies/small_networks.py --sheets FOLDER [--limits parameters:16 flops:16] [--strides 1 2] [--minutes 0.75] [--seeds 1]

Photographs of CIFAR-10 at 16 and at 32 pixels (FOLDER, see `mixop.data.Sheets`). A limit is a share of what a plain residual
network of 16 channels costs. Each network is trained by the protocol of `mixop find` on three quarters of the training images,
for as many epochs as fit into the minutes of one processor, and scored on the other quarter. The test is not looked at. One
thread each, two at once.
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from find import SETS, Job, epochs_in, limits_of, processor_seconds, trained

from mixop.finder.contender import Entry
from mixop.finder.portfolio import portfolio

KINDS = ("separable", "plain ResNet", "ResNet")


@processor_seconds()
def scored(
    name: str, kind: str, stride: int, limit: str, minutes: float, seed: int, sheets: str
) -> tuple[str, int, int, float]:
    """The network, its parameters, the epochs, and the validation score in percent."""
    torch.set_num_threads(1)
    job = Job(name, minutes, limit, seed, "plain", sheets)
    data = SETS[name](job)
    family = next(member.family for member in portfolio(data, small=True) if member.family.label == kind)
    contender, why = Entry(data, limits_of(job, data)).largest(replace(family, stride=stride))
    if contender is None:
        raise SystemExit(f"No {kind} keeps the limit {limit}: {why}.")
    epochs = epochs_in(60 * minutes, contender, data, whole=False)
    with tempfile.TemporaryDirectory() as folder:
        value = trained(contender, data, Path(folder, "part"), epochs, seed, whole=False)
    return contender.label, contender.cost.parameters, epochs, 100 * value


def main() -> None:
    """Prints a row for each network."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", required=True)
    parser.add_argument("--limits", nargs="*", default=["parameters:16", "flops:16"])
    parser.add_argument("--sets", nargs="*", default=["cifar10-16", "cifar10-32"])
    parser.add_argument("--strides", type=int, nargs="*", default=[1])
    parser.add_argument("--minutes", type=float, default=0.75)
    parser.add_argument("--seeds", type=int, default=1)
    args = parser.parse_args()
    print("| set | limit | network | parameters | epochs | validation accuracy, % |", "| --- " * 6 + "|", sep="\n")
    with ProcessPoolExecutor(2, max_tasks_per_child=1) as pool:
        cases = [
            (name, kind, stride, limit) for limit, name, stride, kind in product(args.limits, args.sets, args.strides, KINDS)
        ]
        going = [[pool.submit(scored, *case, args.minutes, seed, args.sheets) for seed in range(args.seeds)] for case in cases]
        for (name, _, _, limit), runs in zip(cases, going, strict=True):
            labels, parameters, epochs, values = zip(*(run.result() for run in runs), strict=True)
            cells = [", ".join(map(str, epochs)), ", ".join(f"{value:.1f}" for value in values)]
            print("|", " | ".join([name, limit, labels[0], f"{parameters[0]:,}", *cells]), "|", flush=True)


if __name__ == "__main__":
    main()
