"""Batches of a split in shuffled order, with a position that can be saved in the middle of an epoch."""

import math
from typing import Any

import torch
from torch import Generator, Tensor

from mixop.core.errors import DataError


class Stream:
    """An endless sequence of index batches; every pass is a fresh permutation of the split.

    A last batch of a single example is left out, since batch norm cannot normalise it; other short batches are kept.

    Attributes:
        state: what the network carries from one batch to the next: None here, where examples have no order. Streams of
            tokens keep it, and begin without it in every pass.

    Args:
        indices: the split, ``(n,)`` int64.
        batch_size: examples in a batch.
        generator: source of the permutations.
        split: what errors call it.

    Raises:
        DataError: if the split is empty or smaller than a batch.
    """

    def __init__(self, indices: Tensor, batch_size: int, generator: Generator, split: str) -> None:
        if len(indices) == 0:
            raise DataError(f"The {split} split is empty: give it a share of the data.")
        if batch_size > len(indices):
            raise DataError(
                f"A batch of {batch_size} is larger than the {split} split of {len(indices)} examples: "
                f"use a batch size of at most {len(indices)}."
            )
        self.indices, self.batch_size, self.generator = indices, batch_size, generator
        self.order = torch.empty(0, dtype=torch.int64)
        self.at = 0
        self.state: Any = None

    @property
    def batches(self) -> int:
        """Batches in one pass."""
        full, rest = divmod(len(self.indices), self.batch_size)
        return full + (rest > 1)

    @property
    def scale(self) -> float:
        """What the learning rate of a step on the last batch is multiplied by; 1 unless windows of a text say otherwise."""
        return 1.0

    def begin(self) -> int:
        """Draws the order of the next pass if the last one is over.

        Returns:
            Batches of the pass that the next batch belongs to.
        """
        if self.at >= self.batches or len(self.order) == 0:
            self.order = self.indices[torch.randperm(len(self.indices), generator=self.generator)]
            self.at = 0
        return self.batches

    def next(self) -> Tensor:
        """Indices of the next batch, ``(b,)`` int64; after a whole pass, of the next pass's first."""
        self.begin()
        start = self.at * self.batch_size
        self.at += 1
        return self.order[start : start + self.batch_size]

    def peek(self) -> Tensor:
        """Indices of a whole batch of the part, drawing nothing: for measurements beforehand."""
        return self.indices[: self.batch_size]

    def upcoming(self, batches: int) -> Tensor:
        """Indices of the next batches, as far as they are known: those of the current pass."""
        return self.order[self.at * self.batch_size : (self.at + batches) * self.batch_size]

    def state_dict(self) -> dict[str, Any]:
        """Order and position, and what the network carries; the generator is saved with the other generators."""
        return {"order": self.order, "at": self.at, "state": self.state}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continues from where `state_dict` was taken."""
        self.order, self.at, self.state = state["order"], state["at"], state["state"]


def batches(count: int, batch_size: int) -> list[slice]:
    """Slices that cover ``count`` examples in order, none of them a single example if that can be helped."""
    pieces = max(1, math.ceil(count / batch_size))
    if pieces > 1 and count % batch_size == 1:  # one example has no batch statistics
        return [
            *(slice(i * batch_size, (i + 1) * batch_size) for i in range(pieces - 2)),
            slice((pieces - 2) * batch_size, count),
        ]
    return [slice(i * batch_size, min(count, (i + 1) * batch_size)) for i in range(pieces)]
