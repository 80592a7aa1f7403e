"""How fast discrete networks train: node by node beside their plain modules, by the processor's time and by the clock.

python studies/retraining.py [--repeats 5] [--threads 1 2] [--bfloat16]

DARTS_V2 with 36 channels (5 and 20 cells) and the best cell of NAS-Bench-201 (16 channels, 5 cells a stage), on random images
of 32 x 32. A step is a whole one of the protocol that the network was published with, without drop path and auxiliary head, in
turns. Printed are medians (least to most). Where other work shares the processor, look at its time with one thread: several
threads wait for each other, and that counts.
"""

import argparse
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from statistics import median

from mixop.core.surroundings import using
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import PROTOCOLS
from mixop.measure.retraining import TrainingCase, TrainingSteps
from mixop.spaces import darts, nasbench201
from mixop.spaces.published import DARTS_V2

SIZES = {"input_shape": (3, 32, 32), "outputs": 10}
BEST_201 = "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x3~2|"
CASES = (("DARTS_V2, 5 cells", 5, 8), ("DARTS_V2, 5 cells", 5, 16), ("DARTS_V2, 20 cells", 20, 8), ("NAS-Bench-201", 0, 16))


def case(cells: int, batch: int, precision: str) -> TrainingCase:
    """A network of DARTS with so many cells, or that of NAS-Bench-201 for 0."""
    if cells:
        space, architecture, protocol = darts(**SIZES), DARTS_V2, PROTOCOLS["darts-cifar10"]
        protocol = replace(protocol, cells=cells, auxiliary=0.0, drop_path=0.0)
    else:
        space, protocol = nasbench201(channels=16, cells=5, **SIZES), PROTOCOLS["nasbench201"]
        architecture = space.from_native(BEST_201)
    protocol = replace(protocol, batch_size=batch, precision=precision)
    return TrainingCase(architecture=architecture, space=space, protocol=protocol, settings=Settings())


def measured(its: dict[str, TrainingSteps], repeats: int) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds of the processor and of the clock, after two steps of warm-up."""
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in its}
    for turn in range(-2, repeats):
        for name, steps in its.items():
            begin = time.process_time()
            clock = steps.step()
            if turn >= 0:
                found[name][0].append(time.process_time() - begin)
                found[name][1].append(clock)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int, nargs="+", default=[1])
    parser.add_argument("--bfloat16", action="store_true", help="node by node in bfloat16, too")
    given = parser.parse_args()
    for threads in given.threads:
        for name, cells, batch in CASES:
            with tempfile.TemporaryDirectory() as folder, using(threads):
                kinds = [("plain", "float32"), ("nodewise", "float32"), *([("nodewise", "bfloat16")] if given.bfloat16 else [])]
                its = {
                    f"{executor}, {precision}": TrainingSteps(case(cells, batch, precision), executor, Path(folder, str(n)))
                    for n, (executor, precision) in enumerate(kinds)
                }
                found = measured(its, given.repeats)
            print(f"{name}, batch {batch}, {threads} threads")
            first = next(iter(found.values()))
            for what, times in found.items():
                cells_ = [f"{median(t):.3f} s ({min(t):.3f} to {max(t):.3f})" for t in times]
                ratio = [median(a) / median(b) for a, b in zip(first, times, strict=True)]
                print(f"  {what:<20} processor {cells_[0]}, {ratio[0]:.2f} x; clock {cells_[1]}, {ratio[1]:.2f} x", flush=True)


if __name__ == "__main__":
    main()
