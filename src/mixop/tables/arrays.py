"""What files of plain arrays have in common, whatever they say: reading them, and checking their shapes."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mixop.core.errors import DataError, SpaceError
from mixop.core.files import open_file
from mixop.spaces.core import Space
from mixop.spaces.nasbench201 import NASBENCH201_OPERATIONS, NasBench201
from mixop.tables.archives import Observer


def read_npz(path: Path, observe: Observer | None = None) -> dict[str, NDArray[Any]]:
    """The arrays of an ``.npz`` file without objects.

    Raises:
        DataError: if it is missing, damaged, or holds objects.
    """
    try:
        with open_file(path) as raw, np.load(raw, allow_pickle=False) as file:
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


def recognised(texts: Sequence[str], *, only: bool = False) -> Space | None:
    """The space of NAS-Bench-201 if the texts belong to it; with ``only``, just the operations that occur."""
    try:
        NasBench201().from_native(texts[0])
    except SpaceError:
        return None
    if not only:
        return NasBench201()
    there = {operation for text in texts for operation in re.findall(r"([^|~+\s]+)~", text)}
    return NasBench201(operations=tuple(operation for operation in NASBENCH201_OPERATIONS if operation in there))


def strings_of(values: NDArray[Any], path: Path) -> list[str]:
    """The architectures of a file as texts.

    Raises:
        DataError: if they are no list of texts.
    """
    if values.ndim != 1 or values.dtype.kind not in "SU" or not len(values):
        raise DataError(f"The architectures of {str(path)!r} must be a list of texts, got {values.dtype} {values.shape}.")
    try:
        return [text.decode() if isinstance(text, bytes) else str(text) for text in values.tolist()]
    except UnicodeDecodeError as error:
        raise DataError(f"The architectures of {str(path)!r} must be texts in UTF-8, but are not: {error}.") from error


def refuse_shape(title: str, values: NDArray[Any], count: int, path: Path) -> None:
    """Refuses an array that does not hold a number, or one for each run, for each architecture.

    Raises:
        DataError: naming it.
    """
    if values.ndim not in (1, 2) or len(values) != count or values.dtype.kind not in "iufb":
        raise DataError(
            f"{title} of {str(path)!r} must hold a number (or one for each run) for each of the {count} architectures, got "
            f"{values.dtype} {values.shape}."
        )
