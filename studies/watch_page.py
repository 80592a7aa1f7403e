"""What it costs to follow runs: `python studies/watch_page.py [5000] [100]`, epochs of a long run, and a number of runs of 50.

A search of one epoch is made in the DARTS space, and its line is repeated with other numbers. Measured are the looks until all
is read, and what a look takes and sends when an epoch has been added, to one run and to all of them. Times are those of the
processor, which other work on the machine does not lengthen as much. About half a minute.
"""

import json
import math
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import mixop
from mixop.runs.files import ARCHITECTURE, METRICS, STATE
from mixop.watch.follow import Follower
from mixop.watch.pages import Pages

EPOCHS, RUNS, SHORT = 5000, 100, 50


def main(epochs: int = EPOCHS, runs: int = RUNS) -> None:
    with TemporaryDirectory() as folder:
        place = Path(folder)
        for number, (name, length) in enumerate([("long", epochs), *((f"runs/r{n}", SHORT) for n in range(runs))]):
            if number == 0:
                begin(place / "begun")
            shutil.copytree(place / "begun", place / name)
            write(place / name / METRICS, length, number)
        for name in ("long", "runs"):
            measure(name, place / name)


def begin(path: Path) -> None:
    """A search in the DARTS space that is not finished."""
    space, data = mixop.spaces.darts(channels=2, cells=3), mixop.data.digits()
    mixop.search(mixop.recipes.darts(epochs=1), space, data, path)
    for name in (ARCHITECTURE, STATE):
        (path / name).unlink()


def write(path: Path, epochs: int, seed: int) -> None:
    """A file of many epochs, each like the one that is there."""
    line = json.loads(path.read_text())
    path.write_text("".join(json.dumps(changed(line, epoch, epochs, seed)) + "\n" for epoch in range(1, epochs + 1)))


def changed(line: Mapping[str, Any], epoch: int, epochs: int, seed: int) -> dict[str, Any]:
    share = epoch / epochs
    value = 0.9 * (1 - math.exp(-4 * share)) + 0.02 * math.sin(epoch + seed)
    return {
        **line,
        "epoch": epoch,
        "epochs": 2 * epochs,
        "seconds": 3.0 * epoch,
        "valid": {"accuracy": value, "loss": 2 - value},
    }


def measure(name: str, folder: Path) -> None:
    follower = Follower(folder)
    pages = Pages(follower)
    began, looks = time.process_time(), 1
    follower.look()
    parts = pages.parts()
    print(f"{name}: first page after {time.process_time() - began:.2f} s")
    while follower.more:
        follower.look()
        parts = pages.parts()
        looks += 1
    size = sum(run.path.joinpath(METRICS).stat().st_size for run in follower.runs) / 1e6
    print(f"  {size:.1f} MB read and drawn in {looks} looks, {time.process_time() - began:.2f} s")
    began = time.process_time()
    follower.look()
    pages.parts()
    print(f"  a look at nothing new: {1000 * (time.process_time() - began):.0f} ms")
    for some in sorted({1, len(follower.runs)}):
        for run in follower.runs[:some]:
            file = run.path / METRICS
            last = json.loads(file.read_text().splitlines()[-1])
            with file.open("a") as metrics:
                metrics.write(json.dumps({**last, "epoch": last["epoch"] + 1, "seconds": last["seconds"] + 3}) + "\n")
        before, began = parts, time.process_time()
        follower.look()
        parts = pages.parts()
        took, sent = time.process_time() - began, sum(len(text) for key, text in parts.items() if before.get(key) != text)
        print(f"  a look at one more epoch of {some}: {took:.2f} s, {sent / 1e3:.0f} kB sent")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
