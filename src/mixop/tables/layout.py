"""The file of a table: one line of JSON that says what it holds, then the arrays themselves, for `numpy.memmap`.

The header is padded with spaces to a multiple of 64 bytes and ends with a line feed. Offsets count from its end; every array
begins at a multiple of 64 bytes. Numbers are little-endian. Accuracies that are whole images of a split are kept as counts of
two bytes, if all of them read back exactly to float32. The header lists the measures that the values are of, the ranking one
first; a file without that list is of accuracy, in percent, and loss.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError, RecipeError, SpaceError
from mixop.core.values import to_plain
from mixop.spaces.core import Space
from mixop.tasks.measure import ACCURACY, LOSS, Measure, measure_from_json

FORMAT = "mixop-table"
VERSION = 1
ALIGN = 64
USUAL = (ACCURACY, LOSS)
"""The measures of a table that does not say which: those of every published one."""
FREE = ("train", "valid")
"""Splits that a search may see. All others, under any name, need ``reveal_test=True``."""

_HEAD = b'{"format": "mixop-table"'
_LONGEST_HEADER = 2**24
_DTYPES = ("|u1", "<u2", "<u4", "<i8", "<f2", "<f4")
_BLANK = "0" * 64
_ROWS = 1024
_MISSING = 65535


class Rows(Protocol):
    """What `write_table` reads: an array, or anything that gives rows of an array when sliced."""

    @property
    def shape(self) -> tuple[int, ...]: ...
    @property
    def dtype(self) -> np.dtype: ...
    def __getitem__(self, rows: slice, /) -> NDArray[Any]: ...


@dataclass(frozen=True, kw_only=True)
class Column:
    """One measured quantity of all n architectures, to be written.

    Args:
        metric: what it is: the name of a measure ("accuracy" in percent, "loss" in nats), "seconds" (since the training began),
            "params" (parameters), "flops" (multiply-adds of one image), "latency" (seconds), or any other word. A measure
            that people read as percent is kept in percent.
        values: numbers of shape ``(n,)``, with ``seeds`` ``(n, R)``, with ``after`` a further last dimension T; NaN where
            nothing was measured. Floats are kept as float32 (float16 stays float16), whole numbers stay whole.
        dataset: the data set that was trained on; None if it does not matter.
        split: the examples that it was measured on, "train", "valid", "test" or "valtest" (both); None for costs.
        epochs: length of the training, >= 1; None if it does not matter.
        seeds: the R runs, by their seeds or numbers; None if the values are means over runs.
        after: the T numbers of finished epochs after which it was measured, increasing; None for the end of the training.
        images: size of the split, so that accuracies can be kept as counts of images.
        linear: whether the quantity grows evenly from 0 with the epochs, as seconds often do.
        note: where the values come from, if that needs saying.
    """

    metric: str
    values: Rows | NDArray[Any]
    dataset: str | None = None
    split: str | None = None
    epochs: int | None = None
    seeds: tuple[int, ...] | None = None
    after: tuple[int, ...] | None = None
    images: int | None = None
    linear: bool = False
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A column of a file: what it is, as in `Column`, and its place in the file.

    Args:
        metric: what it is.
        dataset: the data set, or None.
        split: the split, or None.
        epochs: length of the training, or None.
        seeds: the runs, or None for means.
        after: finished epochs of the curve, or None.
        linear: whether it grows evenly from 0.
        note: where the values come from.
        offset: of its array, in bytes after the header.
        dtype: of its array.
        shape: of its array.
        of: the array holds counts out of this many images (for a mean: images times its runs); None for plain values.
        missing: the count that means NaN; None if there is none.
    """

    metric: str
    dataset: str | None
    split: str | None
    epochs: int | None
    seeds: tuple[int, ...] | None
    after: tuple[int, ...] | None
    linear: bool
    note: str
    offset: int
    dtype: str
    shape: tuple[int, ...]
    of: int | None
    missing: int | None

    @property
    def bytes(self) -> int:
        """Size of its array."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize

    def decode(self, raw: NDArray[Any]) -> NDArray[np.float64]:
        """The values that the file's numbers encode."""
        values = np.asarray(raw, dtype=np.float64)
        if self.of is not None:
            values = 100 * values / self.of
        return values if self.missing is None else np.where(raw == self.missing, np.nan, values)


@dataclass(frozen=True, kw_only=True)
class Header:
    """What the first line of a table says.

    Args:
        name: of the table.
        space: the search space as JSON data, see `mixop.core.values.to_plain`; None if mixop does not have it.
        space_name: its name.
        decisions: the options of every decision, if architectures are kept as options; None if they are kept as texts.
        architectures: the array of the architectures, ``(n, E)`` indices of options or ``(n, length)`` bytes of a text.
        columns: the measured quantities.
        measures: what networks were measured by; the first one ranks them.
        redirect: for a data set and split the data set whose columns are meant: CIFAR-10's validation accuracies come from
            trainings on half of its training images, which have a name of their own.
        source: where the table comes from, with the SHA-256 of the file.
        sha256: of all arrays.
        start: where the arrays begin, in bytes.
        size: of all arrays, in bytes.
    """

    name: str
    space: Mapping[str, Any] | None
    space_name: str
    decisions: tuple[tuple[str, ...], ...] | None
    architectures: Stored
    columns: tuple[Stored, ...]
    measures: tuple[Measure, ...] = USUAL
    redirect: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    start: int = 0
    size: int = 0


def write_table(
    path: str | os.PathLike[str],
    columns: Sequence[Column],
    *,
    name: str,
    architectures: Sequence[str],
    space: Space | None,
    space_name: str = "",
    measures: Sequence[Measure] = USUAL,
    redirect: Mapping[str, Mapping[str, str]] | None = None,
    source: Mapping[str, Any] | None = None,
) -> Path:
    """Writes a table atomically: the whole file or nothing. The same arguments give the same bytes.

    Args:
        path: the file.
        columns: at least one.
        name: of the table.
        architectures: the n native strings, all different; row i of every column belongs to the i-th.
        space: the space that they belong to; None if mixop does not have it, and they are kept as texts.
        space_name: its name, if ``space`` is None.
        measures: what the networks were measured by, at least one; the first one ranks them.
        redirect: see `Header`.
        source: JSON data about where the values come from.

    Raises:
        DataError: if the columns do not fit together, an architecture occurs twice, or the file cannot be written.
        SpaceError: if an architecture is not in the space.
    """
    target, count = Path(path), len(architectures)
    if not columns or not count:
        raise DataError(f"A table needs at least one architecture and one column, got {count} and {len(columns)}.")
    names = [measure.name for measure in measures]
    if not names or len(set(names)) != len(names):
        raise DataError(f"A table needs at least one measure, each with a name of its own, got {', '.join(names) or 'none'}.")
    decisions, rows = _encode(architectures, space)
    seen: set[tuple[Any, ...]] = set()
    for column in columns:
        _check(column, count)
        key = (column.metric, column.dataset, column.split, column.epochs, column.seeds is None)
        if key in seen:
            raise DataError(f"Two columns are {' '.join(str(part) for part in key[:4] if part)}, but a table holds only one.")
        seen.add(key)
    at, placed, parts = 0, dict[int, Stored](), list[tuple[Stored, Rows | None]]()
    for column in (Column(metric="architecture", values=rows), *columns):
        begin = -(-at // ALIGN) * ALIGN
        stored, shared = _plan(column, begin), placed.get(id(column.values))
        if shared is not None and (shared.dtype, shared.of) == (stored.dtype, stored.of):
            parts.append((replace(stored, offset=shared.offset), None))  # the same array under another name
            continue
        placed[id(column.values)] = stored
        parts.append((stored, cast(Rows, column.values)))
        at = begin + stored.bytes
    header = {
        "format": FORMAT,
        "version": VERSION,
        "name": name,
        "space": None if space is None else to_plain(space),
        "space_name": space_name if space is None else space.name,
        "datasets": _distinct(column.dataset for column in columns),
        "splits": _distinct(column.split for column in columns),
        "metrics": _distinct(column.metric for column in columns),
        "measures": [measure.to_json() for measure in measures],
        "epochs": _distinct(column.epochs for column in columns),
        "seeds": _distinct(seed for column in columns for seed in column.seeds or ()),
        "decisions": decisions,
        "redirect": redirect or {},
        "source": source or {},
        "architectures": _plain(parts[0][0]),
        "columns": [_plain(stored) for stored, _ in parts[1:]],
        "size": at,
        "sha256": _BLANK,
        "header_sha256": _BLANK,
    }
    _write(target, header, parts)
    return target


def read_header(path: str | os.PathLike[str]) -> Header:
    """Reads and checks the first line of a table, without touching the arrays.

    Raises:
        DataError: if the file is missing, damaged, cut short, of a later version, or not a table.
    """
    where = str(path)
    try:
        with Path(path).open("rb") as file:
            begin = file.read(len(_HEAD))
            if begin != _HEAD:
                raise DataError(f"{where!r} is no table: make one of it with mixop table convert.")
            line = begin + file.readline(_LONGEST_HEADER)
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise DataError(f"Cannot read the table {where!r}: {error.strerror or error}.") from error
    if not line.endswith(b"\n"):
        raise DataError(f"The table {where!r} is cut short in its first line: download or convert it again.")
    try:
        plain = json.loads(line)
        if plain["version"] != VERSION:
            raise DataError(
                f"The table {where!r} has version {plain['version']}, but this mixop reads {VERSION}: convert it again."
            )
        given = str(plain["header_sha256"])
        blank = line.replace(f'"header_sha256": "{given}"'.encode(), f'"header_sha256": "{_BLANK}"'.encode())
        if hashlib.sha256(blank).hexdigest() != given:
            raise ValueError("its checksum is wrong")
        header = _header(plain, len(line))
        for stored in (header.architectures, *header.columns):
            if stored.offset < 0 or min(stored.shape) < 1 or stored.offset + stored.bytes > header.size:
                raise ValueError(f"the array of {stored.metric} lies outside of the file")
    except (ValueError, TypeError, KeyError, AttributeError, RecipeError) as error:
        if isinstance(error, DataError):
            raise
        raise DataError(f"The first line of the table {where!r} is damaged ({error}): download or convert it again.") from error
    if size != header.start + header.size:
        raise DataError(
            f"The table {where!r} must have {header.start + header.size:,} bytes, got {size:,}: it is cut short or damaged, "
            "download or convert it again."
        )
    return header


def verify(path: str | os.PathLike[str], header: Header) -> None:
    """Compares the arrays with their checksum.

    Raises:
        DataError: if they are not the ones that were written.
    """
    with Path(path).open("rb") as file:
        file.seek(header.start)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != header.sha256:
        raise DataError(f"The table {str(path)!r} is damaged (its checksum is wrong): download or convert it again.")


def source_of(path: str | os.PathLike[str], **more: Any) -> dict[str, Any]:
    """What a table records about its source file: name, size and SHA-256."""
    path = Path(path)
    try:
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"file": path.name, "bytes": file.tell(), "sha256": digest, **more}
    except OSError as error:
        raise DataError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error


def _write(target: Path, header: dict[str, Any], parts: Sequence[tuple[Stored, Rows | None]]) -> None:
    partial = target.with_name(f".{target.name}.{os.getpid()}.partial")
    line = _line(header)
    digest = hashlib.sha256()
    try:
        with partial.open("wb") as file:
            file.write(line)
            at = 0
            for stored, values in parts:
                if values is None:
                    continue
                for piece in chain([bytes(stored.offset - at)], _packed(stored, values)):
                    digest.update(piece)
                    file.write(piece)
                at = stored.offset + stored.bytes
            header["sha256"] = digest.hexdigest()
            header["header_sha256"] = hashlib.sha256(_line(header)).hexdigest()
            file.seek(0)
            file.write(_line(header))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
    except OSError as error:
        raise DataError(
            f"Cannot write the table {str(target)!r} ({error.strerror or error}): choose another place, or free some space."
        ) from error
    finally:
        partial.unlink(missing_ok=True)


def _line(header: Mapping[str, Any]) -> bytes:
    line = json.dumps(header).encode()
    return line + b" " * (-(len(line) + 1) % ALIGN) + b"\n"


def _packed(stored: Stored, values: Rows) -> Iterator[bytes]:
    """The bytes of an array, some rows at a time."""
    for chunk in _chunks(values):
        if stored.of is None:
            packed = chunk
        else:
            missing = np.isnan(chunk)
            packed = np.where(missing, _MISSING, _counts(np.where(missing, 0, chunk), stored.of))
        yield np.ascontiguousarray(packed).astype(stored.dtype).tobytes()


def _chunks(values: Rows) -> Iterator[NDArray[Any]]:
    for begin in range(0, values.shape[0], _ROWS):
        yield np.asarray(values[begin : begin + _ROWS])


def _counts(percent: NDArray[Any], of: int) -> NDArray[np.float64]:
    return np.rint(percent.astype(np.float64) * of / 100)


def _plan(column: Column, offset: int) -> Stored:
    """How a column is stored."""
    values = cast(Rows, column.values)
    of = missing = None
    if values.dtype.kind in "iub":
        limits = [(int(chunk.min()), int(chunk.max())) for chunk in _chunks(values)]
        low, high = min(low for low, _ in limits), max(high for _, high in limits)
        fitting = (name for name in ("|u1", "<u2", "<u4") if low >= 0 and high <= np.iinfo(name).max)
        dtype = next(fitting, "<i8")
    else:
        dtype = "<f2" if values.dtype == np.float16 else "<f4"
        of = _whole_images(column) if column.images else None
        if of is not None:
            dtype, missing = "<u2", _MISSING
    return Stored(
        metric=column.metric,
        dataset=column.dataset,
        split=column.split,
        epochs=column.epochs,
        seeds=column.seeds,
        after=column.after,
        linear=column.linear,
        note=column.note,
        offset=offset,
        dtype=dtype,
        shape=tuple(values.shape),
        of=of,
        missing=missing,
    )


def _whole_images(column: Column) -> int | None:
    """The number that all values are whole counts out of, or None. Means over 2 and 3 runs are whole sixths of an image."""
    assert column.images is not None
    for times in (1, 2, 3, 6):
        of = times * column.images
        if of >= _MISSING:
            return None
        if all(_exact(chunk, of) for chunk in _chunks(cast(Rows, column.values))):
            return of
    return None


def _exact(chunk: NDArray[Any], of: int) -> bool:
    values = chunk[~np.isnan(chunk)]
    counts = _counts(values, of)
    same = (100 * counts / of).astype(np.float32) == values.astype(np.float32)
    return bool(np.all(same & (counts >= 0) & (counts <= of)))


def _encode(architectures: Sequence[str], space: Space | None) -> tuple[list[list[str]] | None, NDArray[Any]]:
    """The options of every decision and the rows ``(n, E)``; or None and the texts as bytes ``(n, length)``."""
    if space is not None and not any(group.keep for group in space.groups):
        decisions = [list(decision.options) for group in space.groups for decision in group.decisions]
        if prod(map(len, decisions)) < 2**62 and max(map(len, decisions)) < 256:
            rows = np.empty((len(architectures), len(decisions)), dtype=np.uint8)
            for i, text in enumerate(architectures):
                options = tuple(space.from_native(text).options())
                if len(options) != len(decisions):
                    raise SpaceError(f"An architecture of a table must decide everything, but {text!r} does not.")
                rows[i] = [names.index(option) for names, option in zip(decisions, options, strict=True)]
            _refuse_doubles(rows, architectures)
            return decisions, rows
    if space is not None:
        architectures = [space.to_native(space.from_native(text)) for text in architectures]
    encoded = [text.encode() for text in architectures]
    longest = max(map(len, encoded))
    if longest == 0:
        raise DataError("The architectures of a table must be texts, got empty ones.")
    rows = np.frombuffer(b"".join(text.ljust(longest, b"\0") for text in encoded), dtype=np.uint8).reshape(-1, longest)
    _refuse_doubles(rows, architectures)
    return None, rows


def _refuse_doubles(rows: NDArray[Any], architectures: Sequence[str]) -> None:
    _, first = np.unique(rows, axis=0, return_index=True)
    if len(first) != len(rows):
        double = np.setdiff1d(np.arange(len(rows)), first)[0]
        raise DataError(f"Architecture {architectures[double]!r} comes twice, in row {double}, but a table holds it once.")


def _check(column: Column, count: int) -> None:
    values = cast(Rows, column.values)
    wanted = (count, *((len(column.seeds),) if column.seeds is not None else ()))
    wanted += (len(column.after),) if column.after is not None else ()
    if tuple(values.shape) != wanted:
        raise DataError(f"The column {column.metric} must have the shape {wanted}, got {tuple(values.shape)}.")
    if values.dtype.kind not in "iubf":
        raise DataError(f"The column {column.metric} must hold numbers, got {values.dtype}.")
    for numbers, name in ((column.seeds, "seeds"), (column.after, "epochs")):
        if numbers is not None and (not numbers or len(set(numbers)) != len(numbers)):
            raise DataError(f"The {name} of column {column.metric} must be different numbers, got {numbers}.")
    if column.after is not None and (list(column.after) != sorted(column.after) or column.after[-1] != column.epochs):
        raise DataError(
            f"The curve of {column.metric} must rise to the length of the training, {column.epochs}, got {column.after}."
        )


def _plain(stored: Stored) -> dict[str, Any]:
    plain = {name: getattr(stored, name) for name in stored.__dataclass_fields__}
    return {name: value for name, value in plain.items() if value not in (None, "", False) or name == "offset"}


def _header(plain: Mapping[str, Any], start: int) -> Header:
    if len(plain["sha256"]) != 64 or not isinstance(plain["size"], int):
        raise ValueError("its checksum or its size is missing")
    decisions = plain["decisions"]
    return Header(
        name=str(plain["name"]),
        space=plain["space"],
        space_name=str(plain["space_name"]),
        decisions=None if decisions is None else tuple(tuple(map(str, names)) for names in decisions),
        architectures=_stored(plain["architectures"]),
        columns=tuple(_stored(column) for column in plain["columns"]),
        measures=tuple(measure_from_json(measure) for measure in plain["measures"]) if "measures" in plain else USUAL,
        redirect={str(name): dict(splits) for name, splits in plain["redirect"].items()},
        source=dict(plain["source"]),
        sha256=plain["sha256"],
        start=start,
        size=plain["size"],
    )


def _stored(plain: Mapping[str, Any]) -> Stored:
    whole = {name: plain.get(name) for name in ("epochs", "of", "missing")}
    shape = tuple(int(length) for length in plain["shape"])
    lists = {name: tuple(map(int, plain[name])) if name in plain else None for name in ("seeds", "after")}
    if plain["dtype"] not in _DTYPES or not isinstance(plain["offset"], int) or not shape:
        raise ValueError(f"it describes the array of {plain['metric']} by {plain['dtype']} at {plain['offset']}")
    axes = 1 + sum(numbers is not None for numbers in lists.values())
    if plain["metric"] != "architecture" and len(shape) != axes:
        raise ValueError(f"the array of {plain['metric']} has the shape {shape}")
    return Stored(
        metric=str(plain["metric"]),
        dataset=plain.get("dataset"),
        split=plain.get("split"),
        linear=bool(plain.get("linear", False)),
        note=str(plain.get("note", "")),
        offset=plain["offset"],
        dtype=plain["dtype"],
        shape=shape,
        **lists,
        **whole,
    )


def _distinct(items: Any) -> list[Any]:
    return sorted({item for item in items if item is not None})
