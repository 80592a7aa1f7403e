"""Augmentation as batched tensor code: crop, flip, colour jitter, normalise, cutout, in that order.

The order is the published one. The crop pads with raw zeros (black), which normalisation then shifts; cutout writes zeros
after normalisation, that is the mean colour.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from mixop.core.errors import DataError, RecipeError
from mixop.core.transfer import upload
from mixop.core.types import Batch
from mixop.data.examples import Examples
from mixop.data.images.crops import crop_boxes, crop_numbers, nearest, resample
from mixop.data.images.jitter import jitter
from mixop.data.preparation import Preparation


@dataclass(frozen=True, kw_only=True)
class Augment(Preparation):
    """What is done to the images of a training batch, and to masks with them; `plain` is what evaluation does.

    ``mean`` and ``std`` are on the scale that images are read on: uint8 images count as 0..1 (divided by 255), float
    images are taken as they are. Left empty they mean no normalisation here; a data source then measures them on its
    training examples.

    Args:
        crop: padding in pixels on every side, then a random crop back to the size; 0 is off.
        resized_crop: whether a random rectangle of each image is scaled to its size, in place of ``crop``: 8 % to all of the
            area, 3:4 to 4:3 wide, as ImageNet is trained with. Of a set that is read lazily it is cut from the whole image.
        flip: whether half of the images, drawn at random, are mirrored left to right.
        jitter: strengths of random changes of brightness, contrast, saturation and hue, for colour images; empty is off.
        cutout: side in pixels of the square that is erased, its centre uniform over the image; 0 is off.
        cutout_probability: chance of each image, in [0, 1], that its square is erased at all.
        mask_fill: label that a crop pads masks with, where targets are masks; None for the label that the task ignores, or 0
            if there is none.
        mean: mean of each channel, subtracted.
        std: standard deviation of each channel, > 0, divided by.

    Source: cutout: DeVries & Taylor 2017 (arXiv:1708.04552), as DARTS uses it (arXiv:1806.09055); with a
    probability: R-DARTS (arXiv:1909.09656).

    Example:
        >>> import torch
        >>> x = torch.full((4, 1, 8, 8), 255, dtype=torch.uint8)
        >>> augment = Augment(crop=1, mean=(0.5,), std=(0.25,))
        >>> augment.plain(x).unique().tolist()
        [2.0]
        >>> augment.images(x, torch.Generator().manual_seed(0)).shape
        torch.Size([4, 1, 8, 8])
    """

    crop: int = 0
    resized_crop: bool = False
    flip: bool = False
    jitter: tuple[float, ...] = ()
    cutout: int = 0
    cutout_probability: float = 1.0
    mask_fill: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("crop", "cutout"):
            if getattr(self, name) < 0:
                raise RecipeError(f"{name} must be 0 (off) or a number of pixels, got {getattr(self, name)}.")
        if self.crop and self.resized_crop:
            raise RecipeError(f"resized_crop takes the place of crop: set crop to 0, got {self.crop}.")
        if self.jitter and len(self.jitter) != 4:
            raise RecipeError(f"jitter must be brightness, contrast, saturation and hue, got {len(self.jitter)} numbers.")
        if self.jitter and not (all(0 <= strength < math.inf for strength in self.jitter) and self.jitter[-1] <= 0.5):
            raise RecipeError(f"jitter must be >= 0, and its hue, the last, at most 0.5, got {self.jitter}.")
        if not 0 <= self.cutout_probability <= 1:
            raise RecipeError(f"cutout_probability must lie between 0 and 1, got {self.cutout_probability}.")

    def __call__(self, batch: Batch, generator: Generator) -> Batch:
        """A training batch, augmented and normalised; a mask moves with its image.

        Args:
            batch: images ``(B, C, H, W)``, uint8 or float, and targets; masks ``(B, H, W)`` are cropped and mirrored like the
                images. Not changed.
            generator: source of crops, flips and centres, on the CPU whatever the device; same seed, same result.

        Returns:
            Images ``(B, C, H, W)``, float32, on the same device, and the targets.

        Raises:
            DataError: if these are no images.
        """
        if self.resized_crop:
            batch = self._resized(batch, crop_numbers(len(batch.x), generator))
        return self._uncropped(batch, generator)

    def images(self, x: Tensor, generator: Generator) -> Tensor:
        """Images ``(B, C, H, W)``, augmented and normalised; as a call, without targets."""
        return self(Batch(x, torch.zeros(len(x))), generator).x

    def read(self, examples: Examples, at: Tensor, generator: Generator, *, then: Tensor | None = None) -> Batch:
        """As in `Preparation.read`; random resized crops of images that stay in their files are of the whole image."""
        if not self.resized_crop:
            return self(examples.read(at, then=then), generator)
        numbers = crop_numbers(len(at), generator)
        batch = examples.cropped(at, partial(crop_boxes, numbers), then=then)
        if batch is None:  # not in files
            batch = self._resized(examples.read(at, then=then), numbers)
        return self._uncropped(batch, generator)

    def check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != 3:
            raise DataError(
                f"Augment is for images (C, H, W), got inputs of shape {shape}: pass a Preparation, or your own function."
            )
        super().check(shape)
        channels, *sides = shape
        if self.jitter and channels != 3:
            raise DataError(f"jitter is for images with 3 channels, got {channels}: leave it out.")
        for name in ("crop", "cutout"):
            if getattr(self, name) >= min(sides):
                raise DataError(f"{name} must be smaller than the image, {min(sides)} pixels, got {getattr(self, name)}.")

    def changed(self, **settings: Any) -> "Augment":
        return replace(self, **{name: value for name, value in settings.items() if value is not None})

    def _resized(self, batch: Batch, numbers: Tensor) -> Batch:
        """Random rectangles of the images, scaled to their size."""
        count, _, height, width = _shape(batch.x)
        boxes = crop_boxes(numbers, torch.full((count,), height), torch.full((count,), width))
        x = resample(_unit(batch.x), boxes, (height, width))
        return batch._replace(x=x, y=nearest(batch.y, boxes) if _is_mask(batch) else batch.y)

    def _uncropped(self, batch: Batch, generator: Generator) -> Batch:
        """All that comes after a random resized crop."""
        batch = self.applied(batch, generator)
        x, y = batch.x, batch.y
        count, channels, height, width = _shape(x)
        if self.jitter and channels != 3:
            raise DataError(f"jitter is for images with 3 channels, got {channels}: leave it out.")
        if self.jitter and x.is_floating_point() and not 0 <= x.min() <= x.max() <= 1:
            raise DataError(f"jitter is for images in [0, 1], got {x.min():g} to {x.max():g}: scale them, or leave it out.")
        if self.crop or self.flip:
            pixels = self._pixels(count, height, width, generator, x.device)
            x = self._moved(x, pixels, 0)
            y = self._moved(y.unsqueeze(1), pixels, self.mask_fill or 0).squeeze(1) if _is_mask(batch) else y
        if self.jitter:
            x = jitter(_unit(x), self.jitter, generator)
        x = self.plain(x)
        if self.cutout:
            centres = _random((height, width), count, generator, x.device)
            rows, columns = (_erased(c, s, self.cutout) for c, s in zip(centres, (height, width), strict=True))
            if self.cutout_probability < 1:  # drawn only where it decides something: certain cutout keeps its random numbers
                rows &= upload(torch.rand(count, 1, generator=generator) < self.cutout_probability, x.device)
            x = x.masked_fill((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0.0)
        return batch._replace(x=x, y=y)

    def _pixels(self, count: int, height: int, width: int, generator: Generator, device: torch.device) -> Tensor:
        """Which pixel of its padded, flattened image each pixel is read from ``(B, H * W)``: crop and flip in one gather."""
        stops = (2 * self.crop + 1, 2 * self.crop + 1, *([2] if self.flip else []))
        top, left, *mirrored = _random(stops, count, generator, device)
        rows = top + torch.arange(height, device=device)
        columns = left + torch.arange(width, device=device)
        if self.flip:
            columns = torch.where(mirrored[0] == 1, columns.flip(1), columns)
        pixels = rows.unsqueeze(2) * (width + 2 * self.crop) + columns.unsqueeze(1)
        return pixels.view(count, height * width)

    def _moved(self, x: Tensor, pixels: Tensor, fill: int) -> Tensor:
        padded = F.pad(x, (self.crop,) * 4, value=fill)
        return padded.flatten(2).gather(2, pixels.unsqueeze(1).expand(-1, x.shape[1], -1)).view(x.shape)


def _is_mask(batch: Batch) -> bool:
    """Whether targets are masks of the images' size, which have to move with them."""
    return batch.y.dim() == 3 and batch.y.shape[1:] == batch.x.shape[2:]


def _unit(x: Tensor) -> Tensor:
    """Images as float, uint8 ones in [0, 1]."""
    return x.float() / 255 if x.dtype == torch.uint8 else x


def _erased(centre: Tensor, size: int, side: int) -> Tensor:
    """Which rows (or columns) of each image lie in its square, ``(B, size)``: [centre - side//2, centre - side//2 + side)."""
    first = centre - side // 2
    places = torch.arange(size, device=centre.device)
    return (places >= first) & (places < first + side)


def _random(stops: Sequence[int], batch: int, generator: Generator, device: torch.device) -> Tensor:
    """Numbers in 0..stop-1 for each image, ``(S, B, 1)`` of S stops: drawn on the CPU, the same for every device."""
    drawn = [torch.randint(stop, (batch, 1), generator=generator) for stop in stops]
    return upload(torch.stack(drawn), device)


def _shape(x: Tensor) -> torch.Size:
    if x.dim() != 4 or not (x.dtype == torch.uint8 or x.is_floating_point()):
        raise DataError(f"Augmentation takes images (B, C, H, W) of uint8 or float, got {tuple(x.shape)} of {x.dtype}.")
    return x.shape


IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

IMAGENET = Augment(resized_crop=True, flip=True, jitter=(0.4, 0.4, 0.4, 0.2), mean=IMAGENET_MEAN, std=IMAGENET_STD)
"""ImageNet as the DARTS family searches and trains on it."""

CIFAR10_DARTS = Augment(crop=4, flip=True, mean=(0.49139968, 0.48215827, 0.44653124), std=(0.24703233, 0.24348505, 0.26158768))
"""CIFAR-10 as the DARTS family searches on it; retraining adds ``cutout=16``."""

CIFAR10_NASBENCH201 = Augment(
    crop=4,
    flip=True,
    mean=(125.3 / 255, 123.0 / 255, 113.9 / 255),
    std=(63.0 / 255, 62.1 / 255, 66.7 / 255),
)
"""CIFAR-10 as NAS-Bench-201 trained its networks on it."""

CIFAR100_DARTS = Augment(crop=4, flip=True, mean=(0.5071, 0.4865, 0.4409), std=(0.2673, 0.2564, 0.2762))
"""CIFAR-100 as the DARTS family uses it."""

CIFAR100_NASBENCH201 = Augment(
    crop=4,
    flip=True,
    mean=(129.3 / 255, 124.1 / 255, 112.4 / 255),
    std=(68.2 / 255, 65.4 / 255, 70.4 / 255),
)
"""CIFAR-100 as NAS-Bench-201 trained its networks on it."""

IMAGENET16_NASBENCH201 = Augment(
    crop=2,
    flip=True,
    mean=(122.68 / 255, 116.66 / 255, 104.01 / 255),
    std=(63.22 / 255, 61.26 / 255, 65.09 / 255),
)
"""ImageNet16-120 as NAS-Bench-201 trained its networks on it."""
