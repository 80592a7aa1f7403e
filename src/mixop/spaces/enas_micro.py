"""The micro space of ENAS: cells whose nodes add two operations, each on any node before, and whose output is what is not read.

Source: Pham et al. 2018 (arXiv:1802.03268), section 2.4, and the authors' code (melodyguan/enas).
"""

from dataclasses import dataclass, field, replace
from functools import cache
from typing import ClassVar

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.core import Architecture, Choice, Decision, Group, Roles
from mixop.spaces.darts import edges_of
from mixop.spaces.enas import check_dropout, check_halved, numbers_of
from mixop.spaces.ends import head, stem
from mixop.spaces.stacked import Graph, Layer, Stacked, check_skeleton

MICRO_OPERATIONS = ("separable_conv_3x3", "separable_conv_5x5", "average_pooling", "max_pooling", "identity")
"""The published operations; their order is that of the published numbers."""

_SEARCHED: dict[str, str] = dict(
    zip(MICRO_OPERATIONS, ("sep_conv_3x3", "sep_conv_5x5", "avg_pool_3x3", "max_pool_3x3", "skip_connect"), strict=True)
)

NODES = 5
"""Nodes of a cell besides its two inputs."""

_FORM = (
    "as the numbers of two cells, the normal one first: for each of the 5 nodes an input (0 to 6), its operation (0 to 4), "
    "another input, its operation"
)


@dataclass(frozen=True, kw_only=True)
class EnasMicro(Stacked):
    """Cells of 5 nodes that read the two cells before; a node adds two operations on nodes before it, or one of them twice.

    A cell's output are those of its nodes, inputs among them, that nothing in it reads. In the supernet they are joined by
    ReLU, a 1x1 convolution with weights of its own for each node, and batch norm; every edge has its own weights for every
    operation. (In the authors' code the two operands of a node have weights of their own besides; here they share those of an
    edge.) Where a relaxation mixes all edges, no node is left over, and all five are joined. A reduction cell of the supernet
    keeps its size: a factorised reduction stands before it.

    The network of an architecture is built in the authors' other form: nodes side by side without a convolution, and reduction
    cells that halve in their edges.

    Args:
        operations: candidates on every edge, of `MICRO_OPERATIONS`.
        cells: normal cells, >= 1, besides the two reduction cells; 6 in the published search, 15 in the published training.
        channels: channels of a node in the first cells, even; 20 in the search, 36 in the published training.
        dropout: share of the features before the classifier that is zero in training, in [0, 1); 0.1 in the search.
        input_shape: shape of one input: ``(C, H, W)`` images, ``(C, L)`` signals; None to take the data's.
        outputs: numbers for an example, or for each position, >= 1; None to take the data's.
        dense: whether there is an output at every position; None to take the data's.
        tokens: whether inputs are tokens, which is refused; None to take the data's.

    Raises:
        SpaceError: for sizes that make no network, and for unknown operations.

    Example:
        >>> space = EnasMicro()
        >>> text = "0 0 1 0  0 0 1 0  0 0 1 0  0 0 1 0  0 0 1 0  " * 2
        >>> space.graph_in(space.from_native(text), "normal").output
        (2, 3, 4, 5, 6)
    """

    operations: tuple[str, ...] = MICRO_OPERATIONS
    cells: int = 6
    channels: int = 20
    dropout: float = 0.1
    input_shape: tuple[int, ...] | None = None
    outputs: int | None = None
    dense: bool | None = None
    tokens: bool | None = None
    name: str = field(default="enas_micro", init=False)
    roles: ClassVar[Roles] = Roles(absent=(), skips=("identity",), pools=("average_pooling", "max_pooling"))
    repeats: ClassVar[bool] = True
    rebuilt: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_skeleton(self.name, cells=self.cells, channels=self.channels)
        if self.channels % 2:
            raise SpaceError(f"{self.name}: channels must be even, because the reductions halve them, got {self.channels}.")
        check_dropout(self.name, self.dropout)
        if not isinstance(self.operations, list | tuple) or not self.operations:
            raise SpaceError(f"{self.name}: operations must be a list of names, got {self.operations!r}.")
        for operation in self.operations:
            if operation not in MICRO_OPERATIONS:
                raise SpaceError(unknown(f"operation in {self.name}", str(operation), MICRO_OPERATIONS))
        object.__setattr__(self, "operations", tuple(self.operations))
        _ = self.groups  # its own checks: repeated operations
        self._check_sizes()

    def _check_sizes(self) -> None:
        super()._check_sizes()
        check_halved(self, 2)

    @property
    def reductions(self) -> tuple[int, int]:
        """Numbers of the reduction cells, counted from 0."""
        third = self.cells // 3
        return third, 2 * third + 1

    @property
    def groups(self) -> tuple[Group, ...]:
        """``normal`` and ``reduce``, 20 edges each, of which every node keeps two."""
        return _groups(self.operations)

    def graph(self, group: str) -> Graph:
        """The cell's graph, the same for both kinds: two inputs, five nodes, those that nothing reads its output."""
        self.group(group)
        return Graph(inputs=2, nodes=2 + NODES, output=tuple(range(2, 2 + NODES)), loose=True)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Stem, cells of one size with the layers that bring their inputs to it, head."""
        layers = [stem(self, 3 * self.channels)]
        before = last = (1, 3 * self.channels)
        width = self.channels
        for number in range(self.cells + 2):
            reduces = number in self.reductions
            if reduces:
                width *= 2
                layers.append(Layer("factorised_reduction", (last[0],), (last[1],), width, stride=2, dims=self.dims))
                before, last = last, (len(layers), width)
            inputs = self._brought(layers, before, last, width, halved=reduces)
            layers.append(self._cell(inputs, width, width, reduces=reduces))
            before, last = last, (len(layers), width)
        return (*layers, self._head(last))

    def layers_of(self, architecture: Architecture) -> tuple[Layer, ...]:
        """Stem, cells that halve in their edges, each with as many channels as it has nodes that are not read, head."""
        layers = [stem(self, 3 * self.channels)]
        before = last = (1, 3 * self.channels)
        width, halved = self.channels, False  # whether the older input is twice as large as the newer one
        for number in range(self.cells + 2):
            reduces = number in self.reductions
            width *= 2 if reduces else 1
            older, newer = self._brought(layers, before, last, width, halved=halved)
            layers.append(Layer("preprocess", (newer,), (width,), width, dims=self.dims))
            nodes = len(self.graph_in(architecture, "reduce" if reduces else "normal").output)
            layers.append(self._cell((older, len(layers)), width, nodes * width, reduces=reduces, stride=2 if reduces else 1))
            before, last, halved = last, (len(layers), nodes * width), reduces
        return (*layers, self._head(last))

    def _brought(
        self, layers: list[Layer], before: tuple[int, int], last: tuple[int, int], width: int, *, halved: bool
    ) -> tuple[int, int]:
        """Adds the layers that bring the inputs of a cell, number and channels of each, to its width; their numbers."""
        numbers = []
        for (given, channels), larger in ((before, halved), (last, False)):
            if larger or channels != width:
                kind = "reducing_preprocess" if larger else "preprocess"
                layers.append(Layer(kind, (given,), (channels,), width, stride=2 if larger else 1, dims=self.dims))
                given = len(layers)
            numbers.append(given)
        return numbers[0], numbers[1]

    def _cell(self, inputs: tuple[int, int], width: int, out: int, *, reduces: bool, stride: int = 1) -> Layer:
        group = "reduce" if reduces else "normal"
        return Layer("cell", inputs, (width, width), out, stride=stride, group=group, dims=self.dims)

    def _head(self, last: tuple[int, int]) -> Layer:
        return replace(head(self, *last, kind="relu_dropped_head"), dropout=self.dropout)

    @property
    def auxiliary(self) -> Layer:
        """The auxiliary head of a network all of whose nodes are a cell's output; see `auxiliary_of`."""
        numbers = ("0 0 1 0 " * NODES) * 2
        every = replace(self, operations=MICRO_OPERATIONS)
        return self.auxiliary_of(every.from_native(numbers))

    def auxiliary_of(self, architecture: Architecture) -> Layer:
        """The auxiliary head of the evaluation, on the output of the cell behind the second reduction cell."""
        layers = self.layers_of(architecture)
        cells = [number for number, layer in enumerate(layers, start=1) if layer.kind == "cell"]
        at = cells[min(self.reductions[1] + 1, len(cells) - 1)]
        kind = "relu_dropped_head" if self.dense else "auxiliary_head"
        return head(self, at, layers[at - 1].out, kind=kind)

    def searched(self, option: str) -> str:
        """The operations by the names that other spaces have for them."""
        return _SEARCHED.get(option, option)

    def built(self, option: str, decision: Decision) -> str:
        """The same; an identity that halves is a factorised reduction without a ReLU."""
        return "enas_final_identity" if option == "identity" else self.searched(option)

    def to_native(self, architecture: Architecture) -> str:
        """The authors' numbers, the normal cell first: for each node input, operation, input, operation.

        The two pairs of a node stand in increasing order; which comes first makes no difference.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        self.check(architecture)
        numbers = []
        for group in self.groups:
            for target in group.targets:
                for choice in architecture.of(group.name):
                    decision = group.decisions[choice.decision]
                    if decision.target == target:
                        numbers += [decision.source, MICRO_OPERATIONS.index(choice.option)]
        return " ".join(map(str, numbers))

    def from_native(self, text: str) -> Architecture:
        """The architecture of the authors' numbers; the pairs of a node may stand in either order.

        Raises:
            SpaceError: if the text is malformed, with what was expected.
        """
        numbers = iter(numbers_of(text, self.name, _FORM, 8 * NODES))
        choices = []
        for group in self.groups:
            chosen = []
            for target in group.targets:
                for _ in range(2):
                    source, operation = next(numbers), next(numbers)
                    if source >= target:
                        raise SpaceError(
                            f"Node {target} of the {group.name} cell reads one of the nodes 0 to {target - 1}, got {source}."
                        )
                    if operation >= len(MICRO_OPERATIONS) or MICRO_OPERATIONS[operation] not in self.operations:
                        known = ", ".join(f"{MICRO_OPERATIONS.index(name)} {name}" for name in self.operations)
                        raise SpaceError(f"A node of {self.name} has operations of {known}, got {operation}.")
                    chosen.append((group.into(target)[source], operation))
            choices.append((group.name, tuple(Choice(edge, MICRO_OPERATIONS[o]) for edge, o in sorted(chosen))))
        architecture = Architecture(self.name, tuple(choices))
        self.check(architecture)
        return architecture


@cache
def _groups(operations: tuple[str, ...]) -> tuple[Group, ...]:
    edges = tuple(Decision(*edge, operations) for edge in edges_of(NODES))
    return tuple(Group(name, edges, keep=2, roles=EnasMicro.roles, chain="cells") for name in ("normal", "reduce"))


def enas_micro(
    *,
    cells: int = 6,
    channels: int = 20,
    dropout: float = 0.1,
    input_shape: tuple[int, ...] | None = None,
    outputs: int | None = None,
    dense: bool | None = None,
    tokens: bool | None = None,
    operations: tuple[str, ...] = MICRO_OPERATIONS,
) -> EnasMicro:
    """The micro space of ENAS, by default with the published search's sizes; see `EnasMicro` for the arguments."""
    return EnasMicro(
        cells=cells,
        channels=channels,
        dropout=dropout,
        input_shape=input_shape,
        outputs=outputs,
        dense=dense,
        tokens=tokens,
        operations=operations,
    )
