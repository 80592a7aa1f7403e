"""Batches of small images in pickles, as CIFAR and the downsampled ImageNet are published: a dictionary of array and labels.

`mixop.core.unpickle` reads them. Of the names that they may use there are only those by which NumPy describes an array, and
each stands for an inert note: no code of the file, and none of NumPy's own reconstruction, runs.
"""

import io
from typing import Any

import numpy as np

from mixop.core.errors import DataError
from mixop.core.unpickle import Names, text_as_bytes, unpickle


def read_batch(
    content: bytes, where: str, kind: str, *, labels: str, bounds: tuple[int, int], pixels: int
) -> tuple[np.ndarray, np.ndarray]:
    """Images and labels of a batch.

    Args:
        content: of the file.
        where: what errors call the file.
        kind: what it should be ("CIFAR file").
        labels: key of the labels.
        bounds: the least and the largest label that there may be.
        pixels: bytes of an image.

    Returns:
        Images ``(N, pixels)``, uint8, and labels ``(N,)``, int64.

    Raises:
        DataError: if it is damaged, or something else.
    """
    batch = entries(content, where, kind)
    data, found = batch.get("data"), batch.get(labels)
    if not isinstance(data, _Array) or not isinstance(found, list):
        raise DataError(f"{where} must hold an array under 'data' and a list under {labels!r}, but does not.")
    least, largest = bounds
    if any(type(label) is not int or not least <= label <= largest for label in found):
        raise DataError(f"The labels of {where} must be whole numbers from {least} to {largest}, but are not.")
    images = data.pixels(where, pixels)
    if len(images) != len(found):
        raise DataError(f"{where} must have one label for each image, got {len(found)} labels and {len(images)} images.")
    return images, np.array(found, dtype=np.int64)


def entries(content: bytes, where: str, kind: str) -> dict[str, Any]:
    """A pickled dictionary with its keys as text.

    Args:
        content: of the file.
        where: what errors call it.
        kind: what it should be.

    Raises:
        DataError: if it is damaged, or something else.
    """
    batch = unpickle(io.BytesIO(content), _NAMES, where=where, kind=kind, encoding="bytes")
    if not isinstance(batch, dict):
        raise DataError(f"{where} must hold a dict, got {type(batch).__name__}: this is not a {kind}.")
    return {text(key): value for key, value in batch.items()}


def text(value: Any) -> str:
    """A text of a pickle; those of Python 2 arrive as bytes."""
    if isinstance(value, bytes):
        return value.decode("ascii", errors="replace")
    return value if isinstance(value, str) else type(value).__name__


class _Array:
    """What a pickle says of a NumPy array, kept as a note: its shape, type and bytes."""

    def __init__(self, *args: Any) -> None:
        if len(args) == 4:  # protocol 5 gives all at once: buffer, type, shape, order
            raw, dtype, shape, order = args
            self.__setstate__((1, shape, dtype, order == "F", raw))

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.raw = state

    def pixels(self, where: str, count: int) -> np.ndarray:
        """The array as images ``(N, count)``, uint8."""
        shape, dtype, raw = (getattr(self, name, None) for name in ("shape", "dtype", "raw"))
        kind = getattr(dtype, "kind", None)
        if kind not in ("u1", "|u1", "uint8") or not isinstance(raw, bytes | bytearray):
            raise DataError(f"The images of {where} must be uint8, got {kind}.")
        if not (isinstance(shape, tuple) and len(shape) == 2 and type(shape[0]) is int and shape[1] == count):
            got = shape if isinstance(shape, tuple) and all(type(n) is int for n in shape) else type(shape).__name__
            raise DataError(f"The images of {where} must have the shape (N, {count}), got {got}.")
        if shape[0] * count != len(raw):
            raise DataError(f"The images of {where} are cut short: expected {shape[0]} of {count} bytes, got {len(raw)} bytes.")
        return np.frombuffer(raw, dtype=np.uint8).reshape(shape, order="F" if self.fortran else "C")


class _Type:
    """What a pickle says of a NumPy dtype: its name."""

    def __init__(self, kind: Any, *_: Any) -> None:
        self.kind = text(kind)

    def __setstate__(self, state: Any) -> None:
        pass  # byte order and field names, which single bytes do not have


_NAMES: Names = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _Array,
    ("numpy._core.numeric", "_frombuffer"): _Array,
    ("_codecs", "encode"): text_as_bytes,
}
"""Everything that a batch may name."""
