"""What the choices in a model cost: one pass with every option counts its operations by the options around them."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from mixop.core.errors import SpaceError
from mixop.core.flops import FlopCounter
from mixop.core.rng import fenced
from mixop.core.surroundings import undisturbed
from mixop.nets.counting import without_numbers
from mixop.nets.latency import LatencyTable, Layer, meeting_layers
from mixop.nets.modules.choice import Choice, Decided, Later, running
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.modules.trial import Trial, call
from mixop.nets.modules.walk import Option, Plan, visit
from mixop.nets.terms import Costs, Term, check_size, gathered

Around = tuple[Option, ...]
"""The options that something lies inside of, outermost first."""


class Metered(Trial):
    """A pass with every option that measures what is spent inside of which options.

    Args:
        plan: the decisions.
        like: a tensor with the number type and device of the model.
        reading: what a meter shows, a number that only grows.

    Attributes:
        spent: for the options around it, what was spent there and not inside of further choices. Mixing is left out.
    """

    def __init__(self, plan: Plan, like: Tensor, reading: Callable[[], float]) -> None:
        super().__init__(plan, like)
        self.reading = reading
        self.spent: defaultdict[Around, float] = defaultdict(float)
        self._since = reading()

    def mixed(self, choice: Choice, options: Mapping[str, Later]) -> Any:
        self.note()
        value = super().mixed(choice, options)
        self._since = self.reading()
        return value

    def enter(self, around: Around) -> None:
        super().enter(around)
        self._since = self.reading()

    def leave(self, around: Around) -> None:
        self.note()
        super().leave(around)

    def note(self) -> None:
        """Books what was spent since the last time."""
        now = self.reading()
        self.spent[self.around] += now - self._since
        self._since = now


def metered(model: nn.Module, plan: Plan, x: Any, reading: Callable[[], float]) -> dict[Around, float]:
    """What one pass spends, by the options around it.

    Args:
        model: bound to the plan, in the mode that is meant.
        plan: its decisions.
        x: its inputs.
        reading: what a meter shows.
    """
    trial = Metered(plan, next(model.parameters(), torch.zeros(())), reading)
    with torch.no_grad(), fenced(Generator().manual_seed(0)), running(trial):
        call(model, x)
        trial.note()
    return dict(trial.spent)


def one_input(space: ModuleSpace) -> Any:
    """Inputs of a single example.

    Raises:
        SpaceError: if the space does not know the shape of its inputs.
    """
    x = space.inputs(1, Generator().manual_seed(0))
    sizes = {leaf.shape[0] for leaf in tree_leaves(x) if isinstance(leaf, Tensor) and leaf.dim()}
    if not space.example or len(sizes) != 1:
        return x
    return tree_map(lambda leaf: leaf[:1] if isinstance(leaf, Tensor) and leaf.dim() else leaf, x)


def flops(space: ModuleSpace) -> Costs:
    """Multiply-adds of one input, each counted inside of the options around it, see `mixop.nets.counting`.

    Raises:
        SpaceError: if the model fails on an example.
    """
    return _gathered(space, [([around], operations) for around, operations in _operations(space).items()])


def latency(space: ModuleSpace, table: LatencyTable) -> Costs:
    """Milliseconds of one input by a device's table, each layer's inside of the options around it.

    Raises:
        DataError: if the table lacks a layer.
        SpaceError: if the model fails on an example.
    """
    space.try_out()
    model = space.make(Generator().manual_seed(0)).eval()
    spent = metered_layers(model, space.plan, one_input(space), table.milliseconds)
    costs = _gathered(space, [([around], table.scale * ms) for around, ms in spent.items()])
    return Costs(costs.options, costs.fixed + table.fixed, costs.terms)


def metered_layers(model: nn.Module, plan: Plan, x: Any, milliseconds: Callable[[str], float]) -> dict[Around, float]:
    """What the layers of one pass take, by the options around them.

    Args:
        model: bound to the plan, in the mode that is meant.
        plan: its decisions.
        x: its inputs.
        milliseconds: of a layer by its description.
    """
    spent = 0.0

    def meet(layer: Layer) -> None:
        nonlocal spent
        spent += milliseconds(layer.description)

    with meeting_layers(model, meet):
        return metered(model, plan, x, lambda: spent)


def parameters(space: ModuleSpace) -> Costs:
    """Parameters of the built networks: one that stands at several places is there if any of these is."""
    alike: Counter[tuple[Around, ...]] = Counter()
    for where, size in _parameters(space):
        alike[tuple(_needed(where))] += size
    return _gathered(space, alike.items())


def shown(space: ModuleSpace) -> dict[str, dict[str, dict[str, float]]]:
    """What each option costs by itself, choices inside of it aside, for a report: by decision, option and measure.

    Empty where that cannot be measured.
    """
    found = {
        group.name: {option: {"flops": 0.0, "parameters": 0.0} for option in group.decisions[0].options}
        for group in space.groups
        if space.is_of_modules(group.name)
    }
    try:
        operations = _operations(space)
    except SpaceError:
        return {}
    for around, count in operations.items():
        if around:
            decision, option = around[-1]
            found[decision][option]["flops"] += count
    for where, size in _parameters(space):
        for decision, option in {around[-1] for around in where if around}:
            found[decision][option]["parameters"] += size
    return found


def _operations(space: ModuleSpace) -> dict[Around, float]:
    """Multiply-adds by the options around them."""
    space.try_out()
    model, plan, x = space.make(Generator().manual_seed(0)).eval(), space.plan, one_input(space)

    def counted(model: nn.Module, x: Any) -> tuple[dict[Around, float], bool]:
        with FlopCounter() as counter:
            return metered(model, plan, x, lambda: counter.total), counter.missed

    try:
        spent, missed = counted(model, x)
    except Exception as error:  # the user's code may fail in any way
        raise SpaceError(f"{space.name} fails on one example of its inputs: {type(error).__name__}: {error}.") from error
    if missed:
        with suppress(Exception), torch.device("meta"):  # the user's code may need numbers, in any way
            spent, _ = counted(*without_numbers(model, x))
    return {around: operations / 2 for around, operations in spent.items()}


def _parameters(space: ModuleSpace) -> list[tuple[list[Around], int]]:
    """For every parameter its places and its size."""
    places: dict[int, tuple[list[Around], int]] = {}
    model = space.make(Generator().manual_seed(0))  # kept until the end: its parameters are told apart by their ids
    for module, _, around in visit(model):
        for parameter in module.parameters(recurse=False):
            places.setdefault(id(parameter), ([], parameter.numel()))[0].append(around)
    return list(places.values())


@cache
@undisturbed()
def learning(space: ModuleSpace) -> dict[str, list[list[bool]]]:
    """For each row of every decision, which options have anything to learn, batch norm's scale and shift aside."""
    learns = {group.name: dict.fromkeys(group.decisions[0].options, False) for group in space.groups}
    for module, _, _ in visit(space.make(Generator().manual_seed(0))):
        if isinstance(module, Choice):
            for name in module.names:
                inner = (m for m in module.option(name).modules() if not isinstance(m, _NORMS))
                learns[module.decision][name] |= any(True for m in inner for _ in m.parameters(recurse=False))
    return {
        g.name: [[learns[g.name].get(option, False) for option in row.options] for row in g.decisions] for g in space.groups
    }


_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def by_option(space: ModuleSpace, costs: Mapping[str, float], decisions: Iterable[str]) -> Iterator[Term]:
    """Terms of the options of choices by their names, once for every place of the choice in the model.

    Args:
        space: the space.
        costs: of the options.
        decisions: which ones; choices of inputs are not among them.
    """
    wanted = set(decisions)
    for module, _, around in visit(space.make(Generator().manual_seed(0))):
        if isinstance(module, Decided) and module.decision in wanted:
            own = Term(((module.decision, 0),), torch.tensor([costs[name] for name in module.names], dtype=torch.float64))
            yield _times(_where(space, [around]), own)


def by_decision(space: ModuleSpace, name: str, table: Tensor) -> Iterator[Term]:
    """Terms of a decision's table, which counts where the decision is reached.

    Args:
        space: the space.
        name: of the decision.
        table: its costs ``(E, O)``.
    """
    reached = _where(space, _needed(space.plan.found[name].places))
    for row, costs in enumerate(table):
        yield _times(reached, Term(((name, row),), costs))


def _gathered(space: ModuleSpace, costs: Iterable[tuple[Sequence[Around], float]]) -> Costs:
    terms = []
    for places, cost in costs:
        where = _where(space, places)
        terms.append(Term(where.axes, cost * where.table))
    return gathered(terms, {group.name: group.shape for group in space.groups}, 0.0)


def _needed(places: Sequence[Around]) -> list[Around]:
    """Places in a fixed order, without those that lie inside of others: what is there anyway does not depend on them."""
    sets = sorted({frozenset(place) for place in places}, key=lambda place: (len(place), sorted(place)))
    kept: list[frozenset[Option]] = []
    for place in sets:
        if not any(other <= place for other in kept):
            kept.append(place)
    return [tuple(sorted(place)) for place in kept]


def _where(space: ModuleSpace, places: Sequence[Around]) -> Term:
    """1 where an architecture has one of the places, else 0."""
    groups = {group.name: group for group in space.groups}
    names = list(dict.fromkeys(name for place in places for name, _ in place))
    axes, sizes = tuple((name, 0) for name in names), [groups[name].shape[1] for name in names]
    check_size(axes, sizes)
    table = torch.zeros(sizes, dtype=torch.float64)
    for place in places:
        options = dict(place)
        at = (groups[name].decisions[0].options.index(options[name]) if name in options else slice(None) for name in names)
        table[tuple(at)] = 1
    return Term(axes, table)


def _times(one: Term, other: Term) -> Term:
    """The product of terms of different decisions."""
    axes = one.axes + other.axes
    check_size(axes, (*one.table.shape, *other.table.shape))
    return Term(axes, torch.tensordot(one.table, other.table, dims=0))
