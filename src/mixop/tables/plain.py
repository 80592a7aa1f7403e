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

from mixop.core.errors import DataError
from mixop.core.files import open_file
from mixop.core.measure import Measure
from mixop.spaces.core import Space
from mixop.spaces.nasbench201 import NasBench201
from mixop.tables.archives import IMAGES, REDIRECT, Observer, from_millions
from mixop.tables.arrays import read_npz, recognised, refuse_shape, strings_of
from mixop.tables.built import convert_arrays, is_built
from mixop.tables.layout import USUAL
from mixop.tables.write import Column, source_of, write_table

NAMES = ("arch", "architecture")
"""Names that the column of native strings may have."""

_DATASETS = {"c10": "cifar10", "c10valid": "cifar10-valid", "c100": "cifar100", "in16": "ImageNet16-120"}
_SPLITS = "train|valid|test|valtest"
_REST = r"(?:_e(?P<epochs>\d+))?(?:_(?:(?P<runs>runs)|seed(?P<seed>\d+)))?"
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
    measures: Sequence[Measure] = USUAL,
    observe: Observer | None = None,
) -> Path:
    """Makes a table from an ``.npz`` file of plain arrays.

    ``arch`` ``(n,)`` holds the native strings. What else it holds is said by the names, ``DATASET_SPLIT_eEPOCHS`` for the
    measure that ranks, for example ``c10_valid_e200`` for accuracies in percent; ``DATASET_SPLIT_METRIC_eEPOCHS`` for the
    other measures and for "seconds"; ``..._runs`` for arrays ``(n, R)`` of single runs, NaN where there was none. ``params``,
    ``flops`` and, in millions, ``params_m``, ``flops_m`` are costs; any other name is kept as a column that belongs to no data
    set. ``c10``, ``c100`` and ``in16`` mean the data sets of NAS-Bench-201, and ``c10_valid`` its trainings on half of
    CIFAR-10. The file of a built benchmark is read as `convert_built` does.

    Args:
        source: the file.
        target: the table.
        name: of the table; None for the name of the source.
        space: the space of the architectures; None to recognise NAS-Bench-201 and keep texts otherwise.
        measures: what the networks were measured by, the ranking one first; a share is in percent.
        observe: called with the arrays read and their total.

    Raises:
        DataError: if the file is missing, damaged, its arrays do not fit together, or the table cannot be written.
        SpaceError: if an architecture is not in the space.
    """
    path = Path(source)
    arrays = read_npz(path, observe)
    if is_built(arrays):
        return convert_arrays(path, target, arrays, name=name, space=space)
    return _convert_columns(path, target, arrays, name, space, measures)


def convert_csv(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    name: str | None = None,
    space: Space | None = None,
    measures: Sequence[Measure] = USUAL,
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
        measures: as in `convert_npz`.
        observe: called with the bytes read and their total.

    Raises:
        DataError: if the file is missing, a cell is not a number, or the table cannot be written.
        SpaceError: if an architecture is not in the space.
    """
    path = Path(source)
    try:
        size = path.stat().st_size
        with open_file(path) as raw, io.TextIOWrapper(raw, newline="", encoding="utf-8-sig") as file:
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
    gathered, seeds = _gather_runs(arrays, _quantity(measures))
    return _convert_columns(path, target, gathered, name, space, measures, seeds)


def _convert_columns(
    path: Path,
    target: str | os.PathLike[str],
    arrays: Mapping[str, NDArray[Any]],
    name: str | None,
    space: Space | None,
    measures: Sequence[Measure],
    seeds: Mapping[str, tuple[int, ...]] | None = None,
) -> Path:
    key = next((key for key in NAMES if key in arrays), None)
    if key is None:
        raise DataError(f"{str(path)!r} must hold the architectures' native strings under the name arch, but does not.")
    texts = strings_of(arrays[key], path)
    space = space or recognised(texts)
    columns: list[Column] = []
    for title, values in arrays.items():
        if title != key:
            refuse_shape(title, values, len(texts), path)
            runs = (seeds or {}).get(title) or (tuple(range(values.shape[1])) if values.ndim == 2 else None)
            columns += _columns(title, values, runs, measures, isinstance(space, NasBench201))
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
        measures=measures,
        redirect=REDIRECT if ("cifar10-valid", "valid") in there else {},
        source=source_of(path),
    )


def _quantity(measures: Sequence[Measure]) -> re.Pattern[str]:
    """How a column of measured values is called."""
    metrics = "|".join(re.escape(name) for name in (*(measure.name for measure in measures), "seconds"))
    return re.compile(rf"(?P<dataset>.+)_(?P<split>{_SPLITS})(?:_(?P<metric>{metrics}))?{_REST}")


def _columns(
    title: str, values: NDArray[Any], seeds: tuple[int, ...] | None, measures: Sequence[Measure], nasbench201: bool
) -> list[Column]:
    """The columns of a table that one array becomes."""
    if title in _MILLIONS:
        metric, whole = _MILLIONS[title], from_millions(values)
        if metric != "params" or not nasbench201:
            return [Column(metric=metric, values=whole, dataset="cifar10" if nasbench201 else None)]
        sized = {more: whole + more if more else whole for more in set(_HEADS.values())}
        return [Column(metric=metric, values=sized[more], dataset=dataset) for dataset, more in _HEADS.items()]
    match = _quantity(measures).fullmatch(title)
    if match is None or values.dtype.kind not in "iuf":
        return [Column(metric=title, values=values, seeds=seeds)]
    short, split, epochs = match["dataset"], match["split"], match["epochs"]
    dataset = _DATASETS.get(short, short)
    if (short, split) == ("c10", "valid"):
        dataset = REDIRECT["cifar10"]["valid"]
    metric = match["metric"] or measures[0].name
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


def _gather_runs(
    arrays: Mapping[str, NDArray[Any]], quantity: re.Pattern[str]
) -> tuple[dict[str, NDArray[Any]], dict[str, tuple[int, ...]]]:
    """Columns ``..._seed777``, ``..._seed888`` as one array ``(n, R)``; and the seeds of each."""
    gathered: dict[str, dict[int, NDArray[Any]]] = {}
    others: dict[str, NDArray[Any]] = {}
    for title, values in arrays.items():
        match = quantity.fullmatch(title)
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
