"""What every executor is: a supernet that holds weights only and takes the mixing weights as an argument."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mixop.core.types import Active, Mix, paths_of
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import MakeCell, Skeleton, State
from mixop.spaces.core import Group, Layer, Space
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


class Supernet(Skeleton):
    """``outputs = net(x, mix)``; the architecture is an argument, so perturbing or unrolling is a function call.

    Args:
        space: the search space.
        make_cell: builds the executor's cells, called as ``cell(inputs, weights, edge_weights, active, progress)``.
        norm: batch norm settings.
        wraps: how its edges are wrapped.
    """

    def __init__(self, space: Space, make_cell: MakeCell, norm: BatchNorm, wraps: Sequence[Wrap] = ()) -> None:
        super().__init__(space, make_cell, norm)
        self.space = space
        self.norm = norm
        self.wraps = tuple(wraps)
        weighs = any(wrap.weighs_edges for wrap in wraps)
        self._inputs = {group.name: [inputs.name for inputs in group.input_groups] if weighs else [] for group in space.groups}

    @property
    def groups(self) -> tuple[Group, ...]:
        """Every group that needs mixing weights: the space's, and with edge normalisation those of each node's inputs."""
        groups: list[Group] = []
        for group in self.space.groups:
            groups += [group, *(inputs for inputs in group.input_groups if inputs.name in self._inputs[group.name])]
        return tuple(groups)

    @property
    def reference(self) -> "Supernet":
        """A supernet with the names and shapes of this one's state, to read its structure from; its numbers mean nothing."""
        return self

    def to_plain(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Tensors that belong to parameters or buffers of this executor (gradients, momentum) by the plain executor's names.

        Args:
            tensors: by the names of this one's parameters or buffers, any of which may be missing.
        """
        return dict(tensors)

    def from_plain(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The inverse of `to_plain`; where a part of a tensor is missing, it is zero."""
        return dict(tensors)

    def idle(self, active: Active) -> list[tuple[Tensor, slice]]:
        """The weights that no running option has: parameters, each with a range of its first axis.

        Args:
            active: for every group the options that run.
        """
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
        """Outputs of a batch under given mixing weights.

        Args:
            x: inputs ``(B, *shape)``, or tokens ``(B, T)``.
            mix: for each of `groups` its mixing weights ``(E, O)``, or ``(L, E, O)`` for each of its `cells_of`.
            active: for draws that leave options out, the options of each decision that run, as host-side integers, by cell
                where the weights are; the others contribute their weight alone (zero in value, with a gradient). An edge none
                of whose options run is absent.
            progress: time in [0, 1], for wraps that change with it.
            state: for a network that carries, what the window before left; None or () at the start of a stream.

        Returns:
            Outputs ``(B, K)``, or ``(B, K, *positions)`` where the space is dense; of a network that carries, a pair of them
            and the new state.
        """
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
