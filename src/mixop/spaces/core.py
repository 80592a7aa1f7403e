"""Search spaces as data: groups of decisions, and the architectures that they allow. Imports no torch.

A `Space` says which decisions there are (`groups`) and how an architecture is written (`to_native`, `from_native`).
Relaxations, derivation rules, searchers and monitors read nothing else. How a network is made is the business of its two
kinds: `mixop.spaces.stacked.Stacked`, cells in a skeleton, and `mixop.nets.modules.space.ModuleSpace`, choices in any module.
"""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from math import comb, prod
from random import Random
from typing import Any, ClassVar, Self

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.sizes import USUAL, Sized, Sizes, check_sizes, checked_shape


@dataclass(frozen=True)
class Roles:
    """Which options are more than an operation: what derivation, monitors, searchers and executors treat in a way of its own.

    Args:
        absent: options that add nothing to a node, as if the edge were not there.
        skips: options that pass their input on as it is where the edge is not strided.
        pools: options that pool, whatever stands around the pool.
    """

    absent: tuple[str, ...] = ("none",)
    skips: tuple[str, ...] = ("skip_connect",)
    pools: tuple[str, ...] = ("avg_pool_3x3", "max_pool_3x3")


@dataclass(frozen=True)
class Decision:
    """One choice between options: for cells, the edge from node ``source`` to node ``target``.

    Args:
        source: node that is read.
        target: node that the result is added to, > source.
        options: candidate operations by their published names, in the order of the mixing weights.
        place: what is decided, in words, where that is no edge: ``node 3``.
    """

    source: int
    target: int
    options: tuple[str, ...]
    place: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.source < self.target:
            raise SpaceError(f"An edge runs from a node to a later one, got {self.source} -> {self.target}.")


@dataclass(frozen=True)
class Group:
    """Decisions that share one tensor of mixing weights, shape ``(E, O)``.

    Option names may differ between decisions (S1, pruned spaces), their number may not. Decisions are ordered by their
    target, so that every node is complete before it is read.

    Args:
        name: what architectures and mixing weights call it.
        decisions: its edges.
        keep: how many of the edges into a node an architecture keeps, >= 1; 0 where it has an option on every edge.
        roles: what its options mean; the space's.
        cell: the cell that it decides about, where several groups decide about one; empty for one of its own.
        chain: groups of one chain are decided one after the other by a relaxation that can, and node by node where they decide
            about one cell, see `mixop.relax.base.Relaxation.draw_all`; empty for a group that is decided by itself.
        take: how many of its options a decision takes, >= 1. Its mixing weights are one row still.
        inputs: whether its options are what a node reads, by number, and not operations.
    """

    name: str
    decisions: tuple[Decision, ...]
    keep: int = 0
    roles: Roles = Roles()
    cell: str = ""
    chain: str = ""
    take: int = 1
    inputs: bool = False

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
                raise SpaceError(f"The options of a decision must differ, got {', '.join(decision.options)}.")
        if not 1 <= self.take <= len(self.decisions[0].options) or (self.take > 1 and self.keep):
            raise SpaceError(
                f"Every decision of group {self.name!r} takes 1 to {len(self.decisions[0].options)} of its options, and keeps "
                f"all edges where it takes several, got take={self.take} and keep={self.keep}."
            )
        targets = [decision.target for decision in self.decisions]
        if targets != sorted(targets):
            raise SpaceError(f"The decisions of group {self.name!r} must be ordered by their target node, got {targets}.")

    @property
    def shape(self) -> tuple[int, int]:
        """``(E, O)``: decisions x options."""
        return len(self.decisions), len(self.decisions[0].options)

    @property
    def on_edges(self) -> bool:
        """Whether its decisions are edges; else they say their `Decision.place`."""
        return not any(decision.place for decision in self.decisions)

    def is_absent(self, option: str) -> bool:
        """Whether an option adds nothing, as if the edge were not there."""
        return option in self.roles.absent

    def is_skip(self, option: str) -> bool:
        """Whether an option is a skip connection."""
        return option in self.roles.skips

    def is_pool(self, option: str) -> bool:
        """Whether an option pools."""
        return option in self.roles.pools

    def eligible(self, decision: int) -> tuple[str, ...]:
        """The options that an architecture may have on an edge.

        Where it keeps some edges only, an absent one is not among them: that edge would simply not be kept.
        """
        options = self.decisions[decision].options
        return tuple(option for option in options if not self.is_absent(option)) if self.keep else options

    def into(self, target: int) -> list[int]:
        """Indices of the decisions that end in node ``target``, in order."""
        return [e for e, decision in enumerate(self.decisions) if decision.target == target]

    @property
    def switches(self) -> bool:
        """Whether each of its decisions only says whether its source is read: absent, or a skip."""
        return all(len(d.options) == 2 and self.is_absent(d.options[0]) and self.is_skip(d.options[1]) for d in self.decisions)

    @property
    def targets(self) -> tuple[int, ...]:
        """The nodes that edges end in, in increasing order."""
        return tuple(dict.fromkeys(decision.target for decision in self.decisions))

    @property
    def input_groups(self) -> tuple["Group", ...]:
        """For each target node one decision between its edges, for edge normalisation; the options name the sources.

        Their mixing weights ``(1, n)``, one after the other, are one number for each edge in the order of `decisions`.
        """
        return tuple(
            Group(f"{self.name}.inputs.{target}", (Decision(0, target, tuple(str(self.decisions[e].source) for e in edges)),))
            for target in self.targets
            for edges in (self.into(target),)
        )


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
        choices: for each group, in the space's order, its choices by increasing decision; a decision that is absent is an
            edge that was dropped.
    """

    asked: ClassVar[str] = "an architecture such as result.architecture"

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
        mine = {(name, choice.decision, choice.option) for name, choices in self.choices for choice in choices}
        yours = {(name, choice.decision, choice.option) for name, choices in other.choices for choice in choices}
        return len({(name, decision) for name, decision, _ in mine ^ yours})


class Space(ABC):
    """What every search space offers. Subclasses are frozen dataclasses; their fields are the skeleton's arguments.

    Attributes:
        name: the space's name, part of every architecture.
        input_shape: shape of one input, see `mixop.spaces.sizes.Sized`; None to take what the data has.
        outputs: numbers that the network gives for an example, or for each position; None to take what the data has.
        dense: whether there is an output at every position; None to take what the data has.
        tokens: whether inputs are tokens; None to take what the data has.
        roles: which options are absent edges, skip connections or pools; each of its groups has them too.
        repeats: whether a node may add the same operation on the same edge twice.
        shares: whether one supernet holds all of its architectures, for a search by gradient; if not, only black-box searches
            fit it.
        whole: whether architectures are drawn as a whole, so that nothing can change a single decision of one.
    """

    asked: ClassVar[str] = "a space such as mixop.spaces.nasbench201()"

    roles: ClassVar[Roles] = Roles()
    repeats: ClassVar[bool] = False
    shares: ClassVar[bool] = True
    whole: ClassVar[bool] = False

    name: str
    input_shape: tuple[int, ...] | None
    outputs: int | None
    dense: bool | None
    tokens: bool | None

    @property
    def only_here(self) -> str:
        """What only this process has of the space, in a word; empty where any process can make all of it."""
        return ""

    @property
    def usual(self) -> Sizes:
        """Sizes for a measurement where no data is at hand: those of CIFAR-10."""
        return USUAL

    @property
    def chain(self) -> tuple[str, ...]:
        """The groups in the order in which they follow one another, where the network is a chain of them; else none."""
        return ()

    @property
    @abstractmethod
    def groups(self) -> tuple[Group, ...]:
        """The groups of decisions, in a fixed order."""

    @property
    def dims(self) -> int:
        """Axes of an input's positions: 2 of an image or an open shape, 1 of a signal or of tokens, 0 of a feature vector."""
        if self.input_shape is None:
            return 1 if self.tokens else 2
        return len(self.input_shape) - 1

    @property
    def names_used(self) -> tuple[str, ...]:
        """Its options; those that are ``package.module:make`` name a function."""
        return tuple(dict.fromkeys(name for group in self.groups for choice in group.decisions for name in choice.options))

    @abstractmethod
    def to_native(self, architecture: Architecture) -> str:
        """The architecture in its community's notation."""

    @abstractmethod
    def from_native(self, text: str) -> Architecture:
        """The architecture that a native string stands for.

        Raises:
            SpaceError: if the text is malformed, with what was expected.
        """

    def is_absent(self, option: str) -> bool:
        """Whether an option adds nothing, as if the edge were not there."""
        return option in self.roles.absent

    def is_skip(self, option: str) -> bool:
        """Whether an option is a skip connection."""
        return option in self.roles.skips

    def is_pool(self, option: str) -> bool:
        """Whether an option pools."""
        return option in self.roles.pools

    def prune(self, kept: Mapping[str, Sequence[Sequence[int]]]) -> Self:
        """The space with fewer options on its edges.

        Args:
            kept: for each group and decision the indices of the options that stay, in increasing order.

        Raises:
            SpaceError: if the space cannot be pruned, or a decision is left without options.
        """
        raise SpaceError(f"{self.name} has a fixed list of options and cannot be pruned.")

    def deeper(self, cells: int) -> Self:
        """The space with further cells in its network.

        Args:
            cells: how many more, >= 1.

        Raises:
            SpaceError: if its network has a fixed depth.
        """
        raise SpaceError(f"{self.name} has a network of fixed depth and cannot grow by {cells} cells.")

    def fit(self, data: Sized) -> Self:
        """The space for a data set: sizes that were left open are taken from it.

        Args:
            data: a data set, or `mixop.spaces.sizes.Sizes`.

        Raises:
            SpaceError: if a size that was given is another one, or the space cannot have the data's.
        """
        wanted = {"input_shape": tuple(data.shape), "outputs": data.outputs, "dense": data.dense, "tokens": data.tokens}
        for name, value in wanted.items():
            given = getattr(self, name)
            if given is not None and given != value:
                raise SpaceError(
                    f"{self.name}: {name.replace('_', ' ')} is {given}, but the data has {value}: "
                    "leave it out to take the data's, or use data that fits."
                )
        open_sizes = {name: value for name, value in wanted.items() if getattr(self, name) is None}
        return replace(self, **open_sizes) if open_sizes else self  # type: ignore[type-var]  # subclasses are dataclasses

    def _check_sizes(self) -> None:
        """Refuses sizes of inputs and outputs that make no sense; subclasses call it, and check what they need besides."""
        object.__setattr__(self, "input_shape", checked_shape(self.name, self.input_shape))
        check_sizes(self.name, self.input_shape, self.outputs, self.dense, self.tokens)

    def group(self, name: str) -> Group:
        """The group of that name.

        Raises:
            SpaceError: if there is none.
        """
        for group in self.groups:
            if group.name == name:
                return group
        raise SpaceError(unknown(f"group in space {self.name}", name, (g.name for g in self.groups)))

    def architecture(self, options: Iterable[Sequence[int | None]]) -> Architecture:
        """The architecture that takes, in every decision, the option of the given index.

        Args:
            options: for each group, E indices in [0, O); None drops the decision. Where a decision takes several options, as
                many indices for each, one decision after the other.

        Raises:
            SpaceError: if the indices do not fit the groups.
        """
        options = [tuple(indices) for indices in options]
        lengths = [len(indices) for indices in options]
        wanted = [len(group.decisions) * group.take for group in self.groups]
        if lengths != wanted:
            raise SpaceError(f"{self.name} takes {wanted} options in its groups, got {lengths}.")
        choices = []
        for group, indices in zip(self.groups, options, strict=True):
            for index in indices:
                if index is not None and not 0 <= index < group.shape[1]:
                    raise SpaceError(f"Group {group.name!r} has options 0 to {group.shape[1] - 1}, got {index}.")
            pairs = sorted((at // group.take, o) for at, o in enumerate(indices) if o is not None)
            choices.append((group.name, tuple(Choice(e, group.decisions[e].options[o]) for e, o in pairs)))
        return self.settled(Architecture(self.name, tuple(choices)))

    def settled(self, architecture: Architecture) -> Architecture:
        """An architecture without choices that make no difference, such as those inside of an option that was not chosen.

        Everything that derives, draws or changes an architecture passes it through here, so that equal networks are equal
        architectures. By default every choice makes a difference.
        """
        return architecture

    def allows(self, architecture: Architecture) -> bool:
        """Whether choices that fit the groups are an architecture of the space; by default all are.

        Searchers draw and change choices until they are.
        """
        return True

    def adopted(self, architecture: Architecture) -> Architecture:
        """An architecture of another space as one of this one, where this one holds it; else as it is."""
        return architecture

    def includes(self, other: "Space") -> bool:
        """Whether every architecture of another space is one of this one: the same groups, with no other options."""
        own, others = ({g.name: g for g in space.groups} for space in (self, other))
        return (
            self.name == other.name
            and own.keys() == others.keys()
            and all(
                len(own[name].decisions) == len(group.decisions)
                and all(set(b.options) <= set(a.options) for a, b in zip(own[name].decisions, group.decisions, strict=True))
                for name, group in others.items()
            )
        )

    def signature(self, architecture: Architecture) -> int | None:
        """A number of 63 bits that architectures have in common which are the same network, for tables of them.

        None where equal networks have equal texts, as in most spaces.
        """
        return None

    def reaches(self, architecture: Architecture, group: str) -> bool:
        """Whether the decisions of a group make a difference in an architecture."""
        return True

    def inputs_of(self, group: str) -> tuple[str, ...]:
        """The names of the decisions of a group, where each stands for an input that has one; else none."""
        return ()

    def describe_choices(self, architecture: Architecture) -> dict[str, Any]:
        """The options of an architecture by decision, as JSON data."""
        return {
            group.name: [choice.option for choice in architecture.of(group.name)]
            for group in self.groups
            if architecture.of(group.name)
        }

    def size(self) -> int:
        """The number of architectures: one option in every decision, or in those that are kept."""
        return prod(
            prod(sum(prod(len(group.eligible(e)) for e in edges) for edges in ways) for ways in _ways(group))
            if group.keep
            else comb(group.shape[1], group.take) ** group.shape[0]
            for group in self.groups
        )

    def random(self, rng: Random) -> Architecture:
        """An architecture with a uniformly random option in every decision.

        Where some edges of every node are kept, those are random too, and no option is an absent one.

        Args:
            rng: source of the choices; same seed, same architecture.
        """
        choices = []
        for group in self.groups:
            if group.keep:
                kept = sorted(e for ways in _ways(group) for e in rng.choice(ways))
            else:
                kept = range(len(group.decisions))
            if group.take > 1:
                drawn = ((e, sorted(rng.sample(range(group.shape[1]), group.take))) for e in kept)
                chosen = tuple(Choice(e, group.decisions[e].options[o]) for e, options in drawn for o in options)
            else:
                chosen = tuple(Choice(e, rng.choice(group.eligible(e))) for e in kept)
            choices.append((group.name, chosen))
        return Architecture(self.name, tuple(choices))

    def architectures(self) -> Iterator[Architecture]:
        """Every architecture that takes one option in every decision that is kept, the last decision varying fastest."""
        return (Architecture(self.name, choices) for choices in _all_choices(self.groups))

    def check(self, architecture: Architecture) -> None:
        """Refuses an architecture that does not belong to this space.

        Raises:
            SpaceError: for another space's name, missing or additional groups, a decision or an option that does not
                exist, or decisions that are not in increasing order.
        """
        if architecture.space != self.name:
            raise SpaceError(f"Expected an architecture of space {self.name!r}, got one of {architecture.space!r}.")
        names, wanted = [name for name, _ in architecture.choices], [group.name for group in self.groups]
        if names != wanted:
            raise SpaceError(f"An architecture of {self.name} has the groups {wanted}, got {names}.")
        for group in self.groups:
            before = -1
            for choice in architecture.of(group.name):
                if not 0 <= choice.decision < len(group.decisions):
                    raise SpaceError(
                        f"Group {group.name!r} has decisions 0 to {len(group.decisions) - 1}, got {choice.decision}."
                    )
                if choice.decision < before or (choice.decision == before and not group.keep and group.take == 1):
                    raise SpaceError(
                        f"The choices of group {group.name!r} must be in increasing order of their decisions, "
                        f"got {choice.decision} after {before}."
                    )
                before = choice.decision
                options = group.decisions[choice.decision].options
                if choice.option not in options:
                    raise SpaceError(unknown(f"option on edge {choice.decision} of {group.name}", choice.option, options))
            self._check_kept(group, architecture.of(group.name))

    def _check_kept(self, group: Group, choices: Sequence[Choice]) -> None:
        if not self.repeats and len(set(choices)) != len(choices):
            raise SpaceError(f"The choices of group {group.name!r} must differ, got one of them twice.")
        for e in range(len(group.decisions)) if group.take > 1 else ():
            taken = sum(choice.decision == e for choice in choices)
            if taken != group.take:
                raise SpaceError(f"Decision {e} of {group.name} of {self.name} takes {group.take} options, got {taken}.")
        for target in group.targets if group.keep else ():
            edges = group.into(target)
            kept = sum(choice.decision in edges for choice in choices)
            if kept != min(group.keep, len(edges)):
                raise SpaceError(
                    f"In {group.name} of {self.name}, every node keeps {min(group.keep, len(edges))} inputs, "
                    f"but node {target} has {kept}."
                )


def _ways(group: Group) -> Iterator[list[tuple[int, ...]]]:
    """For each node its possible sets of kept edges."""
    for target in group.targets:
        edges = group.into(target)
        yield [tuple(kept) for kept in combinations(edges, min(group.keep, len(edges)))]


def _all_choices(groups: Sequence[Group]) -> Iterator[tuple[tuple[str, tuple[Choice, ...]], ...]]:
    """Every way to choose in several groups, one after the other: there may be too many to hold."""
    if not groups:
        yield ()
        return
    first, *rest = groups
    for chosen in choices_of(first):
        for others in _all_choices(rest):
            yield ((first.name, chosen), *others)


def choices_of(group: Group) -> Iterator[tuple[Choice, ...]]:
    """Every way to choose in a group."""
    if not group.keep:
        for taken in product(*(combinations(decision.options, group.take) for decision in group.decisions)):
            yield tuple(Choice(e, option) for e, options in enumerate(taken) for option in options)
        return
    per_node = [
        [
            tuple(Choice(e, option) for e, option in zip(edges, options, strict=True))
            for edges in ways
            for options in product(*(group.eligible(e) for e in edges))
        ]
        for ways in _ways(group)
    ]
    for parts in product(*per_node):
        yield tuple(choice for part in parts for choice in part)


def check_complete(space: Space, architecture: Architecture) -> None:
    """Refuses an architecture that drops decisions, for spaces whose notation has a place for each.

    Raises:
        SpaceError: with the first decision that is missing.
    """
    for group in space.groups:
        kept = {choice.decision for choice in architecture.of(group.name)}
        for e, decision in enumerate(group.decisions):
            if e not in kept:
                absent = next((f": {option!r} stands for no connection" for option in space.roles.absent), "")
                raise SpaceError(
                    f"An architecture of {space.name} has an operation on each of its {len(group.decisions)} edges, "
                    f"but edge {e} ({decision.target}<-{decision.source}) is missing{absent}."
                )


def pruned_lists(group: Group, kept: Sequence[Sequence[int]]) -> tuple[tuple[str, ...], ...]:
    """The options of each decision that are left.

    Args:
        group: the decisions.
        kept: for each decision the indices of the options that stay, in increasing order.

    Raises:
        SpaceError: if a decision is left without options, or an index is out of range.
    """
    if len(kept) != len(group.decisions):
        raise SpaceError(f"Group {group.name!r} has {len(group.decisions)} decisions, got options to keep for {len(kept)}.")
    for e, indices in enumerate(kept):
        if not indices:
            raise SpaceError(f"Pruning must leave an option on every edge, but none is left on edge {e} of {group.name}.")
        if list(indices) != sorted(set(indices)) or not 0 <= indices[0] <= indices[-1] < group.shape[1]:
            raise SpaceError(
                f"The options to keep on edge {e} of {group.name} must be increasing indices below {group.shape[1]}, "
                f"got {list(indices)}."
            )
    return tuple(tuple(d.options[o] for o in indices) for d, indices in zip(group.decisions, kept, strict=True))
