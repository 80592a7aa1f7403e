"""NAS-Bench-101: every cell of at most 7 vertices and 9 edges; for black-box searches, and its table."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from random import Random
from typing import ClassVar

import numpy as np

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.core import Architecture, Choice, Decision, Group, Space
from mixop.spaces.model_spec import OPERATIONS, ModelSpec
from mixop.spaces.nasbench1shot1 import PARENTS, VERTICES, NasBench1Shot1
from mixop.spaces.stacked import Graph, Layer
from mixop.spaces.vertices import VertexSpace

MOST_EDGES = 9
"""Edges of a cell at most."""

ABSENT, EDGE = "absent", "edge"
"""The options of every pair of vertices."""

EDGES_GROUP, OPERATIONS_GROUP = "edges", "operations"

PAIRS = tuple((source, target) for target in range(1, VERTICES) for source in range(target))
"""Source and target of the 21 edges that a cell may have."""


@cache
def _groups() -> tuple[Group, ...]:
    edges = tuple(Decision(*pair, (ABSENT, EDGE)) for pair in PAIRS)
    operations = tuple(Decision(k, k + 1, OPERATIONS, f"vertex {k + 1}") for k in range(VERTICES - 2))
    return Group(EDGES_GROUP, edges, roles=NasBench101.roles), Group(OPERATIONS_GROUP, operations, roles=NasBench101.roles)


@cache
def _matrices() -> int:
    """How many matrices have at most 9 edges and a path from the input to the output."""
    codes = np.arange(2 ** len(PAIRS), dtype=np.uint32)
    edges = {pair: (codes >> at & 1).astype(bool) for at, pair in enumerate(PAIRS)}
    counts = sum(there.astype(np.uint8) for there in edges.values())
    reached = [np.ones(len(codes), dtype=bool)]
    for target in range(1, VERTICES):
        reached.append(np.logical_or.reduce([reached[source] & edges[source, target] for source in range(target)]))
    return int(np.count_nonzero(reached[-1] & (counts <= MOST_EDGES)))


@dataclass(frozen=True, kw_only=True)
class NasBench101(VertexSpace):
    """The cells of NAS-Bench-101: 21 edges that are there or not, nine of them at most, and five operations.

    Many of its architectures are the same network: vertices in another order, or on no path from the input to the output. A
    table has each network once and finds it by its hash. No supernet holds them all, so this is a space for black-box searches
    (`NasBench1Shot1` has three parts of it that a gradient can search). The authors draw matrices of any number of edges and
    prune them first; here a matrix has nine edges at most before that.

    Args:
        channels: channels of the first stage, 128 in the benchmark.
        cells: cells of the whole network, >= 3; 9 in the benchmark.
        input_shape: shape of one input, as `NasBench1Shot1`; None to take the data's.
        outputs: numbers for an example, or for each position, >= 1; None to take the data's.
        dense: whether there is an output at every position; None to take the data's.
        tokens: whether inputs are tokens; None to take the data's.

    Raises:
        SpaceError: for sizes that make no network.

    Source: Ying et al. 2019 (arXiv:1902.09635), section 2.
    """

    shares: ClassVar[bool] = False

    channels: int = 128
    cells: int = 9
    input_shape: tuple[int, ...] | None = None
    outputs: int | None = None
    dense: bool | None = None
    tokens: bool | None = None
    name: str = field(default="nasbench101", init=False)

    def __post_init__(self) -> None:
        self._check_sizes()

    @property
    def groups(self) -> tuple[Group, ...]:
        """``edges``, by target and then by source, and ``operations`` of the vertices 1 to 5."""
        return _groups()

    def graph(self, group: str) -> Graph:
        """The cell's vertices."""
        self.group(group)
        return Graph(inputs=1, nodes=VERTICES, output=(VERTICES - 1,))

    @property
    def layers(self) -> tuple[Layer, ...]:
        return self._network

    def spec(self, architecture: Architecture) -> ModelSpec:
        matrix = [[0] * VERTICES for _ in range(VERTICES)]
        for choice in architecture.of(EDGES_GROUP):
            source, target = PAIRS[choice.decision]
            matrix[source][target] = int(choice.option == EDGE)
        operations = tuple(choice.option for choice in architecture.of(OPERATIONS_GROUP))
        return ModelSpec(tuple(map(tuple, matrix)), operations)

    def of_spec(self, spec: ModelSpec) -> Architecture:
        if len(spec.matrix) > VERTICES:
            raise SpaceError(f"A cell of nasbench101 has at most {VERTICES} vertices, got {len(spec.matrix)}.")
        for operation in spec.operations:
            if operation not in OPERATIONS:
                raise SpaceError(unknown("operation in nasbench101", operation, OPERATIONS))
        spec = spec.filled(VERTICES)
        edges = tuple(Choice(e, EDGE if spec.matrix[s][t] else ABSENT) for e, (s, t) in enumerate(PAIRS))
        operations = tuple(Choice(k, operation) for k, operation in enumerate(spec.operations))
        return Architecture(self.name, ((EDGES_GROUP, edges), (OPERATIONS_GROUP, operations)))

    def check(self, architecture: Architecture) -> None:
        """As `Space.check`; a cell has nine edges at most, and its output depends on its input.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        super().check(architecture)
        for group in self.groups:
            if len(architecture.of(group.name)) != len(group.decisions):
                raise SpaceError(
                    f"An architecture of nasbench101 decides all {len(group.decisions)} {group.name}, got "
                    f"{len(architecture.of(group.name))}."
                )
        spec = self.spec(architecture)
        if len(spec.edges) > MOST_EDGES:
            raise SpaceError(f"A cell of nasbench101 has at most {MOST_EDGES} edges, got {len(spec.edges)}.")
        if spec.pruned() is None:
            raise SpaceError("The output of this cell of nasbench101 does not depend on its input: add edges to its matrix.")

    def allows(self, architecture: Architecture) -> bool:
        spec = self.spec(architecture)
        return len(spec.edges) <= MOST_EDGES and spec.pruned() is not None

    def size(self) -> int:
        """The number of matrices and operations that are allowed; 423,624 networks among them are different."""
        return _matrices() * len(OPERATIONS) ** (VERTICES - 2)

    def random(self, rng: Random) -> Architecture:
        """A cell drawn uniformly from those that are allowed."""
        while not self.allows(architecture := super().random(rng)):
            pass
        return architecture

    def architectures(self) -> Iterator[Architecture]:
        """Every architecture that is allowed, the last operation varying fastest."""
        return (architecture for architecture in super().architectures() if self.allows(architecture))

    def adopted(self, architecture: Architecture) -> Architecture:
        """An architecture of NAS-Bench-1Shot1 as one of this space; others as they are."""
        for number in PARENTS:
            part = NasBench1Shot1(number=number)
            if architecture.space == part.name:
                part.check(architecture)
                return self.of_spec(part.spec(architecture))
        return architecture

    def includes(self, other: Space) -> bool:
        return isinstance(other, NasBench1Shot1) or super().includes(other)


def nasbench101(
    *,
    channels: int = 128,
    cells: int = 9,
    input_shape: tuple[int, ...] | None = None,
    outputs: int | None = None,
    dense: bool | None = None,
    tokens: bool | None = None,
) -> NasBench101:
    """The space of NAS-Bench-101, by default with the benchmark's sizes; see `NasBench101` for the arguments."""
    return NasBench101(channels=channels, cells=cells, input_shape=input_shape, outputs=outputs, dense=dense, tokens=tokens)
