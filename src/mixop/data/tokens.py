"""A stream of tokens: positions as examples, windows that follow each other in columns, and the state that is passed along.

A language model reads a text in order. A part of it is cut into ``batch_size`` columns of equal length, which stand beside each
other, and the columns are read in windows of ``T`` tokens (truncated backpropagation through time): what the network carries
at the end of a window is where it begins in the next.
"""

import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import torch
from torch import Generator, Tensor

from mixop.core.errors import DataError
from mixop.core.transfer import upload
from mixop.core.types import Batch
from mixop.data.examples import Examples, digest_of
from mixop.data.stream import Stream
from mixop.data.windows import LONGER, SHORTEST, Windows

COLUMNS = 10
"""Columns that a text is scored in. Source: ``eval_batch_size`` of the published code of DARTS (arXiv:1806.09055)."""

SPREAD, HALVED = 5.0, 0.05
"""Of random lengths: standard deviation, and the chance of half a window."""


class Tokens(Examples):
    """Token numbers in the order of the text; an index is a position, and its target is the token behind it.

    Args:
        text: token numbers ``(N + 1,)``, int64, in 0..V-1; the last one is a target only.
        vocabulary: number of tokens V that there are.
        window: tokens T that are read at once in training.
        random_lengths: whether windows of training vary in length, see `TokenStream`.
    """

    tokens = True

    def __init__(self, text: Tensor, vocabulary: int, window: int, random_lengths: bool = False) -> None:
        self.text, self.vocabulary, self.window, self.random_lengths = text, vocabulary, window, random_lengths

    def __reduce__(self) -> Any:
        """What another process needs: a plain array."""
        return _tokens, (self.text.cpu().numpy(), self.vocabulary, self.window, self.random_lengths)

    def __len__(self) -> int:
        return len(self.text) - 1

    @property
    def shape(self) -> tuple[int, ...]:
        """Vocabulary and window, ``(V, T)``."""
        return (self.vocabulary, self.window)

    @property
    def dtype(self) -> torch.dtype:
        return self.text.dtype

    @property
    def device(self) -> torch.device:
        return self.text.device

    @property
    def targets(self) -> Tensor:
        return self.text[1:]

    @property
    def inputs(self) -> Tensor | None:
        return self.text[:-1]

    def read(self, at: Tensor, *, then: Tensor | None = None) -> Batch:
        """Tokens at positions, and the tokens behind them, both in the shape of ``at``, ``(B, T)`` for windows."""
        at = upload(at, self.text.device)
        return Batch(self.text[at], self.text[at + 1])

    def to(self, device: torch.device | str) -> Self:
        if torch.device(device) == self.text.device:
            return self
        return type(self)(self.text.to(device), self.vocabulary, self.window, self.random_lengths)

    @property
    def digest(self) -> bytes:
        return digest_of((self.text,)) + f"{self.vocabulary} {self.window} {self.random_lengths}".encode()

    def check(self, where: str) -> None:
        if self.text.dim() != 1 or self.text.dtype != torch.int64:
            raise DataError(
                f"The tokens of {where} must be one row of int64 numbers, "
                f"got {self.text.dtype} of shape {tuple(self.text.shape)}."
            )
        if len(self.text) < 2:
            raise DataError(f"{where} must hold at least two tokens, got {len(self.text)}.")
        low, high = int(self.text.min()), int(self.text.max())
        if low < 0 or high >= self.vocabulary:
            raise DataError(
                f"The tokens of {where} must lie between 0 and {self.vocabulary - 1}, got {low if low < 0 else high}: "
                "give the whole vocabulary."
            )
        if self.window < 1:
            raise DataError(f"The window of {where} must be at least one token, got {self.window}.")

    def check_part(self, at: Tensor, part: str) -> None:
        """Refuses positions that do not follow each other; where two texts meet, one position may be missing."""
        steps = at.cpu().diff()
        if len(steps) and not (int(steps.min()) >= 1 and int(steps.max()) <= 2):
            raise DataError(
                f"The positions of the {part} part must follow each other, since tokens are read in order, but position "
                f"{int(at.cpu()[1:][(steps < 1) | (steps > 2)][0])} does not: divide a text in order, by shares."
            )

    def stream(
        self, at: Tensor, batch_size: int, generator: Generator, part: str, windows: Windows | None = None
    ) -> "TokenStream":
        cut = {"window": self.window, "random_lengths": self.random_lengths, "windows": windows}
        return TokenStream(at, batch_size, generator, part, **cut)

    def sweep(self, at: Tensor, batch_size: int) -> Sequence[Tensor]:
        """The positions of a part as windows ``(C, T)`` in order, each position once.

        There are `COLUMNS` columns, fewer for a smaller batch or where they would be shorter than a window. The few positions
        that do not fill a column, fewer than there are columns, are left out; only the last window may be shorter.
        """
        columns = max(1, min(COLUMNS, batch_size, len(at) // self.window))
        table = _table(at, columns)
        return [table[:, start : start + self.window] for start in range(0, table.shape[1], self.window)]


class TokenStream(Stream):
    """Training windows of a text, in order, endlessly; every pass begins at the start of the text, without a state.

    The order of the text is never shuffled. Positions that do not fill the columns, fewer than ``batch_size``, are not read.
    With ``random_lengths`` every pass cuts the columns at other places, so that tokens are not always the first of a window:
    lengths are drawn as AWD-LSTM draws them, a normal number around ``window``, or around its half in 1 of 20, and scaled so
    that a pass has as many windows as without. `Windows` are the published rules as they are, with passes of different numbers
    of windows, and with learning rates that follow the length.

    Attributes:
        state: what the network carries into the next window, set after each step by who reads; None at the start of a pass.
        dropped: positions at the end that are not read.

    Args:
        indices: positions of the part in order, ``(n,)`` int64.
        batch_size: columns B.
        generator: source of the lengths; nothing is drawn without ``random_lengths``.
        split: what errors call the part.
        window: tokens T in a window.
        random_lengths: whether windows vary in length, as many in every pass.
        windows: how they vary, in place of that; None for nothing else.

    Raises:
        DataError: if the part is empty or has fewer positions than columns.

    Source: Merity et al. 2018 (arXiv:1708.02182), section 4.1; DARTS (arXiv:1806.09055) searches in the same way.
    """

    def __init__(
        self,
        indices: Tensor,
        batch_size: int,
        generator: Generator,
        split: str,
        *,
        window: int,
        random_lengths: bool = False,
        windows: Windows | None = None,
    ) -> None:
        super().__init__(indices, batch_size, generator, split)
        self.window, self.random_lengths, self.windows = window, random_lengths, windows
        self.columns = _table(indices, batch_size)
        self.dropped = len(indices) - self.columns.numel()

    @property
    def batches(self) -> int:
        """Windows in this pass; before the first, where lengths are drawn, about as many as there will be."""
        if self.windows is None:
            return math.ceil(self.columns.shape[1] / self.window)
        if len(self.order):
            return len(self.order) - 1
        return math.ceil(self.columns.shape[1] / (self.window * (1 - self.windows.halved / 2)))

    @property
    def scale(self) -> float:
        if self.windows is None or not self.windows.scale_rate or self.at == 0:
            return 1.0
        return int(self.order[self.at] - self.order[self.at - 1]) / self.window

    def begin(self) -> int:
        if self.at >= self.batches or len(self.order) == 0:
            self.order = self._cuts()
            self.at, self.state = 0, None
        return self.batches

    def next(self) -> Tensor:
        """Positions of the next window ``(B, T)``, int64; the last one of a pass may be shorter."""
        self.begin()
        self.at += 1
        return self._window(self.at - 1)

    def peek(self) -> Tensor:
        """Positions of a whole window of the part, drawing nothing: for measurements beforehand."""
        return self.columns[:, : self.window]

    def upcoming(self, batches: int) -> Tensor:
        """Positions of the next windows of this pass, one behind the other."""
        known = range(self.at, min(self.at + batches, len(self.order) - 1))
        return torch.cat([self._window(number).flatten() for number in known]) if known else self.order[:0]

    def _window(self, number: int) -> Tensor:
        return self.columns[:, int(self.order[number]) : int(self.order[number + 1])]

    def _cuts(self) -> Tensor:
        """Where the windows of a pass begin, and behind the last where it ends, ``(batches + 1,)`` int64."""
        length = self.columns.shape[1]
        if self.windows is not None:
            ends = self._lengths(self.windows).cumsum(0)
            return torch.cat([torch.zeros(1, dtype=torch.int64), ends[ends < length], torch.tensor([length])])
        count = self.batches
        if not self.random_lengths:
            return (torch.arange(count + 1) * self.window).clamp(max=length)
        halved = torch.rand(count, generator=self.generator) < HALVED
        centre = self.window * torch.where(halved, 0.5, 1.0)
        drawn = (centre + SPREAD * torch.randn(count, generator=self.generator)).floor()
        ends = drawn.clamp(min(SHORTEST, self.window), self.window + LONGER).double().cumsum(0)
        # Every window has one token; the others are shared out by the lengths that were drawn.
        ends = torch.arange(1, count + 1) + (ends / ends[-1] * (length - count)).round().long()
        return torch.cat([torch.zeros(1, dtype=torch.int64), ends])

    def _lengths(self, windows: Windows) -> Tensor:
        """Lengths of at least as many windows as a pass has, int64."""
        half, least = self.window / 2, min(SHORTEST, self.window)
        shortest = least if windows.spread else max(1, int(half))
        count = math.ceil(self.columns.shape[1] / shortest)
        halved = torch.rand(count, generator=self.generator) < windows.halved
        lengths = torch.where(halved, half, float(self.window))
        if windows.spread:
            lengths = lengths + windows.spread * torch.randn(count, generator=self.generator)
            return lengths.floor().long().clamp(least, self.window + LONGER)
        return lengths.floor().long().clamp(min=1)


def _table(at: Tensor, columns: int) -> Tensor:
    """Positions as columns of equal length, ``(columns, length)``: each row is a piece of the text in order."""
    length = len(at) // columns
    return at[: columns * length].view(columns, length)


def _tokens(text: np.ndarray, *settings: Any) -> Tokens:
    return Tokens(torch.from_numpy(text), *settings)
