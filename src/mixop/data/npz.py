"""Sets from an ``.npz`` file of NumPy arrays. Read without pickle, so a file cannot run code."""

import hashlib
import io
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.core.files import read_file
from mixop.data.arrays import assemble_arrays
from mixop.data.core import PARTS, Data, Source
from mixop.data.layouts import Layout
from mixop.data.notes import left_out
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.tasks.base import Task

INPUTS = ("x", "images", "signals", "features", "inputs", "data")
"""What inputs are called, the first that is there is taken."""

TARGETS = ("y", "labels", "targets", "target", "masks")
"""What targets are called."""

WORDS = {"train": ("train", "training"), "valid": ("valid", "val", "validation"), "test": ("test",)}
"""What the parts are called; inputs and targets of no part are those of the training set."""


@dataclass(frozen=True)
class Npz(Source):
    """A file of NumPy arrays (``numpy.savez``): inputs and targets, and those of a validation and a test set if there are.

    Inputs are called ``x``, ``images``, ``signals``, ``features``, ``inputs`` or ``data``; targets ``y``, ``labels``,
    ``targets``, ``target`` or ``masks``, in small or large letters. Those of a part have its name before or behind:
    ``x_train``, ``train_images``, ``y_val``, ``valid_labels``, ``x_test``; so the files of MedMNIST are read as they are, with
    their own validation set. Class names may stand under ``classes``. The record names the arrays of each part, and under
    ``"left_out"`` those that are not used. What targets and axes may be: see `from_arrays`; a file of signals ``(N, C, L)`` in
    float needs no option.

    Args:
        path: the ``.npz`` file.
        layout: order of the axes of the inputs; "auto" finds it where there is one, see `from_arrays`.
        task: what a network is to do; none to take it from the targets.
        split: how the examples are divided; ``valid`` and ``test`` count only where the file has no such set.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are measured on the training examples.
    """

    name: ClassVar[str] = "npz"

    path: str
    layout: Layout = "auto"
    task: Task | None = None

    def load(self) -> Data:
        """The file as tensors.

        Raises:
            DataError: if the file is missing, damaged, or its arrays are no inputs and targets.
        """
        arrays, md5 = _read(self.path)
        keys = _keys(arrays, self.path)
        where = Path(self.path).name
        used = {key for pair in keys.values() if pair for key in pair} | {"classes"}
        record: dict[str, Any] = {
            "files": {where: {"md5": md5}},
            "arrays": {part: list(pair) for part, pair in keys.items() if pair},
            **left_out("arrays of other names", [key for key in arrays if key not in used]),
        }
        return assemble_arrays(
            {part: None if pair is None else (arrays[pair[0]], arrays[pair[1]]) for part, pair in keys.items()},
            names={part: (f"{pair[0]!r} of {where}", f"{pair[1]!r} of {where}") for part, pair in keys.items() if pair},
            task=self.task,
            classes=[str(name) for name in arrays["classes"].ravel()] if "classes" in arrays else None,
            layout=self.layout,
            name=Path(self.path).stem,
            split=self.split,
            augment=self.augment,
            source=self,
            record=record,
        )


@door(DataError)
def from_npz(
    path: str | os.PathLike[str],
    *,
    task: Task | None = None,
    valid: float = 0.5,
    test: float = 0.2,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    layout: Layout = "auto",
    augment: Preparation | AugmentFunction | None = None,
) -> Data:
    """Loads a file of NumPy arrays, see `Npz` for the names in it.

    Args:
        path: the ``.npz`` file.
        task: what a network is to do; None to take it from the targets.
        valid: share or number of the training examples that the architecture learns from, if the file has no validation set.
        test: share or number of all examples that is kept for the test, if the file has no test set.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file with index lists instead of shares, see `Split`.
        layout: order of the axes of the inputs; "auto" finds it where there is one, see `from_arrays`.
        augment: what is done to training batches, or a function of your own; None for normalisation only, measured.

    Raises:
        DataError: if the file is missing, damaged, or its arrays are no inputs and targets.
    """
    split = Split(valid=valid, test=test, seed=seed, stratified=stratified, index_file=index_file)
    return Npz(os.fspath(path), layout=layout, task=task, split=split, augment=preparation(augment)).load()


def _keys(arrays: Mapping[str, Any], path: str) -> dict[str, tuple[str, str] | None]:
    """For every part the names of its inputs and targets; None where the file has none."""
    known = {key.lower(): key for key in arrays}

    def find(words: tuple[str, ...], part: str) -> str | None:
        marks = [form.format(mark) for mark in WORDS[part] for form in ("{{}}_{}", "{}_{{}}")]
        marks += ["{}"] if part == "train" else []
        return next((known[name] for mark in marks for word in words if (name := mark.format(word)) in known), None)

    pairs: dict[str, tuple[str, str] | None] = {}
    for part in PARTS:
        x, y = find(INPUTS, part), find(TARGETS, part)
        if x and y:
            pairs[part] = x, y
        elif x or y:
            missing = _like(x, True) if x else _like(y or "", False)
            raise DataError(f"The data file {path!r} must hold {(x or y)!r} and {missing!r}, but {missing!r} is missing.")
        elif part == "train":
            found = ", ".join(map(repr, arrays)) or "nothing"
            raise DataError(f"The data file {path!r} must hold inputs 'x' and targets 'y', got {found}: rename them.")
        else:
            pairs[part] = None
    return pairs


def examples_in(path: str) -> np.ndarray | Literal[False]:
    """The inputs in a ``.npz`` or ``.npy`` file, without targets; False for another kind of file.

    Raises:
        DataError: if the file is missing, damaged, or holds no inputs.
    """
    suffix = Path(path).suffix.lower()
    if suffix == ".npy":
        try:
            return np.load(io.BytesIO(read_file(path)), allow_pickle=False)
        except OSError as error:
            raise DataError(f"Cannot read the data file {path!r}: {error.strerror or error}.") from error
        except Exception as error:
            raise DataError(f"The data file {path!r} is damaged, or not an .npy file of plain numbers: {error}.") from error
    if suffix != ".npz":
        return False
    arrays, _ = _read(path)
    known = {key.lower(): key for key in arrays}
    for word in INPUTS:
        if word in known:
            return arrays[known[word]]
    raise DataError(
        f"The data file {path!r} must hold inputs under one of {', '.join(INPUTS)}, got {', '.join(arrays) or 'nothing'}."
    )


def _like(key: str, is_input: bool) -> str:
    """A name for the other array of a pair: ``y_test`` for ``x_test``."""
    mine, usual = (INPUTS, {"images": "labels"}) if is_input else (TARGETS, {"labels": "images"})
    twin = {**dict.fromkeys(mine, "y" if is_input else "x"), **usual}
    return "_".join(twin.get(piece, piece) for piece in key.lower().split("_"))


def _read(path: str) -> tuple[dict[str, np.ndarray], str]:
    try:
        content = read_file(path)
    except OSError as error:
        raise DataError(f"Cannot read the data file {path!r}: {error.strerror or error}.") from error
    if not content:
        raise DataError(f"The data file {path!r} is empty.")
    try:
        loaded = np.load(io.BytesIO(content), allow_pickle=False)
        arrays = {} if isinstance(loaded, np.ndarray) else {key: loaded[key] for key in loaded.files}
    except Exception as error:  # a damaged zip file provokes a dozen kinds of errors
        raise DataError(f"The data file {path!r} is damaged, or not an .npz file of plain arrays: {error}.") from error
    if isinstance(loaded, np.ndarray):
        raise DataError(
            f"The data file {path!r} holds a single array: write inputs and targets with numpy.savez(path, x=x, y=y)."
        )
    return arrays, hashlib.md5(content, usedforsecurity=False).hexdigest()
