"""A share of a batch: the examples of it that one process computes, or one of several passes.

What belongs to a pass is with the pass and its thread, as the fence around random numbers is: inside of `sharing`, what draws
a number for every example (`mixop.core.rng.rand`) draws those of the whole batch and takes the rows of the share.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from itertools import pairwise


@dataclass(frozen=True)
class Share:
    """Neighbouring examples of a batch.

    Args:
        start: the first one.
        stop: the one behind the last, >= ``start``.
        of: examples in the whole batch.
    """

    start: int
    stop: int
    of: int

    @property
    def rows(self) -> slice:
        """Where they stand in the batch."""
        return slice(self.start, self.stop)

    @property
    def part(self) -> float:
        """How much of the batch it is, in [0, 1]."""
        return (self.stop - self.start) / self.of


def shares(count: int, pieces: int) -> list[Share]:
    """A batch divided as evenly as possible, the larger shares first.

    Args:
        count: examples in the batch, at least ``pieces``.
        pieces: how many shares.
    """
    small, larger = divmod(count, pieces)
    starts = [k * small + min(k, larger) for k in range(pieces + 1)]
    return [Share(start, stop, count) for start, stop in pairwise(starts)]


_PRESENT: ContextVar[Share | None] = ContextVar("_PRESENT", default=None)


@contextmanager
def sharing(share: Share) -> Iterator[None]:
    """Inside, a pass in this thread is one over a share of a batch."""
    token = _PRESENT.set(share)
    try:
        yield
    finally:
        _PRESENT.reset(token)


def present_share() -> Share | None:
    """The share that this pass is over; None where it is over a whole batch."""
    return _PRESENT.get()
