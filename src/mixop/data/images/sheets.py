"""Image sets kept as sheets: many images of one size side by side in a few large pictures. Needs Pillow, the extra ``images``.

Lossless sheets are the smallest plain form of a set of small images, a fifth smaller than the official archives of CIFAR-10.
"""

import hashlib
import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.core.extras import package
from mixop.core.files import open_file, read_file
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.images.augment import CIFAR10_NASBENCH201
from mixop.data.images.pixels import too_deep
from mixop.data.notes import left_out
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.tasks.classification import Classification

USED = ("train_y", "test_y", "classes")
"""Arrays that a labels file must hold."""


@dataclass(frozen=True)
class Sheets(Source):
    """A folder with sheets, ``NAME_train_0.webp``, ``NAME_train_1.webp`` ... and ``NAME_test.webp``, and ``NAME_labels.npz``.

    A sheet holds its images row by row. The labels file holds ``train_y``, ``test_y`` and ``classes``, and may hold the set's
    own division of the training images: an array whose name ends in ``_valid``, 1 for those of the validation split. Arrays
    whose names end in ``_index`` may say where the images come from; the record names all others under ``"left_out"``.

    Args:
        path: the folder.
        tile: height and width of an image in the sheets, in pixels.
        size: height and width of the images after averaging blocks of pixels, a divisor of ``tile``.
        images: how many of the first training images to take; None for all.
        own_split: whether the file's own division is taken, if it has one, in place of ``split``.
        split: how the examples are divided otherwise.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are measured on the training examples.
    """

    name: ClassVar[str] = "sheets"

    path: str
    tile: int = 32
    size: int = 32
    images: int | None = None
    own_split: bool = True
    augment: Preparation = field(default=CIFAR10_NASBENCH201, kw_only=True)

    def load(self) -> Data:
        """The images as tensors ``(N, 3, size, size)``, uint8, in the order of the sheets.

        Raises:
            DataError: if a file is missing or damaged, or a number does not fit the files.
            MissingExtraError: if Pillow is not installed.
        """
        if self.tile < 1 or self.size < 1 or self.tile % self.size:
            raise DataError(f"size of sheets must divide their tiles of {self.tile} pixels, got {self.size}.")
        labels_file, train_files, test_file = _files(Path(self.path))
        labels = _labels(labels_file)
        x = torch.cat([self._read(file) for file in train_files])
        y, test_y = (torch.from_numpy(labels[key].astype(np.int64)) for key in ("train_y", "test_y"))
        if self.images is not None and not 2 <= self.images <= len(x):
            raise DataError(
                f"images of sheets must lie between 2 and {len(x)}, the number in {self.path!r}, got {self.images}."
            )
        own = [key for key in labels if key.endswith("_valid")][:1]
        divided = labels[own[0]] if own else None
        known = {*USED, *own, *(key for key in labels if key.endswith("_index"))}
        test_x, count = self._read(test_file), self.images or len(x)
        if not len(x) == len(y) or not len(test_x) == len(test_y):
            raise DataError(
                f"{str(labels_file)!r} has labels for {len(y)} and {len(test_y)} images, but the sheets hold {len(x)} and "
                f"{len(test_x)}: use the files of one set."
            )
        data = assemble(
            labels_file.stem.removesuffix("_labels"),
            Arrays(x[:count], y[:count]),
            test=Arrays(test_x, test_y),
            task=Classification(classes=tuple(str(name) for name in labels["classes"].ravel())),
            split=self.split,
            augment=self.augment,
            source=self,
            record={
                "files": {file.name: _md5(file) for file in (labels_file, *train_files, test_file)},
                **left_out("arrays of other names", [key for key in labels if key not in known]),
            },
        )
        if not self.own_split or divided is None:
            return data
        valid = torch.from_numpy(divided[:count].astype(bool))
        record = {**data.record, "split": {"by": labels_file.name}}
        return replace(data, train=(~valid).nonzero()[:, 0], valid=valid.nonzero()[:, 0], record=record)

    def _read(self, path: Path) -> Tensor:
        """The images of a sheet, ``(N, 3, size, size)`` uint8."""
        package("PIL", "Reading sheets of images")
        from PIL import Image, UnidentifiedImageError

        try:
            with open_file(path) as raw, Image.open(raw) as image:
                deep, pixels = too_deep(image), np.asarray(image.convert("RGB"))
        except (OSError, UnidentifiedImageError, Image.DecompressionBombError) as error:
            raise DataError(f"{str(path)!r} is damaged or not an image: {error}.") from error
        if deep is not None:
            raise DataError(f"The sheet {str(path)!r} must have 8 bits for each channel, got {deep}: convert it.")
        height, width, _ = pixels.shape
        tile = self.tile
        if height % tile or width % tile:
            raise DataError(f"{str(path)!r} of {width}x{height} pixels cannot be a sheet of images of {tile} pixels: set tile.")
        blocks = pixels.reshape(height // tile, tile, width // tile, tile, 3).transpose(0, 2, 4, 1, 3)
        images = blocks.reshape(-1, 3, tile, tile)
        if self.size == tile:
            return torch.from_numpy(np.ascontiguousarray(images))
        factor = tile // self.size
        means = images.reshape(len(images), 3, self.size, factor, self.size, factor).mean((3, 5), dtype=np.float64)
        return torch.from_numpy(np.rint(means).astype(np.uint8))


@door(DataError)
def sheets(
    path: str | os.PathLike[str],
    *,
    tile: int = 32,
    size: int = 32,
    images: int | None = None,
    own_split: bool = True,
    split: Split | None = None,
    augment: Preparation | AugmentFunction = CIFAR10_NASBENCH201,
) -> Data:
    """Loads sheets of images, see `Sheets` for the files.

    Args:
        path: the folder.
        tile: height and width of an image in the sheets, in pixels.
        size: height and width of the images after averaging blocks of pixels.
        images: how many of the first training images to take; None for all.
        own_split: whether the file's own division is taken, if it has one.
        split: how the examples are divided otherwise.
        augment: what is done to training batches.

    Raises:
        DataError: if a file is missing or damaged, or a number does not fit the files.
        MissingExtraError: if Pillow is not installed.
    """
    options = {"tile": tile, "size": size, "images": images, "own_split": own_split}
    return Sheets(os.fspath(path), **options, split=split or Split(), augment=preparation(augment)).load()


def _files(folder: Path) -> tuple[Path, list[Path], Path]:
    """The labels, the training sheets in order, and the test sheet."""
    if not folder.is_dir():
        raise DataError(f"Sheets must be in a folder, but {str(folder)!r} is not a folder.")
    found = sorted(folder.glob("*_labels.npz"))
    if len(found) != 1:
        raise DataError(f"{str(folder)!r} must hold one NAME_labels.npz beside its sheets, got {len(found)}.")
    name = found[0].stem.removesuffix("_labels")
    train: list[Path] = []
    while (sheet := folder / f"{name}_train_{len(train)}.webp").exists():
        train.append(sheet)
    numbers = [file.stem.removeprefix(f"{name}_train_") for file in folder.glob(f"{name}_train_*.webp")]
    if later := sorted(int(number) for number in numbers if number.isdecimal() and int(number) >= len(train)):
        raise DataError(
            f"{str(folder)!r} holds sheet {later[-1]} of {name}, but sheet {len(train)} is missing: the sheets are not "
            "complete."
        )
    test = folder / f"{name}_test.webp"
    for file, missing in ((folder / f"{name}_train_0.webp", not train), (test, not test.exists())):
        if missing:
            raise DataError(f"{str(file)!r} is missing: the sheets of {name} are not complete.")
    return found[0], train, test


def _labels(path: Path) -> dict[str, np.ndarray]:
    try:
        with open_file(path) as raw, np.load(raw, allow_pickle=False) as file:
            labels = {key: file[key] for key in file.files}
    except Exception as error:  # a damaged zip file provokes a dozen kinds of errors
        raise DataError(f"{str(path)!r} is damaged, or not an .npz file of plain arrays: {error}.") from error
    missing = [key for key in USED if key not in labels]
    if missing:
        raise DataError(f"{str(path)!r} must hold train_y, test_y and classes, but {missing[0]} is missing.")
    for key in ("train_y", "test_y", *(key for key in labels if key.endswith("_valid"))):
        if labels[key].dtype.kind not in "iub" or labels[key].ndim != 1:
            raise DataError(
                f"{key} of {str(path)!r} must be a list of whole numbers, got {labels[key].dtype} {labels[key].shape}."
            )
    return labels


def _md5(path: Path) -> dict[str, Any]:
    return {"md5": hashlib.md5(read_file(path), usedforsecurity=False).hexdigest()}
