"""Seconds and peak memory of one search step of a recipe in the DARTS space, in a process of its own.

    python benchmarks/recipe_step.py pcdarts

CIFAR-sized images, batches of 16; 8 cells of 16 channels, or the published size where a recipe has another.
"""

import resource
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import torch

from mixop.data import Augment, from_arrays
from mixop.engine.loop import Search
from mixop.engine.rundir import RunDirectory
from mixop.engine.settings import Settings
from mixop.recipes import RECIPES
from mixop.spaces import darts


def peak() -> float:
    """Largest resident memory of this process so far, in MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main(name: str) -> None:
    """Measures and prints."""
    x = torch.randint(0, 256, (256, 3, 32, 32), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    augment = Augment(crop=4, flip=True)
    data = from_arrays(x, torch.arange(256) % 10, valid=0.5, test_share=0.1, layout="nchw", augment=augment)
    recipe = replace(RECIPES[name](), batch_size=16, warmup=0)
    cells, channels = (20, 36) if "progressive" in name else (5 if name == "pdarts" else 8, 16)
    space = darts(cells=cells, channels=channels).fit(channels=3, size=32, classes=10)
    before = peak()
    with tempfile.TemporaryDirectory() as folder:
        search = Search(recipe, space, data, RunDirectory(Path(folder)), Settings())
        search._prepare_epoch()
        times = []
        for _ in range(4):
            begin = time.perf_counter()
            search._step()
            search.state.step += 1
            times.append(time.perf_counter() - begin)
    weights = sum(p.numel() for p in search.state.net.parameters())
    print(f"{name}: {weights:,} weights, step {min(times[1:]):.2f} s, {peak() - before:.0f} MiB above {before:.0f} MiB")


if __name__ == "__main__":
    main(*sys.argv[1:])
