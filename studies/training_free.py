"""Whether a score before training finds better networks than chance, and than counting parameters.

    mixop table convert NAS-Bench-201-FILE --out nasbench201.table
    OMP_NUM_THREADS=1 python studies/training_free.py nasbench201.table FOLDER_OF_IMAGES [DRAWS] [CHOICES]

draws architectures of NAS-Bench-201 uniformly, CHOICES at a time and DRAWS times, scores the small network of each (8 channels,
one cell in a stage, 32 images of 16 pixels, no training), and takes the best by each score. What it took is looked up: its
test accuracy on each data set of the table after the longest training. Beside the scores stand a random one of the draw, the
one with most parameters, and the best by its true accuracy, which no score can beat. A second table draws only from networks
that have at most a quarter of the parameters of the largest, as under a limit. FOLDER_OF_IMAGES holds the sheets of
`mixop.data.sheets`.
"""

import sys
import time
from random import Random
from statistics import fmean, stdev
from typing import get_args

import torch

import mixop
from mixop.analysis.training_free import Score, training_free
from mixop.data.images.sheets import Sheets
from mixop.evaluate.score import parameters
from mixop.nets.discrete import build
from mixop.spaces.core import Architecture
from mixop.tables import Table

SIZE, CHANNELS, BATCH = 16, 8, 32
LARGEST = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|nor_conv_3x3~0|nor_conv_3x3~1|nor_conv_3x3~2|"


def ranks(values: list[float]) -> list[int]:
    """Places, 0 for the lowest."""
    order = sorted(range(len(values)), key=values.__getitem__)
    return [order.index(k) for k in range(len(values))]


def best(values: list[float]) -> int:
    """The place of the highest, of equals the first."""
    return max(range(len(values)), key=values.__getitem__)


def main(table: Table, folder: str, draws: int, choices: int, share: float) -> None:
    """Prints the table of networks with at most a share of the largest one's parameters."""
    data = Sheets(path=folder, size=SIZE, images=1000).load()
    x = data.batch(data.train[:BATCH]).x
    space = mixop.spaces.nasbench201(channels=CHANNELS, cells=1).fit(data)
    sets = [name for name in ("cifar10", "cifar100", "ImageNet16-120") if name in table.datasets]
    names = (*get_args(Score), "synflow and naswot", "most parameters", "random", "best of all")
    found: dict[str, dict[str, list[float]]] = {name: {dataset: [] for dataset in sets} for name in names}
    seconds = dict.fromkeys(names, 0.0)

    def truth(architecture: Architecture, dataset: str) -> float:
        epochs = table.lengths(dataset, "test")[-1]
        return table.query(architecture, dataset=dataset, split="test", epochs=epochs, reveal_test=True)

    most = share * parameters(build(space.from_native(LARGEST), space))
    for draw in range(draws):
        rng, drawn = Random(draw), {}
        while len(drawn) < choices:
            architecture = space.random(rng)
            net = build(architecture, space, generator=torch.Generator().manual_seed(draw))
            if parameters(net) <= most:
                drawn[architecture] = net
        nets = list(drawn.values())
        scores: dict[str, list[float]] = {}
        for name in get_args(Score):
            begun = time.perf_counter()
            scores[name] = [training_free(name, net, x) for net in nets]
            seconds[name] += time.perf_counter() - begun
        both = zip(ranks(scores["synflow"]), ranks(scores["naswot"]), strict=True)
        scores["synflow and naswot"] = [float(a + b) for a, b in both]
        seconds["synflow and naswot"] = seconds["synflow"] + seconds["naswot"]
        scores["most parameters"] = [float(parameters(net)) for net in nets]
        scores["random"] = [0.0] * choices
        for dataset in sets:
            true = [truth(a, dataset) for a in drawn]
            for name in names:
                found[name][dataset].append(true[best(true if name == "best of all" else scores[name])])
    print(
        f"{draws} draws of {choices} architectures with at most {share:.0%} of the parameters of the largest: test accuracy in "
        "percent of the one that is taken, mean and deviation"
    )
    print(f"{'taken by':<20}" + "".join(f"{name:>18}" for name in sets) + f"{'ms a network':>14}")
    for name in names:
        cells = "".join(f"{fmean(v):>11.2f} +- {stdev(v):4.2f}" for v in found[name].values())
        print(f"{name:<20}{cells}{1000 * seconds[name] / draws / choices:>14.0f}")


if __name__ == "__main__":
    given = sys.argv[1:]
    draws, choices = (int(n) for n in (*given[2:], *("20", "64")[len(given) - 2 :]))
    for share in (1.0, 0.25):
        main(Table.open(given[0]), given[1], draws, choices, share)
