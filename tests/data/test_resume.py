"""Whatever a set is made of: batches after an interruption are those that would have come without it, bit for bit."""

import pickle
import sys
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch

from mixop.core.types import Batch
from mixop.data import Augment, Data, Preparation, digits, from_arrays, from_dataset, from_tokens
from mixop.tasks.segmentation import Segmentation

RNG = np.random.default_rng(0)
SIGNALS, LABELS = RNG.random((60, 2, 20)), np.arange(60) % 3


def scaled(batch: Batch, generator: torch.Generator) -> Batch:
    """Louder or quieter."""
    size = (len(batch.x), *(1,) * (batch.x.dim() - 1))
    return batch._replace(x=batch.x * (0.5 + torch.rand(size, generator=generator)))


def forgetful(batch: Batch, generator: torch.Generator) -> Batch:
    """Some words left out."""
    return batch._replace(x=batch.x.where(torch.rand(batch.x.shape, generator=generator) > 0.2, 0))


def of_masks() -> Data:
    images, masks = RNG.integers(0, 256, (40, 3, 6, 9), dtype=np.uint8), RNG.integers(0, 3, (40, 6, 9))
    augment = Augment(crop=2, flip=True, cutout=3, function="resuming:scaled")
    return from_arrays(images, masks, task=Segmentation(ignore=255), augment=augment)


SETS: dict[str, Callable[[], Data]] = {
    "images": lambda: digits(augment=Augment(crop=1, cutout=2)),
    "resized images": lambda: digits(augment=Augment(resized_crop=True)),
    "masks": of_masks,
    "signals": lambda: from_arrays(SIGNALS, LABELS, augment=Preparation(function="resuming:scaled")),
    "a data set read lazily": lambda: from_dataset(
        list(zip(SIGNALS, LABELS, strict=True)), memory_bytes=0, workers=2, augment=Preparation(function="resuming:scaled")
    ),
    "tokens": lambda: from_tokens(np.arange(600) % 50, window=6, augment=Preparation(function="resuming:forgetful")),
    "windows of random length": lambda: from_tokens(np.arange(600) % 50, window=6, random_lengths=True),
}


class Reader:
    """Draws training batches as a search does, with a state that is passed on."""

    def __init__(self, data: Data, seed: int) -> None:
        self.data = data
        self.order, self.noise = (torch.Generator().manual_seed(seed + k) for k in range(2))
        self.stream = data.stream(("train", "valid"), 8, self.order)

    def next(self) -> Batch:
        at = self.stream.next()
        state = self.stream.state
        batch = self.data.augmented(at, self.noise, then=self.stream.upcoming(2))._replace(state=state)
        self.stream.state = batch.x.double().sum()  # what a network would carry on
        return batch

    def save(self) -> bytes:
        return pickle.dumps((self.stream.state_dict(), self.order.get_state(), self.noise.get_state()))

    def load(self, saved: bytes) -> None:
        stream, order, noise = pickle.loads(saved)
        self.stream.load_state_dict(stream)
        self.order.set_state(order)
        self.noise.set_state(noise)


@pytest.mark.parametrize("steps", [0, 1, 6, 17])
@pytest.mark.parametrize("name", SETS)
def test_batches_go_on_where_they_stopped(name: str, steps: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "resuming", sys.modules[__name__])
    data = SETS[name]()
    whole = Reader(data, seed=1)
    for _ in range(steps):
        whole.next()
    resumed = Reader(replace(data), seed=50)
    resumed.load(whole.save())
    batches = []
    for _ in range(20):
        one, other = whole.next(), resumed.next()
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.y, other.y)
        assert one.state == other.state
        batches.append(one)
    assert len({batch.x.double().sum().item() for batch in batches}) > 10  # they are not all the same
    if data.tokens:
        assert {batch.state is None for batch in batches} == {True, False}  # a pass begins without a state
