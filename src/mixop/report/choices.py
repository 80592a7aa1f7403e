"""The choices in a model as the report shows them: an indented list by the places of the choices, with their weights."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mixop.report.words import large
from mixop.runs.read import RunContents


@dataclass
class _Node:
    """A part of the dotted names; itself a decision where one has that name."""

    decision: str = ""
    inner: dict[str, "_Node"] = field(default_factory=dict)


@dataclass(frozen=True)
class Choosable:
    """An option of a decision, or an input.

    Args:
        name: of it.
        weight: mixing weight at the end of the search; None where it is not known.
        taken: whether the found architecture has it.
        cost: what it costs, in words by measure; empty where that is not known.
    """

    name: str
    weight: float | None
    taken: bool
    cost: tuple[str, ...] = ()

    @property
    def share(self) -> float:
        """Length of its bar, in [0, 1]."""
        return min(max(self.weight or 0.0, 0.0), 1.0)


@dataclass(frozen=True)
class Row:
    """A line of the list.

    Args:
        depth: how far it is indented.
        name: what is left of its dotted name below the line that it belongs to.
        options: of a decision; empty for a part of the model that holds several.
        taken: what the architecture takes, in words; empty where it does not reach the decision, or none is found yet.
    """

    depth: int
    name: str
    options: tuple[Choosable, ...] = ()
    taken: str = ""

    @property
    def widest(self) -> int:
        """Letters of the longest name of an option."""
        return max((len(option.name) for option in self.options), default=0)

    @property
    def pieces(self) -> list[str]:
        """The name in pieces between which a line may break."""
        parts = self.name.split(".")
        return [f"{part}." for part in parts[:-1]] + parts[-1:]


def has_choices(run: RunContents) -> bool:
    """Whether the space of a run is the choices in a model."""
    return run.choices is not None or bool(run.factory)


def names_of(run: RunContents, decision: str) -> tuple[str, ...]:
    """The options of a decision; where it has a row for every input, the inputs."""
    rows = run.decisions[decision]
    if len(rows) == 1:
        return rows[0].options
    return run.inputs.get(decision, tuple(map(str, range(len(rows)))))


def weights_of(run: RunContents, decision: str) -> np.ndarray | None:
    """The mixing weights of a decision's options, or of taking its inputs, ``(T, O)``; None where none are known."""
    mix = None if run.search is None else run.search.mix.get(decision)
    if mix is None:
        return None
    return mix[:, 0] if mix.shape[1] == 1 else mix[:, :, -1]


def taken_by(run: RunContents, decision: str) -> tuple[str, ...] | None:
    """The options or inputs that the found architecture takes; None where it does not reach the decision, or is not found."""
    taken = (run.choices or {}).get(decision)
    return (taken,) if isinstance(taken, str) else taken


def rows(run: RunContents) -> list[Row]:
    """The found choices, those of one part of the model below a line with its name; choices inside of options are indented."""
    root = _Node()
    for decision in run.decisions:
        node = root
        for part in decision.split("."):
            node = node.inner.setdefault(part, _Node())
        node.decision = decision
    return list(_below(run, root, (), 0))


def _below(run: RunContents, node: _Node, name: Sequence[str], depth: int) -> Iterator[Row]:
    for part, inner in node.inner.items():
        called = (*name, part)
        if inner.decision:
            yield _row(run, inner.decision, ".".join(called), depth)
            yield from _below(run, inner, (), depth + 1)
        elif len(inner.inner) > 1 and any(child.decision for child in inner.inner.values()):
            yield Row(depth, ".".join(called))
            yield from _below(run, inner, (), depth + 1)
        else:
            yield from _below(run, inner, called, depth)


def _row(run: RunContents, decision: str, name: str, depth: int) -> Row:
    taken = taken_by(run, decision)
    weights = weights_of(run, decision)
    costs = run.costs.get(decision, {})
    options = tuple(
        Choosable(
            option,
            None if weights is None or not np.isfinite(weights[-1, index]) else float(weights[-1, index]),
            option in (taken or ()),
            _cost(costs.get(option)),
        )
        for index, option in enumerate(names_of(run, decision))
    )
    return Row(depth, name, options, words_of(taken))


def words_of(taken: Sequence[str] | None) -> str:
    """What is taken: ``conv3``, ``stem + block1``, ``none``; empty where it is not reached."""
    return "" if taken is None else " + ".join(taken) or "none"


def _cost(cost: Mapping[str, Any] | None) -> tuple[str, ...]:
    if cost is None:
        return ()
    words = (("flops", "mult-adds"), ("parameters", "parameters"))
    return tuple(f"{large(round(cost[name]))} {word}" for name, word in words if cost.get(name)) or ("free",)


def changed_words(before: str, after: str) -> tuple[list[tuple[str, bool]], int]:
    """The decisions of an architecture's text, each with whether it is new or other than before, and how many are.

    Args:
        before: ``stem=conv3, head=b``.
        after: a later one.
    """
    known = set(before.split(", "))
    pieces = after.split(", ")
    words = []
    for number, piece in enumerate(pieces):
        words.append((piece, piece not in known))
        if number < len(pieces) - 1:
            words.append((", ", False))
    return words, sum(new for _, new in words)
