"""Supernets of cells: what their executors have in common."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mixop.core.errors import SpaceError
from mixop.core.types import Active, Mix, Paths, paths_of
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import MakeCell, Skeleton, State
from mixop.spaces.core import Group
from mixop.spaces.stacked import Layer, NodeGraph, Stacked
from mixop.supernet.base import Supernet
from mixop.supernet.recurrent import RecurrentMixture
from mixop.wraps.base import Wrap


def options_of(edge: nn.Module, prefix: str) -> tuple[str, nn.ModuleList]:
    """The beginning of the names of an edge's options inside its wraps, and the options.

    Args:
        edge: of a cell.
        prefix: the beginning of the names of what is in it.
    """
    while not hasattr(edge, "options"):
        edge, prefix = edge.get_submodule("inner"), f"{prefix}inner."
    options = edge.get_submodule("options")
    assert isinstance(options, nn.ModuleList)
    return f"{prefix}options.", options


def _rows_of(space: Stacked, layer: Layer) -> list[tuple[str, int]] | None:
    groups = space.cell_of(layer.group or "")
    if layer.node is None and len(groups) == 1 and groups[0].name == layer.group:
        return None
    return [(edge.group.name, edge.row) for edge in space.edges_of(layer)]


class CellSupernet(Skeleton, Supernet):
    """A supernet whose decisions are edges of cells, stacked by a skeleton.

    Args:
        space: the search space.
        make_cell: builds the executor's cells, called as ``cell(inputs, weights, edge_weights, active, progress)``, with their
            state behind that where they carry one. All but inputs and state are by the edges of the layer, in the order of
            `mixop.spaces.stacked.Stacked.edges_of`.
        norm: batch norm settings.
        wraps: how its edges are wrapped.
    """

    def __init__(self, space: Stacked, make_cell: MakeCell, norm: BatchNorm, wraps: Sequence[Wrap] = ()) -> None:
        if not space.shares:
            raise SpaceError(f"{space.name} has no supernet that holds its architectures.")
        super().__init__(space, make_cell, norm)
        self.space = space
        self.norm = norm
        self.wraps = tuple(wraps)
        weighs = any(wrap.weighs_edges for wrap in wraps)
        self._inputs = {group.name: [inputs.name for inputs in group.input_groups] if weighs else [] for group in space.groups}
        # The decisions of every cell, by group and row; None for all those of one group, in its order.
        self._groups_of = {
            spec: [group.name for group in space.cell_of(spec.group)] for spec in self.specs if spec.group is not None
        }
        self._rows: dict[Layer, list[tuple[str, int]] | None] = {
            spec: _rows_of(space, spec) for spec in self.specs if spec.group is not None
        }
        for group in space.groups:
            graph = space.graph(group.name)
            if isinstance(graph, NodeGraph):  # such a space weighs what its nodes read by itself
                decides = any(spec.group == group.name for spec in self.specs)
                self._inputs[group.name] = list(graph.weighing) if decides else []

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every group that needs mixing weights: the space's, and with edge normalisation those of each node's inputs."""
        return self._every_group

    @cached_property
    def _every_group(self) -> tuple[Group, ...]:
        groups: list[Group] = []
        for group in self.space.groups:
            groups += [group, *(inputs for inputs in group.input_groups if inputs.name in self._inputs[group.name])]
        return tuple(groups)

    @property
    def reference(self) -> "CellSupernet":
        """A supernet with the names and shapes of this one's state, to read its structure from; its numbers mean nothing."""
        return self

    def idle(self, active: Active) -> list[tuple[Tensor, slice]]:
        parameters = dict(self.named_parameters())
        cells, paths = self._numbers(), {}
        for layer, spec in enumerate(self.specs):
            if spec.group is not None:
                paths[layer] = self._paths(spec, active, next(cells))
        found = []
        for (layer, e, o), parts in self._places.items():
            if o not in paths[layer][e]:
                found += [(parameters[name], rows) for name, rows in parts]
        for layer, its in paths.items():
            cell = self.layers[layer]
            if isinstance(cell, RecurrentMixture):
                found += cell.idle(its)
        return found

    def compile_cells(self) -> None:
        for layer, spec in zip(self.layers, self.specs, strict=True):
            if spec.group is not None:
                layer.compile(dynamic=False)

    def cells_of(self, group: str) -> int:
        """How many cells of the network a group decides; 0 for the groups of edge normalisation.

        A cell that is the whole network is one, whatever the number of its layers.
        """
        name = next(((g.cell or g.name) for g in self.space.groups if g.name == group), None)
        mine = [spec for spec in self.specs if spec.group is not None and spec.group == name]
        return sum(spec.node is None for spec in mine) + any(spec.node is not None for spec in mine)

    def _numbers(self) -> Iterator[int]:
        """For every layer that is a cell its number among those of the same group."""
        seen: dict[str, int] = {}
        for spec in self.specs:
            if spec.group is not None:
                yield seen.setdefault(spec.group, 0)
                seen[spec.group] += spec.node is None

    def _paths(self, spec: Layer, active: Active, cell: int) -> Paths:
        """The options that run on every edge of a layer."""
        rows = self._rows[spec]
        if rows is None:
            return paths_of(active[spec.group or ""], cell)
        return tuple(paths_of(active[name], cell)[row] for name, row in rows)

    def _by_edge(self, spec: Layer, given: Mapping[str, Tensor]) -> Tensor | list[Tensor]:
        """What is given by group and row, for every edge of a layer."""
        rows = self._rows[spec]
        return given[spec.group or ""] if rows is None else [given[name][row] for name, row in rows]

    @cached_property
    def _places(self) -> dict[tuple[int, int, int], list[tuple[str, slice]]]:
        """Names of the parameters of an option, with ranges of their first axis, by layer, decision and option."""
        places: dict[tuple[int, int, int], list[tuple[str, slice]]] = {}
        for layer, spec in enumerate(self.specs):
            for e, edge in enumerate(self.layers[layer].get_submodule("edges").children() if spec.kind == "cell" else ()):
                prefix, options = options_of(edge, f"layers.{layer}.edges.{e}.")
                for o, option in enumerate(options):
                    places[layer, e, o] = [(f"{prefix}{o}.{name}", slice(None)) for name, _ in option.named_parameters()]
        return places

    def forward(
        self, x: Tensor, mix: Mix, active: Active | None = None, *, progress: float = 0.0, state: State | None = None
    ) -> Any:
        edge_weights = {
            name: torch.cat([mix[node].flatten() for node in inputs]) for name, inputs in self._inputs.items() if inputs
        }
        cells = self._numbers()

        def context(spec: Layer) -> tuple:
            cell = next(cells)
            weights = {name: mix[name][cell] if mix[name].dim() == 3 else mix[name] for name in self._groups_of[spec]}
            paths = None if active is None else self._paths(spec, active, cell)
            return self._by_edge(spec, weights), self._by_edge(spec, edge_weights) if edge_weights else None, paths, progress

        outputs, carried = self.walk(x, context, state)
        return (outputs[-1], carried) if self.carries else outputs[-1]
