"""The file of a table: one line of JSON that says what it holds, then the arrays themselves, for `numpy.memmap`.

The header is padded with spaces to a multiple of 64 bytes and ends with a line feed. Offsets count from its end; every array
begins at a multiple of 64 bytes. Numbers are little-endian. Accuracies that are whole images of a split are kept as counts of
two bytes, if all of them read back exactly to float32. The header lists the measures that the values are of, the ranking one
first; a file without that list is of accuracy, in percent, and loss.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError, RecipeError
from mixop.core.files import open_file
from mixop.core.measure import ACCURACY, LOSS, Measure, measure_from_json
from mixop.core.outside import MalformedError, parse_object
from mixop.core.values import fields_in

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
BLANK = "0" * 64


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
        signatures: the array of `Space.signature`, ``(n,)``, by which architectures are found where several are one network;
            None where every network is one architecture.
        measures: what networks were measured by; the first one ranks them.
        redirect: for a data set and split, the data set whose columns are meant. CIFAR-10's validation accuracies come from
            trainings on half of its training images, which have another name.
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
    signatures: Stored | None = None
    measures: tuple[Measure, ...] = USUAL
    redirect: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    source: Mapping[str, Any] = field(default_factory=dict)
    sha256: str = ""
    start: int = 0
    size: int = 0


def read_header(path: str | os.PathLike[str]) -> Header:
    """Reads and checks the first line of a table, without touching the arrays.

    Raises:
        DataError: if the file is missing, damaged, cut short, of a later version, or not a table.
    """
    where = str(path)
    try:
        with open_file(path) as file:
            begin = file.read(len(_HEAD))
            if begin != _HEAD:
                raise DataError(f"{where!r} is not a table: make one from it with mixop table convert.")
            line = begin + file.readline(_LONGEST_HEADER)
            size = file.seek(0, os.SEEK_END)
    except OSError as error:
        raise DataError(f"Cannot read the table {where!r}: {error.strerror or error}.") from error
    if not line.endswith(b"\n"):
        raise DataError(f"The table {where!r} is cut short in its first line: download or convert it again.")
    try:
        plain = parse_object(line)
        said = fields_in(plain, {"version": int, "header_sha256": str}, "header")
        if said["version"] != VERSION:
            raise DataError(
                f"The table {where!r} has version {said['version']}, but this mixop reads {VERSION}: convert it again."
            )
        given = said["header_sha256"]
        blank = line.replace(f'"header_sha256": "{given}"'.encode(), f'"header_sha256": "{BLANK}"'.encode())
        if hashlib.sha256(blank).hexdigest() != given:
            raise MalformedError("its checksum is wrong")
        header = _header(plain, len(line))
        for stored in (header.architectures, *header.columns, *([header.signatures] if header.signatures else [])):
            if stored.offset < 0 or min(stored.shape) < 1 or stored.offset + stored.bytes > header.size:
                raise MalformedError(f"the array of {stored.metric} lies outside the file")
    except (MalformedError, RecipeError) as error:
        reason = str(error).rstrip(".")
        raise DataError(
            f"The first line of the table {where!r} is damaged ({reason}): download or convert it again."
        ) from error
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
    with open_file(path) as file:
        file.seek(header.start)
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != header.sha256:
        raise DataError(f"The table {str(path)!r} is damaged (its checksum is wrong): download or convert it again.")


_HEADER: Mapping[str, Any] = {
    "name": str,
    "space_name": str,
    "decisions": tuple[tuple[str, ...], ...] | None,
    "redirect": Mapping[str, Mapping[str, str]],
    "source": dict,
    "sha256": str,
    "size": int,
}
_STORED: Mapping[str, Any] = {
    "metric": str,
    "dataset": str | None,
    "split": str | None,
    "epochs": int | None,
    "seeds": tuple[int, ...] | None,
    "after": tuple[int, ...] | None,
    "linear": bool,
    "note": str,
    "offset": int,
    "dtype": Literal[_DTYPES],
    "shape": tuple[int, ...],
    "of": int | None,
    "missing": int | None,
}


def _header(plain: Mapping[str, Any], start: int) -> Header:
    found = fields_in(plain, _HEADER, "header")
    lists = fields_in({"measures": None, **plain}, {"columns": tuple[Any, ...], "measures": tuple[Any, ...] | None}, "header")
    space, measures = plain.get("space"), lists["measures"]
    if space is not None and not isinstance(space, Mapping):
        raise MalformedError("header.space is no object")
    if len(found["sha256"]) != 64:
        raise MalformedError("its checksum is missing")
    header = Header(
        **found,
        space=space,
        architectures=_stored(plain.get("architectures")),
        columns=tuple(_stored(column) for column in lists["columns"]),
        signatures=None if plain.get("signatures") is None else _stored(plain["signatures"]),
        measures=USUAL if measures is None else tuple(measure_from_json(measure) for measure in measures),
        start=start,
    )
    _check_architectures(header)
    return header


def _check_architectures(header: Header) -> None:
    """Refuses a header whose architectures do not fit the rest of it."""
    rows = header.architectures
    if rows.dtype != "|u1" or len(rows.shape) != 2:
        raise MalformedError(f"its architectures are an array {rows.dtype} {rows.shape}")
    if header.decisions is not None and (rows.shape[1] != len(header.decisions) or not all(header.decisions)):
        raise MalformedError(f"its architectures decide {rows.shape[1]} times, but it names {len(header.decisions)} decisions")
    if header.signatures is not None and (header.signatures.dtype, header.signatures.shape) != ("<i8", rows.shape[:1]):
        raise MalformedError(f"its signatures are an array {header.signatures.dtype} {header.signatures.shape}")
    if any(column.shape[0] != rows.shape[0] for column in header.columns):
        raise MalformedError("its columns have other lengths than its architectures")
    if not header.measures:
        raise MalformedError("it names no measure")


def _stored(plain: Any) -> Stored:
    usual = {"linear": False, "note": ""}
    found = Stored(**fields_in({**usual, **plain} if isinstance(plain, Mapping) else plain, _STORED, "array"))
    lists = {name: numbers for name in ("seeds", "after") if (numbers := getattr(found, name)) is not None}
    if (found.metric != "architecture" and found.shape[1:] != tuple(map(len, lists.values()))) or not found.shape:
        raise MalformedError(f"the array of {found.metric} has the shape {found.shape}")
    if any(len(set(numbers)) != len(numbers) or not numbers for numbers in lists.values()):
        raise MalformedError(f"the runs or epochs of {found.metric} are not different numbers")
    if found.of is not None and found.of < 1:
        raise MalformedError(f"the array of {found.metric} counts out of {found.of} images")
    return found
