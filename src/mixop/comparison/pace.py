"""How fast a machine is beside the one that a comparison began on, so that seconds of unequal machines are equal times."""

import json
import math
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import torch
from torch import Generator

from mixop.core.errors import RunError
from mixop.data.core import Data
from mixop.nets.discrete import build
from mixop.runs.files import PACE
from mixop.runs.load import read_object
from mixop.runs.write import write_once
from mixop.spaces.core import Space

WARMUP, STEPS, EXAMPLES = 2, 5, 64
"""Steps that are not counted, steps whose median counts, and examples of each."""


def step_seconds(space: Space, data: Data, device: str) -> float:
    """The time of a training step on this machine, in seconds: of the same network and the same examples everywhere.

    Args:
        space: an architecture of it is trained, the same one on every machine.
        data: examples and their task.
        device: where torch computes.
    """
    net = build(space.random(Random(0)), space, generator=Generator().manual_seed(0)).to(device).train()
    batch = data.batch(data.train[:EXAMPLES])
    x, y = batch.x.to(device), batch.y.to(device)
    times = []
    for _ in range(WARMUP + STEPS):
        began = time.perf_counter()
        net.zero_grad(set_to_none=True)
        data.task.loss(net(x), y).backward()
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        times.append(time.perf_counter() - began)
    return median(times[WARMUP:])


@dataclass(frozen=True)
class Pace:
    """The clock of a comparison on several machines: that of the machine that measured a step first.

    Args:
        folder: of the comparison, which keeps the first step's time; all machines see it.
        space: of the comparison.
    """

    folder: Path
    space: Space

    def here(self, data: Data, device: str) -> float:
        """How many times slower this machine is than the first one, > 0.

        Args:
            data: examples and their task.
            device: where torch computes.

        Raises:
            RunError: if the file of the first step is damaged.
        """
        own = step_seconds(self.space, data, device)
        file = self.folder / PACE
        write_once(file, json.dumps({"step_seconds": own}).encode())
        first = read_object(file).get("step_seconds")
        if not isinstance(first, float) or not 0 < first < math.inf:
            raise RunError(f"{file} does not say how long a step took on the first machine: remove it.")
        return own / first
