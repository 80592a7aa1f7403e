"""Supernets of cells: what their executors have in common."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mixop.core.types import Active, Mix, paths_of
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import MakeCell, Skeleton, State
from mixop.spaces.core import Group
from mixop.spaces.stacked import Layer, NodeGraph, Stacked
from mixop.supernet.base import Supernet
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


class CellSupernet(Skeleton, Supernet):
    """A supernet whose decisions are edges of cells, stacked by a skeleton.

    Args:
        space: the search space.
        make_cell: builds the executor's cells, called as ``cell(inputs, weights, edge_weights, active, progress)``.
        norm: batch norm settings.
        wraps: how its edges are wrapped.
    """

    def __init__(self, space: Stacked, make_cell: MakeCell, norm: BatchNorm, wraps: Sequence[Wrap] = ()) -> None:
        super().__init__(space, make_cell, norm)
        self.space = space
        self.norm = norm
        self.wraps = tuple(wraps)
        weighs = any(wrap.weighs_edges for wrap in wraps)
        self._inputs = {group.name: [inputs.name for inputs in group.input_groups] if weighs else [] for group in space.groups}
        for group in space.groups:
            graph = space.graph(group.name)
            if isinstance(graph, NodeGraph):  # such a space weighs what its nodes read by itself
                decides = any(spec.group == group.name for spec in self.specs)
                self._inputs[group.name] = list(graph.weighing) if decides else []

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every group that needs mixing weights: the space's, and with edge normalisation those of each node's inputs."""
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
        numbers: dict[str, int] = {}
        paths = {}
        for layer, spec in enumerate(self.specs):
            if spec.kind == "cell":
                name = spec.group or ""
                paths[layer] = paths_of(active[name], numbers.setdefault(name, 0))
                numbers[name] += 1
        found = []
        for (layer, e, o), parts in self._places.items():
            if o not in paths[layer][e]:
                found += [(parameters[name], rows) for name, rows in parts]
        return found

    def compile_cells(self) -> None:
        for layer, spec in zip(self.layers, self.specs, strict=True):
            if spec.kind == "cell":
                layer.compile(dynamic=False)

    def cells_of(self, group: str) -> int:
        """How many cells of the network a group decides; 0 for the groups of edge normalisation."""
        return sum(spec.kind == "cell" and spec.group == group for spec in self.specs)

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
            name: torch.cat([mix[node].flatten() for node in inputs]) if inputs else None
            for name, inputs in self._inputs.items()
        }

        cells = {name: iter(range(self.cells_of(name))) for name in self._inputs}

        def context(spec: Layer) -> tuple:
            name = spec.group or ""
            cell, weights = next(cells[name]), mix[name]
            paths = None if active is None else paths_of(active[name], cell)
            return weights[cell] if weights.dim() == 3 else weights, edge_weights[name], paths, progress

        outputs, carried = self.walk(x, context, state)
        return (outputs[-1], carried) if self.carries else outputs[-1]
