"""Search spaces as data: groups of decisions, cell graphs and the network's skeleton. Imports no torch.

A `Space` answers four questions: which decisions there are (`groups`), how a cell computes (`graph`), how cells are
stacked into a network (`layers`), and how an architecture is written (`to_native`, `from_native`). Executors, derivation
rules and the discrete network read nothing else, so a new space is data, and often only a `CellSpace` with other numbers.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from mixop.errors import SpaceError, unknown


@dataclass(frozen=True)
class Decision:
    """One choice between options: for cells, the edge from node ``source`` to node ``target``.

    Args:
        source: node that is read.
        target: node that the result is added to, > source.
        options: candidate operations by their published names, in the order of the mixing weights.
    """

    source: int
    target: int
    options: tuple[str, ...]


@dataclass(frozen=True)
class Group:
    """Decisions that share one tensor of mixing weights, shape ``(E, O)``.

    Option names may differ between decisions (S1, pruned spaces), their number may not.
    """

    name: str
    decisions: tuple[Decision, ...]

    def __post_init__(self) -> None:
        if not self.decisions or not self.decisions[0].options:
            raise SpaceError(f"Group {self.name!r} must have at least one decision with at least one option.")
        for decision in self.decisions:
            if len(decision.options) != len(self.decisions[0].options):
                raise SpaceError(
                    f"Every decision of group {self.name!r} must have the same number of options, "
                    f"got {len(self.decisions[0].options)} and {len(decision.options)}."
                )
            if len(set(decision.options)) != len(decision.options):
                raise SpaceError(f"The options of a decision must differ, got {decision.options}.")

    @property
    def shape(self) -> tuple[int, int]:
        """``(E, O)``: decisions x options."""
        return len(self.decisions), len(self.decisions[0].options)

    def into(self, target: int) -> list[int]:
        """Indices of the decisions that end in node ``target``, in order."""
        return [e for e, decision in enumerate(self.decisions) if decision.target == target]


@dataclass(frozen=True)
class Graph:
    """How a cell computes: nodes ``0 .. inputs-1`` are given, every other is the sum of its edges.

    Args:
        inputs: number of input nodes.
        nodes: number of all nodes.
        output: nodes whose channel-wise concatenation is the cell's output.
    """

    inputs: int
    nodes: int
    output: tuple[int, ...]


@dataclass(frozen=True)
class Layer:
    """One layer of the skeleton.

    Args:
        kind: what it is; `mixop.network` has a table of kinds. ``cell`` is the searched one.
        inputs: which outputs it reads: 0 is the network's input, k the output of the k-th layer (counted from 1).
        channels: input channels, one for each input.
        out: output channels (classes for the head).
        stride: 1, or 2 where the layer halves height and width.
        group: for cells, the group that decides; else None.
    """

    kind: str
    inputs: tuple[int, ...]
    channels: tuple[int, ...]
    out: int
    stride: int = 1
    group: str | None = None


@dataclass(frozen=True)
class Choice:
    """A kept decision and the option chosen for it."""

    decision: int
    option: str


@dataclass(frozen=True)
class Architecture:
    """The discrete result of a search: which decisions are kept, and which option each takes. Hashable.

    Args:
        space: name of the space it belongs to.
        choices: for each group its choices; a decision that is absent is an edge that was dropped.
    """

    space: str
    choices: tuple[tuple[str, tuple[Choice, ...]], ...]

    def of(self, group: str) -> tuple[Choice, ...]:
        """The choices of one group.

        Raises:
            SpaceError: if the architecture has no such group.
        """
        for name, choices in self.choices:
            if name == group:
                return choices
        raise SpaceError(unknown(f"group in this architecture of {self.space}", group, (name for name, _ in self.choices)))

    def options(self) -> Iterator[str]:
        """Every chosen option, group by group."""
        for _, choices in self.choices:
            for choice in choices:
                yield choice.option

    def distance(self, other: "Architecture") -> int:
        """Edit distance: the number of decisions that differ, a dropped one counting as different from a kept one.

        Raises:
            SpaceError: if the two are from different spaces.
        """
        if self.space != other.space:
            raise SpaceError(f"Architectures of different spaces have no distance, got {self.space!r} and {other.space!r}.")
        total = 0
        for name, choices in self.choices:
            mine = {(c.decision, c.option) for c in choices}
            yours = {(c.decision, c.option) for c in other.of(name)}
            total += len({decision for decision, _ in mine ^ yours})
        return total


class Space(ABC):
    """What every search space offers. Subclasses are frozen dataclasses; their fields are the skeleton's arguments.

    Attributes:
        name: the space's name, part of every architecture.
        input_channels: channels of the images.
        input_size: height and width of the images in pixels.
        classes: number of classes.
    """

    name: str
    input_channels: int
    input_size: int
    classes: int

    @property
    @abstractmethod
    def groups(self) -> tuple[Group, ...]:
        """The groups of decisions, in a fixed order."""

    @abstractmethod
    def graph(self, group: str) -> Graph:
        """The cell graph that the decisions of a group live on."""

    @property
    @abstractmethod
    def layers(self) -> tuple[Layer, ...]:
        """The skeleton, in order of computation; the last layer gives the logits."""

    @abstractmethod
    def to_native(self, architecture: Architecture) -> str:
        """The architecture in its community's notation."""

    @abstractmethod
    def from_native(self, text: str) -> Architecture:
        """The architecture that a native string stands for.

        Raises:
            SpaceError: if the text is malformed, with what was expected.
        """

    def group(self, name: str) -> Group:
        """The group of that name.

        Raises:
            SpaceError: if there is none.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise SpaceError(unknown(f"group in space {self.name}", name, (g.name for g in self.groups)))

    def architecture(self, options: Iterable[Sequence[int]]) -> Architecture:
        """The architecture that takes, in every decision, the option of the given index.

        Args:
            options: for each group, E indices in [0, O).
        """
        choices = tuple(
            (group.name, tuple(Choice(e, group.decisions[e].options[o]) for e, o in enumerate(indices)))
            for group, indices in zip(self.groups, options, strict=True)
        )
        return Architecture(self.name, choices)

    def check(self, architecture: Architecture) -> None:
        """Refuses an architecture that does not belong to this space.

        Raises:
            SpaceError: for another space's name, a missing group, a decision or an option that does not exist.
        """
        if architecture.space != self.name:
            raise SpaceError(f"Expected an architecture of space {self.name!r}, got one of {architecture.space!r}.")
        for group in self.groups:
            for choice in architecture.of(group.name):
                if not 0 <= choice.decision < len(group.decisions):
                    raise SpaceError(
                        f"Group {group.name!r} has {len(group.decisions)} decisions, got number {choice.decision}."
                    )
                options = group.decisions[choice.decision].options
                if choice.option not in options:
                    raise SpaceError(unknown(f"option on edge {choice.decision} of {group.name}", choice.option, options))


def check_skeleton(space: str, **sizes: int) -> None:
    """Refuses sizes of a skeleton that are not whole numbers >= 1.

    Raises:
        SpaceError: with the name and the value.
    """
    for name, size in sizes.items():
        if not isinstance(size, int) or isinstance(size, bool) or size < 1:
            raise SpaceError(f"{space}: {name.replace('_', ' ')} must be a whole number of at least 1, got {size!r}.")
