"""Which known networks learn most with few parameters or multiply-adds: one of each kind, as wide as a limit allows.

python studies/small_networks.py --sheets FOLDER [--limits parameters:16 flops:16] [--strides 1 2] [--minutes 0.75] [--seeds 1]

Photographs of CIFAR-10 at 16 and at 32 pixels (FOLDER, see `mixop.data.Sheets`). A limit is a share of what a plain residual
network of 16 channels costs. Each network is trained by the protocol of `mixop find` on three quarters of the training images,
for as many epochs as fit into the minutes of one processor, and scored on the other quarter. The test is not looked at. One
thread each, two at once.

Beside them stands `ranked`: of 64 random cells of NAS-Bench-201 that keep the limit, as wide as the widest residual cell that
does, the one whose places by two scores before training, `synflow` and `naswot`, add up to the best.
"""

import argparse
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import torch
from find import SETS, Job, epochs_in, limits_of, processor_seconds, trained

from mixop.analysis.training_free import naswot, synflow
from mixop.data.core import Data
from mixop.finder.contender import Contender, Entry
from mixop.finder.portfolio import portfolio
from mixop.nets.discrete import build

KINDS = ("separable", "plain ResNet", "ResNet", "ranked")
DRAWS, BATCH = 64, 32
"""Cells that are ranked, and examples that a score looks at."""


def best_of_draws(widest: Contender, data: Data, entry: Entry, seed: int) -> Contender:
    """The cell that two scores before training take, in the space of a residual cell."""
    space, rng, x = widest.space, Random(seed), data.batch(data.train[:BATCH]).x
    scores = {}
    while len(scores) < DRAWS:
        architecture = space.random(rng)
        cost = entry.cost(space, architecture)
        if not entry.limits.broken(cost):
            net = build(architecture, space, generator=torch.Generator().manual_seed(seed))
            scores[architecture] = synflow(net, tuple(x.shape[1:])), naswot(net, x)
    places = dict.fromkeys(scores, 0)
    for which in (0, 1):
        for place, architecture in enumerate(sorted(scores, key=lambda a: scores[a][which])):
            places[architecture] += place
    best = max(places, key=places.__getitem__)
    return Contender(f"ranked {widest.size}", "known", space, best, entry.cost(space, best), widest.size)


@processor_seconds()
def scored(
    name: str, kind: str, stride: int, limit: str, minutes: float, seed: int, sheets: str
) -> tuple[str, int, int, float]:
    """The network, its parameters, the epochs, and the validation score in percent."""
    torch.set_num_threads(1)
    job = Job(name, minutes, limit, seed, "plain", sheets)
    data = SETS[name](job)
    label = "ResNet" if kind == "ranked" else kind
    family = next(member.family for member in portfolio(data, small=True) if member.family.label == label)
    entry = Entry(data, limits_of(job, data))
    contender, why = entry.largest(replace(family, stride=stride))
    if contender is None:
        raise SystemExit(f"No {kind} keeps the limit {limit}: {why}.")
    if kind == "ranked":
        contender = best_of_draws(contender, data, entry, seed)
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
