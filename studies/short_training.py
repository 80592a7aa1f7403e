"""What each choice in the short trainings of `mixop find` is worth on real sets: the training as it is, and with one changed.

python studies/short_training.py [SEEDS] [--sheets FOLDER]

A plain residual network (16 channels) is trained on all training examples and scored on the test, once for every choice and
seed; a seed is also that of the division of the set. Printed: the score as it is, and the gain of each choice, the mean over
seeds of the difference to the training without it, with its standard error. The sets are those of studies/find.py: handwritten
digits, outlines of leaves and days of electricity demand (sktime ships both), and 500 photographs of each of four classes of
CIFAR-10 at 16 pixels (FOLDER, see `mixop.data.Sheets`). For images it also prints how many times as fast a training step is
with the channels last. One thread each, two at once.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import torch
from find import PLAIN, SETS, Job
from torch.nn.functional import cross_entropy

import mixop
from mixop.data.core import Data
from mixop.evaluate.averaging import MovingAverage
from mixop.evaluate.protocol import Protocol
from mixop.finder.training import protocol_for
from mixop.nets.discrete import build

EPOCHS = {"digits": 20, "leaves": 60, "demand": 60, "cifar4-16": 30}
CHANNELS, STEPS = 16, 12
WITHOUT: dict[str, Callable[[Protocol, Data], Protocol | None]] = {
    "random crop": lambda protocol, data: replace(protocol, crop=0) if protocol.crop else None,
    "mirroring": lambda protocol, data: replace(protocol, flip=False) if protocol.flip else None,
    "label smoothing": lambda protocol, data: replace(protocol, label_smoothing=0.0) if protocol.label_smoothing else None,
}
WITH: dict[str, Callable[[Protocol, Data], Protocol]] = {
    "moving average 0.99": lambda protocol, data: replace(protocol, averaging=MovingAverage(decay=0.99)),
    "moving average 0.998": lambda protocol, data: replace(protocol, averaging=MovingAverage(decay=0.998)),
}


def scored(name: str, seed: int, choice: str, sheets: str) -> float | None:
    """The test score in percent of the training as it is, or with one choice changed; None where there is no such choice."""
    torch.set_num_threads(1)
    data = SETS[name](Job(name, 0.0, "none", seed, "plain", sheets))
    protocol: Protocol | None = protocol_for(data, EPOCHS[name])
    if choice:
        protocol = {**WITHOUT, **WITH}[choice](protocol, data)
    if protocol is None:
        return None
    family = PLAIN[len(data.shape)]
    space = family.space(CHANNELS).fit(data)
    with tempfile.TemporaryDirectory() as out:
        result = mixop.retrain(
            family.architecture(space), space, data, Path(out), protocol=protocol, seed=seed, threads=1, progress=False
        )
    value = result.score.value(result.score.networks[0])
    return None if value is None else 100 * value


def times_as_fast(name: str, sheets: str) -> float:
    """How many times as fast a step is with the channels last, by turns, median of `STEPS`."""
    torch.set_num_threads(1)
    data = SETS[name](Job(name, 0.0, "none", 0, "plain", sheets))
    family = PLAIN[len(data.shape)]
    space = family.space(CHANNELS).fit(data)
    batch = data.batch(data.train[:64])
    nets = [build(family.architecture(space), space).train() for _ in range(2)]
    nets[1] = nets[1].to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    seconds: list[list[float]] = [[], []]
    for _ in range(STEPS + 2):
        for net, its in zip(nets, seconds, strict=True):
            begun = time.process_time()
            cross_entropy(net(batch.x), batch.y).backward()
            its.append(time.process_time() - begun)
    first, last = (statistics.median(its[2:]) for its in seconds)
    return first / last


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("seeds", type=int, nargs="?", default=5)
    parser.add_argument(
        "--sheets", default="", help="the folder of CIFAR-10 as sheets; without it the photographs are left out"
    )
    args = parser.parse_args()
    names = [name for name in EPOCHS if args.sheets or not name.startswith("cifar")]
    choices = ["", *WITHOUT, *WITH]
    jobs = [(name, seed, choice) for name in names for choice in choices for seed in range(args.seeds)]
    with ProcessPoolExecutor(2) as pool:
        found = dict(zip(jobs, pool.map(scored, *zip(*jobs, strict=True), [args.sheets] * len(jobs)), strict=True))
        images = [name for name in names if name in ("digits", "cifar4-16")]
        faster = dict(zip(images, pool.map(times_as_fast, images, [args.sheets] * len(images)), strict=True))
    print("| set | epochs | as it is | " + " | ".join(choices[1:]) + " |")
    print("| --- " * (3 + len(choices[1:])) + "|")
    for name in names:
        base = [found[name, seed, ""] or 0.0 for seed in range(args.seeds)]
        cells = [f"{statistics.mean(base):.1f}"]
        for choice in choices[1:]:
            other = [found[name, seed, choice] for seed in range(args.seeds)]
            sign = -1 if choice in WITHOUT else 1
            gains = [sign * (value - own) for value, own in zip(other, base, strict=True) if value is not None]
            spread = statistics.stdev(gains) / len(gains) ** 0.5 if len(gains) > 1 else 0.0
            cells.append(f"{statistics.mean(gains):+.1f} ± {spread:.1f}" if gains else "")
        print(f"| {name} | {EPOCHS[name]} | {' | '.join(cells)} |")
    for name, times in faster.items():
        print(f"{name}: a step with the channels last is {times:.2f} times as fast.")


if __name__ == "__main__":
    main()
