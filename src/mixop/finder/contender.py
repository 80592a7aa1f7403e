"""A network that takes part in the choice, and what it scored."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

from mixop.data.core import Data
from mixop.finder.costs import Cost, Limits, cost_of
from mixop.finder.portfolio import SIZES, Family, Member
from mixop.nets.discrete import build
from mixop.spaces.core import Architecture, Space

Origin = Literal["known", "searched", "random"]
"""Where a network comes from: the portfolio, a search, or a draw of a search's space."""


@dataclass(frozen=True)
class Contender:
    """A network that takes part.

    Args:
        label: its name on the screen, unique.
        origin: where it comes from.
        space: with all sizes.
        architecture: of that space.
        cost: of the network.
        size: channels or features.
    """

    label: str
    origin: Origin
    space: Space
    architecture: Architecture
    cost: Cost
    size: int


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a network scored after a short training: trained on the part ``train``, scored on ``valid``.

    Args:
        label: of the network.
        origin: where it comes from.
        measures: on the validation examples.
        epochs: of the training.
        seconds: of the training.
        parameters: trained ones.
        flops: multiply-adds for one example.
        latency_ms: milliseconds for one example; None where nobody asked.
        round: counted from 1: later ones have fewer networks and longer trainings.
    """

    label: str
    origin: Origin
    measures: dict[str, float | None]
    epochs: int
    seconds: float
    parameters: int
    flops: int
    latency_ms: float | None
    round: int


@dataclass(frozen=True)
class Entry:
    """Lets networks in that keep the limits.

    Args:
        data: examples with a task.
        limits: what they may cost.
    """

    data: Data
    limits: Limits

    def cost(self, space: Space, architecture: Architecture) -> Cost:
        """What a network costs."""
        net = build(architecture, space).to(self.data.device)
        return cost_of(net, self.data.batch(self.data.train[:1]).x, latency=self.limits.latency_ms is not None)

    def member(self, member: Member) -> tuple[Contender | None, str]:
        """A network of the portfolio, or why it stays out."""
        space = member.family.make(member.size).fit(self.data)
        architecture = member.family.architecture(space)
        cost = self.cost(space, architecture)
        if broken := self.limits.broken(cost):
            return None, broken
        return Contender(member.label, "known", space, architecture, cost, member.size), ""

    def largest(self, family: Family) -> tuple[Contender | None, str]:
        """The largest network of a family that keeps the limits, or what the smallest one breaks."""
        why = ""
        for size in sorted(SIZES, reverse=True):
            found, why = self.member(Member(family, size))
            if found is not None:
                return found, ""
        return None, why

    def found(self, label: str, origin: Origin, space: Space, architecture: Architecture) -> tuple[Contender | None, str]:
        """What a search found, made narrower until it keeps the limits; or what it breaks."""
        why = ""
        for size, made in narrower(space):
            cost = self.cost(made, architecture)
            why = self.limits.broken(cost)
            if not why:
                return Contender(label, origin, made, architecture, cost, size), ""
        return None, why


def narrower(space: Space) -> list[tuple[int, Space]]:
    """A space as it is, then with fewer channels where it can have them; with its size each."""
    own = getattr(space, "channels", None)
    if not isinstance(own, int):
        return [(0, space)]
    smaller = [size for size in sorted(SIZES, reverse=True) if size < own]
    resized: Callable[[int], Space] = lambda size: replace(space, channels=size)  # type: ignore[type-var]  # noqa: E731
    return [(own, space), *((size, resized(size)) for size in smaller)]
