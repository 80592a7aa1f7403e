"""ImageNet, or any set in its tree of folders, read from the files while it is trained on. Needs Pillow."""

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

import torch

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.core.machine import cores
from mixop.data.core import Data, Source, assemble
from mixop.data.images.augment import IMAGENET, IMAGENET_MEAN, IMAGENET_STD
from mixop.data.images.lazy import ImageFiles, LazyImages
from mixop.data.images.tree import alike, classes_of, images_in, refuse_one_class
from mixop.data.notes import LeftOut
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

    Images in subfolders of a class are read too, and links are followed. The record says under ``"left_out"`` what is not read.
    Orientation tags are not followed, as in the field's own loaders; of several frames the first is read.

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
        classes = classes_of(root / "train")
        left_out, nested, parts = LeftOut(), 0, []
        for part in ("train", "val"):
            found = images_in(root / part, classes, left_out, every_class=part == "train")
            refuse_one_class(root / part, classes)
            images = LazyImages(root / part, found.names, found.sizes, size=self.size, resize=resize, workers=workers)
            if self.verify:
                images.verify()
            parts.append(ImageFiles(images, torch.tensor(found.labels)))
            nested += found.nested
        record: dict[str, Any] = {"images_in_subfolders": nested}
        if same := alike(classes):
            record["classes_that_differ_only_in_case"] = same
        normalised = replace(self.augment, mean=IMAGENET_MEAN, std=IMAGENET_STD)
        return assemble(
            self.name,
            parts[0],
            test=parts[1],
            task=Classification(classes=tuple(classes)),
            split=self.split,
            augment=self.augment if self.augment.mean else normalised,
            source=self,
            record={**record, **left_out.record},
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
