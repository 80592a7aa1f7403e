"""ImageNet, or any set in its tree of folders, read from the files while it is trained on. Needs Pillow."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

import torch

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.core.machine import cores
from mixop.data.core import Data, Source, assemble
from mixop.data.images.augment import IMAGENET, IMAGENET_MEAN, IMAGENET_STD
from mixop.data.images.folder import SUFFIXES, refuse_one_class, subfolders
from mixop.data.images.lazy import ImageFiles, LazyImages
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.tasks.classification import Classification

IMAGENET_SEARCH = Split(train=0.10, valid=0.025)
"""The part of ImageNet that PC-DARTS and its successors search on: of every class 10 % for the weights, 2.5 % for the
architecture. Source: Xu et al. 2020 (arXiv:1907.05737)."""


@dataclass(frozen=True)
class ImageNet(Source):
    """ImageNet, or any set in its tree ``train/CLASS/IMAGE`` and ``val/CLASS/IMAGE``, read while it is trained on.

    ``val`` is the test set; the architecture learns from a part of ``train``. For an evaluation an image is scaled until its
    shorter side has ``resize`` pixels, and its centre is taken; the random resized crop of the training is cut from the whole
    image before it is scaled. Images are square.

    Args:
        path: the folder that holds ``train`` and ``val``.
        size: height and width of the images in pixels, >= 1.
        resize: shorter side before the centre is taken, in pixels, >= ``size``; None for 256 to a size of 224.
        workers: threads that decode; None for as many as there are cores. Changes no image.
        verify: whether every image is decoded once when the set is loaded, so that a broken one is found before the search.
        split: how the training examples are divided; `IMAGENET_SEARCH` has the published shares. ``test`` does not count.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are the published ones.

    Source: Deng et al. 2009; Russakovsky et al. 2015 (arXiv:1409.0575).
    """

    name: ClassVar[str] = "imagenet"

    path: str
    size: int = 224
    resize: int | None = None
    workers: int | None = None
    verify: bool = False
    augment: Preparation = field(default=IMAGENET, kw_only=True)

    def load(self) -> Data:
        """The set, its images still in their files, class by class, by file name within a class.

        Raises:
            DataError: if the tree is not such a tree, a class has no image, or, with ``verify``, an image is broken.
            MissingExtraError: if Pillow is not installed.
        """
        resize = round(self.size * 256 / 224) if self.resize is None else self.resize
        workers = cores() if self.workers is None else self.workers
        if not 1 <= self.size <= resize or workers < 1:
            raise DataError(
                f"Images need a size >= 1, at most the resize, and at least one worker, got size {self.size}, resize {resize} "
                f"and {workers} workers."
            )
        root = Path(self.path)
        for part in ("train", "val"):
            if not (root / part).is_dir():
                raise DataError(f"{str(root)!r} must hold the folders 'train' and 'val', but {part!r} is missing.")
        classes = [folder.name for folder in subfolders(root / "train")]
        strange = [folder.name for folder in subfolders(root / "val") if folder.name not in set(classes)]
        if strange:
            raise DataError(f"{str(root / 'val')!r} holds the class {strange[0]!r}, which {str(root / 'train')!r} does not.")
        parts, others = [], 0
        for part in ("train", "val"):
            names, bytes_of, labels, strangers = _files(root / part, classes, all_classes=part == "train")
            refuse_one_class(root / part, classes)
            images = LazyImages(root / part, names, bytes_of, size=self.size, resize=resize, workers=workers)
            if self.verify:
                images.verify()
            parts.append(ImageFiles(images, torch.tensor(labels)))
            others += strangers
        normalised = replace(self.augment, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        return assemble(
            self.name,
            parts[0],
            test=parts[1],
            task=Classification(classes=tuple(classes)),
            split=self.split,
            augment=self.augment if self.augment.mean else normalised,
            source=self,
            record={"files_that_are_no_images": others},
        )


@door(DataError)
def imagenet(
    path: str | os.PathLike[str],
    *,
    size: int = 224,
    resize: int | None = None,
    workers: int | None = None,
    verify: bool = False,
    split: Split = Split(),  # noqa: B008 - a value
    augment: Preparation | AugmentFunction = IMAGENET,
) -> Data:
    """Loads ImageNet, or a set in its tree of folders, see `ImageNet`.

    Args:
        path: the folder that holds ``train`` and ``val``.
        size: height and width of the images in pixels.
        resize: shorter side before the centre is taken; None for 256 to a size of 224.
        workers: threads that decode; None for as many as there are cores.
        verify: whether every image is decoded once now.
        split: how the training examples are divided; `IMAGENET_SEARCH` has the published shares.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are the published ones.

    Raises:
        DataError: if the tree is not such a tree, a class has no image, or, with ``verify``, an image is broken.
        MissingExtraError: if Pillow is not installed.
    """
    return ImageNet(os.fspath(path), size, resize, workers, verify, split=split, augment=preparation(augment)).load()


def _files(root: Path, classes: Sequence[str], *, all_classes: bool) -> tuple[list[str], list[int], list[int], int]:
    """Names below a folder, sizes in bytes and labels of its images, and the number of other files."""
    names: list[str] = []
    bytes_of: list[int] = []
    labels: list[int] = []
    others = 0
    for label, name in enumerate(classes):
        if not all_classes and not (root / name).is_dir():
            continue
        found = 0
        try:
            with os.scandir(root / name) as entries:
                files = sorted((entry.name, entry.stat().st_size) for entry in entries if entry.is_file())
        except OSError as error:
            raise DataError(f"Cannot read the image folder {str(root / name)!r}: {error.strerror or error}.") from error
        for file, count in files:
            if file.startswith("."):
                continue
            if Path(file).suffix.lower() not in SUFFIXES:
                others += 1
                continue
            found += 1
            names.append(f"{name}/{file}")
            bytes_of.append(count)
            labels.append(label)
        if not found:
            raise DataError(f"{str(root / name)!r} must hold the images of a class, but holds none: fill or remove it.")
    if not names:
        raise DataError(f"{str(root)!r} must hold one folder of images for each class, but no image was found.")
    return names, bytes_of, labels, others
