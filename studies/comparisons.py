"""How long must trainings be that compare networks? What the network that they take reaches in the end, beside the best.

python studies/comparisons.py --sheets FOLDER [--minutes 1] [--seeds 2]

Photographs of CIFAR-10 at 16 pixels (FOLDER, see `mixop.data.Sheets`), 500 of each of four classes or 900 of each of ten.
Known networks of `mixop find`, without a limit or as wide as a sixteenth of the parameters of a plain one allows, are trained
on three quarters of them and scored on the rest, for as many seconds as the first one needs for 3, 10 and 30 epochs. Then each
is trained on all of them for the minutes, and scored on other images of these classes; the test is not looked at. Printed: the
scores, and for each length of comparison the final score of the network with the best validation score, less that of the
network which is the best in the end; the same for the first network, without a comparison. All are means over seeds; a seed
draws the images too. Seconds are those of the processor. One thread each, two at once.
"""

import argparse
import statistics
import tempfile
from concurrent.futures import ProcessPoolExecutor
from itertools import product
from pathlib import Path

import torch
from find import Job, epochs_in, limits_of, processor_seconds, trained
from weight_decay import photographs

from mixop.finder.contender import Entry
from mixop.finder.plan import AHEAD
from mixop.finder.portfolio import portfolio
from mixop.finder.training import protocol_for
from mixop.measure.foresight import retraining_estimate

IMAGES = {"cifar4-16": (500, 4), "cifar10-16": (900, 10)}
NETWORKS = {
    "none": (("plain ResNet", 16), ("ResNet", 16), ("plain ResNet", 32), ("plain ResNet", 8)),
    "parameters:16": (("separable", 0), ("plain ResNet", 0), ("ResNet", 0)),
}
EPOCHS = (3, 10, 30)


@processor_seconds()
def scored(
    name: str, limit: str, network: tuple[str, int], minutes: float, seed: int, sheets: str
) -> tuple[str, list[int], list[float]]:
    """The network, the epochs of its trainings, and their scores in percent; the last one is that on all images."""
    torch.set_num_threads(1)
    data = photographs(*IMAGES[name], seed, sheets)
    members = portfolio(data, small=True)
    entry = Entry(data, limits_of(Job(name, minutes, limit, seed, "plain", sheets), data))
    networks = []
    for label, size in (NETWORKS[limit][0], network):
        family = next(member.family for member in members if member.family.label == label)
        contender, why = entry.largest(family, size) if size else entry.largest(family)
        if contender is None:
            raise SystemExit(f"No {label} keeps the limit {limit}: {why}.")
        networks.append(contender)
    first, mine = networks
    each = retraining_estimate(first.architecture, first.space, data, protocol_for(data, 1)).seconds
    share = len(data.train) / (len(data.train) + len(data.valid))
    lengths, scores = list[int](), list[float]()
    with tempfile.TemporaryDirectory() as folder:
        for epochs in EPOCHS:
            lengths.append(epochs if mine == first else epochs_in(AHEAD * epochs * share * each, mine, data, whole=False))
            scores.append(100 * trained(mine, data, Path(folder, f"part{epochs}"), lengths[-1], seed, whole=False))
        lengths.append(epochs_in(60 * minutes, mine, data, whole=True))
        scores.append(100 * trained(mine, data, Path(folder, "whole"), lengths[-1], seed, whole=True))
    return mine.label, lengths, scores


def main() -> None:
    """Prints a row for each network, and what comparisons of each length cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sheets", required=True)
    parser.add_argument("--minutes", type=float, default=1)
    parser.add_argument("--seeds", type=int, default=2)
    args = parser.parse_args()
    heads = [*(f"{epochs} epochs" for epochs in EPOCHS), "in the end"]
    with ProcessPoolExecutor(2, max_tasks_per_child=1) as pool:
        going = {
            (name, limit): [
                [pool.submit(scored, name, limit, network, args.minutes, seed, args.sheets) for network in NETWORKS[limit]]
                for seed in range(args.seeds)
            ]
            for name, limit in product(IMAGES, NETWORKS)
        }
        losses = list[str]()
        print("| set | limit | network |", " | ".join(heads), "|\n" + "| --- " * (3 + len(heads)) + "|")
        for (name, limit), runs in going.items():
            found = [[run.result() for run in seed] for seed in runs]
            for each in zip(*found, strict=True):
                lengths = [f"{statistics.mean(row[2][at] for row in each):.1f} ({each[0][1][at]})" for at in range(len(heads))]
                print("|", " | ".join([name, limit, each[0][0], *lengths]), "|", flush=True)
            ends = [[row[2][-1] for row in seed] for seed in found]
            taken = [[0] * len(found)]  # the first one, whatever its score
            for at in range(len(EPOCHS)):
                scores = [[row[2][at] for row in seed] for seed in found]
                taken.append([its.index(max(its)) for its in scores])
            lost = [statistics.mean(end[k] - max(end) for end, k in zip(ends, which, strict=True)) for which in taken]
            losses.append("| " + " | ".join([name, limit, *(f"{loss:+.1f}" for loss in lost)]) + " |")
        print("\n| set | limit | the first one |", " | ".join(heads[:-1]), "|\n" + "| --- " * (2 + len(heads)) + "|")
        print("\n".join(losses))


if __name__ == "__main__":
    main()
