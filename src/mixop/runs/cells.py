"""Cells as a run directory keeps them, to be drawn without torch."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mixop.core.errors import RunError


@dataclass(frozen=True)
class DrawnEdge:
    """An edge of a drawn cell: node ``source`` to node ``target`` > source by an operation; None if the value is as it is."""

    source: int
    target: int
    operation: str | None


@dataclass(frozen=True)
class DrawnCell:
    """What is drawn: ``inputs`` given nodes, ``nodes`` in all, the ``output`` nodes and the edges.

    Where it is ``recurrent``, its one input is a token together with the state before it, and its output their mean. Where it
    is a ``chain``, every node is a layer of a network that reads the one before. Of a cell with operations at its nodes,
    ``operations`` are those of the nodes between the input and the output.
    """

    inputs: int
    nodes: int
    output: tuple[int, ...]
    edges: tuple[DrawnEdge, ...]
    recurrent: bool = False
    chain: bool = False
    operations: tuple[str, ...] = ()


def operations_of(cell: Mapping[str, Any]) -> list[str]:
    """The operations of a cell of ``architecture.json``, on its edges or at its nodes."""
    on_edges = [edge["operation"] for edge in cell["edges"] if "operation" in edge]
    return [str(operation) for operation in (*on_edges, *cell.get("operations", ()))]


def parse_cell(data: Any, where: str = "the cell") -> DrawnCell:
    """A cell from the JSON of ``architecture.json``.

    Args:
        data: ``{"inputs": 1, "nodes": 4, "output": [3], "edges": [{"source": 0, "target": 1, "operation": "..."}]}``, and
            ``"recurrent": true`` of a cell that is, ``"chain": true`` where every node is a layer of a network that reads the
            one before; or with operations at the nodes,
            ``{..., "operations": ["...", "..."], "edges": [{"source": 0, "target": 1}]}``.
        where: what is read, for error messages.

    Raises:
        RunError: if a field is missing or no such cell can exist.
    """
    try:
        operations = tuple(map(str, data.get("operations", ())))
        edges = tuple(
            DrawnEdge(int(e["source"]), int(e["target"]), None if operations else str(e["operation"])) for e in data["edges"]
        )
        output = tuple(int(node) for node in data["output"])
        kinds = {name: data.get(name, False) is True for name in ("recurrent", "chain")}
        cell = DrawnCell(int(data["inputs"]), int(data["nodes"]), output, edges, operations=operations, **kinds)
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{where} must have inputs, nodes, output and edges of source, target and operation; "
            f"it is damaged ({type(error).__name__}: {error})."
        ) from error
    good_nodes = 1 <= cell.inputs < cell.nodes and cell.output and all(0 <= node < cell.nodes for node in cell.output)
    if operations and len(operations) != cell.nodes - 2:
        raise RunError(f"{where} must have an operation for each of its {cell.nodes - 2} inner nodes; it is damaged.")
    if not good_nodes or not all(0 <= e.source < e.target < cell.nodes for e in cell.edges):
        raise RunError(
            f"{where} must have edges from lower to higher nodes below {cell.nodes} and output nodes among them; it is damaged."
        )
    return cell
