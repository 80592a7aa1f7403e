"""Images that stay in their files until they are asked for, for sets that do not fit into memory. Needs Pillow.

Files are decoded by a pool of threads (Pillow decodes and scales without the interpreter's lock), ahead of time where it
was said what comes next. What an image becomes depends on its file and its crop alone, so that batches are the same for any
number of threads, with or without decoding ahead, and in a search that was resumed.
"""

import hashlib
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixop.core.errors import DataError
from mixop.core.extras import package
from mixop.core.files import open_file
from mixop.core.transfer import upload
from mixop.core.types import Batch
from mixop.data.ahead import ReadAhead
from mixop.data.examples import Boxes, Examples, digest_of
from mixop.data.images.pixels import seen, too_deep

VERIFIED = 4096
"""Files that are handed to the threads at once when all are verified."""


class LazyImages:
    """Image files, read as square images ``(3, S, S)`` of uint8.

    An image is scaled until its shorter side has ``resize`` pixels, and the centred square of ``size`` is kept, or a
    rectangle of the whole image is scaled to that square. Orientation tags are not followed, as in the field's own loaders.

    Args:
        root: folder of the files.
        names: file names below it.
        bytes_of: size of each file, for the digest.
        size: height and width of the images in pixels.
        resize: shorter side in pixels before the centre is cut out, >= ``size``.
        workers: threads that decode.
        device: where batches are put.

    Raises:
        MissingExtraError: if Pillow is not installed.
    """

    def __init__(
        self,
        root: Path,
        names: Sequence[str],
        bytes_of: Sequence[int],
        *,
        size: int,
        resize: int,
        workers: int,
        device: torch.device | str = "cpu",
    ) -> None:
        package("PIL", "Reading image files")
        self.root, self.names, self.bytes_of = root, names, bytes_of
        self.size, self.resize, self.workers, self.device = size, resize, workers, torch.device(device)
        self._ahead = ReadAhead(self._decode, workers, "mixop-images")

    def __reduce__(self) -> Any:
        """What another process needs to make the same: no threads, nothing decoded."""
        return _remake, (
            (self.root, self.names, self.bytes_of),
            {name: getattr(self, name) for name in ("size", "resize", "workers", "device")},
        )

    def __len__(self) -> int:
        return len(self.names)

    def to(self, device: torch.device | str) -> "LazyImages":
        """The same images with their batches on a device; threads and what is decoded are shared."""
        other = object.__new__(LazyImages)
        other.__dict__.update(self.__dict__, device=torch.device(device))
        return other

    @property
    def digest(self) -> bytes:
        """SHA-256 over the names and sizes of all files in their order, and the sizes in pixels."""
        digest = hashlib.sha256(f"{self.size} {self.resize};".encode())
        for name, count in zip(self.names, self.bytes_of, strict=True):
            digest.update(f"{name}\0{count}\n".encode())
        return digest.digest()

    def read(self, at: Tensor, boxes: Boxes | None = None, *, then: Tensor | None = None) -> Tensor:
        """Images of some indices.

        Args:
            at: indices ``(B,)``, int64.
            boxes: the rectangle of each image that is scaled to the square; None for the centre as it is described above.
            then: indices that will be asked for after these, to be decoded meanwhile.

        Returns:
            Images ``(B, 3, S, S)``, uint8, on the set's device.

        Raises:
            DataError: if a file is no image, with its name.
        """
        pixels = np.empty((len(at), self.size, self.size, 3), dtype=np.uint8)
        images = self._ahead.take(at.tolist())
        if boxes is None:
            jobs = [self._ahead.pool.submit(self._centre, image, pixels[row]) for row, image in enumerate(images)]
        else:
            widths, heights = torch.tensor([image.result().size for image in images]).view(-1, 2).T
            corners = boxes(heights, widths).tolist()
            parts = zip(images, corners, pixels, strict=True)
            jobs = [self._ahead.pool.submit(self._crop, image, box, out) for image, box, out in parts]
        del images
        if then is not None:
            self.expect(then.tolist())
        for job in jobs:
            job.result()
        return upload(torch.from_numpy(pixels), self.device).permute(0, 3, 1, 2).contiguous()

    def expect(self, at: Iterable[int]) -> None:
        """Begins to decode images that will be asked for; of too many, the oldest are forgotten."""
        self._ahead.expect(at)

    def verify(self) -> None:
        """Decodes every file once.

        Raises:
            DataError: if a file is no image, with the name of the first.
        """
        for start in range(0, len(self), VERIFIED):
            for _ in self._ahead.pool.map(self._check, range(start, min(start + VERIFIED, len(self)))):
                pass

    def _check(self, i: int) -> None:
        self._decode(i)  # and keep nothing of it

    def _decode(self, i: int) -> Any:
        """An image with all its pixels, RGB."""
        from PIL import Image

        path = self.root / self.names[i]
        try:
            with open_file(path) as raw, Image.open(raw) as file:
                deep, image = too_deep(file), seen(file, "RGB", upright=False).image
        except Exception as error:  # a damaged image provokes nearly every kind of error
            raise DataError(f"Cannot read the image {str(path)!r} ({error}): fix or remove it.") from error
        if deep is not None:
            raise DataError(f"The image {str(path)!r} must have 8 bits for each channel, got {deep}: convert or remove it.")
        return image

    def _centre(self, decoded: Future[Any], out: np.ndarray) -> None:
        from PIL import Image

        image = decoded.result()
        shorter = min(image.size)
        scaled = [self.resize * side // shorter for side in image.size]
        left, top = (round((side - self.size) / 2) for side in scaled)
        image = image.resize(scaled, Image.Resampling.BILINEAR)
        out[:] = np.asarray(image.crop((left, top, left + self.size, top + self.size)))

    def _crop(self, decoded: Future[Any], box: Sequence[int], out: np.ndarray) -> None:
        from PIL import Image

        top, left, height, width = box
        image = decoded.result().crop((left, top, left + width, top + height))
        out[:] = np.asarray(image.resize((self.size, self.size), Image.Resampling.BILINEAR))


class ImageFiles(Examples):
    """Images that stay in their files, with their targets.

    Args:
        images: the files.
        y: targets ``(N, ...)``.
    """

    def __init__(self, images: LazyImages, y: Tensor) -> None:
        self.images, self.y = images, y

    def __len__(self) -> int:
        return len(self.images)

    @property
    def shape(self) -> tuple[int, ...]:
        return (3, self.images.size, self.images.size)

    @property
    def dtype(self) -> torch.dtype:
        return torch.uint8

    @property
    def device(self) -> torch.device:
        return self.images.device

    @property
    def targets(self) -> Tensor:
        return self.y

    def read(self, at: Tensor, *, then: Tensor | None = None) -> Batch:
        return Batch(self.images.read(at, then=then), self.y[upload(at, self.y.device)])

    def cropped(self, at: Tensor, boxes: Boxes, *, then: Tensor | None = None) -> Batch:
        return Batch(self.images.read(at, boxes, then=then), self.y[upload(at, self.y.device)])

    def to(self, device: torch.device | str) -> "ImageFiles":
        return ImageFiles(self.images.to(device), self.y.to(device))

    @property
    def digest(self) -> bytes:
        return self.images.digest + digest_of((self.y,))


def _remake(files: tuple[Any, ...], settings: dict[str, Any]) -> LazyImages:
    return LazyImages(*files, **settings)
