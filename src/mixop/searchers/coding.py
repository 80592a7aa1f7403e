"""Architectures as answers to questions, and their neighbours: what black-box searchers need to know of a space.

Where a group has an option on every edge, each edge is a question. Where some edges of every node are kept, each node asks
which ones, and each edge which option it takes if it is kept. The answers are those that `Group.eligible` names.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from random import Random

from mixop.core.errors import SpaceError
from mixop.spaces.core import Architecture, Choice, Group, Space


@dataclass(frozen=True)
class Question:
    """One categorical choice.

    Args:
        group: name of the group it belongs to.
        edge: index of the decision that takes an option; None for the choice of edges into a node.
        answers: option names; tuples of the edges that are kept; tuples of options by index where a decision takes several.
    """

    group: str
    edge: int | None
    answers: tuple[str, ...] | tuple[tuple[int, ...], ...]


def questions(space: Space) -> tuple[Question, ...]:
    """The questions of a space, group by group: first which edges are kept, then their options."""
    found = []
    for group in space.groups:
        if group.keep:
            for target in group.targets:
                edges = group.into(target)
                found.append(Question(group.name, None, tuple(combinations(edges, min(group.keep, len(edges))))))
        if group.take > 1:
            ways = tuple(combinations(range(group.shape[1]), group.take))
            found += [Question(group.name, edge, ways) for edge in range(len(group.decisions))]
            continue
        found += [Question(group.name, edge, group.eligible(edge)) for edge in range(len(group.decisions))]
    return tuple(found)


def write(space: Space, answers: Sequence[int]) -> Architecture:
    """The architecture of answers.

    Args:
        space: the search space.
        answers: for each of `questions` an index into its answers; those of edges that are not kept are ignored.

    Raises:
        SpaceError: if there is an answer too many or too few.
    """
    asked = questions(space)
    if len(asked) != len(answers):
        raise SpaceError(f"{space.name} asks {len(asked)} questions, got {len(answers)} answers.")
    choices = []
    for group in space.groups:
        own = [(question, question.answers[answer]) for question, answer in zip(asked, answers, strict=True)
               if question.group == group.name]  # fmt: skip
        kept = {edge for question, answer in own if question.edge is None for edge in answer}
        chosen = [
            Choice(question.edge, option)
            for question, answer in own
            if question.edge is not None and (not group.keep or question.edge in kept)
            for option in _options(group, question.edge, answer)
        ]
        choices.append((group.name, tuple(chosen)))
    return space.settled(Architecture(space.name, tuple(choices)))


def read(space: Space, architecture: Architecture) -> tuple[int | None, ...]:
    """The answers that an architecture gives; None for an edge that it does not keep.

    Raises:
        SpaceError: if the questions do not cover it: an edge with two operations, or one that was dropped.
    """
    found: list[int | None] = []
    for question in questions(space):
        group, choices = space.group(question.group), architecture.of(question.group)
        if group.take > 1 and question.edge is not None:
            options = group.decisions[question.edge].options
            taken = tuple(options.index(choice.option) for choice in choices if choice.decision == question.edge)
            found.append(question.answers.index(taken))  # type: ignore[arg-type]  # one of its own kind
            continue
        chosen = {choice.decision: choice.option for choice in choices}
        if len(chosen) != len(choices):
            raise SpaceError(f"An edge of {group.name} has two operations, which the questions of {space.name} do not cover.")
        if question.edge is None:
            answer = tuple(edge for edge in group.into(_target(group, question)) if edge in chosen)
        else:
            answer = chosen.get(question.edge)
        if (answer is None and group.keep) or not space.reaches(architecture, group.name):
            found.append(None)
        elif answer in question.answers:
            found.append(question.answers.index(answer))  # type: ignore[arg-type]  # one of its own kind
        else:
            what = "A node" if question.edge is None else f"Edge {question.edge}"
            raise SpaceError(f"{what} of {group.name} takes one of {', '.join(map(str, question.answers))}, got {answer!r}.")
    return tuple(found)


def drawn(space: Space, draw: Callable[[], Architecture]) -> Architecture:
    """The first architecture of several draws that the space allows: in most spaces the first of all.

    Args:
        space: the search space.
        draw: gives an architecture, another one at every call.
    """
    while not space.allows(architecture := draw()):
        pass
    return architecture


def neighbours(space: Space, architecture: Architecture) -> list[Architecture]:
    """Every architecture that differs in one choice: another option on an edge, or another edge into the same node.

    Args:
        space: the search space.
        architecture: one of its members.
    """
    others = (
        space.settled(_with(architecture, group, index, choice))
        for group in space.groups
        for index in range(len(architecture.of(group.name)))
        for choice in (*_other_options(group, architecture, index), *_other_edges(group, architecture, index))
    )
    return [other for other in others if space.allows(other)]


def mutated(space: Space, architecture: Architecture, rng: Random) -> Architecture:
    """A child of an architecture: one random choice is changed.

    A group, a node and one of its edges are drawn uniformly, one after the other, and the edge takes another option. Where
    some edges are kept, the edge is as likely replaced by another one into the same node, which takes over its option if it
    has that one. What has no alternative is not drawn.

    Args:
        space: the search space.
        architecture: one of its members.
        rng: source of the choice.

    Raises:
        SpaceError: if nothing can be changed.

    Source: Real et al. 2019 (arXiv:1802.01548), section 3.2; for an operation on every edge as in the code of Dong & Yang
        2020 (arXiv:2001.00326).
    """
    places: dict[str, dict[int, list[int]]] = {}
    for group in space.groups:
        for index, choice in enumerate(architecture.of(group.name)):
            if _other_options(group, architecture, index) or _other_edges(group, architecture, index):
                target = group.decisions[choice.decision].target
                places.setdefault(group.name, {}).setdefault(target, []).append(index)
    if not places:
        raise SpaceError(f"{space.name} has one architecture only: there is nothing to mutate.")
    return drawn(space, lambda: _mutant(space, architecture, places, rng))


def _mutant(
    space: Space, architecture: Architecture, places: Mapping[str, Mapping[int, list[int]]], rng: Random
) -> Architecture:
    """The architecture with a random choice changed.

    Args:
        space: the search space.
        architecture: one of its members.
        places: the choices that have an alternative, by group and node.
        rng: source of the choice.
    """
    group = space.group(rng.choice(list(places)))
    index = rng.choice(places[group.name][rng.choice(list(places[group.name]))])
    options, edges = _other_options(group, architecture, index), _other_edges(group, architecture, index)
    if edges and (not options or rng.random() < 0.5):
        edge = rng.choice(sorted({choice.decision for choice in edges}))
        same = Choice(edge, architecture.of(group.name)[index].option)
        options = [same] if same in edges else [choice for choice in edges if choice.decision == edge]
    return space.settled(_with(architecture, group, index, rng.choice(options)))


def unseen(space: Space, seen: Sequence[str] | dict[str, float], rng: Random) -> Architecture | None:
    """A uniformly drawn architecture that is not among those seen; None if all are.

    Args:
        space: the search space.
        seen: native strings of the others, different ones.
        rng: source of the choice.
    """
    known = set(seen)
    if len(known) >= space.size():
        return None
    while space.to_native(architecture := space.random(rng)) in known:
        pass
    return architecture


def _options(group: Group, edge: int, answer: object) -> tuple[str, ...]:
    """The options of an answer: one by its name, or several by their indices."""
    return (str(answer),) if group.take == 1 else tuple(group.decisions[edge].options[o] for o in answer)  # type: ignore[attr-defined]


def _target(group: Group, question: Question) -> int:
    """The node whose edges a question chooses from."""
    return group.decisions[int(question.answers[0][0])].target  # its answers are tuples of edges into that node


def _other_options(group: Group, architecture: Architecture, index: int) -> list[Choice]:
    """What the edge of a choice could have instead."""
    own = architecture.of(group.name)
    edge = own[index].decision
    return [choice for option in group.eligible(edge) if (choice := Choice(edge, option)) not in own]


def _other_edges(group: Group, architecture: Architecture, index: int) -> list[Choice]:
    """Choices on other edges into the same node that could take the place of one."""
    if not group.keep:
        return []
    own = architecture.of(group.name)
    taken = {choice.decision for choice in own}
    target = group.decisions[own[index].decision].target
    return [Choice(e, option) for e in group.into(target) if e not in taken for option in group.eligible(e)]


def _with(architecture: Architecture, group: Group, index: int, choice: Choice) -> Architecture:
    """The architecture with one choice replaced."""
    own = list(architecture.of(group.name))
    own[index] = choice
    own.sort(key=lambda c: (c.decision, group.decisions[c.decision].options.index(c.option)))
    choices = tuple((name, tuple(own) if name == group.name else chosen) for name, chosen in architecture.choices)
    return Architecture(architecture.space, choices)
