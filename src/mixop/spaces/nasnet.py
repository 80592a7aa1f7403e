"""Cells of five nodes, as NASNet and AmoebaNet have them, in the skeleton of the DARTS space.

Source: Zoph et al. 2018 (arXiv:1707.07012); Real et al. 2019 (arXiv:1802.01548); the order of edges, the skeleton and the
genotypes as in the code of Liu et al. 2019 (arXiv:1806.09055).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from mixop.core.errors import SpaceError
from mixop.spaces.darts import DARTS_OPERATIONS, Darts
from mixop.spaces.stacked import Graph

NASNET_OPERATIONS = (*DARTS_OPERATIONS, "sep_conv_7x7", "conv_7x1_1x7")
"""The operations of both, and those of the DARTS space."""


@dataclass(frozen=True, kw_only=True)
class NasNet(Darts):
    """Cells of 5 nodes that read the two cells before; each node adds two of its edges, or the same one twice.

    Which nodes are a cell's output is part of the space; the defaults are those of NASNet-A. See `Darts` for the other
    arguments.

    Args:
        operations: candidates on every edge.
        normal_operations: instead, a list for each of the 20 edges of the normal cell, equally long.
        reduce_operations: the same for the reduction cell.
        normal_output: nodes, 2 to 6, that are the output of a normal cell, side by side.
        reduce_output: the same for a reduction cell.

    Raises:
        SpaceError: for sizes that make no network, unknown operations, and nodes that there are not.

    Example:
        >>> [NasNet().graph(kind).output for kind in ("normal", "reduce")]
        [(2, 3, 4, 5, 6), (4, 5, 6)]
    """

    operations: tuple[str, ...] = NASNET_OPERATIONS
    normal_output: tuple[int, ...] = (2, 3, 4, 5, 6)
    reduce_output: tuple[int, ...] = (4, 5, 6)
    name: str = field(default="nasnet", init=False)
    nodes: ClassVar[int] = 5
    repeats: ClassVar[bool] = True

    _other_nodes: ClassVar[Mapping[int, str]] = {4: ": cells of 4 nodes are of the space darts"}
    _other_output: ClassVar[str] = ": give the space normal_output and reduce_output to have other ones"

    def __post_init__(self) -> None:
        for name in ("normal_output", "reduce_output"):
            given = getattr(self, name)
            if not isinstance(given, list | tuple) or not given or any(type(node) is not int for node in given):
                raise SpaceError(f"{self.name}: {name} must be a list of nodes, got {given!r}.")
            if sorted(set(given)) != list(given) or not 2 <= given[0] <= given[-1] <= 1 + self.nodes:
                raise SpaceError(f"{self.name}: {name} must be increasing nodes from 2 to {1 + self.nodes}, got {given!r}.")
            object.__setattr__(self, name, tuple(given))
        super().__post_init__()

    def graph(self, group: str) -> Graph:
        """The cell's graph: two inputs, five nodes, some of them its output."""
        self.group(group)
        output = self.normal_output if group == "normal" else self.reduce_output
        return Graph(inputs=2, nodes=2 + self.nodes, output=output)


@dataclass(frozen=True, kw_only=True)
class AmoebaNet(NasNet):
    """The same with the outputs of AmoebaNet-A; see `NasNet` for the arguments."""

    normal_output: tuple[int, ...] = (4, 5, 6)
    reduce_output: tuple[int, ...] = (3, 4, 6)
    name: str = field(default="amoebanet", init=False)
