"""Stacked storage: the tensors of equal operations on the edges of a cell lie one behind the other in one tensor.

Edges that leave one node are neighbours (source-major order), so that the tensors of all operations of a kind that read a
node are a slice. A supernet of the DARTS space then has about a hundred parameter tensors in place of 1,399. Its state is
nevertheless that of the plain executor, by the same names and shapes: each reads the other's.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from mixop.spaces.core import Group
from mixop.spaces.stacked import Graph, Layer, stacked
from mixop.supernet.cells import CellSupernet, options_of
from mixop.supernet.plain import plain


@dataclass(frozen=True, kw_only=True)
class Stack:
    """One tensor that holds the same tensor of several operations.

    Args:
        attribute: its name in the cell.
        kind: the operations' name in a supernet.
        names: what the plain cell calls its parts, in their order.
        rows: length of a part along the first axis; 0 where the parts are single numbers.
    """

    attribute: str
    kind: str
    names: tuple[str, ...]
    rows: int

    def split(self, tensor: Tensor) -> tuple[Tensor, ...]:
        """The parts of a tensor of the stack's shape, as views."""
        return tensor.split(self.rows) if self.rows else tensor.unbind()

    def join(self, parts: list[Tensor]) -> Tensor:
        """The inverse of `split`."""
        return torch.cat(parts) if self.rows else torch.stack(parts)


class Placeholder(nn.Module):
    """Stands in a cell's edge for an operation whose tensors are in the cell's stacks.

    Args:
        keys: the names of those tensors within the operation.
    """

    def __init__(self, keys: tuple[str, ...]) -> None:
        super().__init__()
        self.keys = keys

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        known = {prefix + key for key in self.keys}
        unexpected_keys += [name for name in state_dict if name.startswith(prefix) and name not in known]


class StackedCell(nn.Module):
    """A cell that keeps the tensors of some of its operations in stacks.

    Args:
        layer: its place in the network.
        graph: how it computes.
        group: its edges.
        edges: the edges as the plain executor builds them; operations that are stacked leave a `Placeholder` behind.
        stacked: the kinds of operations to stack, by the name that they have in a supernet, with the decisions and options
            that are of the kind.
    """

    def __init__(
        self, layer: Layer, graph: Graph, group: Group, edges: nn.ModuleList, stacked: Mapping[str, list[tuple[int, int]]]
    ) -> None:
        super().__init__()
        self.layer, self.graph, self.group = layer, graph, group
        self.edges = edges
        self.stacks: dict[str, Stack] = {}
        for kind, places in stacked.items():
            self._stack(kind, sorted(places, key=lambda place: (group.decisions[place[0]].source, place)))

    def _stack(self, kind: str, places: list[tuple[int, int]]) -> None:
        found = [options_of(self.edges[e], f"edges.{e}.") for e, _ in places]
        states = [options[o].state_dict(keep_vars=True) for (_, options), (_, o) in zip(found, places, strict=True)]
        for key, tensor in states[0].items():
            attribute = f"{kind}_{key.replace('.', '_')}"
            names = tuple(f"{prefix}{o}.{key}" for (prefix, _), (_, o) in zip(found, places, strict=True))
            stack = Stack(attribute=attribute, kind=kind, names=names, rows=len(tensor) if tensor.dim() else 0)
            self.stacks[attribute] = stack
            with torch.no_grad():
                whole = stack.join([state[key] for state in states])
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(attribute, nn.Parameter(whole))
            else:
                self.register_buffer(attribute, whole)
        for (_, options), (_, o) in zip(found, places, strict=True):
            options[o] = Placeholder(tuple(states[0]))

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        for stack in self.stacks.values():
            whole = getattr(self, stack.attribute)
            parts = stack.split(whole if keep_vars else whole.detach())
            destination.update({prefix + name: part for name, part in zip(stack.names, parts, strict=True)})

    def _load_from_state_dict(
        self,
        state_dict: Mapping[str, Any],
        prefix: str,
        local_metadata: Mapping[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        for stack in self.stacks.values():
            with torch.no_grad():
                parts = stack.split(getattr(self, stack.attribute).detach())
                for name, part in zip(stack.names, parts, strict=True):
                    given = state_dict.get(prefix + name)
                    if given is None:
                        missing_keys.append(prefix + name)
                    elif given.shape != part.shape:
                        error_msgs.append(f"{prefix}{name} has the shape {tuple(given.shape)} in place of {tuple(part.shape)}")
                    else:
                        part.copy_(given)


class StackedSupernet(CellSupernet):
    """A supernet of stacked cells."""

    @property
    def reference(self) -> CellSupernet:
        """The plain supernet of the same shape, without numbers."""
        with torch.device("meta"):
            return plain(stacked(self.space), norm=self.norm, generator=torch.Generator(device="cpu"), wraps=self.wraps)

    def _stacks(self) -> Iterator[tuple[str, str, Stack]]:
        for i, layer in enumerate(self.layers):
            if isinstance(layer, StackedCell):
                for stack in layer.stacks.values():
                    yield f"layers.{i}.", f"layers.{i}.{stack.attribute}", stack

    @cached_property
    def _places(self) -> dict[tuple[int, int, int], list[tuple[str, slice]]]:
        places = super()._places
        known = {
            f"{options_of(edge, f'layers.{layer}.edges.{e}.')[0]}{o}.": (layer, e, o)
            for layer, e, o in places
            for edge in (self.get_submodule(f"layers.{layer}.edges.{e}"),)
        }
        parameters = dict(self.named_parameters())
        for prefix, attribute, stack in self._stacks():
            if attribute in parameters:
                for i, name in enumerate(stack.names):
                    begin = name.index("options.") + len("options.")
                    option = prefix + name[: name.index(".", begin) + 1]
                    places[known[option]].append((attribute, slice(i * stack.rows, (i + 1) * stack.rows)))
        return places

    def to_plain(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = dict(tensors)
        for prefix, attribute, stack in self._stacks():
            if attribute in found:
                parts = stack.split(found.pop(attribute))
                found.update({prefix + name: part for name, part in zip(stack.names, parts, strict=True)})
        return found

    def from_plain(self, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        found = dict(tensors)
        for prefix, attribute, stack in self._stacks():
            given = [found.pop(prefix + name, None) for name in stack.names]
            if any(part is not None for part in given):
                empty = stack.split(torch.zeros_like(self.get_parameter(attribute)))
                found[attribute] = stack.join([zero if part is None else part for part, zero in zip(given, empty, strict=True)])
        return found
