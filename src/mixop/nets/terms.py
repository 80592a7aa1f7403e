"""Costs as sums of terms, each of a few decisions: exact for an architecture, in expectation, and at the least."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import prod

import torch
from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.core.types import Mix
from mixop.spaces.core import Architecture, Space

Axis = tuple[str, int]
"""A decision: the name of its group and its row."""

LARGEST = 2**20
"""Entries that a table may have."""


@dataclass(frozen=True, eq=False)
class Term:
    """A part of a cost that a few decisions settle together.

    Args:
        axes: the decisions, each once.
        table: its cost for every option of the first decision, of the second, and so on: float64 ``(O_1, O_2, ...)``.
    """

    axes: tuple[Axis, ...]
    table: Tensor

    def expected(self, mix: Mix) -> Tensor:
        """The expected cost where the decisions are drawn independently, a float64 scalar.

        Args:
            mix: probabilities ``(E, O)`` by group.
        """
        value: Tensor | None = None
        for name, row in reversed(self.axes):
            weights = mix[name][row].double()
            value = (self.table.to(weights.device) if value is None else value) @ weights
        assert value is not None  # a term has an axis
        return value

    def of(self, options: Mapping[Axis, int]) -> float:
        """The cost for some options.

        Args:
            options: the index of the option of every decision that is taken. One that is not reached makes no difference.
        """
        return self.table[tuple(options.get(axis, 0) for axis in self.axes)].item()


@dataclass(frozen=True, eq=False)
class Costs:
    """Costs of a space: every decision adds the cost of its option, some add one together, the rest of the network is fixed.

    Args:
        options: for each group the cost of every option ``(E, O)`` float64, summed over the cells that use the group.
        fixed: cost of everything that is not decided.
        terms: costs that depend on several decisions: what lies inside of an option of another choice, for example.
    """

    options: Mapping[str, Tensor]
    fixed: float
    terms: tuple[Term, ...] = ()

    def expected(self, mix: Mix) -> Tensor:
        """The expected cost of a network whose decisions are drawn independently, a float64 scalar, differentiable.

        Where choices lie inside of others it is a polynomial: a cost counts with the product of the probabilities of the
        options around it.

        Args:
            mix: probabilities ``(E, O)`` by group.
        """
        sums = [(weights.double() * self.options[name].to(weights.device)).sum() for name, weights in mix.items()]
        return torch.stack([*sums, *(term.expected(mix) for term in self.terms)]).sum() + self.fixed

    def of(self, architecture: Architecture, space: Space) -> float:
        """The cost of one architecture; decisions that it drops cost nothing."""
        cost, taken = self.fixed, {}
        for group in space.groups:
            for choice in architecture.of(group.name):
                option = group.decisions[choice.decision].options.index(choice.option)
                taken[group.name, choice.decision] = option
                cost += self.options[group.name][choice.decision, option].item()
        return cost + sum(term.of(taken) for term in self.terms)

    @property
    def decides(self) -> bool:
        """Whether any option costs anything."""
        return any(table.any() for table in self.options.values()) or any(term.table.any() for term in self.terms)

    def mean(self) -> float:
        """The expected cost where every option of a decision is equally likely."""
        alone = sum(table.mean(-1).sum().item() for table in self.options.values())
        return alone + sum(term.table.mean().item() for term in self.terms) + self.fixed

    def least(self) -> float:
        """The cost of the cheapest architecture.

        Decisions are minimised out one by one, each over the terms that it takes part in.

        Raises:
            RecipeError: if too many decisions are tied to each other.
        """
        bound = {axis for term in self.terms for axis in term.axes}
        alone = 0.0
        for name, table in self.options.items():
            alone += table[[row for row in range(len(table)) if (name, row) not in bound]].amin(-1).sum().item()
        terms = [*self.terms, *(Term((axis,), self.options[axis[0]][axis[1]]) for axis in sorted(bound))]
        constants = 0.0
        while bound:
            axis = min(sorted(bound), key=lambda axis: len({other for t in terms if axis in t.axes for other in t.axes}))
            together = added([term for term in terms if axis in term.axes])
            terms = [term for term in terms if axis not in term.axes]
            at = together.axes.index(axis)
            left = Term(together.axes[:at] + together.axes[at + 1 :], together.table.amin(at))
            if left.axes:
                terms.append(left)
            else:
                constants += left.table.item()
            bound.remove(axis)
        return alone + constants + self.fixed


def added(terms: Sequence[Term]) -> Term:
    """The sum of terms, on all of their decisions.

    Raises:
        RecipeError: if the table would be too large.
    """
    sizes = {axis: size for term in terms for axis, size in zip(term.axes, term.table.shape, strict=True)}
    axes = tuple(sizes)
    check_size(axes, sizes.values())
    total = torch.zeros(tuple(sizes.values()), dtype=torch.float64)
    for term in terms:
        # The term's axes in the order of the sum, and one entry for each axis that it lacks.
        order = sorted(range(len(term.axes)), key=lambda i: axes.index(term.axes[i]))
        shape = [sizes[axis] if axis in term.axes else 1 for axis in axes]
        total += term.table.permute(order).reshape(shape)
    return Term(axes, total)


def check_size(axes: Iterable[Axis], sizes: Iterable[int]) -> None:
    """Refuses a table that would be too large.

    Raises:
        RecipeError: naming its decisions.
    """
    if prod(sizes) > LARGEST:
        names = ", ".join(dict.fromkeys(name for name, _ in axes))
        raise RecipeError(
            f"The choices {names} decide a cost together in too many ways to tabulate: let fewer choices share a module, or "
            "use a cost table by option."
        )


def gathered(terms: Iterable[Term], groups: Mapping[str, tuple[int, int]], fixed: float) -> Costs:
    """Costs from terms: those of a single decision become its own, those of the same decisions are added up.

    Args:
        terms: in any order; a term without axes is fixed.
        groups: the shape ``(E, O)`` of every group.
        fixed: cost of everything else.
    """
    options = {name: torch.zeros(shape, dtype=torch.float64) for name, shape in groups.items()}
    joint: dict[frozenset[Axis], list[Term]] = {}
    for term in terms:
        if not term.axes:
            fixed += term.table.item()
        elif len(term.axes) == 1:
            ((name, row),) = term.axes
            options[name][row] += term.table
        else:
            joint.setdefault(frozenset(term.axes), []).append(term)
    return Costs(options, fixed, tuple(_each(joint.values())))


def _each(families: Iterable[Sequence[Term]]) -> Iterator[Term]:
    for terms in families:
        term = added(terms)
        if term.table.any():
            yield term
