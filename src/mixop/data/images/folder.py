"""Sets from a folder of images, one subfolder for each class. Needs Pillow, the extra ``images``."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from mixop.core.door import door
from mixop.core.errors import DataError, MissingExtraError
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.images.augment import Augment
from mixop.data.images.lazy import EIGHT_BITS
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.tasks.classification import Classification

SUFFIXES = frozenset((".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".tif", ".tiff", ".ppm", ".pgm", ".pbm"))
"""Files that are read as images; others in a class folder are left alone and counted in the record."""

_OTHER_FOLDERS = ("test", "val", "valid", "validation")
_AUGMENT = Augment(flip=True)


@dataclass(frozen=True)
class Folder(Source):
    """A folder of images with one subfolder for each class, all brought to one size when they are loaded.

    If its subfolders are ``train`` and one of ``test``, ``val``, ``valid`` or ``validation``, the latter is the test set; if
    there are ``train``, ``test`` and one of the others, that one is what the architecture learns from. Of
    each image the largest centred rectangle of the size's proportions, a square for one number, is scaled to it, bilinearly.

    Args:
        path: the folder.
        size: height and width of the images in pixels after scaling, >= 1; one number for square images.
        channels: 3 for colour, 1 for grey.
        split: how the examples are divided; its ``test`` counts only if there is no test folder.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are measured on the training examples.
    """

    name: ClassVar[str] = "folder"

    path: str
    size: int | tuple[int, int] = 32
    channels: int = 3
    augment: Preparation = field(default=_AUGMENT, kw_only=True)

    def load(self) -> Data:
        """The images as tensors ``(N, C, *size)``, uint8, class by class, by file name within a class.

        Raises:
            DataError: if the folder is missing or has no images, or a file is not an image.
            MissingExtraError: if Pillow is not installed.
        """
        if min(_sides(self.size)) < 1 or self.channels not in (1, 3):
            raise DataError(f"Images need a size >= 1 and 1 or 3 channels, got size {self.size} and {self.channels} channels.")
        folders = _parts(Path(self.path))
        training = folders["train"]
        classes = [folder.name for folder in subfolders(training)]
        parts: dict[str, Arrays] = {}
        others = 0
        for part, folder in folders.items():
            strange = [other.name for other in subfolders(folder) if other.name not in classes]
            if strange:
                raise DataError(f"{str(folder)!r} holds the class {strange[0]!r}, which {str(training)!r} does not.")
            x, y, rest = self._read(folder, classes)
            parts[part] = Arrays(x, y)
            others += rest
        return assemble(
            Path(self.path).resolve().name,
            parts["train"],
            valid=parts.get("valid"),
            test=parts.get("test"),
            task=Classification(classes=tuple(classes)),
            split=self.split,
            augment=self.augment,
            source=self,
            record={
                "folders": {part: folder.name for part, folder in folders.items() if folder != Path(self.path)},
                "files_that_are_no_images": others,
            },
        )

    def _read(self, root: Path, classes: Sequence[str]) -> tuple[Tensor, Tensor, int]:
        files: list[Path] = []
        labels: list[int] = []
        others = 0
        for label, name in enumerate(classes):
            found = sorted(file for file in root.joinpath(name).glob("*") if file.is_file() and not file.name.startswith("."))
            images = [file for file in found if file.suffix.lower() in SUFFIXES]
            others += len(found) - len(images)
            files += images
            labels += [label] * len(images)
        if not files:
            raise DataError(f"{str(root)!r} must hold one folder of images for each class, but no image was found.")
        refuse_one_class(root, classes)
        with ThreadPoolExecutor() as pool:  # Pillow decodes without the interpreter's lock
            arrays = list(pool.map(lambda file: read_image(file, self.size, self.channels), files))
        return torch.from_numpy(np.stack(arrays)), torch.tensor(labels), others


@door(DataError)
def from_folder(
    path: str | os.PathLike[str],
    *,
    size: int | tuple[int, int] = 32,
    channels: int = 3,
    valid: float = 0.5,
    test: float = 0.2,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    augment: Preparation | AugmentFunction = _AUGMENT,
) -> Data:
    """Loads a folder of images with one subfolder for each class, see `Folder`.

    Args:
        path: the folder.
        size: height and width of the images in pixels after scaling; one number for square images.
        channels: 3 for colour, 1 for grey.
        valid: share of the training examples that the architecture learns from.
        test: share of all examples that is kept for the test, if there is no test folder.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file with index lists instead of shares, see `Split`.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are measured.

    Raises:
        DataError: if the folder is missing or has no images, or a file is not an image.
        MissingExtraError: if Pillow is not installed.
    """
    split = Split(valid=valid, test=test, seed=seed, stratified=stratified, index_file=index_file)
    return Folder(os.fspath(path), size=size, channels=channels, split=split, augment=preparation(augment)).load()


def read_image(path: Path, size: int | tuple[int, int], channels: int) -> np.ndarray:
    """One image file as ``(C, *size)`` uint8: turned upright, the largest centred rectangle, scaled bilinearly.

    Raises:
        DataError: if the file is no image with 8 bits for each channel.
        MissingExtraError: if Pillow is not installed.
    """
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise MissingExtraError("pillow", "images", "Reading an image folder") from error
    height, width = _sides(size)
    try:
        with Image.open(path) as file:
            mode = file.mode
            image = ImageOps.exif_transpose(file)
            if "transparency" in image.info:
                image = image.convert("RGBA")
            image = image.convert("RGB" if channels == 3 else "L")
            pixels = np.asarray(ImageOps.fit(image, (width, height), Image.Resampling.BILINEAR))
    except Exception as error:  # a damaged image provokes nearly every kind of error
        raise DataError(f"Cannot read the image {str(path)!r} ({error}): fix or remove it.") from error
    if mode not in EIGHT_BITS:
        raise DataError(f"The image {str(path)!r} must have 8 bits for each channel, got mode {mode}: convert or remove it.")
    return pixels.reshape(height, width, channels).transpose(2, 0, 1)


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def _parts(root: Path) -> dict[str, Path]:
    """The folder of each part that has one."""
    names = {folder.name for folder in subfolders(root)}
    others = [name for name in _OTHER_FOLDERS if name in names]
    if "train" not in names or names != {"train", *others}:
        return {"train": root}
    parts = {"train": root / "train"}
    if others:
        parts["test"] = root / others.pop(0)  # that of the validation where there is no other
    if others:
        parts["valid"] = root / others.pop(0)
    if others:
        raise DataError(f"{str(root)!r} must hold one validation folder, got {parts['valid'].name!r} and {others[0]!r}.")
    return parts


def refuse_one_class(root: Path, classes: Sequence[str]) -> None:
    """Raises a `DataError` if there is a single class."""
    if len(classes) < 2:
        raise DataError(f"{str(root)!r} must hold one folder of images for each of at least two classes, got {classes[0]!r}.")


def subfolders(root: Path) -> list[Path]:
    """The folders in a folder by name, hidden ones left out.

    Raises:
        DataError: if it cannot be read.
    """
    try:
        return sorted(entry for entry in root.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    except OSError as error:
        raise DataError(f"Cannot read the image folder {str(root)!r}: {error.strerror or error}.") from error
