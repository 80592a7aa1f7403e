"""Tables from the files of NAS-Bench-101: the published TFRecord file, and the JSON files that people make of it.

Every record of the published file is a JSON list: the hash of a cell, the epochs of a training, the matrix, the operations, and
what was measured, a protobuf message in base64. There are three trainings of each length.

Source: Ying et al. 2019 (arXiv:1902.09635); layout as ``api.py`` and ``model_metrics.proto`` of the authors' code read it.
"""

import base64
import binascii
import os
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from mixop.core.errors import DataError, SpaceError
from mixop.core.files import read_file
from mixop.core.measure import ACCURACY
from mixop.core.outside import MalformedError, parse_json, shortened
from mixop.spaces.model_spec import ModelSpec, spec_of
from mixop.spaces.nasbench101 import NasBench101
from mixop.tables.archives import Observer
from mixop.tables.tfrecord import records
from mixop.tables.write import Column, source_of, write_table

DATASET = "cifar10"
"""All of it is about CIFAR-10: 40,000 images to train on, 10,000 to validate, 10,000 to test."""

LENGTH = 108
"""Epochs of a training where a file does not say."""

_SPLITS = ("train", "valid", "test")
_HASHES = ("module_hash", "unique_hash", "hash_", "hash")
_PARAMETERS = ("trainable_parameters", "n_params", "params")
_ACCURACIES = {"train": "train_accuracy", "valid": "validation_accuracy", "test": "test_accuracy"}
_EVALUATION = (2, 3, 4, 5)
"""Fields of a measurement: seconds of training, then accuracies on training, validation and test images."""
_LONGEST = 1e9
"""Seconds that a training may have taken."""
_PREFIXES = ("", "avg_", "final_")


class Measured(NamedTuple):
    """One training, or the mean of several.

    Args:
        epochs: its length.
        accuracies: on training, validation and test images, in [0, 1]; NaN where unknown.
        seconds: of training.
        halfway: the same after half of the epochs, or None: three accuracies and the seconds.
    """

    epochs: int
    accuracies: tuple[float, float, float]
    seconds: float
    halfway: tuple[float, float, float, float] | None = None


class Entry(NamedTuple):
    """What a file says of a cell.

    Args:
        spec: the cell.
        module_hash: its hash, empty if the file does not say.
        parameters: of its network, None if the file does not say.
        runs: its trainings.
        means: whether they are means over trainings.
    """

    spec: ModelSpec
    module_hash: str
    parameters: int | None
    runs: tuple[Measured, ...]
    means: bool = False


def convert_nasbench101(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    name: str | None = None,
    curves: bool = False,
    observe: Observer | None = None,
) -> Path:
    """Makes a table of `mixop.spaces.NasBench101` from a file of NAS-Bench-101.

    ``.tfrecord`` is the published form. ``.json`` is a list of cells, or an object of them by hash or number. A cell is an
    object with a matrix and operations (``module_adjacency`` and ``module_operations``, or ``matrix`` and ``ops``) and
    ``validation_accuracy``, ``test_accuracy``, ``train_accuracy``, ``training_time`` and ``trainable_parameters``, also as
    ``avg_...``, a number or a list of runs; or the pair that the authors' ``get_metrics_from_hash`` gives; or a record as in
    the published file. ``.jsonl`` has one of those in each line. Where no number says it, a training has 108 epochs. Accuracies
    are shares, or percent if one of them is above 1.

    Args:
        source: the file.
        target: the table.
        name: of the table; None for the name of the source.
        curves: whether to keep what was measured half way of each training.
        observe: called with the bytes read and their total.

    Raises:
        DataError: if the file is missing, damaged or contradicts itself, or the table cannot be written.
    """
    path = Path(source)
    if path.suffix == ".tfrecord":
        entries: Iterator[Entry] = (
            _record(_parsed(data, path), f"Record {number} of {str(path)!r}")
            for number, data in enumerate(records(path, observe), start=1)
        )
    else:
        entries = _of_json(path)
    gathered = _Gathered(str(path), curves)
    for entry in entries:
        gathered.add(entry)
    if not gathered.specs:
        raise DataError(f"{str(path)!r} must hold cells of NAS-Bench-101, but holds none.")
    if observe is not None:
        observe(1, 1)
    return write_table(
        target,
        gathered.columns(),
        name=name or path.name.partition(".")[0],
        architectures=[gathered.space.of_spec(spec) for spec in gathered.specs],
        space=NasBench101(),
        measures=(ACCURACY,),
        source=source_of(path),
    )


class _Gathered:
    """The entries of a file by cell: cells that are the same but for the order of their vertices are one.

    Args:
        where: the file, for messages.
        curves: whether to keep what was measured half way.
    """

    def __init__(self, where: str, curves: bool) -> None:
        self.where, self.curves = where, curves
        self.space = NasBench101()
        self.specs: list[ModelSpec] = []
        self.parameters: list[int | None] = []
        self.rows: dict[str, int] = {}
        self.runs: list[dict[int, list[Measured]]] = []
        self.means: bool | None = None

    def add(self, entry: Entry) -> None:
        """Takes an entry.

        Raises:
            DataError: if it contradicts itself or others, or is no cell of the space.
        """
        known = self.rows.get(entry.module_hash) if entry.module_hash else None
        if known is None or self.specs[known] != entry.spec:
            known = self._row(entry)
        if self.means not in (None, entry.means):
            raise DataError(f"{self.where!r} has single runs of some cells and means of others: use one of both.")
        self.means = entry.means
        if entry.parameters is not None:
            if self.parameters[known] not in (None, entry.parameters):
                raise DataError(
                    f"{self.where!r} contradicts itself: {self.specs[known].text()} has {self.parameters[known]} parameters, "
                    f"then {entry.parameters}."
                )
            self.parameters[known] = entry.parameters
        for run in entry.runs:
            self.runs[known].setdefault(run.epochs, []).append(run)

    def _row(self, entry: Entry) -> int:
        """The row of a cell, a new one where there is none."""
        try:
            self.space.check(self.space.of_spec(entry.spec))
            pruned = entry.spec.pruned()
            assert pruned is not None  # the check would have refused it
            found = pruned.module_hash()
        except SpaceError as error:
            raise DataError(f"{self.where!r} holds what is no cell of NAS-Bench-101: {error}") from error
        if entry.module_hash and entry.module_hash != found:
            raise DataError(
                f"{self.where!r} contradicts itself: the hash of {entry.spec.text()} is {found}, but it says "
                f"{shortened(entry.module_hash)}."
            )
        if found not in self.rows:
            self.rows[found] = len(self.specs)
            self.specs.append(entry.spec)
            self.parameters.append(None)
            self.runs.append({})
        return self.rows[found]

    def columns(self) -> list[Column]:
        """What was measured, as columns of a table."""
        columns = []
        if any(number is not None for number in self.parameters):
            values = np.array([np.nan if number is None else number for number in self.parameters])
            whole = not np.isnan(values).any()
            columns.append(Column(metric="params", values=values.astype(np.int64 if whole else np.float64), dataset=DATASET))
        for epochs in sorted({epochs for runs in self.runs for epochs in runs}):
            columns += self._of_length(epochs)
        return columns

    def _of_length(self, epochs: int) -> Iterator[Column]:
        most = max(len(runs.get(epochs, ())) for runs in self.runs)
        if self.means and most > 1:
            raise DataError(f"{self.where!r} has two means of a cell after {epochs} epochs.")
        half = self.curves and any(run.halfway for runs in self.runs for run in runs.get(epochs, ()))
        values = np.full((4, len(self.specs), most, 2 if half else 1), np.nan, dtype=np.float32)
        for row, runs in enumerate(self.runs):
            for at, run in enumerate(runs.get(epochs, ())):
                values[:, row, at, -1] = (*run.accuracies, run.seconds)
                if half and run.halfway is not None:
                    values[:, row, at, 0] = run.halfway
        if np.nanmax(values[:3], initial=0.0) <= 1:
            values[:3] *= 100
        seeds = None if self.means else tuple(range(most))
        if not half:
            values = values[..., 0]
        if self.means:
            values = values[:, :, 0]
        shared: dict[str, Any] = {"dataset": DATASET, "epochs": epochs, "seeds": seeds}
        shared["after"] = (epochs // 2, epochs) if half else None
        for split, its in zip(_SPLITS, values[:3], strict=True):
            if not np.isnan(its).all():
                yield Column(metric=ACCURACY.name, values=its, split=split, images=10_000, **shared)
        if not np.isnan(values[3]).all():
            yield Column(metric="seconds", values=values[3], split="train", linear=True, **shared)


def _parsed(data: bytes | str, path: Path, where: str = "a record") -> Any:
    try:
        return parse_json(data)
    except MalformedError as error:
        raise DataError(f"{str(path)!r} is damaged: {where} is no JSON ({error}).") from error


def _record(content: Any, where: str) -> Entry:
    """A record of the published file."""
    if not isinstance(content, list) or len(content) != 5:
        raise DataError(f"{where} must be a list of hash, epochs, matrix, operations and metrics, got {shortened(content)}.")
    module_hash, epochs, matrix, operations, metrics = content
    if not isinstance(module_hash, str) or not isinstance(metrics, str):
        raise DataError(f"{where} must have its hash and metrics as texts, got {shortened([module_hash, metrics])}.")
    try:
        message = base64.b64decode(metrics, validate=True)
    except binascii.Error as error:
        raise DataError(f"{where} must have its metrics in base64, but they are not: {error}.") from error
    parameters, evaluations = _metrics(message, where)
    if len(evaluations) != 3:
        raise DataError(f"{where} must measure a network at its start, half way and at its end, got {len(evaluations)} times.")
    _, half, end = evaluations
    if missing := [field for field in _EVALUATION if field not in half or field not in end]:
        raise DataError(f"{where} has a measurement without its fields {missing}.")
    for found in (half, end):
        for field in _EVALUATION:
            _number(found[field], where, _LONGEST if field == 2 else 100.0)
    halfway = half[3], half[4], half[5], half[2]
    run = Measured(_epochs(epochs, where), (end[3], end[4], end[5]), end[2], halfway)
    return Entry(_spec(matrix, operations, where), module_hash, parameters, (run,))


def _metrics(message: bytes, where: str) -> tuple[int | None, list[dict[int, float]]]:
    """The parameters and the measurements, numbers by field, of a message ``ModelMetrics``."""
    parameters, evaluations = None, []
    for field, value in _fields(message, where):
        if field == 1 and isinstance(value, bytes):
            evaluations.append({inner: number for inner, number in _fields(value, where) if isinstance(number, float)})
        elif field == 2 and isinstance(value, int):
            parameters = value
    return parameters, evaluations


def _fields(message: bytes, where: str) -> Iterator[tuple[int, int | float | bytes]]:
    """Numbers and values of the fields of a protobuf message.

    Source: the encoding guide of protocol buffers: a tag and a value, one after the other.
    """
    at, end = 0, len(message)
    while at < end:
        tag, at = _varint(message, at, where)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(message, at, where)
            yield tag >> 3, value
            continue
        if kind in (1, 5):
            size = 8 if kind == 1 else 4
        elif kind == 2:
            size, at = _varint(message, at, where)
        else:
            raise DataError(f"{where} has metrics that are no protobuf message.")
        piece = message[at : at + size]
        if len(piece) < size:
            raise DataError(f"{where} has metrics that are cut short.")
        at += size
        yield tag >> 3, piece if kind == 2 else struct.unpack("<d" if kind == 1 else "<f", piece)[0]


def _varint(message: bytes, at: int, where: str) -> tuple[int, int]:
    value = shift = 0
    while at < len(message) and shift < 64:
        byte = message[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
    raise DataError(f"{where} has metrics that are cut short.")


def _of_json(path: Path) -> Iterator[Entry]:
    """The entries of a JSON file, or of one with a cell in every line."""
    try:
        content = read_file(path)
    except OSError as error:
        raise DataError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error
    pairs: Iterable[tuple[str, Any]]
    if path.suffix == ".jsonl":
        lines = (line for line in content.splitlines() if line.strip())
        pairs = (("", _parsed(line, path, f"line {number}")) for number, line in enumerate(lines, start=1))
    else:
        found = _parsed(content, path, "it")
        if not isinstance(found, dict | list):
            raise DataError(f"{str(path)!r} must hold a list or an object of cells, got {shortened(found)}.")
        pairs = found.items() if isinstance(found, dict) else (("", cell) for cell in found)
    for number, (key, cell) in enumerate(pairs, start=1):
        yield _entry(key, cell, f"Cell {number} of {str(path)!r}")


def _entry(key: str, cell: Any, where: str) -> Entry:
    if isinstance(cell, list) and len(cell) == 5:
        return _record(cell, where)
    named = key if len(key) == 32 else ""  # other keys are numbers
    if isinstance(cell, list) and len(cell) == 2 and all(isinstance(part, dict) for part in cell):
        fixed, computed = cell
        runs = [
            _measured(one, _epochs(epochs, where), "final_", where)
            for epochs, several in computed.items()
            for one in (several if isinstance(several, list) else [several])
        ]
        return _with_runs(fixed, named, runs, where)
    if not isinstance(cell, dict):
        raise DataError(f"{where} must be an object with a matrix, operations and accuracies, got {shortened(cell)}.")
    prefix = next((prefix for prefix in _PREFIXES if f"{prefix}{_ACCURACIES['valid']}" in cell), None)
    if prefix is None:
        raise DataError(f"{where} must have a validation_accuracy, got {shortened(', '.join(map(str, cell)))}.")
    epochs = _epochs(cell.get("epochs", LENGTH), where)
    lists = {name: value for name, value in cell.items() if isinstance(value, list) and name.startswith(prefix)}
    several = cell[f"{prefix}{_ACCURACIES['valid']}"]
    if not isinstance(several, list):
        return _with_runs(cell, named, [_measured(cell, epochs, prefix, where)], where, means=True)
    runs = []
    for at in range(len(several)):
        one = {name: value[at] for name, value in lists.items() if at < len(value)}
        runs.append(_measured(one, epochs, prefix, where))
    return _with_runs(cell, named, runs, where)


def _with_runs(cell: Mapping[str, Any], named: str, runs: Sequence[Measured], where: str, *, means: bool = False) -> Entry:
    module_hash = next((cell[name] for name in _HASHES if isinstance(cell.get(name), str)), named)
    parameters = next((cell[name] for name in _PARAMETERS if type(cell.get(name)) is int), None)
    matrix, operations = (
        next((cell[name] for name in names if name in cell), None)
        for names in (("matrix", "module_adjacency", "adjacency"), ("ops", "module_operations", "operations"))
    )
    return Entry(_spec(matrix, operations, where), module_hash, parameters, tuple(runs), means)


def _measured(cell: Any, epochs: int, prefix: str, where: str) -> Measured:
    if not isinstance(cell, dict):
        raise DataError(f"{where} must say what was measured by name, got {shortened(cell)}.")
    train, valid, test = (_number(cell.get(f"{prefix}{_ACCURACIES[split]}"), where) for split in _SPLITS)
    seconds = _number(cell.get(f"{prefix}training_time"), where, _LONGEST)
    half = [cell.get(f"halfway_{name}") for name in (*_ACCURACIES.values(), "training_time")]
    halfway = None
    if None not in half:
        *shares, time = half
        one, other, third = (_number(value, where) for value in shares)
        halfway = one, other, third, _number(time, where, _LONGEST)
    return Measured(epochs, (train, valid, test), seconds, halfway)


def _number(value: Any, where: str, most: float = 100.0) -> float:
    """A number that was measured, from 0 to ``most``; NaN where there is none."""
    if value is None:
        return float("nan")
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise DataError(f"{where} must have measured numbers from 0 to {most:,.0f}, got {shortened(value)}.")
    return float(value)


def _epochs(value: Any, where: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not text.isascii() or not text.isdecimal() or not 0 < int(text[:9]) <= 100_000:
        raise DataError(f"{where} must have a number of epochs of at least 1, got {shortened(value)}.")
    return int(text)


def _spec(matrix: Any, operations: Any, where: str) -> ModelSpec:
    try:
        if isinstance(matrix, str) and isinstance(operations, str):
            return _spec_of_texts(matrix, operations)
        return spec_of(matrix, operations, where)
    except SpaceError as error:
        raise DataError(str(error)) from error


@lru_cache(maxsize=2**20)  # a cell of the published file comes three times for each length of training
def _spec_of_texts(matrix: str, operations: str) -> ModelSpec:
    return spec_of(matrix, operations, "A cell of the file")
