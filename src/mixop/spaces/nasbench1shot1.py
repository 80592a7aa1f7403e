"""NAS-Bench-1Shot1: three spaces within NAS-Bench-101 whose architectures one supernet holds."""

from dataclasses import dataclass, field
from functools import cache

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.core import Architecture, Choice, Decision, Group
from mixop.spaces.ends import head, stem
from mixop.spaces.model_spec import DUMMY, INPUT, ModelSpec
from mixop.spaces.stacked import Layer, NodeGraph
from mixop.spaces.vertices import VertexSpace

NASBENCH1SHOT1_OPERATIONS = ("maxpool3x3", "conv3x3-bn-relu", "conv1x1-bn-relu")
"""The operations of every node, in the order of their mixing weights."""

PARENTS = {1: (1, 2, 2, 2, 2), 2: (1, 1, 2, 2, 3), 3: (1, 1, 1, 2, 2, 2)}
"""How many of what is before them the nodes of each space read, and at last the output; nine edges in all."""

VERTICES = 7
"""Vertices of a cell of NAS-Bench-101."""

OPERATIONS_GROUP, OUTPUT_GROUP = "operations", "output"


@cache
def _groups(number: int) -> tuple[Group, ...]:
    *parents, joined = PARENTS[number]
    operations = tuple(Decision(k, k + 1, NASBENCH1SHOT1_OPERATIONS, f"node {k + 1}") for k in range(len(parents)))
    groups = [Group(OPERATIONS_GROUP, operations, roles=VertexSpace.roles)]
    for node, take in [*enumerate(parents, start=1), (len(parents) + 1, joined)]:
        if take < node:  # else it reads all there is
            name = OUTPUT_GROUP if node > len(parents) else f"inputs.{node}"
            what = "read by the output" if node > len(parents) else f"read by node {node}"
            sources = Decision(0, node, (INPUT, *map(str, range(1, node))), what)
            groups.append(Group(name, (sources,), roles=VertexSpace.roles, take=take, inputs=True))
    return tuple(groups)


@dataclass(frozen=True, kw_only=True)
class NasBench1Shot1(VertexSpace):
    """A space of NAS-Bench-1Shot1: the operation of every node, and which of the nodes before them nodes and output read.

    The supernet weighs what a node reads, and what its output joins, by one row of mixing weights each; an architecture takes
    the number of parents that the space says. The network of an architecture is that of NAS-Bench-101, whose table knows it;
    its ``channels`` are 128 and its ``cells`` 9 there. Spaces 1 and 2 have a node less than its cells: their native text has
    one more, a 1x1 convolution that nothing reads, as the authors fill it up.

    The group ``operations`` has a decision for every node; ``inputs.3`` is what node 3 reads, the input or nodes by their
    number; ``output`` is what the output reads. Nodes that read all there is decide nothing.

    Args:
        number: which of the three spaces.
        channels: channels of a node in the first stage of the supernet, 16 in the published search.
        cells: cells of the whole network, >= 3; 9 in the published search.
        input_shape: shape of one input: ``(C, H, W)`` images, ``(C, L)`` signals, ``(V, T)`` windows of T tokens of a
            vocabulary of V; None to take the data's.
        outputs: numbers for an example, or for each position, >= 1; None to take the data's.
        dense: whether there is an output at every position; None to take the data's.
        tokens: whether inputs are tokens; None to take the data's.

    Raises:
        SpaceError: for a number that is not 1, 2 or 3, and sizes that make no network.

    Source: Zela et al. 2020 (arXiv:2001.10422), section 3; the supernet's details as in the authors' code.

    Example:
        >>> [NasBench1Shot1(number=number).size() for number in (1, 2, 3)]
        [14580, 29160, 1312200]
    """

    number: int = 1
    channels: int = 16
    cells: int = 9
    input_shape: tuple[int, ...] | None = None
    outputs: int | None = None
    dense: bool | None = None
    tokens: bool | None = None
    name: str = field(init=False)

    def __post_init__(self) -> None:
        if type(self.number) is not int or self.number not in PARENTS:
            raise SpaceError(f"nasbench1shot1 has the spaces 1, 2 and 3, got number={self.number!r}.")
        object.__setattr__(self, "name", f"nasbench1shot1-{self.number}")
        self._check_sizes()

    @property
    def groups(self) -> tuple[Group, ...]:
        """``operations``, then what each node reads where it has a choice, then what the output reads."""
        return _groups(self.number)

    @property
    def nodes(self) -> int:
        """The nodes with an operation."""
        return len(PARENTS[self.number]) - 1

    def graph(self, group: str) -> NodeGraph:
        """The supernet's cell."""
        self.group(group)
        inner, names = tuple(range(1, self.nodes + 1)), {group.name for group in self.groups}
        reads = tuple(f"inputs.{node}" if f"inputs.{node}" in names else None for node in inner)
        return NodeGraph(1, self.nodes + 1, inner, reads=reads, joins=OUTPUT_GROUP)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Of the supernet: stem, cells with pools between the stages, a 1x1 convolution to a node's channels, head."""
        width, dims = self.channels, max(self.dims, 1)
        layers = [stem(self, width, kind="norm_relu_stem")]
        for number in range(self.cells):
            before = layers[-1].out
            if number in self._halvings:
                layers.append(Layer("wide_pool", (len(layers),), (before,), before, stride=2, dims=dims))
                width *= 2
            layers.append(Layer("cell", (len(layers),), (before,), self.nodes * width, group=OPERATIONS_GROUP, dims=dims))
        layers.append(Layer("postprocess", (len(layers),), (layers[-1].out,), width, dims=dims))
        return (*layers, head(self, len(layers), width, kind="linear_head"))

    def spec(self, architecture: Architecture) -> ModelSpec:
        """The cell as NAS-Bench-101 has it: nodes that nothing reads are there too, and the authors' further one."""
        last = self.nodes + 1
        matrix = [[0] * (last + 1) for _ in range(last + 1)]
        decided = {group.name: group for group in self.groups}
        for node in range(1, last + 1):
            name = OUTPUT_GROUP if node == last else f"inputs.{node}"
            names = (INPUT, *map(str, range(1, node)))
            taken = [names.index(choice.option) for choice in architecture.of(name)] if name in decided else range(node)
            for source in taken:
                matrix[source][node] = 1
        operations = tuple(choice.option for choice in architecture.of(OPERATIONS_GROUP))
        return ModelSpec(tuple(map(tuple, matrix)), operations).filled(VERTICES)

    def of_spec(self, spec: ModelSpec) -> Architecture:
        last = self.nodes + 1
        if len(spec.matrix) == VERTICES > last + 1:
            spec = self._without_dummy(spec)
        if len(spec.matrix) != last + 1:
            raise SpaceError(
                f"A cell of {self.name} has {last + 1} vertices{', or 7 with one that nothing reads' * (last < 6)}, got "
                f"{len(spec.matrix)}."
            )
        for operation in spec.operations:
            if operation not in NASBENCH1SHOT1_OPERATIONS:
                raise SpaceError(unknown(f"operation in {self.name}", operation, NASBENCH1SHOT1_OPERATIONS))
        decided = {group.name for group in self.groups}
        choices = {OPERATIONS_GROUP: tuple(Choice(k, operation) for k, operation in enumerate(spec.operations))}
        for node, take in enumerate(PARENTS[self.number], start=1):
            sources = [s for s in range(node) if spec.matrix[s][node]]
            if len(sources) != take:
                what = "the output" if node == last else f"node {node}"
                raise SpaceError(f"In {self.name}, {what} reads {take} of what is before it, got {len(sources)} in the matrix.")
            name = OUTPUT_GROUP if node == last else f"inputs.{node}"
            if name in decided:
                choices[name] = tuple(Choice(0, str(source) if source else INPUT) for source in sources)
        return Architecture(self.name, tuple((group.name, choices[group.name]) for group in self.groups))

    def _without_dummy(self, spec: ModelSpec) -> ModelSpec:
        """A cell of seven vertices without the one that fills it up."""
        at = VERTICES - 2
        if any(spec.matrix[at]) or any(row[at] for row in spec.matrix):
            raise SpaceError(
                f"In a cell of 7 vertices of {self.name}, node {at} ({DUMMY}) reads nothing and nothing reads it, but the "
                "matrix has edges there."
            )
        kept = [v for v in range(VERTICES) if v != at]
        matrix = tuple(tuple(spec.matrix[s][t] for t in kept) for s in kept)
        return ModelSpec(matrix, spec.operations[: at - 1] + spec.operations[at:])

    def loose_ends(self, architecture: Architecture) -> int:
        """How many nodes nothing reads: NAS-Bench-101 leaves them out, with what only they read."""
        spec = self.spec(architecture)
        return sum(not any(row) for row in spec.matrix[1 : self.nodes + 1])


def nasbench1shot1(
    number: int = 1,
    *,
    channels: int = 16,
    cells: int = 9,
    input_shape: tuple[int, ...] | None = None,
    outputs: int | None = None,
    dense: bool | None = None,
    tokens: bool | None = None,
) -> NasBench1Shot1:
    """A space of NAS-Bench-1Shot1, by default with the published search's sizes; see `NasBench1Shot1` for the arguments."""
    return NasBench1Shot1(
        number=number,
        channels=channels,
        cells=cells,
        input_shape=input_shape,
        outputs=outputs,
        dense=dense,
        tokens=tokens,
    )
