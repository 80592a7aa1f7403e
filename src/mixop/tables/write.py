"""Writing the file of a table, see `mixop.tables.layout` for what is in it."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from math import prod
from pathlib import Path
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError, SpaceError
from mixop.core.files import open_file
from mixop.core.measure import Measure
from mixop.core.values import to_plain
from mixop.runs.write import replacing
from mixop.spaces.core import Architecture, Space
from mixop.tables.layout import ALIGN, BLANK, FORMAT, USUAL, VERSION, Stored

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


def write_table(
    path: str | os.PathLike[str],
    columns: Sequence[Column],
    *,
    name: str,
    architectures: Sequence[str | Architecture],
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
        architectures: the n native strings, or members of the space, all different; row i of every column belongs to the i-th.
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
    decisions, rows, signatures = _encode(architectures, space)
    seen: set[tuple[Any, ...]] = set()
    for column in columns:
        _check(column, count)
        key = (column.metric, column.dataset, column.split, column.epochs, column.seeds is None)
        if key in seen:
            raise DataError(f"Two columns are {' '.join(str(part) for part in key[:4] if part)}, but a table holds only one.")
        seen.add(key)
    at, placed, parts = 0, dict[int, Stored](), list[tuple[Stored, Rows | None]]()
    found = [] if signatures is None else [Column(metric="signature", values=signatures)]
    for column in (Column(metric="architecture", values=rows), *found, *columns):
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
        **({} if signatures is None else {"signatures": _plain(parts[1][0])}),
        "columns": [_plain(stored) for stored, _ in parts[1 + len(found) :]],
        "size": at,
        "sha256": BLANK,
        "header_sha256": BLANK,
    }
    _write(target, header, parts)
    return target


def source_of(path: str | os.PathLike[str], **more: Any) -> dict[str, Any]:
    """What a table records about its source file: name, size and SHA-256."""
    path = Path(path)
    try:
        with open_file(path) as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            return {"file": path.name, "bytes": file.tell(), "sha256": digest, **more}
    except OSError as error:
        raise DataError(f"Cannot read {str(path)!r}: {error.strerror or error}.") from error


def _write(target: Path, header: dict[str, Any], parts: Sequence[tuple[Stored, Rows | None]]) -> None:
    line = _line(header)
    digest = hashlib.sha256()
    try:
        with replacing(target) as file:
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
    except OSError as error:
        raise DataError(
            f"Cannot write the table {str(target)!r} ({error.strerror or error}): choose another place, or free some space."
        ) from error


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


def _encode(
    architectures: Sequence[str | Architecture], space: Space | None
) -> tuple[list[list[str]] | None, NDArray[Any], NDArray[np.int64] | None]:
    """The options of every decision and the rows ``(n, E)``, or None and the texts as bytes ``(n, length)``; and signatures."""
    signatures: list[int | None] = []
    if space is not None and not any(group.keep or group.take > 1 for group in space.groups):
        decisions = [list(decision.options) for group in space.groups for decision in group.decisions]
        if prod(map(len, decisions)) < 2**62 and max(map(len, decisions)) < 256:
            rows = np.empty((len(architectures), len(decisions)), dtype=np.uint8)
            for i, text in enumerate(architectures):
                architecture = text if isinstance(text, Architecture) else space.from_native(text)
                options = tuple(architecture.options())
                if len(options) != len(decisions):
                    raise SpaceError(f"An architecture of a table must decide everything, but {text!r} does not.")
                rows[i] = [names.index(option) for names, option in zip(decisions, options, strict=True)]
                signatures.append(space.signature(architecture))
            _refuse_doubles(rows, architectures)
            return decisions, rows, _signatures(signatures, architectures)
    if space is not None:
        read = [text if isinstance(text, Architecture) else space.from_native(text) for text in architectures]
        architectures, signatures = [space.to_native(one) for one in read], [space.signature(one) for one in read]
    encoded = [str(text).encode() for text in architectures]
    longest = max(map(len, encoded))
    if longest == 0:
        raise DataError("The architectures of a table must be texts, got empty ones.")
    rows = np.frombuffer(b"".join(text.ljust(longest, b"\0") for text in encoded), dtype=np.uint8).reshape(-1, longest)
    _refuse_doubles(rows, architectures)
    return None, rows, _signatures(signatures, architectures)


def _signatures(found: Sequence[int | None], architectures: Sequence[str | Architecture]) -> NDArray[np.int64] | None:
    """The signatures of architectures as an array; None where the space has none.

    Raises:
        DataError: if two architectures are one network.
    """
    if not found or None in found:
        return None
    signatures = np.array(found, dtype=np.int64)
    order = np.argsort(signatures, kind="stable")
    same = np.flatnonzero(signatures[order][1:] == signatures[order][:-1])
    if len(same):
        one, other = int(order[same[0]]), int(order[same[0] + 1])
        raise DataError(f"Rows {one} and {other} are the same network, {architectures[one]!r}, but a table holds it once.")
    return signatures


def _refuse_doubles(rows: NDArray[Any], architectures: Sequence[str | Architecture]) -> None:
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


def _distinct(items: Any) -> list[Any]:
    return sorted({item for item in items if item is not None})
