"""Sets from data sets of others: map-style ones of torch, Hugging Face's, anything with a length and an index."""

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.reduction import ForkingPickler
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.core.machine import cores, memory
from mixop.core.transfer import upload
from mixop.core.types import Batch
from mixop.data.ahead import LIMIT, ReadAhead
from mixop.data.core import PARTS, Data, assemble
from mixop.data.examples import Arrays, Examples, digest_of
from mixop.data.items import Items
from mixop.data.layouts import FORMS, Layout
from mixop.data.notes import left_out
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.data.targets import targets, task_of
from mixop.tasks.base import Task


@door(DataError)
def from_dataset(
    train: Any,
    valid: Any = None,
    test: Any = None,
    *,
    task: Task | None = None,
    name: str = "dataset",
    columns: tuple[str, str] | None = None,
    valid_share: float = 0.5,
    test_share: float = 0.2,
    seed: int = 0,
    stratified: bool = True,
    layout: Layout = "auto",
    augment: Preparation | AugmentFunction | None = None,
    memory_bytes: int | None = None,
    workers: int | None = None,
) -> Data:
    """Makes a set from data sets of torch or Hugging Face, or any that have ``len(dataset)`` and ``dataset[i]``.

    An example is a pair of input and target: tensors, arrays, numbers or pictures of Pillow; of Hugging Face's a mapping, of
    which two columns are taken. All inputs have one shape and number type. A data set that draws random numbers itself is
    refused, since a resumed run could not repeat them: pass what it does as ``augment``.

    Sets that fit into memory are read once. Larger ones are read while they are trained on, by threads and ahead of time, as
    image folders are; what a batch holds does not depend on the threads. Their targets are in memory all the same: as the set
    gives them (``targets``, ``labels``, the column), or, where it gives none, from reading every example once. Their mean and
    standard deviation are measured on 1,000 training examples, and their fingerprint is over their length, all targets, and
    the first and the last input only.

    What fits decides how mean, standard deviation and fingerprint are found: give ``memory_bytes`` where a run may be resumed
    on another machine. A set from Python cannot be loaded by a run itself: give it to `mixop.resume` again.

    Args:
        train: the examples to learn from.
        valid: those for the architecture; None to take a share of ``train``.
        test: those of the test; None to keep a share of ``train``.
        task: what a network is to do; None to take it from the targets, as `from_arrays` does.
        name: what the set is called in reports.
        columns: names of the columns of inputs and targets, for examples that are mappings; None where two are certain.
        valid_share: share or number of the training examples that the architecture learns from, if ``valid`` is None.
        test_share: share or number of ``train`` that is kept for the test, if ``test`` is None.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        layout: order of the axes of an input behind the first, see `from_arrays`; pictures know theirs.
        augment: what is done to training batches, or a function of your own; None for normalisation only, measured.
        memory_bytes: the most that a part may take to be read into memory; None for a quarter of what is free.
        workers: threads that read; None for as many as there are cores, 1 for sets that only one thread may read.

    Raises:
        DataError: if an example cannot be read or is not like the first one, a set has no length, is empty or random, or a
            class has no example in a part.

    Example:
        >>> from torch.utils.data import TensorDataset
        >>> train = TensorDataset(torch.rand(60, 2, 50, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3)
        >>> data = from_dataset(train, valid_share=0.25)
        >>> data.shape, data.task.name, len(data.train), len(data.valid), len(data.test)
        ((2, 50), 'classification', 36, 12, 12)
    """
    if train is None:
        raise DataError("train must be a data set whose examples can be read by index, got None.")
    threads = cores() if workers is None else workers
    if threads < 1:
        raise DataError(f"At least one worker must read the examples, got {workers}.")
    limit = memory() // 4 if memory_bytes is None else memory_bytes
    parts: dict[str, Examples | None] = dict.fromkeys(PARTS)
    record: dict[str, Any] = {}
    for part, given in (("train", train), ("valid", valid), ("test", test)):
        if given is None:
            continue
        where = name if part == "train" else f"{name} ({part})"
        items = Items(given, columns, layout, where)
        layout = items.layout
        lazy = _bytes(items) > limit
        x, raw = (None, _targets_of(items, threads)) if lazy else _everything(items, threads)
        y = targets(raw, f"The targets of {where}", task)
        if part == "train":
            named = task is None and y.dim() == 1 and not y.is_floating_point()
            task = task_of(y, task, items.classes if named else None, f"The targets of {where}")
            record = {"read_as": FORMS[layout][0], "in_memory": {}}
            if items.columns is not None:
                record |= {"columns": list(items.columns), **left_out("columns of other names", items.columns_not_used)}
        assert task is not None
        stored = task.stored(y, where)
        parts[part] = LazyItems(items, stored, threads) if x is None else Arrays(torch.from_numpy(x), stored)
        record["in_memory"][part] = not lazy
    training = parts["train"]
    assert training is not None
    assert task is not None
    return assemble(
        name,
        training,
        valid=parts["valid"],
        test=parts["test"],
        task=task,
        split=Split(valid=valid_share, test=test_share, seed=seed, stratified=stratified),
        augment=preparation(augment),
        source=None,
        record=record,
    )


class LazyItems(Examples):
    """Examples of a data set that is read while it is trained on; targets are in memory.

    Args:
        items: the examples.
        y: targets ``(N, ...)``.
        workers: threads that read.
        device: where batches are put.
        ahead: the threads of the same examples on another device; None for new ones.
    """

    def __init__(
        self,
        items: Items,
        y: Tensor,
        workers: int,
        device: torch.device | str = "cpu",
        ahead: ReadAhead | None = None,
    ) -> None:
        self.items, self.y, self.workers, self._device = items, y, workers, torch.device(device)
        self._ahead = ReadAhead(items.read, workers, "mixop-items") if ahead is None else ahead

    def __reduce__(self) -> Any:
        """What another process needs: the data set itself, no threads.

        Raises:
            DataError: if the data set cannot be sent to another process.
        """
        try:
            ForkingPickler.dumps(self.items.dataset)
        except Exception as error:  # whatever the code of others provokes: an open file, a lambda
            raise DataError(
                f"{self.items.where} is read during training and cannot be sent to another process ({error}): give more "
                "memory_bytes, or use a data set that Python can pickle."
            ) from error
        return _remake, (self.items, self.y.cpu().numpy(), self.workers, str(self._device))

    def __len__(self) -> int:
        return len(self.items)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.items.shape)

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8 if self.items.dtype == np.uint8 else torch.float32

    @property
    def device(self) -> torch.device:
        return self._device

    @property
    def targets(self) -> Tensor:
        return self.y

    def read(self, at: Tensor, *, then: Tensor | None = None) -> Batch:
        coming = self._ahead.take(at.tolist())
        if then is not None:
            self._ahead.expect(then.tolist())
        x = torch.from_numpy(np.stack([item.result().x for item in coming]))
        if x.is_floating_point() and not x.isfinite().all():
            bad = int(at[int((~x.isfinite()).flatten(1).any(1).nonzero()[0])])
            raise DataError(f"Example {bad} of {self.items.where} holds NaN or infinity: fix it or leave it out.")
        return Batch(upload(x, self._device), self.y[upload(at, self.y.device)])

    def to(self, device: torch.device | str) -> Self:
        if torch.device(device) == self._device:
            return self
        return type(self)(self.items, self.y.to(device), self.workers, device, self._ahead)

    @property
    def digest(self) -> bytes:
        """SHA-256 over the length, the first and the last input, and all targets; the other inputs would have to be read."""
        digest = hashlib.sha256(f"{len(self)} {self.shape} {self.dtype};".encode())
        for i in (0, len(self) - 1):
            digest.update(self.items.read(i).x.data)
        digest.update(digest_of((self.y,)))
        return digest.digest()


def _bytes(items: Items) -> int:
    """What all inputs take in memory."""
    return len(items) * int(np.prod(items.shape)) * items.dtype.itemsize


def _everything(items: Items, workers: int) -> tuple[np.ndarray, np.ndarray]:
    """All inputs and all targets."""
    x = np.empty((len(items), *items.shape), items.dtype)
    y: list[np.ndarray] = []
    for i, item in enumerate(_each(items.read, len(items), workers)):
        x[i] = item.x
        y.append(item.y)
    return x, np.stack(y)


def _targets_of(items: Items, workers: int) -> np.ndarray:
    """All targets: as the data set gives them, or from reading every example once."""
    known = items.known_targets
    return np.stack(list(_each(lambda i: items.read(i).y, len(items), workers))) if known is None else known


def _each(read: Callable[[int], Any], count: int, workers: int) -> Iterator[Any]:
    """What a function gives for every number below ``count``, in order, by threads that are never far ahead."""
    pool = ThreadPoolExecutor(workers, "mixop-items")
    try:
        for start in range(0, count, LIMIT):
            yield from pool.map(read, range(start, min(start + LIMIT, count)))
    finally:
        pool.shutdown(cancel_futures=True)


def _remake(items: Items, y: np.ndarray, workers: int, device: str) -> LazyItems:
    return LazyItems(items, torch.from_numpy(y), workers, device)
