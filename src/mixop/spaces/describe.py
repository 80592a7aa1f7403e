"""Spaces and architectures as JSON data: what ``space.json`` and ``architecture.json`` hold."""

from collections.abc import Mapping
from typing import Any

from mixop.core.errors import SpaceError
from mixop.core.values import to_plain
from mixop.spaces.core import Architecture, Space
from mixop.spaces.model_spec import ModelSpec
from mixop.spaces.stacked import Graph, Stacked, stacked


def describe_architecture(space: Space, architecture: Architecture) -> dict[str, Any]:
    """An architecture as JSON data that can be read without the space: the content of ``architecture.json``.

    Returns:
        The space's name, the native string, and for each cell its graph and its kept edges with their operations, and with
        the groups that they belong to where these have other names; of a space without cells ``choices``, the option of every
        decision by its name, and where these follow one another ``chain``, their order. A cell with operations at its nodes
        has ``operations`` besides its edges; where they are decided, also ``chosen``, the options by group and decision.

    Raises:
        SpaceError: if the architecture does not belong to the space.
    """
    space.check(architecture)
    cells: dict[str, Any] = {}
    spec = space.spec(architecture) if isinstance(space, Stacked) else None
    if spec is not None:
        taken = {
            group.name: [
                [choice.option for choice in architecture.of(group.name) if choice.decision == e]
                for e in range(len(group.decisions))
            ]
            for group in space.groups
        }
        cells["cell"] = {**_describe_spec(spec), "chosen": taken}
    for cell in space.cells_decided if isinstance(space, Stacked) and spec is None else ():
        groups = stacked(space).cell_of(cell)
        graph = stacked(space).graph_in(architecture, groups[0].name)
        edges = [
            {
                **({"group": group.name} if group.name != cell else {}),
                "decision": choice.decision,
                "source": group.decisions[choice.decision].source,
                "target": group.decisions[choice.decision].target,
                **({} if graph.node is not None else {"operation": choice.option}),
            }
            for group in groups
            for choice in architecture.of(group.name)
        ]
        cells[cell] = {**_describe_graph(graph), "edges": edges}
    found = {"space": space.name, "native": space.to_native(architecture), "cells": cells}
    if not isinstance(space, Stacked):
        found["choices"] = space.describe_choices(architecture)
    return {**found, "chain": list(space.chain)} if space.chain else found


def read_architecture(space: Space, data: Mapping[str, Any]) -> Architecture:
    """The architecture that `describe_architecture` wrote, after checking that all parts of the file agree.

    Args:
        space: the space that it must belong to.
        data: content of ``architecture.json``; other keys than those of `describe_architecture` are ignored.

    Raises:
        SpaceError: if something is missing, belongs to another space, or contradicts the native string.
    """
    if not isinstance(data, Mapping):
        raise SpaceError(f"An architecture file must hold an object, got {type(data).__name__}.")
    for key in ("space", "native", "cells"):
        if key not in data:
            raise SpaceError(f"An architecture file must have the entries space, native and cells, but {key!r} is missing.")
    if data["space"] != space.name:
        raise SpaceError(f"Expected an architecture of space {space.name!r}, got one of {data['space']!r}.")
    architecture = space.from_native(data["native"])
    whole = describe_architecture(space, architecture)
    key = "choices" if "choices" in whole else "cells"
    expected = whole[key]
    if data.get(key) != expected:
        given: Any = data.get(key)
        given = given if isinstance(given, Mapping) else {}
        name = next((name for name in expected if given.get(name) != expected[name]), "")
        subject = f"{key.removesuffix('s')} {name!r}" if name else f"list of {key} {sorted(given)}"
        raise SpaceError(
            f"The architecture file contradicts itself (its {subject} is not what its native string "
            f"{data['native']!r} says): change both or neither."
        )
    return architecture


def describe_space(space: Space) -> dict[str, Any]:
    """A space as JSON data: its own fields, and what they mean in decisions and graphs; the content of ``space.json``."""
    groups = [
        {
            "name": group.name,
            "decisions": [
                {"source": d.source, "target": d.target, "options": list(d.options), **({"place": d.place} if d.place else {})}
                for d in group.decisions
            ],
            **({"inputs": list(names)} if (names := space.inputs_of(group.name)) else {}),
            **({"take": group.take} if group.take > 1 else {}),
            **({"reads": True} if group.inputs else {}),
        }
        for group in space.groups
    ]
    graphs = {g.name: _describe_graph(space.graph(g.name)) for g in space.groups} if isinstance(space, Stacked) else {}
    return {"space": to_plain(space), "groups": groups, "graphs": graphs}


def _describe_spec(spec: ModelSpec) -> dict[str, Any]:
    """A cell with operations at its vertices: their names, and edges without one."""
    last = len(spec.matrix) - 1
    edges = [{"source": source, "target": target} for source, target in spec.edges]
    return {"inputs": 1, "nodes": last + 1, "output": [last], "operations": list(spec.operations), "edges": edges}


def _describe_graph(graph: Graph) -> dict[str, Any]:
    found: dict[str, Any] = {"inputs": graph.inputs, "nodes": graph.nodes, "output": list(graph.output)}
    found |= {name: True for name in ("recurrent", "loose", "chain") if getattr(graph, name)}
    inner = graph.nodes - graph.inputs - len(graph.output)
    return found if graph.node is None else {**found, "operations": [graph.node] * inner}


def with_shape(plain: Any) -> Any:
    """A space as JSON data with today's fields, also where it was written with input_channels, input_size and classes.

    Args:
        plain: what `mixop.core.values.to_plain` gave of a space, today or before.
    """
    if not isinstance(plain, Mapping):
        return plain  # for the reader to refuse
    found = dict(plain)
    channels, size = found.pop("input_channels", None), found.pop("input_size", None)
    if channels is not None and size is not None:  # all of them were images with one label
        found |= {"input_shape": [channels, size, size], "dense": False, "tokens": False}
    if "classes" in found:
        found["outputs"] = found.pop("classes")
    return found
