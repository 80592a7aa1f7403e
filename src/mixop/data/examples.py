"""Examples that can be asked for by index: the one pool that a data set's parts point into."""

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Sequence
from functools import cached_property
from typing import Any, Self

import numpy as np
import torch
from torch import Generator, Tensor

from mixop.core.errors import DataError
from mixop.core.transfer import upload
from mixop.core.types import Batch
from mixop.data.stream import Stream, batches
from mixop.data.windows import Windows

AHEAD = 2
"""Batches that are read ahead of those asked for, where reading takes time."""

Boxes = Callable[[Tensor, Tensor], Tensor]
"""From heights and widths ``(B,)`` to the rectangle of each image: top, left, height and width ``(B, 4)``."""


class Examples(ABC):
    """Inputs and targets by index. What they are is up to the subclass; reading the same index gives the same numbers.

    Attributes:
        tokens: whether inputs are token numbers of a stream, whose windows follow each other.
    """

    tokens: bool = False

    @abstractmethod
    def __len__(self) -> int:
        """Number of examples."""

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]:
        """Shape of one input: ``(C, H, W)``, ``(C, L)``, ``(F,)``; of tokens vocabulary and window, ``(V, T)``."""

    @property
    @abstractmethod
    def dtype(self) -> torch.dtype:
        """Number type of the inputs as they are stored."""

    @property
    @abstractmethod
    def device(self) -> torch.device:
        """Where batches are put."""

    @property
    @abstractmethod
    def targets(self) -> Tensor:
        """The targets of all examples, ``(N, ...)``."""

    @property
    def inputs(self) -> Tensor | None:
        """The inputs of all examples as they are stored, ``(N, ...)``; None where they are not in memory."""
        return None

    @abstractmethod
    def read(self, at: Tensor, *, then: Tensor | None = None) -> Batch:
        """Inputs and targets of some examples, as they are stored.

        Args:
            at: indices ``(B,)``, int64, on whatever device.
            then: indices that will be asked for next, where that is known: slow examples are read meanwhile.

        Raises:
            DataError: if an example cannot be read.
        """

    @abstractmethod
    def to(self, device: torch.device | str) -> Self:
        """The same examples with their batches on a device."""

    @property
    @abstractmethod
    def digest(self) -> bytes:
        """SHA-256 over every number, or over what stands for them: equal for equal examples, on whatever device."""

    def cropped(self, at: Tensor, boxes: Boxes, *, then: Tensor | None = None) -> Batch | None:
        """As `read`, but with rectangles cut from whole images while they are read; None where inputs are no image files.

        Args:
            at: indices ``(B,)``, int64.
            boxes: from heights and widths to the rectangle of each image.
            then: indices that will be asked for next.
        """
        return None

    def check(self, where: str) -> None:  # noqa: B027
        """Refuses inputs that no network can take.

        Args:
            where: what they are called in messages.

        Raises:
            DataError: with what was expected and what came.
        """

    def check_part(self, at: Tensor, part: str) -> None:  # noqa: B027
        """Refuses indices that a part cannot have.

        Args:
            at: the indices of the part, ``(n,)`` int64.
            part: its name, for messages.

        Raises:
            DataError: with what was expected and what came.
        """

    def stream(self, at: Tensor, batch_size: int, generator: Generator, part: str, windows: Windows | None = None) -> Stream:
        """Endless training batches of a part, see `Stream`.

        Raises:
            DataError: for windows, where examples are no tokens.
        """
        if windows is not None:
            raise DataError(
                "Windows cut texts, but these examples do not follow each other: leave out windows of the recipe or protocol, "
                "or use data of texts, such as --data ptb."
            )
        return Stream(at, batch_size, generator, part)

    def sweep(self, at: Tensor, batch_size: int) -> Sequence[Tensor]:
        """The indices of a part once, in order, as batches."""
        return [at[piece] for piece in batches(len(at), batch_size)]


class Arrays(Examples):
    """Examples in memory.

    Args:
        x: inputs ``(N, ...)``; uint8 for images of 0 to 255, or float32.
        y: targets ``(N, ...)``.
    """

    def __init__(self, x: Tensor, y: Tensor) -> None:
        self.x, self.y = x.contiguous(), y.contiguous()

    def __reduce__(self) -> Any:
        """What another process needs: plain arrays, since shared memory would run out of files."""
        return _arrays, (self.x.cpu().numpy(), self.y.cpu().numpy())

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self) -> tuple[int, ...]:
        return tuple(self.x.shape[1:])

    @property
    def dtype(self) -> torch.dtype:
        return self.x.dtype

    @property
    def device(self) -> torch.device:
        return self.x.device

    @property
    def targets(self) -> Tensor:
        return self.y

    @property
    def inputs(self) -> Tensor | None:
        return self.x

    def read(self, at: Tensor, *, then: Tensor | None = None) -> Batch:
        at = upload(at, self.x.device)
        return Batch(self.x[at], self.y[at])

    def to(self, device: torch.device | str) -> Self:
        if torch.device(device) == self.x.device:
            return self
        return type(self)(self.x.to(device), self.y.to(device))

    @property
    def digest(self) -> bytes:
        return digest_of((self.x, self.y))

    def check(self, where: str) -> None:
        check_inputs(self.x, where)
        if len(self.y) != len(self.x):
            raise DataError(f"{where} must have one target for each example, got {len(self.y)} and {len(self.x)}.")


class Joined(Examples):
    """Examples of several pools, one behind the other: a training set and the test set that came with it.

    Args:
        pieces: pools of one shape and number type, at least one.
    """

    def __init__(self, pieces: Sequence[Examples]) -> None:
        self.pieces = tuple(pieces)
        self.ends = torch.tensor([len(piece) for piece in pieces]).cumsum(0)

    def __reduce__(self) -> Any:
        """What another process needs: the pools."""
        return Joined, (self.pieces,)

    def __len__(self) -> int:
        return int(self.ends[-1])

    @property
    def shape(self) -> tuple[int, ...]:
        return self.pieces[0].shape

    @property
    def dtype(self) -> torch.dtype:
        return self.pieces[0].dtype

    @property
    def device(self) -> torch.device:
        return self.pieces[0].device

    @property
    def targets(self) -> Tensor:
        return self._targets

    @cached_property
    def _targets(self) -> Tensor:
        return torch.cat([piece.targets for piece in self.pieces])

    def read(self, at: Tensor, *, then: Tensor | None = None) -> Batch:
        """As in `Examples.read`; a batch of several pools is put together in the order of its indices."""
        whose, inside = self._inside(at)
        pools, places = (whose, inside) if then is None else self._inside(then)
        found: list[tuple[Tensor, Batch]] = []
        for number in whose.unique().tolist():
            mine = (whose == number).nonzero()[:, 0]
            later = None if then is None else places[pools == number]
            found.append((mine, self.pieces[number].read(inside[mine], then=later)))
        if len(found) == 1:
            return found[0][1]
        order = torch.cat([mine for mine, _ in found]).argsort()
        x, y = (torch.cat([batch[k] for _, batch in found]) for k in range(2))
        order = order.to(x.device)
        return Batch(x[order], y[order])

    def cropped(self, at: Tensor, boxes: Boxes, *, then: Tensor | None = None) -> Batch | None:
        whose, inside = self._inside(at)
        if len(whose.unique()) != 1:
            return None
        later = None
        if then is not None:
            pools, places = self._inside(then)
            later = places[pools == whose[0]]
        return self.pieces[int(whose[0])].cropped(inside, boxes, then=later)

    def _inside(self, at: Tensor) -> tuple[Tensor, Tensor]:
        """For each index the number of its pool, and the index inside it."""
        at = at.cpu()
        whose = torch.bucketize(at, self.ends, right=True)
        begins = torch.cat([torch.zeros(1, dtype=torch.int64), self.ends[:-1]])
        return whose, at - begins[whose]

    def to(self, device: torch.device | str) -> Self:
        return type(self)([piece.to(device) for piece in self.pieces])

    @property
    def digest(self) -> bytes:
        digest = hashlib.sha256()
        for piece in self.pieces:
            digest.update(piece.digest)
        return digest.digest()

    def check(self, where: str) -> None:
        for piece in self.pieces:
            piece.check(where)
            if piece.shape != self.shape or piece.dtype != self.dtype:
                raise DataError(
                    f"All examples of {where} must have one shape and number type, got {self.shape} of {self.dtype} and "
                    f"{piece.shape} of {piece.dtype}."
                )


def joined(first: Examples, second: Examples) -> Examples:
    """Two pools as one: tensors are put together, everything else is read from where it is."""
    if isinstance(first, Arrays) and isinstance(second, Arrays) and all(map(_alike, (first.x, first.y), (second.x, second.y))):
        return Arrays(torch.cat([first.x, second.x]), torch.cat([first.y, second.y]))
    return Joined((first, second))


def _alike(first: Tensor, second: Tensor) -> bool:
    return first.shape[1:] == second.shape[1:] and first.dtype == second.dtype


def digest_of(tensors: Iterable[Tensor]) -> bytes:
    """SHA-256 over type, shape and every number of tensors, on whatever device they are."""
    digest = hashlib.sha256()
    for tensor in tensors:
        digest.update(f"{tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.cpu().contiguous().numpy().data)
    return digest.digest()


def check_inputs(x: Tensor, where: str) -> None:
    """Raises a `DataError` unless these are finite inputs ``(N, ...)`` of one to three axes, uint8 or float32."""
    if not 2 <= x.dim() <= 4 or 0 in x.shape[1:]:
        raise DataError(f"The inputs of {where} must have the shape (N, C, H, W), (N, C, L) or (N, F), got {tuple(x.shape)}.")
    if len(x) == 0:
        raise DataError(f"{where} is empty: it must hold at least one example.")
    if x.dtype not in (torch.uint8, torch.float32):
        raise DataError(f"The inputs of {where} must be uint8 (0 to 255) or float32, got {x.dtype}.")
    if x.dtype == torch.float32 and not x.isfinite().all():
        bad = int((~x.isfinite()).flatten(1).any(1).nonzero()[0])
        raise DataError(
            f"The inputs of {where} must be finite, but example {bad} holds NaN or infinity: fix it or leave it out."
        )


def _arrays(x: np.ndarray, y: np.ndarray) -> Arrays:
    return Arrays(torch.from_numpy(x), torch.from_numpy(y))
