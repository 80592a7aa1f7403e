"""Schedules: numbers that change during a search, as values.

A schedule is a frozen dataclass, not a lambda: it survives JSON and another process. It is called with `progress`, a
number in [0, 1]. The field counts progress in two ways: cosine learning rates and the radius of SmoothDARTS use
``epoch / epochs`` (the last epoch stays short of the end), temperatures use ``epoch / (epochs - 1)`` (the last epoch
reaches it). The engine passes a `Progress`, which is the first number and carries the second as ``closed``.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import get_args

from mixop.core.errors import RecipeError


class Progress(float):
    """``epoch / epochs`` as a float, with ``closed`` = ``epoch / (epochs - 1)`` and ``epochs``.

    A search with a warm-up has two times. That of the weights runs from the first epoch; that of the architecture stands still
    in warm-up, so that what belongs to it (temperatures, radii, fading skips) does not run out before the architecture moves.

    It is made of ``epoch``, the finished epochs, in [0, epochs].

    Attributes:
        closed: ``epoch / (epochs - 1)``, at most 1.
        epochs: length of the search (or stage, or stretch) in epochs, >= 1.
        whole: the time of the weights, of which this is the time of the architecture; itself where both are the same.
        waiting: whether the architecture waits in warm-up.
    """

    closed: float
    epochs: int
    whole: "Progress"
    waiting: bool

    def __new__(cls, epoch: float, epochs: int, *, whole: "Progress | None" = None, waiting: bool = False) -> "Progress":
        value = super().__new__(cls, epoch / epochs)
        value.closed = min(1.0, epoch / max(epochs - 1, 1))
        value.epochs = epochs
        value.whole = value if whole is None else whole
        value.waiting = waiting
        return value


def _closed(progress: float) -> float:
    return getattr(progress, "closed", progress)


@dataclass(frozen=True)
class Constant:
    """The same number throughout.

    Args:
        value: the number.
    """

    value: float

    def __call__(self, progress: float) -> float:
        return self.value

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return self.value, self.value


@dataclass(frozen=True)
class Linear:
    """A straight line from ``start`` to ``stop``.

    Args:
        start: value at progress 0.
        stop: value at progress 1.
        closed: whether the last epoch takes exactly ``stop`` (temperatures of GDAS and PR-DARTS) or stays one step short
            of it (the radius of SmoothDARTS).
    """

    start: float
    stop: float
    closed: bool = True

    def __call__(self, progress: float) -> float:
        at = _closed(progress) if self.closed else float(progress)
        return self.start + (self.stop - self.start) * at

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return min(self.start, self.stop), max(self.start, self.stop)


@dataclass(frozen=True)
class Cosine:
    """Half a cosine wave from ``start`` to ``stop``, as every learning rate of the DARTS family falls.

    In epoch e of E: ``stop + (start - stop) / 2 * (1 + cos(pi * e / (stretch * E)))``.

    Args:
        start: value at progress 0.
        stop: value that the wave ends at.
        stretch: length of the half wave in units of the search, >= 1; GAEA lays 50 epochs of cosine over 25 of search (2.0).

    Source: Loshchilov & Hutter 2017 (arXiv:1608.03983), eq. 5 without restarts.
    """

    start: float
    stop: float = 0.0
    stretch: float = 1.0

    def __post_init__(self) -> None:
        if not self.stretch >= 1:
            raise RecipeError(f"A cosine's stretch must be at least 1 (the whole search), got {self.stretch}.")

    def __call__(self, progress: float) -> float:
        wave = 1 + math.cos(math.pi * float(progress) / self.stretch)
        return self.stop + (self.start - self.stop) / 2 * wave

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value; a stretched wave is cut before it reaches ``stop``."""
        last = self.stop if self.stretch == 1 else self(1.0)
        return min(self.start, last), max(self.start, last)


@dataclass(frozen=True)
class CosineRestarts:
    """Cosines from ``start`` to ``stop``, one after the other, each longer than the one before, counted in epochs.

    In epoch t of a period of T: ``stop + (start - stop) / 2 * (1 + cos(pi * t / T))``. The periods have ``first``,
    ``first * factor``, ``first * factor^2`` ... epochs; a search that is shorter has the beginning of them.

    Args:
        start: value at the beginning of each period.
        stop: value that each period ends at, one epoch short of it.
        first: epochs of the first period, >= 1.
        factor: how many times longer each period is than the one before, >= 1.

    Source: Loshchilov & Hutter 2017 (arXiv:1608.03983), eq. 5 and section 4.1.
    """

    start: float
    stop: float = 0.0
    first: int = 10
    factor: int = 2

    def __post_init__(self) -> None:
        for name in ("first", "factor"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RecipeError(f"{name} of CosineRestarts must be a whole number of at least 1, got {value!r}.")

    def __call__(self, progress: float) -> float:
        epoch, period = float(progress) * _epochs(progress), self.first
        # An epoch is a multiple of 1 / epochs: rounding must not leave it in the period before.
        while epoch + 1e-9 >= period:
            epoch, period = epoch - period, period * self.factor
        wave = 1 + math.cos(math.pi * max(epoch, 0.0) / period)
        return self.stop + (self.start - self.stop) / 2 * wave

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value; no period reaches ``stop``."""
        return min(self.start, self.stop), max(self.start, self.stop)


@dataclass(frozen=True)
class Exponential:
    """``start * factor^epoch``, as DARTS retrains on ImageNet.

    Args:
        start: value of the first epoch.
        factor: what every epoch multiplies it by, in (0, 1].

    Source: Liu et al. 2019 (arXiv:1806.09055), appendix A.3.
    """

    start: float
    factor: float = 0.97

    def __post_init__(self) -> None:
        if not 0 < self.factor <= 1:
            raise RecipeError(f"The factor of an exponential schedule must be in (0, 1], got {self.factor}.")

    def __call__(self, progress: float) -> float:
        return self.start * self.factor ** (float(progress) * _epochs(progress))

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value; it never reaches 0."""
        return min(self.start, self.start * self.factor), self.start


@dataclass(frozen=True)
class LinearWithTail:
    """A line towards 0 that ends early, a slower one for the last epochs, and a rise in the first ones.

    In epoch e of E with a tail of T: ``start * (E - T - e) / (E - T)`` before the tail, ``start * (E - e) / ((E - T) * T)`` in
    it; in the first W epochs ``start * (e + 1) / W``.

    Args:
        start: value that the line starts from.
        tail: epochs of the tail, T, >= 1.
        warmup: epochs of the rise, W, >= 0.

    Source: code of Chen et al. 2019 (P-DARTS, arXiv:1904.12760), which PC-DARTS and DrNAS retrain with on ImageNet.
    """

    start: float
    tail: int = 5
    warmup: int = 5

    def __post_init__(self) -> None:
        for name, least in (("tail", 1), ("warmup", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{name} of LinearWithTail must be a whole number of at least {least}, got {value!r}.")

    def __call__(self, progress: float) -> float:
        epochs = _epochs(progress)
        epoch = float(progress) * epochs
        if epoch < self.warmup:
            return self.start * (epoch + 1) / self.warmup
        line = max(1.0, epochs - self.tail)
        return self.start * ((line - epoch) / line if epoch < line else (epochs - epoch) / (line * self.tail))

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value."""
        return 0.0, self.start


@dataclass(frozen=True)
class Joined:
    """One schedule after the other, each over its own stretch of epochs as if that were a whole search.

    ProxylessNAS lets the learning rate fall twice, once over its warm-up and once over the search.

    Args:
        first: over the first epochs.
        second: over the others.
        share: of the epochs that the first one has, rounded down, in (0, 1).

    Source: code of Cai et al. 2019 (ProxylessNAS, arXiv:1812.00332).
    """

    first: "Schedule"
    second: "Schedule"
    share: float = 0.5

    def __post_init__(self) -> None:
        if isinstance(self.share, bool) or not isinstance(self.share, int | float) or not 0 < self.share < 1:
            raise RecipeError(f"The share of Joined must be in (0, 1), got {self.share!r}.")
        for name in ("first", "second"):
            object.__setattr__(self, name, schedule(getattr(self, name)))

    def __call__(self, progress: float) -> float:
        epochs = _epochs(progress)
        epoch, begin = float(progress) * epochs, int(self.share * epochs + 1e-9)
        if epoch + 1e-9 < begin:
            return self.first(Progress(epoch, begin))
        return self.second(Progress(epoch - begin, epochs - begin))

    @property
    def bounds(self) -> tuple[float, float]:
        """Smallest and largest value."""
        lows, highs = zip(self.first.bounds, self.second.bounds, strict=True)
        return min(lows), max(highs)


def _epochs(progress: float) -> int:
    """The number of epochs that a time is of; a plain number is taken to be of 100."""
    return getattr(progress, "epochs", 100)


Schedule = Constant | Linear | Cosine | CosineRestarts | Exponential | LinearWithTail | Joined

SCHEDULES: Mapping[str, type] = {cls.__name__: cls for cls in get_args(Schedule)}
"""The schedules by the name that files give them."""


def schedule(value: float | Schedule) -> Schedule:
    """A number as a constant schedule; a schedule as it is.

    Raises:
        RecipeError: for anything else.
    """
    if isinstance(value, Schedule):
        return value
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise RecipeError(
            "A schedule is a number, Constant, Linear, Cosine, CosineRestarts, Exponential, LinearWithTail or Joined, got "
            f"{value!r}."
        )
    return Constant(float(value))


def check_range(
    name: str,
    value: float | Schedule,
    *,
    above: float | None = None,
    at_least: float | None = None,
    at_most: float | None = None,
) -> None:
    """Refuses a hyper-parameter whose values leave a range, or are not finite.

    Args:
        name: what the user calls it.
        value: a number or a schedule, checked at both of its ends.
        above: exclusive lower bound.
        at_least: inclusive lower bound.
        at_most: inclusive upper bound.

    Raises:
        RecipeError: with the bound, the value and the name.
    """
    if isinstance(value, bool) or not isinstance(value, int | float | Schedule):
        raise RecipeError(f"{name} must be a number or a schedule, got {value!r}.")
    for number in schedule(value).bounds:
        if not math.isfinite(number):
            raise RecipeError(f"{name} must be a finite number, got {number}.")
        if above is not None and not number > above:
            raise RecipeError(f"{name} must be greater than {above:g}, got {number:g}.")
        if at_least is not None and not number >= at_least:
            raise RecipeError(f"{name} must be at least {at_least:g}, got {number:g}.")
        if at_most is not None and not number <= at_most:
            raise RecipeError(f"{name} must be at most {at_most:g}, got {number:g}.")
