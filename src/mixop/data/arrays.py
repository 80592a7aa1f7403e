"""Sets from arrays: any ``(x, y)`` in Python, or an ``.npz`` file. Read without pickle, so a file cannot run code."""

import hashlib
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mixop.core.errors import DataError
from mixop.data.core import Data, Source, assemble
from mixop.data.images.augment import Augment
from mixop.data.split import Split

Layout = Literal["auto", "nchw", "nhwc"]
"""Order of the axes of images: N images, C channels, H and W height and width."""

_KEYS = (("x_train", "y_train"), ("train_x", "train_y"), ("x", "y"), ("images", "labels"))
_TEST_KEYS = (("x_test", "y_test"), ("test_x", "test_y"), ("test_images", "test_labels"))


@dataclass(frozen=True)
class Npz(Source):
    """A file of NumPy arrays (``numpy.savez``): images and labels, and a test set if there is one.

    Images are read from ``x``, ``x_train``, ``train_x`` or ``images``, labels from ``y``, ``y_train``, ``train_y`` or
    ``labels``, the test set from ``x_test`` and ``y_test``, ``test_x`` and ``test_y``, or ``test_images`` and
    ``test_labels``, class names from ``classes``.

    Args:
        path: the ``.npz`` file.
        layout: order of the axes of the images; "auto" finds it where only one order gives square images.
        split: how the examples are divided; its ``test`` counts only if the file has no test set.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are measured on the training examples.
    """

    name: ClassVar[str] = "npz"

    path: str
    layout: Layout = "auto"

    def load(self) -> Data:
        """The file as tensors.

        Raises:
            DataError: if the file is missing, damaged, or its arrays are not images and labels.
        """
        arrays, md5 = _read(self.path)
        x_key, y_key = _find(arrays, _KEYS, self.path) or _refuse_keys(arrays, self.path)
        test_keys = _find(arrays, _TEST_KEYS, self.path)
        where = Path(self.path).name
        return _assemble(
            (arrays[x_key], arrays[y_key]),
            None if test_keys is None else (arrays[test_keys[0]], arrays[test_keys[1]]),
            names=(f"{x_key!r} of {where}", f"{y_key!r} of {where}"),
            classes=[str(name) for name in arrays["classes"].ravel()] if "classes" in arrays else None,
            layout=self.layout,
            name=Path(self.path).stem,
            split=self.split,
            augment=self.augment,
            source=self,
            record={"files": {where: {"md5": md5}}},
        )


def from_npz(
    path: str | os.PathLike[str],
    *,
    valid: float = 0.5,
    test: float = 0.2,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    layout: Layout = "auto",
    augment: Augment | None = None,
) -> Data:
    """Loads a file of NumPy arrays, see `Npz` for the names in it.

    Args:
        path: the ``.npz`` file.
        valid: share of the training examples that the architecture learns from.
        test: share of all examples that is kept for the test, if the file has no test set.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file with index lists instead of shares, see `Split`.
        layout: order of the axes of the images; "auto" finds it where only one order gives square images.
        augment: what is done to training batches; None for normalisation only, measured.

    Raises:
        DataError: if the file is missing, damaged, or its arrays are not images and labels.
    """
    split = Split(valid=valid, test=test, seed=seed, stratified=stratified, index_file=index_file)
    return Npz(os.fspath(path), layout=layout, split=split, augment=augment or Augment()).load()


def from_arrays(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    test: tuple[ArrayLike | Tensor, ArrayLike | Tensor] | None = None,
    valid: float = 0.5,
    test_share: float = 0.2,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    classes: Sequence[str] | None = None,
    name: str = "arrays",
    layout: Layout = "auto",
    augment: Augment | None = None,
) -> Data:
    """Makes a set from arrays or tensors.

    Args:
        x: images ``(N, C, H, W)``, ``(N, H, W, C)`` or ``(N, H, W)``, with H = W, uint8 (0..255) or float.
        y: labels ``(N,)``, whole numbers 0..K-1, every class at least once.
        test: images and labels of the test; None to keep a share of ``x`` for it.
        valid: share of the training examples that the architecture learns from.
        test_share: share of ``x`` that is kept for the test, if ``test`` is None.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file with index lists instead of shares, see `Split`.
        classes: names of the K classes; None for "0", "1" and so on.
        name: what the set is called in reports.
        layout: order of the axes of ``x``; "auto" finds it where only one order gives square images.
        augment: what is done to training batches; None for normalisation only, measured.

    Raises:
        DataError: if these are not images and labels, or a class is left without an example.

    Example:
        >>> x = np.random.default_rng(0).random((60, 12, 12))
        >>> data = from_arrays(x, np.arange(60) % 3, valid=0.25)
        >>> data.x.shape, data.x.dtype, len(data.train), len(data.valid), len(data.test_x)
        (torch.Size([48, 1, 12, 12]), torch.float32, 36, 12, 12)
    """
    return _assemble(
        (x, y),
        test,
        names=("x", "y"),
        classes=classes,
        layout=layout,
        name=name,
        split=Split(valid=valid, test=test_share, seed=seed, stratified=stratified, index_file=index_file),
        augment=augment or Augment(),
        source=None,
        record={},
    )


def _assemble(
    training: tuple[Any, Any],
    test: tuple[Any, Any] | None,
    *,
    names: tuple[str, str],
    classes: Sequence[str] | None,
    layout: Layout,
    name: str,
    split: Split,
    augment: Augment,
    source: Source | None,
    record: dict[str, Any],
) -> Data:
    x_name, y_name = names
    x, y = _images(training[0], layout, x_name), _labels(training[1], y_name)
    if classes is None:
        classes = [str(label) for label in range(int(y.max()) + 1)]
    return assemble(
        name,
        x,
        y,
        test=None if test is None else (_images(test[0], layout, f"{x_name} (test)"), _labels(test[1], f"{y_name} (test)")),
        classes=[str(label) for label in classes],
        split=split,
        augment=augment,
        source=source,
        record=record,
    )


def _images(given: Any, layout: Layout, where: str) -> Tensor:
    """Images ``(N, C, H, W)``, uint8 or float32, from whatever was given."""
    array = _array(given, where)
    if array.dtype == np.uint8:
        pass
    elif array.dtype.kind == "f":
        with np.errstate(over="ignore"):
            single = array.astype(np.float32)
        if (np.isinf(single) & np.isfinite(array)).any():
            raise DataError(f"{where} holds numbers too large for float32: scale the images first.")
        array = single
    else:
        raise DataError(f"{where} must hold uint8 (0 to 255) or float images, got {array.dtype}: convert it with astype first.")
    if array.ndim == 3:
        array = array[:, None]
    elif array.ndim != 4:
        raise DataError(f"{where} must hold images (N, C, H, W), (N, H, W, C) or (N, H, W), got the shape {array.shape}.")
    elif layout == "nhwc" or (layout == "auto" and _is_channels_last(array.shape, where)):
        array = array.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.array(array, order="C"))


def _is_channels_last(shape: tuple[int, ...], where: str) -> bool:
    _, first, middle, last = shape
    if first == middle == last:
        raise DataError(f"{where} of shape {shape} can be read in two ways: pass (N, C, H, W) and layout='nchw'.")
    if middle not in (first, last):
        raise DataError(f"{where} must hold square images, (N, C, H, W) or (N, H, W, C), got the shape {shape}.")
    return first == middle


def _labels(given: Any, where: str) -> Tensor:
    array = _array(given, where)
    if array.dtype.kind not in "iu":
        raise DataError(f"{where} must hold whole numbers 0, 1, 2 and so on as labels, got {array.dtype}.")
    if array.ndim != 1:
        raise DataError(f"{where} must hold one label for each image, shape (N,), got the shape {array.shape}.")
    if len(array) == 0:
        raise DataError(f"{where} is empty: it must hold a label for each image.")
    if array.min() < 0 or array.max() >= len(array):
        wrong = array.min() if array.min() < 0 else array.max()
        raise DataError(
            f"{where} must run from 0 to K-1 for K classes with an example each, got {wrong} in {len(array)} labels."
        )
    return torch.from_numpy(array.astype(np.int64))


def _array(given: Any, where: str) -> np.ndarray:
    if isinstance(given, Tensor):
        return (given.float() if given.is_floating_point() else given).detach().cpu().numpy()
    try:
        return np.asarray(given)
    except ValueError as error:  # rows of different lengths
        raise DataError(f"{where} must be an array, but its rows differ in length.") from error


def _read(path: str) -> tuple[dict[str, np.ndarray], str]:
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read the data file {path!r}: {error.strerror or error}.") from error
    if not content:
        raise DataError(f"The data file {path!r} is empty.")
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = {} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except Exception as error:  # a damaged zip file provokes a dozen kinds of errors
        raise DataError(f"The data file {path!r} is damaged, or no .npz file of plain arrays: {error}.") from error
    if isinstance(loaded, np.ndarray):
        raise DataError(
            f"The data file {path!r} holds a single array: write images and labels with numpy.savez(path, x=x, y=y)."
        )
    return arrays, hashlib.md5(content, usedforsecurity=False).hexdigest()


def _find(arrays: dict[str, Any], table: Sequence[tuple[str, str]], path: str) -> tuple[str, str] | None:
    for x_key, y_key in table:
        if x_key in arrays and y_key in arrays:
            return x_key, y_key
        if x_key in arrays or y_key in arrays:
            missing = y_key if x_key in arrays else x_key
            raise DataError(f"The data file {path!r} must hold {x_key!r} and {y_key!r}, but {missing!r} is missing.")
    return None


def _refuse_keys(arrays: dict[str, Any], path: str) -> tuple[str, str]:
    found = ", ".join(map(repr, arrays)) or "nothing"
    raise DataError(f"The data file {path!r} must hold images 'x' and labels 'y', got {found}.")
