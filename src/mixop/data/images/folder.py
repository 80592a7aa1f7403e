"""Sets from a folder of images, one subfolder for each class. Needs Pillow, the extra ``images``."""

import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.core.extras import package
from mixop.core.files import open_file
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.images.augment import Augment
from mixop.data.images.pixels import Seen, seen, too_deep
from mixop.data.images.tree import OUTSIDE, SUFFIXES, alike, classes_of, images_in, refuse_one_class
from mixop.data.notes import LeftOut
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.tasks.classification import Classification

_OTHER_FOLDERS = ("test", "val", "valid", "validation")
_PART_WORDS = frozenset(("train", "training", "testing", *_OTHER_FOLDERS))
_AUGMENT = Augment(flip=True)


@dataclass(frozen=True)
class Folder(Source):
    """A folder of images with one subfolder for each class, all brought to one size when they are loaded.

    If its subfolders are ``train`` and one of ``test``, ``val``, ``valid`` or ``validation``, the latter is the test set; if
    there are ``train``, ``test`` and one of the others, that one is what the architecture learns from. Of
    each image the largest centred rectangle of the size's proportions, a square for one number, is scaled to it, bilinearly.

    Images in subfolders of a class are read, as torchvision's ``ImageFolder`` does, and links are followed. An orientation tag
    turns the image; transparent parts show the colour that is stored under the transparency; of several frames the first is
    read; images of more than 8 bits for each channel are refused. The record counts all of these, and under ``"left_out"``
    everything that is not read: hidden files, files that are no images, links that point nowhere.

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
        classes = classes_of(folders["train"])
        left_out = LeftOut()
        parts: dict[str, Arrays] = {}
        counts: Counter[str] = Counter()
        for part, folder in folders.items():
            parts[part] = self._read(folder, classes, left_out, counts, every_class=part == "train")
        root = Path(self.path)
        for entry in sorted(root.iterdir()) if folders["train"] != root else ():
            if entry not in folders.values():
                left_out.add(OUTSIDE, entry.name)
        record = {"folders": {part: folder.name for part, folder in folders.items() if folder != root}, **counts}
        if same := alike(classes):
            record["classes_that_differ_only_in_case"] = same
        return assemble(
            root.resolve().name,
            parts["train"],
            valid=parts.get("valid"),
            test=parts.get("test"),
            task=Classification(classes=tuple(classes)),
            split=self.split,
            augment=self.augment,
            source=self,
            record={**record, **left_out.record},
        )

    def _read(
        self, root: Path, classes: Sequence[str], left_out: LeftOut, counts: Counter[str], *, every_class: bool
    ) -> Arrays:
        """The images of a part; what was special about them is added to the counts."""
        found = images_in(root, classes, left_out, every_class=every_class)
        refuse_one_class(root, classes)
        with ThreadPoolExecutor() as pool:  # Pillow decodes without the interpreter's lock
            images = list(pool.map(lambda name: _decoded(root / name, self.size, self.channels), found.names))
        counts["images_in_subfolders"] += found.nested
        for _, picture in images:
            counts["images_without_their_transparency"] += picture.transparent
            counts["images_of_several_frames"] += picture.frames
            counts["images_turned_upright"] += picture.turned
        return Arrays(torch.from_numpy(np.stack([pixels for pixels, _ in images])), torch.tensor(found.labels))


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
        valid: share or number of the training examples that the architecture learns from.
        test: share or number of all examples that is kept for the test, if there is no test folder.
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
    return _decoded(path, size, channels)[0]


def _decoded(path: Path, size: int | tuple[int, int], channels: int) -> tuple[np.ndarray, Seen]:
    """The pixels of an image file, and what was special about it; its own pixels are not kept."""
    package("PIL", "Reading an image folder")
    from PIL import Image, ImageOps

    height, width = _sides(size)
    try:
        with open_file(path) as raw, Image.open(raw) as file:
            deep = too_deep(file)
            picture = seen(file, "RGB" if channels == 3 else "L", upright=True)
            pixels = np.asarray(ImageOps.fit(picture.image, (width, height), Image.Resampling.BILINEAR))
    except Exception as error:  # a damaged image provokes nearly every kind of error
        raise DataError(f"Cannot read the image {str(path)!r} ({error}): fix or remove it.") from error
    if deep is not None:
        raise DataError(f"The image {str(path)!r} must have 8 bits for each channel, got {deep}: convert or remove it.")
    return pixels.reshape(height, width, channels).transpose(2, 0, 1), picture._replace(image=None)


def _sides(size: int | tuple[int, int]) -> tuple[int, int]:
    """Height and width."""
    return (size, size) if isinstance(size, int) else size


def _parts(root: Path) -> dict[str, Path]:
    """The folder of each part that has one."""
    names = set(classes_of(root))
    others = [name for name in _OTHER_FOLDERS if name in names]
    if "train" not in names or names != {"train", *others}:
        _refuse_parts_among_classes(root, names)
        return {"train": root}
    parts = {"train": root / "train"}
    if others:
        parts["test"] = root / others.pop(0)  # that of the validation where there is no other
    if others:
        parts["valid"] = root / others.pop(0)
    if others:
        raise DataError(f"{str(root)!r} must hold one validation folder, got {parts['valid'].name!r} and {others[0]!r}.")
    return parts


def _refuse_parts_among_classes(root: Path, names: set[str]) -> None:
    """Refuses parts of a set that would be read as its classes, since images in subfolders are read too."""
    for name in sorted(name for name in names if name.casefold() in _PART_WORDS):
        flat = any(entry.suffix.lower() in SUFFIXES for entry in (root / name).iterdir())
        if classes_of(root / name) and not flat:
            raise DataError(
                f"{str(root)!r} holds {name!r}, a folder of folders, as a class among {', '.join(sorted(names))}: if it is a "
                "part of the set, name the parts 'train', 'val' and 'test' and keep no other folder beside them; if it is a "
                "class, give it another name."
            )
