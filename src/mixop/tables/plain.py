"""Tables from plain arrays: ``.npz`` and CSV files whose column names say what they hold."""

import csv
import io
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError, SpaceError
from mixop.spaces.core import Space
from mixop.spaces.nasbench201 import NASBENCH201_OPERATIONS, NasBench201
from mixop.tables.archives import IMAGES, REDIRECT, Observer, from_millions
from mixop.tables.layout import Column, source_of, write_table

NAMES = ("arch", "architecture")
"""Names that the column of native strings may have."""

_DATASETS = {"c10": "cifar10", "c10valid": "cifar10-valid", "c100": "cifar100", "in16": "ImageNet16-120"}
_QUANTITY = re.compile(
    r"(?P<dataset>.+)_(?P<split>train|valid|test|valtest)(?:_(?P<metric>accuracy|loss|seconds))?(?:_e(?P<epochs>\d+))?"
    r"(?:_(?:(?P<runs>runs)|seed(?P<seed>\d+)))?"
)
_MILLIONS = {"params_m": "params", "flops_m": "flops"}
_HEADS = {"cifar10": 0, "cifar10-valid": 0, "cifar100": 5_850, "ImageNet16-120": 7_150}
"""Parameters that the classifier of nasbench201 has beyond the one for ten classes."""

_TWELFTH = 12 / 200


def convert_npz(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    name: str | None = None,
    space: Space | None = None,
    observe: Observer | None = None,
) -> Path:
    """Makes a table from an ``.npz`` file of plain arrays.

    ``arch`` ``(n,)`` holds the native strings. The name of every other array says what it holds: ``DATASET_SPLIT_eEPOCHS``
    accuracies in percent, for example ``c10_valid_e200``; ``DATASET_SPLIT_METRIC_eEPOCHS`` "loss" or "seconds"; ``..._runs``
    single runs ``(n, R)``, NaN where there was none. ``params``, ``flops`` and, in millions, ``params_m``, ``flops_m`` are
    costs. Any other name becomes a column that belongs to no data set. ``c10``, ``c100`` and ``in16`` mean the data sets of
    NAS-Bench-201, and ``c10_valid`` its trainings on half of CIFAR-10.

    Args:
        source: the file.
        target: the table.
        name: of the table; None for the name of the source.
        space: the space of the architectures; None to recognise NAS-Bench-201 and keep texts otherwise.
        observe: called with the arrays read and their total.

    Raises:
        DataError: if the file is missing, damaged, its arrays do not fit together, or the table cannot be written.
        SpaceError: if an architecture is not in the space.
    """
    path = Path(source)
    arrays = read_npz(path, observe)
    if "valid_correct" in arrays:
        return _convert_built(path, target, arrays, name, space, None)
    return _convert_columns(path, target, arrays, name, space)


def convert_csv(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    name: str | None = None,
    space: Space | None = None,
    observe: Observer | None = None,
) -> Path:
    """Makes a table from a CSV file with a header line.

    The columns have the names of the arrays of `convert_npz`; single runs end in ``_seed777`` and so on. An empty cell was not
    measured.

    Args:
        source: the file, UTF-8.
        target: the table.
        name: of the table; None for the name of the source.
        space: as in `convert_npz`.
        observe: called with the bytes read and their total.

    Raises:
        DataError: if the file is missing, a cell is not a number, or the table cannot be written.
        SpaceError: if an architecture is not in the space.
    """
    path = Path(source)
    try:
        size = path.stat().st_size
        with path.open("rb") as raw, io.TextIOWrapper(raw, newline="", encoding="utf-8-sig") as file:
            reader = csv.reader(file)
            head = [cell.strip() for cell in next(reader, [])]
            if len(set(head)) != len(head) or not set(head) & set(NAMES):
                raise DataError(f"The first line of {str(path)!r} must name its columns, all different, one of them arch.")
            columns: dict[str, list[Any]] = {title: [] for title in head}
            for row in reader:
                if not row:
                    continue
                if len(row) != len(head):
                    raise DataError(f"Line {reader.line_num} of {str(path)!r} must have {len(head)} cells, got {len(row)}.")
                for title, cell in zip(head, row, strict=True):
                    columns[title].append(cell if title in NAMES else _cell(cell, title, f"{path} line {reader.line_num}"))
                if observe is not None and reader.line_num % 1000 == 0:
                    observe(raw.tell(), size)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Cannot read {str(path)!r} as a CSV file in UTF-8: {error}.") from error
    if observe is not None:
        observe(size, size)
    arrays = {title: np.array(cells) for title, cells in columns.items()}
    gathered, seeds = _gather_runs(arrays)
    return _convert_columns(path, target, gathered, name, space, seeds)


def convert_built(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    name: str | None = None,
    space: Space | None = None,
    dataset: str | None = None,
    observe: Observer | None = None,
) -> Path:
    """Makes a table from the ``.npz`` file that building a benchmark writes.

    It holds ``arch`` ``(n,)``, ``valid_correct`` and ``test_correct`` ``(n, R, T)`` (right answers), ``train_loss`` of the same
    shape in nats, ``epochs`` ``(T,)`` (finished epochs, of one training), ``seeds`` ``(R,)``, ``valid_images`` and
    ``test_images`` (sizes of the splits), ``params``, ``flops`` and ``seconds``, ``(n,)`` or ``(n, R)``, of the whole training.

    Args:
        source: the file.
        target: the table.
        name: of the table; None for the name of the source.
        space: the space; None for nasbench201 with the operations that occur.
        dataset: the data set; None for the file's entry ``dataset``, or else what follows the last dash of the name.
        observe: called with the arrays read and their total.

    Raises:
        DataError: if the file is missing, damaged, its arrays do not fit together, or the table cannot be written.
        SpaceError: if an architecture is not in the space.
    """
    path = Path(source)
    return _convert_built(path, target, read_npz(path, observe), name, space, dataset)


def read_npz(path: Path, observe: Observer | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file without objects.

    Raises:
        DataError: if it is missing, damaged, or holds objects.
    """
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            arrays = {}
            for done, key in enumerate(file.files):
                arrays[key] = file[key]
                if observe is not None:
                    observe(done + 1, len(file.files))
            return arrays
    except FileNotFoundError as error:
        raise DataError(f"Cannot read {str(path)!r}: there is no such file.") from error
    except Exception as error:  # a damaged zip file provokes a dozen kinds of errors
        raise DataError(f"{str(path)!r} is damaged, or not an .npz file of plain arrays: {error}.") from error


def _convert_columns(
    path: Path,
    target: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    name: str | None,
    space: Space | None,
    seeds: Mapping[str, tuple[int, ...]] | None = None,
) -> Path:
    key = next((key for key in NAMES if key in arrays), None)
    if key is None:
        raise DataError(f"{str(path)!r} must hold the architectures' native strings under the name arch, but does not.")
    texts = _strings(arrays[key], path)
    space = space or _recognised(texts)
    columns: list[Column] = []
    for title, values in arrays.items():
        if title != key:
            _refuse_shape(title, values, len(texts), path)
            runs = (seeds or {}).get(title) or (tuple(range(values.shape[1])) if values.ndim == 2 else None)
            columns += _columns(title, values, runs, isinstance(space, NasBench201))
    if not columns:
        raise DataError(f"{str(path)!r} must hold measurements besides the architectures, but does not.")
    there = {(column.dataset, column.split) for column in columns}
    return write_table(
        target,
        columns,
        name=name or path.stem,
        architectures=texts,
        space=space,
        space_name="unknown",
        redirect=REDIRECT if ("cifar10-valid", "valid") in there else {},
        source=source_of(path),
    )


def _columns(title: str, values: NDArray[Any], seeds: tuple[int, ...] | None, nasbench201: bool) -> list[Column]:
    """The columns of a table that one array becomes."""
    if title in _MILLIONS:
        metric, whole = _MILLIONS[title], from_millions(values)
        if metric != "params" or not nasbench201:
            return [Column(metric=metric, values=whole, dataset="cifar10" if nasbench201 else None)]
        sized = {more: whole + more if more else whole for more in set(_HEADS.values())}
        return [Column(metric=metric, values=sized[more], dataset=dataset) for dataset, more in _HEADS.items()]
    match = _QUANTITY.fullmatch(title)
    if match is None or values.dtype.kind not in "iuf":
        return [Column(metric=title, values=values, seeds=seeds)]
    short, split, epochs = match["dataset"], match["split"], match["epochs"]
    dataset = _DATASETS.get(short, short)
    if (short, split) == ("c10", "valid"):
        dataset = REDIRECT["cifar10"]["valid"]
    metric = match["metric"] or "accuracy"
    column = Column(
        metric=metric,
        values=values,
        dataset=dataset,
        split=split,
        epochs=int(epochs) if epochs else None,
        seeds=seeds,
        images=IMAGES.get((dataset, split)) if metric == "accuracy" else None,
        linear=metric == "seconds" and epochs is not None,
    )
    if not (nasbench201 and column.linear and column.epochs == 200 and split == "train" and column.seeds is None):
        return [column]
    # An epoch takes the same time in both trainings of the benchmark.
    short_one = {"values": (values.astype(np.float64) * _TWELFTH).astype(np.float32), "epochs": 12}
    note = "12/200 of the seconds of 200 epochs"
    return [column, Column(metric=metric, dataset=dataset, split=split, linear=True, note=note, **short_one)]


def _convert_built(
    path: Path,
    target: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    name: str | None,
    space: Space | None,
    dataset: str | None,
) -> Path:
    needed = ("arch", "valid_correct", "test_correct", "train_loss", "epochs", "seeds", "valid_images", "test_images")
    for key in (*needed, "params", "flops", "seconds"):
        if key not in arrays:
            raise DataError(f"{str(path)!r} must hold {key}, as files of built benchmarks do, but does not.")
    texts = _strings(arrays["arch"], path)
    epochs, seeds = (tuple(int(number) for number in np.atleast_1d(arrays[key])) for key in ("epochs", "seeds"))
    shape = (len(texts), len(seeds), len(epochs))
    for key in ("valid_correct", "test_correct", "train_loss"):
        if arrays[key].shape != shape:
            raise DataError(f"{key} of {str(path)!r} must have the shape {shape}, got {arrays[key].shape}.")
    for key in ("params", "flops", "seconds"):
        _refuse_shape(key, arrays[key], len(texts), path)
    name = name or path.stem
    if dataset is None:
        dataset = str(arrays["dataset"]) if "dataset" in arrays else name.rpartition("-")[2]
    here: dict[str, Any] = {"dataset": dataset, "epochs": epochs[-1], "seeds": seeds, "after": epochs}
    columns = []
    for split in ("valid", "test"):
        correct, images = arrays[f"{split}_correct"], int(arrays[f"{split}_images"])
        if correct.max() > images:
            raise DataError(f"{split}_correct of {str(path)!r} counts {correct.max()} of {images} images.")
        percent = 100 * correct.astype(np.float64) / images
        columns.append(Column(metric="accuracy", split=split, values=percent, images=images, **here))
    columns.append(Column(metric="loss", split="train", values=arrays["train_loss"], **here))
    seconds = arrays["seconds"]
    runs = seeds if seconds.ndim == 2 and seconds.shape[1] == len(seeds) else None
    if seconds.ndim == 2 and runs is None:
        raise DataError(f"seconds of {str(path)!r} must have the shape {shape[:1]} or {shape[:2]}, got {seconds.shape}.")
    columns.append(
        Column(metric="seconds", split="train", values=seconds, dataset=dataset, epochs=epochs[-1], seeds=runs, linear=True)
    )
    columns += [Column(metric=metric, values=arrays[metric], dataset=dataset) for metric in ("params", "flops")]
    return write_table(
        target,
        columns,
        name=name,
        architectures=texts,
        space=space or _recognised(texts, only=True),
        space_name="unknown",
        source=source_of(path),
    )


def _recognised(texts: Sequence[str], *, only: bool = False) -> Space | None:
    """The space of NAS-Bench-201 if the texts belong to it; with ``only``, just the operations that occur."""
    try:
        NasBench201().from_native(texts[0])
    except SpaceError:
        return None
    if not only:
        return NasBench201()
    there = {operation for text in texts for operation in re.findall(r"([^|~+\s]+)~", text)}
    return NasBench201(operations=tuple(operation for operation in NASBENCH201_OPERATIONS if operation in there))


def _strings(values: NDArray[Any], path: Path) -> list[str]:
    if values.ndim != 1 or values.dtype.kind not in "SU" or not len(values):
        raise DataError(f"The architectures of {str(path)!r} must be a list of texts, got {values.dtype} {values.shape}.")
    return [text.decode() if isinstance(text, bytes) else str(text) for text in values.tolist()]


def _refuse_shape(title: str, values: NDArray[Any], count: int, path: Path) -> None:
    if values.ndim not in (1, 2) or len(values) != count or values.dtype.kind not in "iufb":
        raise DataError(
            f"{title} of {str(path)!r} must hold a number (or one for each run) for each of the {count} architectures, got "
            f"{values.dtype} {values.shape}."
        )


def _gather_runs(arrays: Mapping[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[int, ...]]]:
    """Columns ``..._seed777``, ``..._seed888`` as one array ``(n, R)``; and the seeds of each."""
    gathered: dict[str, dict[int, NDArray[Any]]] = {}
    others: dict[str, NDArray[Any]] = {}
    for title, values in arrays.items():
        match = _QUANTITY.fullmatch(title)
        if match is None or match["seed"] is None:
            others[title] = values
        else:
            gathered.setdefault(f"{title.rpartition('_seed')[0]}_runs", {})[int(match["seed"])] = values
    stacked = {title: np.stack([runs[seed] for seed in sorted(runs)], axis=1) for title, runs in gathered.items()}
    return {**others, **stacked}, {title: tuple(sorted(runs)) for title, runs in gathered.items()}


def _cell(text: str, title: str, where: str) -> float:
    try:
        return float(text) if text.strip() else np.nan
    except ValueError:
        raise DataError(f"{title} in {where} must be a number, or empty, got {text!r}.") from None
