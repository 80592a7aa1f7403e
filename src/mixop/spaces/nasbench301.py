"""Architectures of the DARTS space as NAS-Bench-301 writes them: a configuration of choices by name.

Source: Zela et al. 2022 (arXiv:2008.09777), and the authors' code.
"""

import re
from collections.abc import Mapping

from mixop.core.errors import SpaceError
from mixop.spaces.core import Architecture, Choice
from mixop.spaces.darts import DARTS_WITHOUT_NONE, EDGES, Darts

PREFIX = "NetworkSelectorDatasetInfo:darts:"
_EDGE = re.compile(rf"{PREFIX}edge_(normal|reduce)_(\d+)")
_INPUTS = re.compile(rf"{PREFIX}inputs_node_(normal|reduce)_([345])")


def to_nasbench301(architecture: Architecture) -> dict[str, str]:
    """The configuration of an architecture: ``...edge_normal_0`` for the operation of every kept edge, and the inputs of nodes.

    Args:
        architecture: of `Darts` or a relative, with the 7 operations of the benchmark, one on an edge.

    Returns:
        For each cell 8 operations and, for nodes 3, 4 and 5, their inputs as ``i_j``; node 2 has no choice of inputs.

    Raises:
        SpaceError: for an operation that the benchmark does not have, or two of them on one edge.
    """
    config: dict[str, str] = {}
    for cell, choices in architecture.choices:
        if cell not in ("normal", "reduce") or len({choice.decision for choice in choices}) != 8:
            raise SpaceError(f"NAS-Bench-301 writes two cells of 8 different edges, got {len(choices)} in {cell}.")
        for choice in choices:
            if choice.option not in DARTS_WITHOUT_NONE:
                raise SpaceError(f"NAS-Bench-301 has the operations {', '.join(DARTS_WITHOUT_NONE)}, got {choice.option}.")
            config[f"{PREFIX}edge_{cell}_{choice.decision}"] = choice.option
        for node in (3, 4, 5):
            sources = sorted(source for source, target in (EDGES[c.decision] for c in choices) if target == node)
            config[f"{PREFIX}inputs_node_{cell}_{node}"] = "_".join(map(str, sources))
    return config


def from_nasbench301(config: Mapping[str, str]) -> Architecture:
    """The architecture of a configuration, of the space `Darts`.

    Args:
        config: as `to_nasbench301` writes it, in any order.

    Raises:
        SpaceError: for an unknown key, and for edges that are not those of the nodes' inputs.
    """
    choices: dict[str, list[Choice]] = {"normal": [], "reduce": []}
    inputs = {(cell, 2): "0_1" for cell in choices}
    for key, value in config.items():
        edge, node = _EDGE.fullmatch(key), _INPUTS.fullmatch(key)
        if edge and int(edge[2]) < len(EDGES):
            choices[edge[1]].append(Choice(int(edge[2]), value))
        elif node:
            inputs[node[1], int(node[2])] = value
        else:
            raise SpaceError(f"NAS-Bench-301 has the keys {PREFIX}edge_CELL_0 to 13 and inputs_node_CELL_3 to 5, got {key!r}.")
    for cell, chosen in choices.items():
        for node in (2, 3, 4, 5):
            sources = sorted(source for source, target in (EDGES[c.decision] for c in chosen) if target == node)
            if "_".join(map(str, sources)) != inputs.get((cell, node)):
                raise SpaceError(
                    f"Node {node} of the {cell} cell must have operations on the edges from its inputs "
                    f"{inputs.get((cell, node), 'i_j')}, got them from {'_'.join(map(str, sources)) or 'none'}."
                )
    pairs = tuple((cell, tuple(sorted(chosen, key=lambda choice: choice.decision))) for cell, chosen in choices.items())
    space = Darts()
    architecture = Architecture(space.name, pairs)
    space.check(architecture)
    return architecture
