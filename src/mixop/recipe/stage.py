"""A search as a list of stages: stretches with their own options, depth and wraps."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal

from mixop.core.errors import RecipeError
from mixop.core.schedules import Progress, check_range
from mixop.wraps.base import Wrap, check_wraps


@dataclass(frozen=True, kw_only=True)
class Stage:
    """A stretch of a search, and how it begins.

    Args:
        share: its share of the recipe's epochs, relative to the other stages', > 0.
        options: how many options every decision keeps when it begins, those of largest mean weight; None for all.
        cells: cells that its network has beyond those of the space, >= 0.
        channels: channels that its network has beyond those of the space, >= 0.
        wraps: how edges compute in it; None for the recipe's wraps.
        start: ``carry``: weights, momentum, architecture parameters and schedules continue, pruned, and widened where the
            wraps leave the operations more channels. ``fresh``: all start again.
        preserve: whether widening preserves what the network computes (Net2Net), instead of the copies of DrNAS.

    Raises:
        RecipeError: if a number is out of range.
    """

    share: float = 1.0
    options: int | None = None
    cells: int = 0
    channels: int = 0
    wraps: tuple[Wrap, ...] | None = None
    start: Literal["carry", "fresh"] = "carry"
    preserve: bool = False

    def __post_init__(self) -> None:
        check_range("share of a stage", self.share, above=0)
        for name, value, least in (("options", self.options, 1), ("cells", self.cells, 0), ("channels", self.channels, 0)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
                raise RecipeError(f"{name} of a stage must be a whole number of at least {least}, got {value!r}.")
        if self.start not in ("carry", "fresh"):
            raise RecipeError(f"start of a stage must be 'carry' or 'fresh', got {self.start!r}.")
        check_wraps(self.wraps or ())


def check_stages(stages: Sequence[Stage], epochs: int, warmup: int) -> None:
    """Refuses stages that do not follow from one another, or that have no time.

    Raises:
        RecipeError: with the first stage that is wrong.
    """
    kept: int | None = None
    for number, (before, stage) in enumerate(pairwise(stages), start=2):
        if stage.start == "carry" and (stage.cells, stage.channels) != (before.cells, before.channels):
            raise RecipeError(
                f"Stage {number} carries its weights on, so it must have as many cells and channels as the one before."
            )
    for number, stage in enumerate(stages, start=1):
        if kept is not None and stage.options is not None and stage.options > kept:
            raise RecipeError(f"Stage {number} keeps {stage.options} options, but the one before has only {kept}.")
        kept = stage.options if stage.options is not None else kept
    bounds = [0, *stage_ends(stages, epochs)]
    for number, (first, end) in enumerate(pairwise(bounds), start=1):
        if end - first <= warmup:
            raise RecipeError(
                f"Stage {number} has {end - first} of {epochs} epochs, which a warm-up of {warmup} epochs uses up: "
                "take more epochs, or a shorter warm-up."
            )


def stage_ends(stages: Sequence[Stage], epochs: int) -> list[int]:
    """The epoch that each stage ends before; one stage of all epochs if there are none.

    Args:
        stages: the stages.
        epochs: epochs of the whole search.
    """
    shares = [stage.share for stage in stages] or [1.0]
    return [round(epochs * done / sum(shares)) for done in accumulate(shares)]


def shortest_stage(stages: Sequence[Stage], epochs: int) -> int:
    """Epochs of the shortest stage of a search of ``epochs`` epochs."""
    ends = stage_ends(stages, epochs)
    return min(end - first for first, end in zip([0, *ends], ends, strict=False))


def stage_progress(stages: Sequence[Stage], epochs: int, epoch: int, warmup: int = 0) -> Progress:
    """The time of an epoch for schedules: over all stages from the last fresh start to the next.

    It counts the epochs in which the architecture moves; those of warm-up too are counted by its ``whole``.

    Args:
        stages: the stages.
        epochs: epochs of the whole search.
        epoch: finished epochs, 0 <= epoch < epochs.
        warmup: epochs at the start of every stage in which the architecture does not move.
    """
    ends = stage_ends(stages, epochs)
    fresh = [0, *(first for first, stage in zip(ends, stages[1:], strict=False) if stage.start == "fresh"), epochs]
    begin = max(first for first in fresh if first <= epoch)
    end = min(first for first in fresh if first > epoch)
    moving = [range(first + warmup, last) for first, last in pairwise([0, *ends]) if begin <= first < end]
    done = sum(min(max(epoch - stage.start, 0), len(stage)) for stage in moving)
    waiting = not any(epoch in stage for stage in moving)
    return Progress(done, sum(map(len, moving)), whole=Progress(epoch - begin, end - begin), waiting=waiting)


def moving_epochs(stages: Sequence[Stage], epochs: int, warmup: int) -> list[int]:
    """The epochs of a search in which the architecture moves: those of every stage after its warm-up.

    Args:
        stages: the stages.
        epochs: epochs of the whole search.
        warmup: epochs at the start of every stage in which the architecture does not move.
    """
    return [e for first, end in pairwise([0, *stage_ends(stages, epochs)]) for e in range(first + warmup, end)]
