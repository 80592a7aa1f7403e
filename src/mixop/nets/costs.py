"""What architectures cost: multiply-adds, parameters or milliseconds, measured on the real modules, or the user's own table."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import Literal

import torch
from torch import Generator, Tensor, nn

from mixop.core.errors import RecipeError, unknown
from mixop.core.flops import FlopCounter
from mixop.core.rng import fenced
from mixop.core.schedules import check_range
from mixop.core.surroundings import undisturbed
from mixop.nets.discrete import build
from mixop.nets.inputs import random_inputs
from mixop.nets.latency import LatencyTable
from mixop.nets.modules import costs as modules
from mixop.nets.modules import width_costs
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.ops import BatchNorm, operation
from mixop.nets.skeleton import edge_shape
from mixop.nets.terms import Costs, gathered
from mixop.spaces.core import Group, Space
from mixop.spaces.stacked import Stacked, stacked

Measure = Literal["flops", "parameters"]


@dataclass(frozen=True, kw_only=True)
class CostTable:
    """A user's own costs, latencies in milliseconds for example.

    In a model of choices a cost counts where its decision is reached: not inside of an option that was not taken.

    Args:
        options: cost of one use of an operation by its name, >= 0; counted once for every cell that has the decision, or for
            every place of the choice in a model. The inputs of an `InputChoice` are free.
        decisions: for each group a table ``(E, O)`` of costs >= 0, all cells or places together; used for the groups that it
            names.
        fixed: cost of the rest of the network, >= 0.
    """

    options: Mapping[str, float] = field(default_factory=dict)
    decisions: Mapping[str, tuple[tuple[float, ...], ...]] = field(default_factory=dict)
    fixed: float = 0.0

    def __post_init__(self) -> None:
        for name, cost in self.options.items():
            check_range(f"cost of {name}", cost, at_least=0)
        for name, rows in self.decisions.items():
            for cost in (cost for row in rows for cost in row):
                check_range(f"cost in the table of group {name}", cost, at_least=0)
        check_range("fixed cost", self.fixed, at_least=0)
        if not self.options and not self.decisions:
            raise RecipeError("A cost table is empty: give options={'nor_conv_3x3': 1.2, ...}, or decisions.")

    def __hash__(self) -> int:
        return hash(repr((sorted(self.options.items()), sorted(self.decisions.items()), self.fixed)))

    def costs(self, space: Space) -> Costs:
        """The table for a space.

        Raises:
            RecipeError: if a table has another shape than its group, or an option has no cost.
        """
        self._check(space)
        known = {name: torch.tensor(rows, dtype=torch.float64) for name, rows in self.decisions.items()}
        if isinstance(space, ModuleSpace):
            named = [group.name for group in space.groups if group.name not in known and space.is_of_modules(group.name)]
            terms = list(modules.by_option(space, self.options, named))
            for group in space.groups:
                if group.name in known:
                    terms += modules.by_decision(space, group.name, known[group.name])
            return gathered(terms, {group.name: group.shape for group in space.groups}, self.fixed)
        tables = {}
        for group in space.groups:
            rows = [[self.options.get(option, 0.0) for option in row.options] for row in group.decisions]
            counts = torch.tensor(uses(stacked(space), group), dtype=torch.float64)
            tables[group.name] = known.get(group.name, counts[:, None] * torch.tensor(rows, dtype=torch.float64))
        return Costs(tables, self.fixed)

    def _check(self, space: Space) -> None:
        names = [group.name for group in space.groups]
        for name in self.decisions if isinstance(space, ModuleSpace) else ():
            if name not in names:
                raise RecipeError(unknown(f"decision of {space.name} for the cost table called", name, names))
        for group in space.groups:
            if group.name in self.decisions:
                rows = self.decisions[group.name]
                if len(rows) != group.shape[0] or any(len(row) != group.shape[1] for row in rows):
                    raise RecipeError(
                        f"The cost table of group {group.name!r} must have {group.shape[0]} rows of {group.shape[1]} costs."
                    )
                continue
            if isinstance(space, ModuleSpace) and not space.is_of_modules(group.name):
                continue
            missing = {option for decision in group.decisions for option in decision.options} - self.options.keys()
            if missing:
                raise RecipeError(
                    f"The cost table lacks {', '.join(sorted(missing))} of {space.name}: add them, with 0 if they are free."
                )


Cost = Measure | LatencyTable | CostTable


def words_of(cost: Cost) -> str:
    """What a cost counts, in the plural."""
    if isinstance(cost, CostTable):
        return "cost"
    return "milliseconds" if isinstance(cost, LatencyTable) else {"flops": "multiply-adds"}.get(cost, cost)


def costs_of(space: Space, cost: Cost) -> Costs:
    """The costs of a space by a measure or a table.

    Raises:
        RecipeError: if the two do not fit.
    """
    if isinstance(space, Stacked) and not space.additive:
        raise RecipeError(
            f"What a network of {space.name} costs depends on its whole graph and is no sum over its decisions: leave out the "
            "cost, or take another space."
        )
    return _tabulated(cost, space) if isinstance(cost, CostTable) else measured(space, cost)


@cache  # a search asks in every step, and a model of choices is made to find their places
@undisturbed()
def _tabulated(table: CostTable, space: Space) -> Costs:
    return table.costs(space)


def check_cost(name: str, cost: Cost) -> None:
    """Refuses what is no cost; ``name`` is that of the part that has it.

    Raises:
        RecipeError: saying what came.
    """
    if not isinstance(cost, CostTable | LatencyTable) and cost not in ("flops", "parameters"):
        raise RecipeError(f"cost of {name} must be 'flops', 'parameters', a CostTable or a LatencyTable, got {cost!r}.")


def check_ceiling(name: str, cost: Cost, limit: float | None, share: float | None) -> None:
    """Refuses a ceiling that is none.

    Args:
        name: of the part that has it.
        cost: the measure.
        limit: largest cost, or None.
        share: of the most expensive network's, or None.

    Raises:
        RecipeError: unless one of the two is given, and in range.
    """
    check_cost(name, cost)
    if (limit is None) == (share is None):
        raise RecipeError(f"{name} needs limit or share, one of them, got limit={limit} and share={share}.")
    if limit is not None:
        check_range(f"limit of {name}", limit, above=0)
    if share is not None:
        check_range(f"share of {name}", share, above=0, at_most=1)


def ceiling_of(space: Space, cost: Cost, limit: float | None, share: float | None) -> float:
    """A ceiling in the unit of the cost.

    Args:
        space: whose networks are below it.
        cost: the measure.
        limit: the ceiling itself, or None.
        share: of the most expensive network's cost, or None.
    """
    return costs_of(space, cost).most() * (share or 1.0) if limit is None else limit


def check_reachable(name: str, space: Space, cost: Cost, limit: float | None, share: float | None) -> None:
    """Refuses a ceiling that not even the cheapest network is below; ``name`` is that of the part that has it.

    Raises:
        RecipeError: with the cheapest network's cost.
    """
    costs, given = costs_of(space, cost), ceiling_of(space, cost, limit, share)
    least = costs.least()
    if given < least:
        what = f"limit must be at least {math.ceil(100 * least) / 100:,.2f}"
        if limit is None:
            what = f"share must be at least {math.ceil(1e4 * least / costs.most()) / 1e4:.4f}, {least:,.2f}"
        raise RecipeError(f"{name}: {what}, the cost of the cheapest network of {space.name}, got {given:,.2f}.")


@cache
@undisturbed()
def measured(space: Space, measure: Measure | LatencyTable) -> Costs:
    """The costs of a space's discrete networks, measured on their modules.

    Multiply-adds are those of convolutions and linear maps for one input, half of what torch counts as operations; batch
    norm, pooling and additions count nothing, as in the benchmarks of the field. Parameters include batch norm's.

    Args:
        space: the space, with the sizes of the network.
        measure: "flops" (multiply-adds of one input), "parameters", or a device's times of one input, in milliseconds.

    Raises:
        RecipeError: if the input shape is open and the measure depends on it, or a model of widths has a table of times.
        DataError: if a table of times lacks a layer.
        SpaceError: if a model of choices fails on an example.
    """
    if isinstance(space, ModuleSpace):
        return _of_modules(space, measure)
    if measure != "parameters" and space.input_shape is None:
        what = "multiply-adds" if measure == "flops" else "milliseconds"
        raise RecipeError(f"The {what} of {space.name} depend on the size of the input: set input_shape.")
    space = stacked(space)
    graphs = [space.graph(space.cell_of(name)[0].name) for name in space.cells_decided]
    if any(graph.loose and not graph.recurrent for graph in graphs):  # a mean of loose ends costs nothing
        raise RecipeError(
            f"The {words_of(measure)} of {space.name} depend on which nodes of a cell are read and are no sum over its edges: "
            "give a CostTable by option, or take another space."
        )
    architecture = space.random(Random(0))
    network = build(architecture, space, generator=Generator().manual_seed(0))
    sizes: dict[int, tuple[torch.Size, torch.Size]] = {}

    def recorder(number: int) -> Callable[[nn.Module, tuple, Tensor], None]:
        # Nodes have the size of the cell's output; edges from its inputs see that of the last input.
        def hook(_: nn.Module, given: tuple, output: Tensor) -> None:
            sizes[number] = given[0][-1].shape[2:], output.shape[2:]

        return hook

    # The matrices of a recurrent cell are its nodes' and not its options': every network has all of them.
    layers = enumerate(space.layers_of(architecture))
    cells = {number: layer for number, layer in layers if layer.kind == "cell"}
    for number in cells:
        network.get_submodule(f"layers.{number}").register_forward_hook(recorder(number))
    whole = _measure(network, random_inputs(space, 1, generator=Generator().manual_seed(0)), measure)

    tables = {group.name: torch.zeros(group.shape, dtype=torch.float64) for group in space.groups}
    known: dict[tuple, float] = {}
    for number, layer in cells.items():
        graph = space.graph_of(layer)
        for group, e, decision in space.edges_of(layer):
            width, stride = edge_shape(layer, graph, decision)
            sides = sizes[number][0 if decision.source < graph.inputs else 1]
            for o, option in enumerate(decision.options):
                nowhere = option not in group.eligible(e) or (layer.node is not None and group.is_absent(option))
                if isinstance(measure, LatencyTable) and nowhere:
                    continue  # no network has it there, so no table need have it
                name = space.built(option, decision)
                key = name, width, stride, sides
                if key not in known:
                    with fenced(Generator().manual_seed(0)):
                        module = operation(name, width, stride, BatchNorm(), layer.dims)
                    known[key] = _measure(module, torch.zeros(1, width, *sides), measure)
                tables[group.name][e, o] += known[key]
    costs = Costs(tables, 0.0)
    fixed = measure.fixed if isinstance(measure, LatencyTable) else 0.0
    return Costs(tables, fixed + whole - costs.of(architecture, space))


def _of_modules(space: ModuleSpace, measure: Measure | LatencyTable) -> Costs:
    if isinstance(measure, LatencyTable):
        if space.widths:
            raise RecipeError(
                f"A latency table has layers at the widths that they were measured at, and {space.name} decides widths: use "
                "flops, parameters or a CostTable."
            )
        return modules.latency(space, measure)
    of_modules = width_costs if space.widths else modules
    return of_modules.flops(space) if measure == "flops" else of_modules.parameters(space)


def uses(space: Stacked, group: Group) -> list[int]:
    """For each decision of a group how many cells of the network have it."""
    found = [0] * len(group.decisions)
    for layer in space.layers:
        for edge in space.edges_of(layer) if layer.kind == "cell" else ():
            found[edge.row] += edge.group.name == group.name
    return found


def learning(space: Space, group: Group) -> list[list[bool]]:
    """For each decision of a group, which options have anything to learn, batch norm's scale and shift aside.

    Raises:
        SpaceError: if there is no such operation.
    """
    if isinstance(space, ModuleSpace):
        return modules.learning(space)[group.name]
    if group.inputs or not stacked(space).adds_edges:
        return [[False] * len(row.options) for row in group.decisions]
    return [[has_parameters(stacked(space).searched(option)) for option in row.options] for row in group.decisions]


@cache
@undisturbed()
def has_parameters(option: str) -> bool:
    """Whether an operation has anything to learn where it keeps the size of its input, batch norm's scale and shift aside.

    Raises:
        SpaceError: if there is no such operation.
    """
    with fenced(Generator().manual_seed(0)):  # building a convolution draws its weights
        module = operation(option, 4, 1, BatchNorm(affine=False))
    return any(True for _ in module.parameters())


def _measure(module: nn.Module, x: Tensor, measure: Measure | LatencyTable) -> float:
    if isinstance(measure, LatencyTable):
        return measure.scale * measure.sum(module.eval(), x)
    # Evaluation mode: batch norm cannot train on one image of one pixel.
    with torch.no_grad(), FlopCounter() as counter:
        module.eval()(x)
    if measure == "parameters":
        return float(sum(p.numel() for p in module.parameters()))
    return counter.total / 2
