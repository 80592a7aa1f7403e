"""Random resized crops: which rectangle of each image, and its pixels brought to the size of the batch.

The two are apart so that a lazily read set can cut the rectangle out of the whole image, before it is scaled.
"""

import math

import torch
from torch import Generator, Tensor

SCALE = (0.08, 1.0)
"""Area of a crop as a share of the image's."""

RATIO = (3 / 4, 4 / 3)
"""Width of a crop by its height."""

TRIES = 10
"""Rectangles that are drawn for an image until one fits into it; then the largest centred one is taken."""


def crop_numbers(batch: int, generator: Generator) -> Tensor:
    """Random numbers that decide the crops of a batch, whatever the sizes of its images: ``(B, TRIES + 1, 2)`` in [0, 1)."""
    return torch.rand(batch, TRIES + 1, 2, dtype=torch.float64, generator=generator)


def crop_boxes(numbers: Tensor, heights: Tensor, widths: Tensor) -> Tensor:
    """The rectangle of each image: area and logarithm of the ratio uniform in `SCALE` and `RATIO`, its place uniform.

    Args:
        numbers: what `crop_numbers` gave, ``(B, TRIES + 1, 2)``.
        heights: pixels of each image from top to bottom, ``(B,)`` int64.
        widths: the same from left to right.

    Returns:
        Top, left, height and width in pixels, ``(B, 4)`` int64, inside the image.

    Source: Szegedy et al. 2015 (arXiv:1409.4842), section 6, in the form that the field trains ImageNet with.
    """
    rows, columns = heights.unsqueeze(1), widths.unsqueeze(1)
    (low, high), (narrow, wide) = SCALE, RATIO
    area = rows * columns * (low + (high - low) * numbers[:, :TRIES, 0])
    ratio = torch.exp(math.log(narrow) + (math.log(wide) - math.log(narrow)) * numbers[:, :TRIES, 1])
    height, width = (area / ratio).sqrt().round().long(), (area * ratio).sqrt().round().long()
    fits = (height > 0) & (height <= rows) & (width > 0) & (width <= columns)
    first = fits.int().argmax(1, keepdim=True)
    whole_height = torch.minimum(rows, (columns / narrow).round().long())
    whole_width = torch.minimum(columns, (rows * wide).round().long())
    found = fits.any(1, keepdim=True)
    height = torch.where(found, height.gather(1, first), whole_height)
    width = torch.where(found, width.gather(1, first), whole_width)
    place = numbers[:, TRIES:]
    top = torch.where(found, (place[..., 0] * (rows - height + 1)).long(), (rows - height) // 2)
    left = torch.where(found, (place[..., 1] * (columns - width + 1)).long(), (columns - width) // 2)
    return torch.cat([top, left, height, width], 1)


def resample(x: Tensor, boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Rectangles of the images of a batch, scaled to one size: bilinear, and averaged where they shrink.

    Args:
        x: images ``(B, C, H, W)``, float.
        boxes: top, left, height and width of each in pixels, ``(B, 4)`` int64, inside the images.
        size: height and width of the result, each >= 1.

    Returns:
        Images ``(B, C, *size)`` of the dtype of ``x``; pixels outside of a rectangle do not count.
    """
    top, left, height, width = boxes.to(x.device).unbind(1)
    rows = _triangles(top, height, x.shape[2], size[0], x.dtype).unsqueeze(1)
    columns = _triangles(left, width, x.shape[3], size[1], x.dtype).unsqueeze(1)
    return rows @ x @ columns.transpose(2, 3)


def nearest(masks: Tensor, boxes: Tensor) -> Tensor:
    """Rectangles of masks ``(B, H, W)``, scaled to the size of the masks by taking the nearest pixel.

    Args:
        masks: labels of pixels.
        boxes: top, left, height and width of each rectangle in pixels, ``(B, 4)`` int64.
    """
    top, left, height, width = boxes.to(masks.device).unsqueeze(2).unbind(1)
    rows = top + (torch.arange(masks.shape[1], device=masks.device) * 2 + 1) * height // (2 * masks.shape[1])
    columns = left + (torch.arange(masks.shape[2], device=masks.device) * 2 + 1) * width // (2 * masks.shape[2])
    return masks[torch.arange(len(masks), device=masks.device)[:, None, None], rows[:, :, None], columns[:, None, :]]


def _triangles(first: Tensor, length: Tensor, count: int, size: int, dtype: torch.dtype) -> Tensor:
    """What each of ``count`` pixels in a line gives to each of ``size`` new ones, ``(B, size, count)``; rows sum to 1."""
    first, length = first.view(-1, 1, 1), length.view(-1, 1, 1).to(dtype)
    old = torch.arange(count, device=first.device) - first
    step = length / size
    centre = (torch.arange(size, device=first.device, dtype=dtype).view(1, -1, 1) + 0.5) * step
    weight = (1 - (old + 0.5 - centre).abs() / step.clamp(min=1)).clamp(min=0)
    weight = weight * ((old >= 0) & (old < length))
    return weight / weight.sum(2, keepdim=True)
