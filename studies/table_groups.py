"""How many networks `mixop table build` should train together: milliseconds of a step for each, by the processor's time.

python studies/table_groups.py

Cells of NAS-Bench-201 with three operations, random images, batches of 64, three seeds of every architecture, one thread.
"""

import time
from random import Random

import numpy as np

from mixop.core.surroundings import using
from mixop.data.arrays import from_arrays
from mixop.spaces.nasbench201 import NasBench201
from mixop.tabulate import pace
from mixop.tabulate.build import architectures_of
from mixop.tabulate.how import Tabulation

OPERATIONS = ("skip_connect", "nor_conv_3x3", "avg_pool_3x3")
SIZES = ((8, 2), (8, 4), (16, 8))
"""Pixels, and channels of the first stage."""


def main() -> None:
    rng, how = np.random.default_rng(0), Tabulation()
    pace.time.monotonic = time.process_time  # other work on the machine takes nothing away
    print("| pixels, channels | " + " | ".join(f"{n * how.seeds} networks" for n in pace.TOGETHER) + " |")
    print("| --- " * (1 + len(pace.TOGETHER)) + "|")
    for size, channels in SIZES:
        images, labels = rng.integers(0, 256, (400, 3, size, size), dtype=np.uint8), np.arange(400) % 10
        data = from_arrays(images, labels, valid=0.25, name="random", layout="nchw")
        space = NasBench201(channels=channels, cells=1, operations=OPERATIONS).fit(data)
        drawn = Random(0).sample(architectures_of(space), pace.TOGETHER[-1])
        with using(1):
            found = [pace.paced(drawn[:n], space, data, how, "cpu") for n in pace.TOGETHER]
        cells = [f"{1000 * its.step / its.architectures / how.seeds:.1f} ms" for its in found]
        print(f"| {size}, {channels} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
