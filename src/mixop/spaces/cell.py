"""A user's own cell space, and the family that NAS-Bench-201 belongs to: one cell, stacked in stages."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Self

from mixop.core.errors import SpaceError, unknown
from mixop.core.outside import shortened
from mixop.spaces.core import Architecture, Choice, Decision, Group, Roles, pruned_lists
from mixop.spaces.ends import check_stem_stride, head, stem
from mixop.spaces.sizes import positions
from mixop.spaces.stacked import Graph, Layer, Stacked, check_skeleton

OPERATION_NAME = re.compile(r"[^|~+\s]+")  # the native string separates by | ~ and +

LINE = 2000
"""Characters of a line that an architecture's string is looked for in."""

_IN_A_LINE = re.compile(r"(?:[^|~\n]*[\s:=('\"\[])?(\|\S*\|)(?:[\s)'\"\],;.][^|~\n]*)?")


@cache
def _groups(nodes: int, lists: tuple[tuple[str, ...], ...], roles: Roles) -> tuple[Group, ...]:
    pairs = [(source, target) for target in range(1, nodes) for source in range(target)]
    return (Group("cell", tuple(Decision(*pair, names) for pair, names in zip(pairs, lists, strict=True)), roles=roles),)


@dataclass(frozen=True, kw_only=True)
class CellSpace(Stacked):
    """One searched cell, stacked in stages between a stem and a head.

    Node 0 of the cell is its input and the last node its output; every node is the sum of its edges from all earlier
    nodes. The edges are numbered (1<-0), (2<-0), (2<-1), (3<-0), (3<-1), (3<-2) and so on. The network is a 3x3
    convolution, ``cells`` cells at ``channels`` channels, then for each further stage a residual block that halves the
    image and doubles the channels, and ``cells`` cells more; at last batch norm, ReLU, mean over the image and a linear
    classifier. Signals have the same network in one dimension, with windows of 3 for 3x3 convolutions. A feature vector is
    mapped to a signal of length 1, and tokens are embedded and read by a recurrent layer. Where there is an output at every
    position, a 1x1 convolution stands for the mean and the classifier.

    Args:
        operations: candidate operations of every edge, in the order of the mixing weights: names that `mixop.nets.ops` knows,
            or ``package.module:make`` of your own.
        edge_operations: where edges differ, one list for each edge, all of the same length and, if ``operations`` is given
            as well, taken from it.
        nodes: nodes of the cell with its input, >= 2.
        channels: channels of the first stage, >= 1.
        cells: cells of each stage, >= 1.
        stages: stages, >= 1; each but the first halves every axis.
        stem_stride: of the first convolution: images and signals are divided by it at once, 1 for published networks.
        input_shape: shape of one input: ``(C, H, W)`` images, ``(C, L)`` signals, ``(F,)`` feature vectors, ``(V, T)`` windows
            of T tokens of a vocabulary of V; H, W, L and T multiples of ``stem_stride * 2 ** (stages - 1)``; None to take the
            data's.
        outputs: numbers for an example, or for each position, >= 1; None to take the data's.
        dense: whether there is an output at every position; None to take the data's.
        tokens: whether inputs are tokens; None to take the data's.
        name: the space's name, part of every architecture.

    Raises:
        SpaceError: for sizes that make no network, and for operations that are missing, repeated or unwritable.

    Source: Dong & Yang 2020 (arXiv:2001.00326), section 2, with any number of nodes, stages and operations.

    Example:
        >>> space = CellSpace(operations=("none", "skip_connect", "nor_conv_3x3"), nodes=3, name="mine")
        >>> space.size()
        27
        >>> space.to_native(space.architecture([(2, 0, 1)]))
        '|nor_conv_3x3~0|+|none~0|skip_connect~1|'
    """

    operations: tuple[str, ...] = ()
    edge_operations: tuple[tuple[str, ...], ...] | None = None
    nodes: int = 4
    channels: int = 16
    cells: int = 5
    stages: int = 3
    stem_stride: int = 1
    input_shape: tuple[int, ...] | None = None
    outputs: int | None = None
    dense: bool | None = None
    tokens: bool | None = None
    name: str = "own"

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name.strip():
            raise SpaceError(f"A space's name must be a text that is not empty, got {self.name!r}.")
        check_skeleton(self.name, nodes=self.nodes, channels=self.channels, cells=self.cells, stages=self.stages)
        if self.nodes < 2:
            raise SpaceError(f"{self.name}: a cell needs at least 2 nodes, its input and its output, got {self.nodes}.")
        self._check_sizes()
        object.__setattr__(self, "operations", self._names("operations", self.operations))
        if self.edge_operations is not None:
            object.__setattr__(self, "edge_operations", self._edge_names(self.edge_operations))
        elif not self.operations:
            raise SpaceError(f"{self.name}: give at least one operation, operations=('nor_conv_3x3', ...), got none.")
        _ = self.groups  # its own checks: repeated options, lists of different lengths
        self._check_causal()

    def _check_sizes(self) -> None:
        super()._check_sizes()
        check_stem_stride(self, self.stem_stride)
        unit = self.stem_stride * 2 ** (self.stages - 1)
        if self.input_shape is None or unit == 1:
            return
        if self.dims == 0:
            raise SpaceError(
                f"{self.name}: {self.stages} stages halve the input {self.stages - 1} times, but a feature vector has no "
                "positions to halve: use stages=1."
            )
        # An odd size would not do either: the two branches of the residual block round it differently.
        for axis, size in positions(self.input_shape).items():
            if size % unit:
                below = size // unit * unit
                sizes = f"the smallest that works is {unit}" if below == 0 else f"{below} and {below + unit} work"
                strided = f"the stem divides the input by {self.stem_stride} and " if self.stem_stride > 1 else ""
                raise SpaceError(
                    f"{self.name}: {strided}{self.stages} stages halve the input {self.stages - 1} times, so its {axis} must "
                    f"be a multiple of {unit}, got {size}: {sizes}, or take fewer stages."
                )

    def _check_causal(self) -> None:
        """An output at every token predicts the next one: a cell that looked at neighbours would see it."""
        if not (self.tokens and self.dense):
            return
        if self.stages > 1:
            raise SpaceError(
                f"{self.name}: the input cannot be halved where every token has an output: use stages=1, got {self.stages}."
            )
        for decision in self.groups[0].decisions:
            for option in decision.options:
                if option not in self.pointwise:
                    raise SpaceError(
                        f"{self.name}: {option} would see the token that the network has to predict: use operations that look "
                        "at their own position only, such as none, skip_connect and nor_conv_1x1."
                    )

    def _names(self, field: str, names: object) -> tuple[str, ...]:
        if not isinstance(names, list | tuple):
            raise SpaceError(f"{self.name}: {field} must be a list of names, got {names!r}.")
        for name in names:
            if not isinstance(name, str) or not OPERATION_NAME.fullmatch(name):
                raise SpaceError(f"{self.name}: an operation's name must be a word without |, ~ and +, got {name!r}.")
        if len(set(names)) != len(names):
            raise SpaceError(f"{self.name}: the names in {field} must differ, got {', '.join(names)}.")
        return tuple(names)

    def _edge_names(self, lists: object) -> tuple[tuple[str, ...], ...]:
        edges = self.nodes * (self.nodes - 1) // 2
        if not isinstance(lists, list | tuple) or len(lists) != edges:
            got = f"{len(lists)} lists" if isinstance(lists, list | tuple) else repr(lists)
            raise SpaceError(f"{self.name}: edge_operations must hold a list for each of the {edges} edges, got {got}.")
        checked = tuple(self._names(f"edge_operations[{e}]", names) for e, names in enumerate(lists))
        for names in checked if self.operations else ():
            for name in names:
                if name not in self.operations:
                    raise SpaceError(unknown(f"operation in {self.name}", name, self.operations))
        return checked

    @property
    def groups(self) -> tuple[Group, ...]:
        """The one group ``cell``, with an edge between every two nodes."""
        edges = self.nodes * (self.nodes - 1) // 2
        return _groups(self.nodes, self.edge_operations or (self.operations,) * edges, self.roles)

    def prune(self, kept: Mapping[str, Sequence[Sequence[int]]]) -> Self:
        lists = pruned_lists(self.groups[0], kept["cell"])
        return replace(self, edge_operations=lists)

    def graph(self, group: str) -> Graph:
        """The cell's graph: node 0 is given, the last node is the output."""
        self.group(group)
        return Graph(inputs=1, nodes=self.nodes, output=(self.nodes - 1,))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Stem, stages of cells with residual blocks between them, head; a chain."""
        width, dims = self.channels, max(self.dims, 1)
        layers = [stem(self, width, stride=self.stem_stride)]
        for stage in range(self.stages):
            if stage > 0:
                layers.append(Layer("residual", (len(layers),), (width,), 2 * width, stride=2, dims=dims))
                width *= 2
            for _ in range(self.cells):
                layers.append(Layer("cell", (len(layers),), (width,), width, group="cell", dims=dims))
        return (*layers, head(self, len(layers), width))

    def to_native(self, architecture: Architecture) -> str:
        """The cell as ``|op~0|+|op~0|op~1|+...``: node by node its edges, as operation ``~`` source.

        A dropped edge is left out; a node without any edge is ``||``.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        self.check(architecture)
        edges: list[list[str]] = [[] for _ in range(self.nodes)]
        for choice in architecture.of("cell"):
            decision = self.groups[0].decisions[choice.decision]
            edges[decision.target].append(f"{choice.option}~{decision.source}")
        return "+".join(f"|{'|'.join(node)}|" for node in edges[1:])

    def from_native(self, text: str) -> Architecture:
        """The architecture of a string ``|op~0|+|op~0|op~1|+...``, parsed strictly.

        It may stand in a line, as logs have it: ``genotype: |...|``, ``Structure(4 nodes with |...|)``.

        Raises:
            SpaceError: if the text is malformed, with what was expected.
        """
        if not isinstance(text, str):
            raise SpaceError(f"An architecture of {self.name} is written as a string, got {type(text).__name__}.")
        found = _IN_A_LINE.fullmatch(text.strip()) if len(text) <= LINE else None
        nodes = (found[1] if found else text.strip()).split("+")
        if len(nodes) != self.nodes - 1:
            raise self._malformed(text, f"{self.nodes - 1} nodes joined by +, found {len(nodes)}")
        choices = []
        for target, node in enumerate(nodes, start=1):
            if len(node) < 2 or node[0] != "|" or node[-1] != "|":
                raise self._malformed(text, f"node {target} between two |, found {shortened(node)}")
            before = -1
            for edge in node[1:-1].split("|") if node != "||" else ():
                operation, _, digits = edge.partition("~")
                sources = [str(source) for source in range(before + 1, target)]
                if digits not in sources:
                    wanted = " or ".join(f"op~{source}" for source in sources) or "no further edge"
                    raise self._malformed(text, f"{wanted} in node {target}, found {shortened(edge)}")
                before = int(digits)
                index = target * (target - 1) // 2 + before
                options = self.groups[0].decisions[index].options
                if operation not in options:
                    raise SpaceError(unknown(f"operation on edge {target}<-{before} of {self.name}", operation, options))
                choices.append(Choice(index, operation))
        architecture = Architecture(self.name, (("cell", tuple(choices)),))
        self.check(architecture)
        return architecture

    def _malformed(self, text: str, problem: str) -> SpaceError:
        nodes = (range(target) for target in range(1, self.nodes))
        form = "+".join(f"|{'|'.join(f'op~{source}' for source in node)}|" for node in nodes)
        return SpaceError(f"An architecture of {self.name} is written {form}: expected {problem}, in {shortened(text, 200)}.")

    def is_connected(self, architecture: Architecture) -> bool:
        """Whether the cell's output depends on its input: a path leads there without absent and dropped edges."""
        self.check(architecture)
        reached = {0}
        for choice in architecture.of("cell"):
            decision = self.groups[0].decisions[choice.decision]
            if not self.is_absent(choice.option) and decision.source in reached:
                reached.add(decision.target)
        return self.nodes - 1 in reached
