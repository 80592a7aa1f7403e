"""A table of trained architectures: what they reach, how long they trained and what they cost, looked up in microseconds.

Opening reads one line and maps the rest of the file; numbers are read from the disk when you ask for them. Results on test
images need ``reveal_test=True``, and a search works on a `SearchTable`, which has none of them.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError
from mixop.core.files import open_file
from mixop.core.measure import Measure
from mixop.spaces.core import Architecture, Space
from mixop.tables.columns import COSTS, Columns, ColumnStore, what_is
from mixop.tables.layout import FREE, Header, Stored, read_header, verify
from mixop.tables.rows import ArchitectureRows


@dataclass(frozen=True)
class Best:
    """An architecture of a table and its value.

    Args:
        index: its row.
        native: its native string.
        value: its score.
    """

    index: int
    native: str
    value: float


class Table:
    """A table in a file, made by `open`.

    Rows are numbered from 0; in a full table of nasbench201 they are the numbers of the benchmark. ``measures``
    says what the values are, and whether higher or lower is better; shares such as accuracies are in percent.

    Example:
        >>> table = Table.open("nasbench201.table")  # doctest: +SKIP
        >>> table.query(6111, dataset="cifar10", split="valid", epochs=200)  # doctest: +SKIP
        91.60666656494141
    """

    def __init__(self, path: str, store: ColumnStore) -> None:
        self.path, self._store, self._rows = path, store, ArchitectureRows(store)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, verify: bool = False) -> "Table":
        """Opens a table.

        Args:
            path: the file.
            verify: whether to read the whole file and compare its checksum.

        Raises:
            DataError: if the file is missing, damaged, cut short, of a later version, or not a table.
        """
        header = read_header(path)
        with open_file(path) as file:
            memory = np.memmap(file, dtype=np.uint8, mode="r")
        table = cls(os.fspath(path), ColumnStore(header, header.columns, memory))
        if verify:
            table.verify()
        return table

    def verify(self) -> None:
        """Reads the whole file and compares its checksum.

        Raises:
            DataError: if it is damaged.
        """
        verify(self.path, self.header)

    def __reduce__(self) -> tuple[Any, ...]:
        return Table.open, (self.path,)

    def __len__(self) -> int:
        return len(self._rows)

    def __repr__(self) -> str:
        return f"Table({self.path!r}: {len(self):,} architectures of {self.header.space_name})"

    @property
    def header(self) -> Header:
        """What its first line says."""
        return self._store.header

    @property
    def columns(self) -> tuple[Stored, ...]:
        """The columns that can be asked for."""
        return self._store.columns

    @property
    def name(self) -> str:
        """The table's name."""
        return self.header.name

    @property
    def measures(self) -> tuple[Measure, ...]:
        """What its networks were measured by; the first one ranks them."""
        return self.header.measures

    def measure(self, metric: str | None = None) -> Measure:
        """How to read a quantity: its unit, and whether higher or lower is better; of what is no measure lower is.

        Args:
            metric: the quantity; None for the measure that ranks.
        """
        if metric is None:
            return self.measures[0]
        named = next((measure for measure in self.measures if measure.name == metric), None)
        return named or Measure(metric if metric.isidentifier() else "value", "lower")

    @property
    def datasets(self) -> tuple[str, ...]:
        """The data sets in the table."""
        return self._store.datasets

    def splits(self, dataset: str) -> tuple[str, ...]:
        """The splits of a data set that have measurements.

        Raises:
            DataError: if there is no such data set.
        """
        return self._store.splits(dataset)

    def lengths(self, dataset: str, split: str, metric: str | None = None) -> tuple[int, ...]:
        """The lengths of training, in epochs, that a quantity was measured for.

        Raises:
            DataError: if there is no such quantity.
        """
        return tuple(sorted({c.epochs for c in self._store.candidates(dataset, split, metric) if c.epochs}))

    def seeds(self, dataset: str, split: str, metric: str | None = None, epochs: int | None = None) -> tuple[int, ...]:
        """The seeds (or numbers) of single runs, empty where only means are known.

        Raises:
            DataError: if there is no such quantity, or the training's length must be named.
        """
        runs = self.find(dataset, split, metric, epochs).runs
        return () if runs is None or runs.seeds is None else runs.seeds

    def curve(self, dataset: str, split: str, metric: str | None = None, epochs: int | None = None) -> tuple[int, ...]:
        """The numbers of finished epochs after which a quantity was measured; the last is the training's length.

        Raises:
            DataError: if there is no such quantity, or the training's length must be named.
        """
        found = self.find(dataset, split, metric, epochs).any
        return found.after or (() if found.epochs is None else (found.epochs,))

    @property
    def space(self) -> Space:
        """The search space.

        Raises:
            SpaceError: if mixop does not have it.
        """
        return self._rows.space

    def index(self, architecture: Architecture | str | int) -> int:
        """The row of an architecture.

        Args:
            architecture: a member of the space, its native string, or a row.

        Raises:
            SpaceError: if it does not belong to the space, or is not in the table.
        """
        return self._rows.index(architecture)

    def native(self, index: int) -> str:
        """The native string of a row.

        Raises:
            SpaceError: if there is no such row, or no such space.
        """
        return self._rows.native(index)

    def architecture(self, index: int) -> Architecture:
        """The architecture of a row.

        Raises:
            SpaceError: if there is no such row, or mixop does not have the space.
        """
        return self._rows.architecture(index)

    def query(
        self,
        architecture: Architecture | str | int,
        *,
        dataset: str,
        split: str,
        metric: str | None = None,
        epochs: int | None = None,
        seed: int | None = None,
        after: int | None = None,
        reveal_test: bool = False,
    ) -> float:
        """What was measured for an architecture.

        Args:
            architecture: a member of the space, its native string, or its row.
            dataset: the data set that it was trained on.
            split: the examples that it was measured on.
            metric: a measure of the table, "seconds" since the training began, or another quantity; None for the measure that
                ranks.
            epochs: length of the training; needed where there are several. Another length is another training.
            seed: one run; None for the mean over all runs of this architecture.
            after: number of finished epochs of that training, where the table has a curve; None for its end.
            reveal_test: whether to show test results. A search never sets this.

        Raises:
            DataError: if a name is unknown, the length is needed, the split is a test split and ``reveal_test`` is not set, or
                nothing was measured.
            SpaceError: if the architecture is not in the table.
        """
        row = self.index(architecture)
        self._check_revealed(split, reveal_test)
        found = self.find(dataset, split, metric, epochs)
        value = float(self._store.read(found, row, seed, after))
        if np.isnan(value):
            run = "" if seed is None else f" by run {seed}"
            raise DataError(f"{what_is(found.any)} of architecture {row} was not measured{run} in the table {self.name}.")
        return value

    def column(
        self,
        *,
        dataset: str,
        split: str,
        metric: str | None = None,
        epochs: int | None = None,
        seed: int | None = None,
        after: int | None = None,
        reveal_test: bool = False,
    ) -> NDArray[np.float64]:
        """What `query` gives for every architecture, shape ``(n,)``; NaN where nothing was measured.

        Raises:
            DataError: as `query`.
        """
        self._check_revealed(split, reveal_test)
        return self._store.read(self.find(dataset, split, metric, epochs), slice(None), seed, after)

    def cost(
        self, name: str, architecture: Architecture | str | int, *, dataset: str | None = None, epochs: int | None = None
    ) -> float:
        """A cost of an architecture.

        Args:
            name: "params" (parameters), "flops" (multiply-adds of one image), "latency" (seconds), "train_seconds", or another
                column that belongs to no split.
            architecture: as in `query`.
            dataset: needed where the cost depends on it and there are several.
            epochs: length of the training, for ``train_seconds``; needed where there are several.

        Raises:
            DataError: if the table lacks it, or needs ``dataset`` or ``epochs`` to find it.
            SpaceError: if the architecture is not in the table.
        """
        row = self.index(architecture)
        value = float(self._store.read(self._store.cost(name, dataset, epochs), row, None, None))
        if np.isnan(value):
            raise DataError(f"{name} of architecture {row} was not measured in the table {self.name}.")
        return value

    def costs(self, name: str, *, dataset: str | None = None, epochs: int | None = None) -> NDArray[np.float64]:
        """What `cost` gives for every architecture, shape ``(n,)``; NaN where nothing was measured.

        Raises:
            DataError: as `cost`.
        """
        return self._store.read(self._store.cost(name, dataset, epochs), slice(None), None, None)

    def best(
        self,
        count: int = 10,
        *,
        dataset: str,
        split: str,
        metric: str | None = None,
        epochs: int | None = None,
        reveal_test: bool = False,
    ) -> list[Best]:
        """The best architectures by their means over runs; of what is no measure the smallest.

        Args:
            count: how many.
            dataset: as in `query`.
            split: the examples.
            metric: the quantity.
            epochs: length of the training.
            reveal_test: whether to show test results.

        Raises:
            DataError: as `query`.
        """
        values = self.column(dataset=dataset, split=split, metric=metric, epochs=epochs, reveal_test=reveal_test)
        order = np.argsort(-self._ranks(values, metric), kind="stable")[:count]  # NaN comes last
        return [Best(int(i), self.native(int(i)), float(values[i])) for i in order if not np.isnan(values[i])]

    def optimum(self, **what: Any) -> Best:
        """The best architecture; the arguments are those of `best`.

        Raises:
            DataError: as `query`, or if nothing was measured.
        """
        found = self.best(1, **what)
        if not found:
            raise DataError(f"Nothing of this kind was measured in the table {self.name}.")
        return found[0]

    def rank(self, architecture: Architecture | str | int, *, metric: str | None = None, **what: Any) -> int:
        """The rank of an architecture by its mean over runs: 1 is the best; equals share the better rank.

        Args:
            architecture: as in `query`.
            metric: the quantity.
            what: ``dataset``, ``split``, ``epochs``, ``reveal_test`` as in `query`.

        Raises:
            DataError: as `query`.
            SpaceError: if the architecture is not in the table.
        """
        value = self.query(architecture, metric=metric, **what)
        values = self.column(metric=metric, **what)
        ranks = self._ranks(np.append(values, value), metric)
        return 1 + int(np.count_nonzero(ranks[:-1] > ranks[-1]))

    def for_search(
        self, *, dataset: str, split: str = "valid", metric: str | None = None, epochs: int | None = None
    ) -> "SearchTable":
        """The part of the table that a search may see: one data set, its validation split, and costs.

        Args:
            dataset: the data set.
            split: "valid", or "train".
            metric: the quantity to search by; None for the measure that ranks.
            epochs: length of the training, if not said in every query; needed where there are several.

        Raises:
            DataError: if there is no such quantity, or the split holds test examples.
        """
        if split not in FREE:
            raise DataError(f"A search sees the split {' or '.join(map(repr, FREE))}, got {split!r}: test only after it.")
        if epochs is not None:
            self.find(dataset, split, metric, epochs)
        metric = metric or self.measures[0].name
        meant = self._store.candidates(dataset, split, metric)[0].dataset
        columns = [
            c
            for c in self.columns
            if (c.split in FREE and c.dataset == meant)
            or (c.split is None and c.metric in COSTS and c.dataset in (None, meant, dataset))
        ]
        part = Table(self.path, self._store.only(columns))
        return SearchTable(part, dataset=dataset, split=split, metric=metric, epochs=epochs)

    def find(self, dataset: str, split: str, metric: str | None, epochs: int | None) -> Columns:
        """The columns of a quantity.

        Raises:
            DataError: if there is none, or the training's length must be named.
        """
        return self._store.find(dataset, split, metric, epochs)

    def has(self, dataset: str, split: str, metric: str | None, epochs: int | None) -> bool:
        """Whether the table has a quantity."""
        return self._store.has(dataset, split, metric, epochs)

    def _ranks(self, values: NDArray[np.float64], metric: str | None) -> NDArray[np.float64]:
        """Values as numbers of which the larger is better, NaN as it is."""
        return values if self.measure(metric).better == "higher" else -values

    def _check_revealed(self, split: str, reveal_test: bool) -> None:
        if split not in FREE and split in {c.split for c in self.columns} and not reveal_test:
            raise DataError(
                f"The split {split!r} holds test examples, which a search must not see: pass reveal_test=True after it."
            )


class SearchTable:
    """What a search may see of a table: the architectures, one quantity on the validation split, seconds and costs.

    `Table.for_search` makes it, without the columns of test examples.

    Args:
        table: the table without those columns.
        dataset: the data set.
        split: "valid" or "train".
        metric: the quantity to search by.
        epochs: length of the training, if the queries do not say it.
    """

    def __init__(self, table: Table, *, dataset: str, split: str, metric: str, epochs: int | None) -> None:
        self._table = table
        self.dataset, self.split, self.metric, self.epochs = dataset, split, metric, epochs

    def __reduce__(self) -> tuple[Any, ...]:
        what = {"dataset": self.dataset, "split": self.split, "metric": self.metric, "epochs": self.epochs}
        return _reopen, (self._table.path, what)

    def __len__(self) -> int:
        return len(self._table)

    @property
    def name(self) -> str:
        """The table's name."""
        return self._table.name

    @property
    def space(self) -> Space:
        """The search space."""
        return self._table.space

    @property
    def measure(self) -> Measure:
        """What its values are, and which of two is better; shares are in percent."""
        return self._table.measure(self.metric)

    @property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of training, in epochs."""
        return self._table.lengths(self.dataset, self.split, self.metric)

    def seeds(self, epochs: int | None = None) -> tuple[int, ...]:
        """The seeds of single runs; empty where only means are known."""
        return self._table.seeds(self.dataset, self.split, self.metric, epochs or self.epochs)

    def curve(self, epochs: int | None = None) -> tuple[int, ...]:
        """The numbers of finished epochs that ``after`` can name."""
        return self._table.curve(self.dataset, self.split, self.metric, epochs or self.epochs)

    def index(self, architecture: Architecture | str | int) -> int:
        """The row of an architecture."""
        return self._table.index(architecture)

    def native(self, index: int) -> str:
        """The native string of a row."""
        return self._table.native(index)

    def architecture(self, index: int) -> Architecture:
        """The architecture of a row."""
        return self._table.architecture(index)

    def query(
        self,
        architecture: Architecture | str | int,
        *,
        epochs: int | None = None,
        seed: int | None = None,
        after: int | None = None,
    ) -> float:
        """What was measured for an architecture; the arguments are those of `Table.query`."""
        what: dict[str, Any] = {"dataset": self.dataset, "split": self.split, "metric": self.metric}
        return self._table.query(architecture, **what, epochs=epochs or self.epochs, seed=seed, after=after)

    def seconds(
        self,
        architecture: Architecture | str | int,
        *,
        epochs: int | None = None,
        seed: int | None = None,
        after: int | None = None,
    ) -> float:
        """What the measurement cost: seconds of training, plus one pass over the split where the table knows its time.

        Args:
            architecture: as in `Table.query`.
            epochs: length of the training.
            seed: one run, where the table knows the seconds of single runs; None for the mean.
            after: number of finished epochs; None for the whole training.

        Raises:
            DataError: if the table does not know them.
            SpaceError: if the architecture is not in the table.

        Source: the clock of the authors' API of NAS-Bench-201: all of the training and one evaluation.
        """
        epochs = epochs or self.epochs
        dataset = self._table.find(self.dataset, self.split, self.metric, epochs).any.dataset or self.dataset
        row, total = self.index(architecture), 0.0
        for split in dict.fromkeys(("train", self.split)):
            if split != "train" and not self._table.has(dataset, split, "seconds", epochs):
                continue
            found = self._table.find(dataset, split, "seconds", epochs)
            one = seed if found.runs is not None else None
            value = self._table.query(row, dataset=dataset, split=split, metric="seconds", epochs=epochs, seed=one, after=after)
            passes = 1 if split == "train" else after or found.any.epochs or 1
            total += value / passes
        return total

    def cost(self, name: str, architecture: Architecture | str | int) -> float:
        """A cost of an architecture: "params", "flops" or "latency", see `Table.cost`."""
        return self._table.cost(name, architecture, dataset=self.dataset, epochs=self.epochs)

    def costs(self, name: str) -> NDArray[np.float64]:
        """What `cost` gives for every architecture, shape ``(n,)``."""
        return self._table.costs(name, dataset=self.dataset, epochs=self.epochs)


def _reopen(path: str, what: Mapping[str, Any]) -> SearchTable:
    return Table.open(path).for_search(**what)
