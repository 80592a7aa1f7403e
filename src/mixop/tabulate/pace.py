"""What a table takes, and how many of its networks are best trained together: by a few steps of each size.

Small networks gain by company, since a step of many costs hardly more calls than a step of one. Large ones lose by it: torch's
grouped convolutions are slower than as many plain ones.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import torch

from mixop.data.core import Data
from mixop.spaces.core import Architecture, Space
from mixop.tabulate.cohort import SPLITS, Cohort
from mixop.tabulate.how import Tabulation

TOGETHER = (1, 3, 9, 27)
"""Numbers of architectures that are tried."""

LOSS = 1.25
"""Larger numbers are tried until a network's time is so many times the shortest."""


@dataclass(frozen=True)
class Pace:
    """The speed of some architectures side by side, each with all its seeds.

    Args:
        architectures: how many.
        step: seconds of a step of all of them.
        scoring: seconds that it takes to score all of them.
    """

    architectures: int
    step: float
    scoring: float

    def seconds(self, count: int, steps: int, scorings: int) -> float:
        """What as many architectures take, each so many steps and scorings, in seconds."""
        return (steps * self.step + scorings * self.scoring) * count / self.architectures


def paced(architectures: Sequence[Architecture], space: Space, data: Data, how: Tabulation, device: str) -> Pace:
    """The speed of architectures side by side: the mean of two steps after a first one, and one scoring.

    Args:
        architectures: which ones.
        space: its sizes fit the data.
        data: examples of a task.
        how: every network is trained.
        device: where torch computes.
    """
    job = Cohort(architectures, range(len(architectures)), space, data, how, device=device)
    steps, marks = job.begin_epoch(), [time.monotonic()]
    for _ in range(min(3, steps)):
        job.take_step()
        if job.losses.is_cuda:
            torch.cuda.synchronize(job.losses.device)
        marks.append(time.monotonic())
    for split in SPLITS:
        job.measure(split)
    scoring = time.monotonic() - marks[-1]
    timed = marks[1:] if len(marks) > 2 else marks
    return Pace(len(architectures), (timed[-1] - timed[0]) / (len(timed) - 1), scoring)


def fastest(everything: Sequence[Architecture], space: Space, data: Data, how: Tabulation, device: str) -> Pace:
    """The speed of as many architectures together as make a network's time shortest, see `TOGETHER`.

    Args:
        everything: the architectures of the table; those that are timed are drawn from them.
        space: its sizes fit the data.
        data: examples of a task.
        how: every network is trained.
        device: where torch computes.
    """
    drawn = Random(0).sample(list(everything), min(TOGETHER[-1], len(everything)))
    best = paced(drawn[:1], space, data, how, device)
    for count in TOGETHER[1:]:
        if count > len(drawn):
            break
        other = paced(drawn[:count], space, data, how, device)
        times = other.step / count / (best.step / best.architectures)
        if times > LOSS:
            break
        best = other if times < 1 else best
    return best
