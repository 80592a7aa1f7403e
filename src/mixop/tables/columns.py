"""The columns of a table: which one holds a quantity, and its numbers, read from the disk when they are asked for."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError, unknown
from mixop.tables.layout import Header, Stored

COSTS: Mapping[str, tuple[str, str | None]] = {
    "params": ("params", None),
    "flops": ("flops", None),
    "latency": ("latency", None),
    "train_seconds": ("seconds", "train"),
}
"""The costs by name: the metric and the split of their columns."""


class Columns(NamedTuple):
    """The columns that hold one quantity.

    Args:
        mean: the one with means over runs, or None.
        runs: the one with single runs, or None.
    """

    mean: Stored | None
    runs: Stored | None

    @property
    def any(self) -> Stored:
        """One of them."""
        found = self.runs or self.mean
        assert found is not None
        return found


class ColumnStore:
    """The columns of a table's file, or some of them.

    Args:
        header: of the table.
        columns: those that may be asked for.
        memory: the whole file.
    """

    def __init__(self, header: Header, columns: Iterable[Stored], memory: NDArray[np.uint8]) -> None:
        self.header, self.columns, self.memory = header, tuple(columns), memory
        self._found: dict[tuple[Any, ...], Columns] = {}

    @property
    def name(self) -> str:
        """The table's name."""
        return self.header.name

    def only(self, columns: Iterable[Stored]) -> "ColumnStore":
        """Some of the columns."""
        return ColumnStore(self.header, columns, self.memory)

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets in the table."""
        return tuple(sorted({c.dataset for c in self.columns if c.dataset} | self.header.redirect.keys()))

    def splits(self, dataset: str) -> tuple[str, ...]:
        """The splits of a data set that have measurements.

        Raises:
            DataError: if there is no such data set.
        """
        self.check_dataset(dataset)
        own = {c.split for c in self.columns if c.dataset == dataset and c.split}
        return tuple(sorted(own | self.header.redirect.get(dataset, {}).keys()))

    def find(self, dataset: str, split: str, metric: str | None, epochs: int | None) -> Columns:
        """The columns of a quantity.

        Raises:
            DataError: if there is none, or the training's length must be named.
        """
        metric = metric or self.header.measures[0].name
        key = (dataset, split, metric, epochs)
        if key not in self._found:
            candidates = self.candidates(dataset, split, metric)
            self._found[key] = self._of_length(candidates, epochs, f"{metric} on {split} of {dataset}")
        return self._found[key]

    def has(self, dataset: str, split: str, metric: str | None, epochs: int | None) -> bool:
        """Whether the table has a quantity."""
        try:
            self.find(dataset, split, metric, epochs)
        except DataError:
            return False
        return True

    def candidates(self, dataset: str, split: str, metric: str | None) -> list[Stored]:
        """The columns of a quantity, of trainings of every length.

        Raises:
            DataError: if there is none.
        """
        self.check_dataset(dataset)
        metric = metric or self.header.measures[0].name
        meant = self.header.redirect.get(dataset, {}).get(split, dataset)
        there = [c for c in self.columns if c.dataset == meant and c.split is not None]
        if not any(c.split == split for c in there):
            raise DataError(unknown(f"split of {dataset} in the table {self.name} called", split, self.splits(dataset)))
        found = [c for c in there if c.split == split and c.metric == metric]
        if not found:
            known = {c.metric for c in there if c.split == split}
            raise DataError(unknown(f"metric on {split} of {dataset} in the table {self.name} called", metric, known))
        return found

    def _of_length(self, candidates: list[Stored], epochs: int | None, what: str) -> Columns:
        lengths = sorted({c.epochs for c in candidates if c.epochs is not None})
        if epochs is None and len(lengths) > 1:
            raise DataError(
                f"The table {self.name} has {what} for trainings of {' and '.join(map(str, lengths))} epochs: say epochs="
                f"{lengths[-1]}, or another of these."
            )
        chosen = [c for c in candidates if epochs is None or c.epochs is None or c.epochs == epochs]
        if not chosen:
            raise DataError(
                f"The table {self.name} has {what} for trainings of {' and '.join(map(str, lengths))} epochs, got {epochs!r}."
            )
        mean = next((c for c in chosen if c.seeds is None), None)
        return Columns(mean, next((c for c in chosen if c.seeds is not None), None))

    def cost(self, name: str, dataset: str | None, epochs: int | None) -> Columns:
        """The columns of a cost.

        Raises:
            DataError: if there is none, or more must be said.
        """
        key = ("cost", name, dataset, epochs)
        if key in self._found:
            return self._found[key]
        metric, split = COSTS.get(name, (name, None))
        found = [c for c in self.columns if c.metric == metric and c.split == split]
        if not found:
            known = {cost for cost, (m, s) in COSTS.items() if any((c.metric, c.split) == (m, s) for c in self.columns)}
            known |= {c.metric for c in self.columns if c.split is None}
            raise DataError(unknown(f"cost in the table {self.name} called", name, known))
        if dataset is not None:
            self.check_dataset(dataset)
            # The same network is trained on half of a set and on all of it, so either entry gives its cost.
            near = [dataset, *self.header.redirect.get(dataset, {}).values()]
            near += [other for other, to in self.header.redirect.items() if dataset in to.values()]
            own = next((part for d in (*near, None) if (part := [c for c in found if c.dataset == d])), None)
            if own is None:
                known = ", ".join(sorted({c.dataset for c in found if c.dataset}))
                raise DataError(f"The table {self.name} has {name} for {known}, not for {dataset}.")
            found = own
        elif len({c.dataset for c in found}) > 1:
            known = ", ".join(sorted({c.dataset for c in found if c.dataset}))
            raise DataError(f"In the table {self.name}, {name} depends on the data set: say dataset= one of {known}.")
        if epochs is not None and split is None and not any(c.epochs == epochs for c in found):
            epochs = None
        self._found[key] = self._of_length(found, epochs, name)
        return self._found[key]

    def read(self, found: Columns, rows: int | slice, seed: int | None, after: int | None) -> NDArray[np.float64]:
        """The values of some rows: a mean over runs, or one run."""
        if seed is None:
            stored = found.mean or found.any
            values = self._after(stored, rows, after)
            return values if stored.seeds is None else _mean(values)
        if found.runs is None:
            raise DataError(f"The table {self.name} has only means over runs of {what_is(found.any)}: leave out seed={seed}.")
        assert found.runs.seeds is not None
        if seed not in found.runs.seeds:
            known = ", ".join(map(str, found.runs.seeds))
            raise DataError(f"The table {self.name} has the runs {known} of {what_is(found.runs)}, got {seed!r}.")
        return self._after(found.runs, rows, after)[..., found.runs.seeds.index(seed)]

    def _after(self, stored: Stored, rows: int | slice, after: int | None) -> NDArray[np.float64]:
        """The values of some rows at the end of the training, or after some of its epochs; runs come last."""
        raw = self.raw(stored)[rows]
        if after is None:
            return stored.decode(raw if stored.after is None else raw[..., -1])
        if stored.after is not None and after in stored.after:
            return stored.decode(raw[..., stored.after.index(after)])
        if stored.after is None and after == stored.epochs:
            return stored.decode(raw)
        if stored.linear and stored.epochs is not None and 1 <= after <= stored.epochs:
            return stored.decode(raw if stored.after is None else raw[..., -1]) * after / stored.epochs
        known = f"after epoch {', '.join(map(str, stored.after))}" if stored.after else "only at the end of the training"
        raise DataError(f"The table {self.name} has {what_is(stored)} {known}, got after={after!r}.")

    def raw(self, stored: Stored) -> NDArray[Any]:
        """An array as it is in the file."""
        begin = self.header.start + stored.offset
        return self.memory[begin : begin + stored.bytes].view(stored.dtype).reshape(stored.shape)

    def check_dataset(self, dataset: str) -> None:
        """Refuses a data set that the table does not know.

        Raises:
            DataError: naming those that it knows.
        """
        if dataset not in self.datasets:
            raise DataError(unknown(f"data set in the table {self.name} called", dataset, self.datasets))


def _mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Means over the last axis, ignoring NaN; NaN where all are NaN."""
    there = ~np.isnan(values)
    counts = there.sum(-1)
    sums = np.where(there, values, 0).sum(-1)
    return np.where(counts > 0, sums / np.maximum(counts, 1), np.nan)


def what_is(stored: Stored) -> str:
    """A column in words: ``accuracy on valid of digits after a training of 12 epochs``."""
    where = " of ".join(part for part in (stored.split, stored.dataset) if part)
    length = f" after a training of {stored.epochs} epochs" if stored.epochs else ""
    return f"{stored.metric}{f' on {where}' if where else ''}{length}"
