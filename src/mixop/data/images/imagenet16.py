"""ImageNet at 16 pixels from its published batches, and the first 120 classes of it that NAS-Bench-201 is about.

The batches are pickles, of which no code is run, see `mixop.data.images.batches`.
"""

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.core.files import read_file
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.images.augment import IMAGENET16_NASBENCH201
from mixop.data.images.batches import read_batch
from mixop.data.notes import left_out
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.tasks.classification import Classification

FOLDER = "ImageNet16"
"""What the folder of the batches is called."""

SIDE = 16
LABELS = 1000
"""Labels of the files, numbered from 1."""

TRAIN = tuple(f"train_data_batch_{number}" for number in range(1, 11))
TEST = "val_data"

OFFICIAL_MD5 = {
    "train_data_batch_1": "27846dcaa50de8e21a7d1a35f30f0e91",
    "train_data_batch_2": "c7254a054e0e795c69120a5727050e3f",
    "train_data_batch_3": "4333d3df2e5ffb114b05d2ffc19b1e87",
    "train_data_batch_4": "1620cdf193304f4a92677b695d70d10f",
    "train_data_batch_5": "348b3c2fdbb3940c4e9e834affd3b18d",
    "train_data_batch_6": "6e765307c242a1b3d7d5ef9139b48945",
    "train_data_batch_7": "564926d8cbf8fc4818ba23d2faac7564",
    "train_data_batch_8": "f4755871f718ccb653440b9dd0ebac66",
    "train_data_batch_9": "bb6dd660c38c58552125b1a92f86b5d4",
    "train_data_batch_10": "8f03f34ac4b42271a294f91bf480f29b",
    "val_data": "3410e3017fdaefba8d5073aaa65e4bd6",
}
"""MD5 of the published batches. Source: DownsampledImageNet.py of AutoDL-Projects."""


@dataclass(frozen=True)
class ImageNet16(Source):
    """ImageNet at 16x16 pixels, by default its first 120 classes, which NAS-Bench-201 calls ImageNet16-120.

    The published validation images are the test set; the benchmark halves them by lists of its own, its x-valid and x-test.
    Classes go by their numbers in the files, from 1.

    Args:
        path: the folder with the batches (train_data_batch_1 to train_data_batch_10, and val_data), or a folder that holds it
            under its name ImageNet16.
        classes: how many classes to take, from the first, 2 to 1,000.
        split: how the training examples are divided; ``test`` does not count, the set has its own.
        augment: what is done to training batches.

    Source: Chrabaszcz, Loshchilov & Hutter 2017 (arXiv:1707.08819); 120 classes: Dong & Yang 2020 (arXiv:2001.00326).
    """

    name: ClassVar[str] = "imagenet16"

    path: str
    classes: int = 120
    augment: Preparation = field(default=IMAGENET16_NASBENCH201, kw_only=True)

    def load(self) -> Data:
        """The set as tensors ``(N, 3, 16, 16)``, uint8, in the order of the batches.

        Raises:
            DataError: if a file is missing, cut short, or holds something else than images and labels.
        """
        if not 2 <= self.classes <= LABELS:
            raise DataError(f"classes of {self.name} must be 2 to {LABELS:,}, got {self.classes}.")
        folder = _folder(Path(self.path))
        sums: dict[str, Any] = {}
        x, y = self._tensors(folder, TRAIN, sums)
        test = Arrays(*self._tensors(folder, (TEST,), sums))
        others = sorted(file.name for file in folder.glob("*data*") if file.name not in OFFICIAL_MD5)
        official = all(file["official"] for file in sums.values())
        return assemble(
            self.name,
            Arrays(x, y),
            test=test,
            task=Classification(classes=tuple(str(number) for number in range(1, self.classes + 1))),
            split=self.split,
            augment=self.augment,
            source=self,
            record={"official": official, "files": sums, **left_out("files of other names", others)},
        )

    def _tensors(self, folder: Path, files: tuple[str, ...], sums: dict[str, Any]) -> tuple[Tensor, Tensor]:
        """Images and labels of some batches, of the classes that are taken; adds their checksums."""
        batches = []
        for name in files:
            try:
                content = read_file(folder / name)
            except OSError as error:
                raise DataError(f"Cannot read {name} of {self.path}: {error.strerror or error}.") from error
            md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
            sums[name] = {"md5": md5, "official": md5 == OFFICIAL_MD5[name]}
            where = f"{name} of {self.path}"
            images, labels = read_batch(
                content, where, "batch of ImageNet16", labels="labels", bounds=(1, LABELS), pixels=3 * SIDE * SIDE
            )
            if len(images) == 0:
                raise DataError(f"{where} is empty: it must hold at least one image.")
            taken = labels <= self.classes
            batches.append((images[taken], labels[taken] - 1))
        images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        if len(images) == 0:
            raise DataError(f"{files[0]} of {self.path} has no image of the first {self.classes} classes: take more classes.")
        return torch.from_numpy(images).view(-1, 3, SIDE, SIDE), torch.from_numpy(labels)


@door(DataError)
def imagenet16(
    path: str | os.PathLike[str],
    *,
    classes: int = 120,
    valid: float = 0.5,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    augment: Preparation | AugmentFunction = IMAGENET16_NASBENCH201,
) -> Data:
    """Loads ImageNet at 16x16 pixels, by default as NAS-Bench-201's ImageNet16-120, see `ImageNet16`.

    Args:
        path: the folder with the batches, or a folder that holds it under its name ImageNet16.
        classes: how many classes to take, from the first.
        valid: share or number of the training examples that the architecture learns from.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file with index lists instead of shares, see `Split`.
        augment: what is done to training batches, or a function of your own.

    Raises:
        DataError: if a file is missing or damaged, or a class is left without an example.
    """
    split = Split(valid=valid, seed=seed, stratified=stratified, index_file=index_file)
    return ImageNet16(os.fspath(path), classes, split=split, augment=preparation(augment)).load()


def _folder(path: Path) -> Path:
    """Where the batches lie.

    Raises:
        DataError: if they do not, or one is missing.
    """
    names = (*TRAIN, TEST)
    for folder in (path, path / FOLDER):
        missing = [name for name in names if not (folder / name).is_file()]
        if not missing:
            return folder
        if len(missing) < len(names):
            raise DataError(f"{str(folder)!r} is incomplete, {', '.join(missing)} is missing: unpack or get the batches again.")
    what = "holds none" if path.exists() else "does not exist"
    raise DataError(
        f"imagenet16 needs the folder with train_data_batch_1 to train_data_batch_10 and val_data, but {str(path)!r} {what}: "
        "get the 16x16 batches from image-net.org and unpack them."
    )
