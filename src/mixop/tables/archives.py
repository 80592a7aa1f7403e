"""Tables from the official files of NAS-Bench-201 and NATS-Bench.

One file (``.pth``, ``.pickle.pbz2``), the directory ``simple`` of one file for each architecture, and archives of single
architectures (``000123-FULL.pth``) all hold the same records: an architecture's results by data set and seed, each with its
curves. Records are taken out one by one, so a whole file is never in memory.

Source: Dong & Yang 2020 (arXiv:2001.00326), Dong et al. 2021 (arXiv:2009.00437); layout as their public code writes it.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError, SpaceError
from mixop.core.scratch import scratch_folder
from mixop.spaces.core import Space
from mixop.spaces.nasbench201 import NasBench201, benchmark_order
from mixop.tables.unpickle import ForgottenError, Packed
from mixop.tables.write import Column, source_of, write_table

Observer = Callable[[int, int], None]
"""Called with how much is done, and with the total."""

REDIRECT = {"cifar10": {"valid": "cifar10-valid"}}
"""Searches on CIFAR-10 train on half of its training images; the benchmark calls that cifar10-valid."""

IMAGES: Mapping[tuple[str, str], int] = {
    ("cifar10-valid", "train"): 25_000,
    ("cifar10-valid", "valid"): 25_000,
    ("cifar10-valid", "test"): 10_000,
    ("cifar10", "train"): 50_000,
    ("cifar10", "test"): 10_000,
    ("cifar100", "train"): 50_000,
    ("cifar100", "valid"): 5_000,
    ("cifar100", "test"): 5_000,
    ("cifar100", "valtest"): 10_000,
    ("ImageNet16-120", "train"): 151_700,
    ("ImageNet16-120", "valid"): 3_000,
    ("ImageNet16-120", "test"): 3_000,
    ("ImageNet16-120", "valtest"): 6_000,
}
"""Number of images in the benchmark's splits."""

_FILE = re.compile(r"(\d+)(?:-FULL)?\.(?:pth|pickle\.pbz2)")
_MOST = 1_000_000
_SEED_OF_COSTS = 888


def split_of(dataset: str, name: str) -> str | None:
    """What a table calls one of the benchmark's sets: ``ori-test`` is CIFAR-10's test, and valid and test of the others."""
    if name == "ori-test":
        return "test" if dataset in ("cifar10-valid", "cifar10") else "valtest"
    return {"train": "train", "x-valid": "valid", "x-test": "test"}.get(name)


def is_archive(path: Path) -> bool:
    """Whether a directory holds files of single architectures."""
    return path.is_dir() and any(_FILE.fullmatch(file.name) for file in path.iterdir())


def convert_official(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    name: str | None = None,
    curves: bool = False,
    observe: Observer | None = None,
) -> Path:
    """Makes a table from an official file or directory.

    Args:
        source: a ``.pth`` or ``.pickle.pbz2`` of the whole benchmark, a directory ``simple`` with ``meta.pickle.pbz2``, or a
            directory of ``{index:06d}-FULL.pth`` or ``{index:06d}.pickle.pbz2``.
        target: the table.
        name: of the table; None for the name of the source.
        curves: whether to keep every epoch, or only the end of each training and its seconds.
        observe: called with the bytes read and their total; for a directory, with files.

    Returns:
        The path of the table.

    Raises:
        DataError: if the source is missing or damaged, contradicts itself, or names something that no benchmark file needs,
            or if the table cannot be written.
    """
    try:
        return _convert(Path(source), target, name, curves, observe, forget=True)
    except ForgottenError:  # records share parts, so everything must stay in memory until the end
        return _convert(Path(source), target, name, curves, observe, forget=False)


def _convert(
    path: Path,
    target: str | os.PathLike[str],
    name: str | None,
    curves: bool,
    observe: Observer | None,
    *,
    forget: bool,
) -> Path:
    with scratch_folder("mixop-table-") as folder:
        records = _Records(folder, curves, forget)
        if path.is_dir():
            texts, origin = _read_directory(path, records, observe)
        else:
            content = Packed(path, observe).read(records.take)
            texts, origin = _texts(content, repr(str(path))), source_of(path)
        if not records.found:
            raise DataError(f"{str(path)!r} must hold results of architectures, but holds none.")
        count, space = _place(records, texts, repr(str(path)))
        return write_table(
            target,
            records.columns(count),
            name=name or path.name.partition(".")[0],
            architectures=texts or tuple(map(_text, benchmark_order())),
            space=space,
            space_name="natsbench-size",
            redirect=REDIRECT if any(key[0] == "cifar10-valid" for key in records.found) else {},
            source={**origin, "evaluated": len(records.texts)},
        )


def _read_directory(path: Path, records: "_Records", observe: Observer | None) -> tuple[tuple[str, ...], dict[str, Any]]:
    """Takes the records of every file; returns the architectures of its ``meta`` file, if there is one, and its origin."""
    files = sorted(file for file in path.iterdir() if _FILE.fullmatch(file.name))
    if not files:
        raise DataError(f"{str(path)!r} holds no files of single architectures such as 000123.pickle.pbz2 or 000123-FULL.pth.")
    texts: tuple[str, ...] = ()
    meta = path / "meta.pickle.pbz2"
    digest = sha256()
    if meta.is_file():
        texts = _texts(Packed(meta).read(_leave), repr(str(meta)))
        files_and_meta = [meta, *files]
    else:
        files_and_meta = files
    for done, file in enumerate(files_and_meta):
        if file is not meta:
            match = _FILE.fullmatch(file.name)
            assert match is not None
            before = set(records.texts)
            Packed(file).read(records.take)
            index = int(match[1])
            if not set(records.texts) - before <= {index} or index not in records.texts:
                raise DataError(f"{str(file)!r} must hold the results of architecture {index}, but holds others or none.")
        digest.update(f"{file.name} {source_of(file)['sha256']}\n".encode())
        if observe is not None:
            observe(done + 1, len(files_and_meta))
    return texts, {"directory": path.name, "files": len(files_and_meta), "sha256": digest.hexdigest()}


def _leave(_: dict[Any, Any]) -> bool:
    return False


def _texts(content: Any, where: str) -> tuple[str, ...]:
    """The architectures that a file of the whole benchmark lists."""
    if not isinstance(content, dict) or not isinstance(content.get("meta_archs"), list | tuple):
        raise DataError(f"{where} must hold a dictionary with meta_archs, as official files of the whole benchmark do.")
    texts = tuple(content["meta_archs"])
    if not texts or not all(isinstance(text, str) for text in texts):
        raise DataError(f"meta_archs of {where} must list the architectures as texts.")
    return texts


def _place(records: "_Records", texts: tuple[str, ...], where: str) -> tuple[int, Space | None]:
    """The number of rows, and the space; refuses records whose architectures differ from the list."""
    space: Space | None = NasBench201()
    if not texts:
        texts = tuple(map(_text, benchmark_order()))
    else:
        try:
            space.from_native(texts[0])
        except SpaceError:
            space = None  # NATS-Bench's size space, channels like 64:32:16:8:24
    for index, text in records.texts.items():
        if index >= len(texts) or texts[index] != text:
            named = repr(texts[index]) if index < len(texts) else "nothing"
            raise DataError(f"{where} contradicts itself: architecture {index} is {named}, but its results are for {text!r}.")
    return len(texts), space


def _text(operations: tuple[str, ...]) -> str:
    """The native string of the operations on the six edges."""
    a, b, c, d, e, f = operations
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


class _Series:
    """One quantity of one run of every architecture, ``(n, T)`` float32; curves lie in a file to save memory."""

    def __init__(self, folder: Path, number: int, length: int) -> None:
        self.path, self.length = folder / str(number), length
        self.rows = 0
        self.values: NDArray[np.float32] = np.empty((0, length), dtype=np.float32)
        self.even = True

    def put(self, index: int, values: NDArray[np.float32]) -> None:
        """Sets a row."""
        if index >= len(self.values):
            self.grow(max(2 * len(self.values), index + 1, 1024))
        self.values[index] = values

    def grow(self, rows: int) -> None:
        """Makes room; new rows are NaN."""
        if rows <= len(self.values):
            return
        before = len(self.values)
        if self.length == 1:
            larger = np.full((rows, 1), np.nan, dtype=np.float32)
            larger[:before] = self.values
            self.values = larger
            return
        with self.path.open("ab") as file:
            file.truncate(rows * self.length * 4)
        self.values = np.memmap(self.path, dtype=np.float32, mode="r+", shape=(rows, self.length))
        self.values[before:] = np.nan


class _Stack:
    """Several series side by side, ``(n, R)`` or ``(n, R, T)``, joined when rows are read."""

    dtype = np.dtype(np.float32)

    def __init__(self, series: list[_Series], count: int) -> None:
        self.series, self.curve = series, series[0].length > 1
        self.shape: tuple[int, ...] = (count, len(series), *([series[0].length] if self.curve else []))
        for one in series:
            one.grow(count)

    def __getitem__(self, rows: slice, /) -> NDArray[Any]:
        begin, end, _ = rows.indices(self.shape[0])
        values = np.stack([one.values[begin:end] for one in self.series], axis=1)
        return values if self.curve else values[..., 0]


class _Records:
    """Takes records out of dictionaries as they are filled, and keeps the numbers.

    Args:
        folder: a temporary folder for curves.
        curves: whether to keep every epoch.
        forget: whether records are independent of each other, as they are in all official files that we know.
    """

    def __init__(self, folder: Path, curves: bool, forget: bool = True) -> None:
        self.folder, self.curves, self.forget = folder, curves, forget
        self.texts: dict[int, str] = {}
        # (data set, split or None, metric, epochs) -> seed -> series
        self.found: dict[tuple[str, str | None, str, int], dict[int, _Series]] = {}
        self.number = 0

    def take(self, filled: dict[Any, Any]) -> bool:
        """Empties a dictionary that is a result or a record of an architecture; leaves all others unchanged.

        Returns:
            Whether it was a whole record, so that nothing before it is needed any more.
        """
        if "eval_acc1es" in filled and "train_acc1es" in filled:
            reduced = dict(self._reduce(filled))
            length = int(filled["epochs"])
            filled.clear()
            filled.update(reduced=reduced, epochs=length)
        elif "all_results" in filled and "arch_index" in filled:
            self._record(filled)
            filled.clear()
            return self.forget
        return False

    def columns(self, count: int) -> list[Column]:
        """Everything as columns of a table with ``count`` rows."""
        columns = []
        for (dataset, split, metric, epochs), runs in sorted(self.found.items(), key=str):
            series = [runs[seed] for seed in sorted(runs)]
            if split is None and metric in ("params", "flops"):
                continue
            even = metric == "seconds" and all(one.even for one in series)
            if even:  # then the total is enough
                series = [_last(one) for one in series]
            columns.append(
                Column(
                    metric=metric,
                    values=_Stack(series, count),
                    dataset=dataset,
                    split=split,
                    epochs=epochs,
                    seeds=tuple(sorted(runs)),
                    after=tuple(range(1, epochs + 1)) if series[0].length > 1 else None,
                    images=IMAGES.get((dataset, split or "")) if metric == "accuracy" else None,
                    linear=even,
                )
            )
        for metric in ("params", "flops"):
            for dataset in sorted({key[0] for key in self.found if key[2] == metric}):
                columns.append(Column(metric=metric, values=self._costs(dataset, metric, count), dataset=dataset))
        return columns

    def _costs(self, dataset: str, metric: str, count: int) -> NDArray[np.float64] | NDArray[np.int64]:
        """Parameters or multiply-adds, of the longest training first; where trials disagree, those of seed 888 count."""
        values = np.full(count, np.nan)
        keys = sorted((key for key in self.found if (key[0], key[2]) == (dataset, metric)), key=lambda key: -key[3])
        for key in keys:
            runs = self.found[key]
            stacked = _Stack([runs[seed] for seed in sorted(runs)], count)[0:count].astype(np.float64)
            low = np.where(np.isnan(stacked), np.inf, stacked).min(1)
            high = np.where(np.isnan(stacked), -np.inf, stacked).max(1)
            own = np.where(low == high, low, np.nan)
            if _SEED_OF_COSTS in runs:
                own = np.where(np.isnan(own), stacked[:, sorted(runs).index(_SEED_OF_COSTS)], own)
            there = np.maximum((~np.isnan(stacked)).sum(1), 1)
            mean = np.where(np.isfinite(low), np.where(np.isnan(stacked), 0, stacked).sum(1) / there, np.nan)
            own = np.where(np.isnan(own), mean, own)
            values = np.where(np.isnan(values), own, values)
        return from_millions(values)

    def _reduce(self, result: dict[Any, Any]) -> Iterator[tuple[tuple[str | None, str], tuple[NDArray[np.float32], bool]]]:
        """The numbers of a run: the values ``(T,)`` or ``(1,)`` by split and metric, and whether they grow evenly."""
        epochs, dataset = int(result["epochs"]), str(result["name"])
        if not 1 <= epochs <= 100_000:
            raise ValueError(f"a training has {epochs} epochs")
        for metric, key in (("accuracy", "train_acc1es"), ("loss", "train_losses"), ("seconds", "train_times")):
            yield from self._series("train", metric, result.get(key), list(range(epochs)))
        for name in result.get("eval_names") or ():
            split = split_of(dataset, str(name))
            if split is None:
                raise ValueError(f"it has results on the set {name!r}, which is not known")
            keys = [f"{name}@{epoch}" for epoch in range(epochs)]
            for metric, key in (("accuracy", "eval_acc1es"), ("loss", "eval_losses"), ("seconds", "eval_times")):
                yield from self._series(split, metric, result.get(key), keys)
        latency = [float(seconds) for seconds in result.get("latency") or () if seconds is not None]
        mean = sum(latency) / len(latency) if latency else 0.0
        costs = {"params": result.get("params"), "flops": result.get("flop"), "latency": mean if mean > 0 else None}
        for metric, value in costs.items():
            if value is not None:
                yield (None, metric), (np.array([float(value)], dtype=np.float32), False)

    def _series(
        self, split: str, metric: str, by_epoch: Any, keys: list[Any]
    ) -> Iterator[tuple[tuple[str | None, str], tuple[NDArray[np.float32], bool]]]:
        if not by_epoch:
            return
        values = np.array([_number(by_epoch.get(key)) for key in keys])
        even = False
        if metric == "seconds":
            even = bool(np.all(values == values[0]))
            values = len(values) * values[:1] if even and not self.curves else np.cumsum(values)
        yield (split, metric), ((values if self.curves else values[-1:]).astype(np.float32), even)

    def _record(self, record: dict[Any, Any]) -> None:
        index, text = int(record["arch_index"]), record["arch_str"]
        if not 0 <= index < _MOST:
            raise ValueError(f"an architecture has the number {index}")
        if not isinstance(text, str):
            raise ValueError(f"architecture {index} is named by {text!r}")
        if self.texts.setdefault(index, text) != text:
            raise ValueError(f"architecture {index} is {text!r} and {self.texts[index]!r}")
        for (dataset, seed), result in record["all_results"].items():
            length = result["epochs"]
            for (split, metric), (values, even) in result["reduced"].items():
                runs = self.found.setdefault((str(dataset), split, metric, length), {})
                if int(seed) not in runs:
                    self.number += 1
                    runs[int(seed)] = _Series(self.folder, self.number, len(values))
                series = runs[int(seed)]
                series.put(index, values)
                series.even &= even


def _number(value: Any) -> float:
    return np.nan if value is None else float(value)


def _last(series: _Series) -> _Series:
    """The end of a curve as a separate series."""
    if series.length == 1:
        return series
    end = _Series(series.path.parent, 0, 1)
    end.values = np.array(series.values[:, -1:])
    return end


def from_millions(values: NDArray[Any]) -> NDArray[np.float64] | NDArray[np.int64]:
    """Converts millions to ones: to whole numbers, if every value is the float32 of a multiple of 640, 10 or 1.

    float32 cannot tell single units apart among hundreds of millions. Multiply-adds of nasbench201 are multiples of 640, the
    smallest classifier, and it can tell those apart. Where it cannot tell multiples apart, values stay fractional.

    Args:
        values: numbers in millions, NaN where one is missing.
    """
    values = np.asarray(values, dtype=np.float64)
    known = values[~np.isnan(values)]
    finest = 1e6 * float(np.spacing(np.float32(np.abs(known).max(initial=0))))
    for unit in (640, 10, 1):
        whole = unit * np.rint(known * (1e6 / unit))
        if finest < unit and np.array_equal((whole / 1e6).astype(np.float32), known.astype(np.float32)):
            exact = values.copy()
            exact[~np.isnan(values)] = whole
            return exact.astype(np.int64) if len(known) == len(values) else exact
    return 1e6 * values
