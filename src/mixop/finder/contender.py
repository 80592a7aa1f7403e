"""A network that takes part in the choice, and what it scored."""

from dataclasses import dataclass, field
from typing import Any, Literal

from mixop.core.errors import DataError, SpaceError
from mixop.core.values import to_plain
from mixop.data.core import Data
from mixop.finder.costs import Cost, Limits, cost_of
from mixop.finder.portfolio import SIZES, Family, Member
from mixop.nets.discrete import build
from mixop.nets.latency import LatencyTable
from mixop.runs.records import from_record, to_record
from mixop.spaces.core import Architecture, Choice, Space

Origin = Literal["known", "searched", "random", "ranked"]
"""Where a network comes from: the portfolio, a search, or a single draw. Runs of version 1.0.0 may also have one that scores
before training took from many draws."""


Costs = dict[str, Any]
"""What networks cost, as JSON data by space and architecture."""


@dataclass(frozen=True)
class Contender:
    """A network that takes part.

    Args:
        label: its name on the screen, unique.
        origin: where it comes from.
        space: with all sizes.
        architecture: of that space.
        cost: of the network.
        size: channels or features; 0 for one that an earlier run found.
    """

    label: str
    origin: Origin
    space: Space
    architecture: Architecture
    cost: Cost
    size: int


@dataclass(frozen=True)
class Wanted:
    """An architecture that takes part at the width that the limits allow.

    Args:
        label: its name on the screen.
        origin: where it comes from.
        near: the network whose surroundings it is from.
        architecture: of the space.
        space: these surroundings at some width.
    """

    label: str
    origin: Origin
    near: Member
    architecture: Architecture
    space: Space


@dataclass(frozen=True, kw_only=True)
class Trial:
    """What a network scored after a short training: trained on the part ``train``, scored on ``valid``.

    Args:
        label: of the network.
        origin: where it comes from.
        measures: on the validation examples.
        train: the same over the batches of the last epoch of its training, as they were augmented.
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
    train: dict[str, float | None]
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
        costs: what was measured.
        table: of the device whose milliseconds are meant; None for this machine's.
    """

    data: Data
    limits: Limits
    costs: Costs = field(default_factory=dict)
    table: LatencyTable | None = None

    @property
    def latency(self) -> LatencyTable | bool:
        """Where milliseconds come from; False where nobody asked for them."""
        return (self.table or True) if self.limits.latency_ms is not None else False

    def cost(self, space: Space, architecture: Architecture) -> Cost:
        """What a network costs; it is measured once."""
        key = f"{to_plain(space)} {space.to_native(architecture)}"
        if key not in self.costs:
            self.costs[key] = to_record(self._measured(space, architecture))
        return from_record(Cost, self.costs[key], "costs")

    def _measured(self, space: Space, architecture: Architecture) -> Cost:
        net = build(architecture, space).to(self.data.device)
        return cost_of(net, self.data.batch(self.data.train[:1]).x, latency=self.latency)

    def member(self, member: Member) -> tuple[Contender | None, str]:
        """A network of the portfolio, or why it stays out."""
        try:
            space = member.family.space(member.size).fit(self.data)
        except SpaceError as error:  # a size that the family cannot have: reductions need even channels
            return None, str(error)
        architecture = member.family.architecture(space)
        cost = self.cost(space, architecture)
        if broken := self.limits.broken(cost):
            return None, broken
        return Contender(member.label, "known", space, architecture, cost, member.size), ""

    def largest(self, family: Family, most: int = max(SIZES)) -> tuple[Contender | None, str]:
        """The largest network of a family that keeps the limits, or what the smallest one breaks.

        Args:
            family: of the network.
            most: channels, or features.
        """
        why = ""
        for size in sorted((size for size in SIZES if size <= most), reverse=True):
            found, why = self.member(Member(family, size))
            if found is not None:
                return found, ""
        return None, why

    def found(
        self, label: str, origin: Origin, near: Member, architecture: Architecture, of: Space
    ) -> tuple[Contender | None, str]:
        """What a search found, as wide as the limits allow and no wider than the network that it was searched around.

        Args:
            label: its name.
            origin: where it comes from.
            near: that network.
            architecture: of the space around it, at any size.
            of: that space.

        Returns:
            The contender, or None and what even the narrowest breaks.
        """
        why = ""
        for size in sorted({near.size, *(size for size in SIZES if size < near.size)}, reverse=True):
            space = around(near, size).fit(self.data)
            same = carried(architecture, of, space)
            if same is None:
                continue
            try:
                cost = self.cost(space, same)
            except DataError:
                why = "layers that the latency table lacks"
                continue
            why = self.limits.broken(cost)
            if not why:
                return Contender(label, origin, space, same, cost, size), ""
        return None, why


def carried(architecture: Architecture, of: Space, to: Space) -> Architecture | None:
    """An architecture in a space of another size: the option at the same place in every decision, whatever it is called.

    Args:
        architecture: of the first space.
        of: the first space.
        to: another one with the same decisions.

    Returns:
        The architecture, or None if a decision has another number of options there.
    """
    groups = []
    for one, other in zip(of.groups, to.groups, strict=True):
        if one.shape != other.shape:
            return None
        kept = architecture.of(one.name)
        places = [one.decisions[choice.decision].options.index(choice.option) for choice in kept]
        pairs = zip(kept, places, strict=True)
        choices = [Choice(choice.decision, other.decisions[choice.decision].options[at]) for choice, at in pairs]
        groups.append((other.name, tuple(choices)))
    return Architecture(to.name, tuple(groups))


def around(near: Member, size: int) -> Space:
    """The space around a network at a size, which may be another than the network's own."""
    assert near.family.around is not None, "asked of networks that are searched around only"
    return near.family.around(size, near.family.stride)
