"""A data set as tensors, made once: images, labels, the splits of a search, and how all of it came about.

`Source` is a value that says where a set comes from; ``load`` makes the `Data`. A run keeps the source and the set's
fingerprint, so that resuming loads the same examples or says that they are no longer the same.
"""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import torch
from torch import Generator, Tensor

from mixop.core.errors import DataError
from mixop.core.types import Batch
from mixop.core.values import to_plain
from mixop.data.images.augment import Augment
from mixop.data.images.lazy import Images, LazyImages, pick, subset
from mixop.data.split import Indices, Split, divide, divide_by_indices, refuse_empty_class


@dataclass(frozen=True)
class Source(ABC):
    """Where a set comes from, as a value that survives JSON; subclasses are frozen dataclasses too.

    Args:
        split: how the examples are divided.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are measured on the training examples.
    """

    name: ClassVar[str]
    """The word for it on the command line."""

    split: Split = field(default=Split(), kw_only=True)
    augment: Augment = field(default=Augment(), kw_only=True)

    @abstractmethod
    def load(self) -> "Data":
        """The set as tensors on the CPU; the same value gives the same tensors as long as the files are the same.

        Raises:
            DataError: if a file is missing or not what it should be, or a class is left without an example.
        """


@dataclass(frozen=True, eq=False, kw_only=True)
class Data:
    """A set of square images with labels, divided for a search. `assemble` makes one with a seeded split.

    Args:
        name: what it is called in reports.
        x: images that training may touch, ``(N, C, H, W)`` with H = W, uint8 (0..255) or float32 (finite); or as `LazyImages`.
        y: their labels ``(N,)``, int64, 0..K-1.
        test_x: images of the test, as ``x``.
        test_y: their labels.
        classes: names of the K >= 2 classes.
        train: indices into ``x`` of the split for the weights, int64.
        valid: indices into ``x`` of the split for the architecture, int64; none of ``train``.
        augment: what is done to training batches, and the normalisation of all batches.
        source: how to load it again; None for arrays given in Python.
        record: how the splits were made, checksums of the files: JSON data.

    Raises:
        DataError: if one of these promises is broken, or a class has no example in ``train`` or ``valid``.
    """

    name: str
    x: Images
    y: Tensor
    test_x: Images
    test_y: Tensor
    classes: tuple[str, ...]
    train: Tensor
    valid: Tensor
    augment: Augment
    source: Source | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for x, y, where in ((self.x, self.y, self.name), (self.test_x, self.test_y, f"{self.name} (test)")):
            check_images(x, where)
            check_classes(self.classes, self.name)
            check_labels(y, len(x), len(self.classes), where)
        if self.test_x.shape[1:] != self.x.shape[1:] or self.test_x.dtype != self.x.dtype:
            raise DataError(
                f"The test images of {self.name} must be like its training images, "
                f"{tuple(self.x.shape[1:])} of {self.x.dtype}, got {tuple(self.test_x.shape[1:])} of {self.test_x.dtype}."
            )
        for name, part in (("train", self.train), ("valid", self.valid)):
            if part.dtype != torch.int64:  # torch reads uint8 and bool tensors as masks
                raise DataError(f"The indices {name} of {self.name} must be int64, got {part.dtype}.")
        divide_by_indices(self.y.cpu(), self.classes, self.train.cpu(), self.valid.cpu())  # refuses what is out of range
        check_augment(self.augment, self.channels, self.size)

    @property
    def channels(self) -> int:
        """Channels of an image."""
        return self.x.shape[1]

    @property
    def size(self) -> int:
        """Height and width of an image in pixels."""
        return self.x.shape[2]

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input ``(C, H, W)``."""
        return tuple(self.x.shape[1:])

    @property
    def outputs(self) -> int:
        """Numbers that a network gives for an example: one for each class."""
        return len(self.classes)

    @property
    def dense(self) -> bool:
        """Whether there is an output at every position."""
        return False

    @property
    def tokens(self) -> bool:
        """Whether inputs are tokens."""
        return False

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every pixel, label and index, in hexadecimal: equal for equal tensors, on whatever device.

        Of lazily read images, names and sizes of the files stand for the pixels.
        """
        digest = hashlib.sha256()
        for tensor in (self.x, self.y, self.test_x, self.test_y, self.train, self.valid):
            digest.update(f"{tensor.dtype} {tuple(tensor.shape)};".encode())
            lazy = isinstance(tensor, LazyImages)
            digest.update(tensor.digest if lazy else tensor.cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def batch(self, at: Tensor, *, then: Tensor | None = None) -> Batch:
        """Images and labels of some training examples, normalised and nothing else.

        Args:
            at: indices into ``x``, ``(B,)`` int64, on whatever device.
            then: indices that will be asked for after these, where that is known: lazily read images are decoded meanwhile.

        Raises:
            DataError: if a file of a lazily read image cannot be read.
        """
        return Batch(self.augment.plain(pick(self.x, at, then=then)), self.y[at.to(self.y.device)])

    def augmented(self, at: Tensor, augment: Augment, generator: Generator, *, then: Tensor | None = None) -> Batch:
        """Images and labels of some training examples, augmented and normalised.

        Args:
            at: indices into ``x``, ``(B,)`` int64, on whatever device.
            augment: what is done to the images.
            generator: its source of randomness, on the CPU.
            then: indices that will be asked for after these, where that is known: lazily read images are decoded meanwhile.

        Raises:
            DataError: if a file of a lazily read image cannot be read.
        """
        return Batch(augment.read(self.x, at, generator, then=then), self.y[at.to(self.y.device)])

    def describe(self) -> dict[str, Any]:
        """What a run directory keeps of the set: JSON data."""
        return {
            "name": self.name,
            "shape": list(self.x.shape[1:]),
            "dtype": str(self.x.dtype).removeprefix("torch."),
            "classes": list(self.classes),
            "counts": {
                "training": len(self.x),
                "train": len(self.train),
                "valid": len(self.valid),
                "test": len(self.test_x),
            },
            "class_counts": {
                name: torch.bincount(labels, minlength=len(self.classes)).tolist()
                for name, labels in (("train", self.y[self.train]), ("valid", self.y[self.valid]), ("test", self.test_y))
            },
            "fingerprint": self.fingerprint,
            "augment": to_plain(self.augment),
            "source": None if self.source is None else to_plain(self.source),
            "record": dict(self.record),
        }

    def with_split(self, split: Split) -> "Data":
        """The set divided anew: what its source gives with that split.

        Arrays given in Python keep their test examples, and only the training examples are divided again.

        Raises:
            DataError: if the split leaves a class without an example in a part.
        """
        if self.source is not None:
            return replace(self.source, split=split).load().to(self.x.device)
        parts = divide(self.y.cpu(), self.classes, split, own_test=True)
        return self._divided(parts.train, parts.valid, parts.record)

    def with_indices(self, train: Indices, valid: Indices) -> "Data":
        """The set divided by two lists of indices into ``x``.

        The result has no source: lists that live in Python only cannot be loaded again. A run that should be able to load
        its data by itself takes `Split` with an ``index_file``.

        Args:
            train: indices for the weights, each once.
            valid: indices for the architecture, none of them in ``train``.

        Raises:
            DataError: if an index is out of range or given twice, or a class has no example in one of the lists.
        """
        parts = divide_by_indices(self.y.cpu(), self.classes, train, valid)
        return replace(self._divided(parts.train, parts.valid, parts.record), source=None)

    def with_augment(self, augment: Augment) -> "Data":
        """The set with another augmentation; an empty ``mean`` and ``std`` are measured on ``x``, or kept if it is lazy."""
        source = None if self.source is None else replace(self.source, augment=augment)
        if isinstance(self.x, LazyImages) and not augment.mean:
            full = replace(augment, mean=self.augment.mean, std=self.augment.std)
        else:
            full = measured(augment, self.x)
        return replace(self, augment=full, source=source)

    def to(self, device: torch.device | str) -> Self:
        """The set with its tensors on a device."""
        names = ("x", "y", "test_x", "test_y", "train", "valid")
        return replace(self, **{name: getattr(self, name).to(device) for name in names})

    def _divided(self, train: Tensor, valid: Tensor, split: dict[str, Any]) -> "Data":
        device = self.x.device
        return replace(self, train=train.to(device), valid=valid.to(device), record={**self.record, "split": split})


def assemble(
    name: str,
    x: Images,
    y: Tensor,
    *,
    test: tuple[Images, Tensor] | None,
    classes: Sequence[str],
    split: Split,
    augment: Augment,
    source: Source | None,
    record: Mapping[str, Any],
) -> Data:
    """Divides a set and makes it a `Data`: the last step of every source.

    Args:
        name: what it is called in reports.
        x: images ``(N, C, H, W)``, uint8 or float32, or read lazily.
        y: labels ``(N,)``, int64.
        test: images and labels of the test; None to keep a share of ``x`` for it.
        classes: names of the classes.
        split: how to divide.
        augment: an empty ``mean`` and ``std`` are measured on the training examples.
        source: how to load it again, or None.
        record: what else is known of where it came from; the division is added under ``"split"``.

    Raises:
        DataError: if images or labels are not what they should be, or a class has no example in a part.
    """
    check_images(x, name)
    check_classes(classes, name)
    check_labels(y, len(x), len(classes), name)
    everything = torch.arange(len(x))
    refuse_empty_class(everything, y, classes, "training", "give examples of every class, labelled 0, 1, 2 and so on")
    parts = divide(y, classes, split, own_test=test is not None)
    train, valid = parts.train, parts.valid
    if test is None:
        assert parts.test is not None
        test = subset(x, parts.test), y[parts.test]
        kept = torch.ones(len(x), dtype=torch.bool)
        kept[parts.test] = False
        position = kept.cumsum(0) - 1  # of each kept example among the kept ones
        x, y, train, valid = subset(x, kept.nonzero()[:, 0]), y[kept], position[train], position[valid]
    return Data(
        name=name,
        x=x.contiguous() if isinstance(x, Tensor) else x,
        y=y,
        test_x=test[0].contiguous() if isinstance(test[0], Tensor) else test[0],
        test_y=test[1],
        classes=tuple(classes),
        train=train,
        valid=valid,
        augment=measured(augment, x),
        source=source,
        record={**record, "split": parts.record},
    )


def measured(augment: Augment, x: Images) -> Augment:
    """The augmentation with mean and standard deviation of each channel measured on images, if it has none.

    A channel that never changes is divided by 1, not by 0.

    Raises:
        DataError: if it has none and the images are read lazily.
    """
    if augment.mean:
        return augment
    if isinstance(x, LazyImages):
        raise DataError("Images that are read lazily are not measured: give the augmentation a mean and a std.")
    mean, std = zip(*(_moments(x[:, channel]) for channel in range(x.shape[1])), strict=True)
    return replace(augment, mean=mean, std=std)


def _moments(channel: Tensor) -> tuple[float, float]:
    """Mean and standard deviation on the scale of `Augment`; 1 for the deviation of a channel that never changes."""
    if channel.dtype == torch.uint8:  # from the histogram: exact, whatever the number of threads
        values = torch.arange(256, device=channel.device).double() / 255
        share = torch.bincount(channel.flatten(), minlength=256).double() / channel.numel()
    else:
        values, share = channel.double(), torch.tensor(1 / channel.numel(), dtype=torch.float64)
    mean = (values * share).sum()
    std = ((values - mean).square() * share).sum().sqrt().item()
    return mean.item(), std if channel.min() != channel.max() else 1.0


def check_images(x: Images, where: str) -> None:
    """Raises a `DataError` unless these are finite square images ``(N, C, H, W)``, at least one, uint8 or float32."""
    if x.dim() != 4 or 0 in x.shape[1:]:
        raise DataError(f"The images of {where} must have the shape (N, C, H, W), got {tuple(x.shape)}.")
    if len(x) == 0:
        raise DataError(f"{where} is empty: it must hold at least one image.")
    if x.shape[2] != x.shape[3]:
        raise DataError(f"The images of {where} must be square, got {x.shape[2]} x {x.shape[3]}: crop or pad them first.")
    if x.dtype not in (torch.uint8, torch.float32):
        raise DataError(f"The images of {where} must be uint8 (0 to 255) or float32, got {x.dtype}.")
    if isinstance(x, Tensor) and x.dtype == torch.float32 and not x.isfinite().all():
        bad = int((~x.isfinite()).flatten(1).any(1).nonzero()[0])
        raise DataError(f"The images of {where} must be finite, but image {bad} holds NaN or infinity: mend or leave it out.")


def check_labels(y: Tensor, count: int, classes: int, where: str) -> None:
    """Raises a `DataError` unless these are ``count`` int64 labels in 0..classes-1."""
    if y.dim() != 1 or y.dtype != torch.int64:
        raise DataError(f"The labels of {where} must be one int64 for each image, got {y.dtype} of shape {tuple(y.shape)}.")
    if len(y) != count:
        raise DataError(f"{where} must have one label for each image, got {len(y)} labels and {count} images.")
    low, high = int(y.min()), int(y.max())
    if low < 0 or high >= classes:
        raise DataError(f"The labels of {where} must run from 0 to {classes - 1}, got {low if low < 0 else high}.")


def check_classes(classes: Sequence[str], where: str) -> None:
    """Raises a `DataError` unless there are at least two names and no name twice."""
    if len(classes) < 2:
        raise DataError(f"{where} must have at least two classes, got {len(classes)}.")
    if len(set(classes)) != len(classes):
        raise DataError(f"The class names of {where} must differ, got {', '.join(classes)}.")


def check_augment(augment: Augment, channels: int, size: int) -> None:
    """Raises a `DataError` if an augmentation does not fit images of this many channels and pixels."""
    if augment.mean and len(augment.mean) != channels:
        raise DataError(f"mean and std are for {len(augment.mean)} channels, but the images have {channels}.")
    if augment.jitter and channels != 3:
        raise DataError(f"jitter is for images with 3 channels, got {channels}: leave it out.")
    for name in ("crop", "cutout"):
        if getattr(augment, name) >= size:
            raise DataError(f"{name} must be smaller than the image, {size} pixels, got {getattr(augment, name)}.")
