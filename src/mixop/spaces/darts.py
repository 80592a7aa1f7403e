"""The DARTS space for images and signals: a normal and a reduction cell, each node keeping two of its inputs.

Source: Liu, Simonyan & Yang 2019 (arXiv:1806.09055), section 3.1, and the authors' code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import ClassVar, Literal, Self

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.core import Architecture, Decision, Group, Roles, pruned_lists
from mixop.spaces.ends import check_stem_stride, head, stem
from mixop.spaces.genotype import read_genotype, write_genotype
from mixop.spaces.sizes import check_halvings
from mixop.spaces.stacked import Graph, Layer, Stacked, check_skeleton

DARTS_OPERATIONS = (
    "none",
    "max_pool_3x3",
    "avg_pool_3x3",
    "skip_connect",
    "sep_conv_3x3",
    "sep_conv_5x5",
    "dil_conv_3x3",
    "dil_conv_5x5",
)
"""The published operations, in their order."""

KNOWN_OPERATIONS = (*DARTS_OPERATIONS, "sep_conv_7x7", "conv_7x1_1x7", "noise")
"""What an edge of a DARTS cell may be, besides an operation of your own."""


@cache
def edges_of(nodes: int) -> tuple[tuple[int, int], ...]:
    """Source and target of the edges into a number of nodes, each from every node before it.

    Nodes 0 and 1 are the outputs of the cell before the last and of the last one.
    """
    return tuple((source, target) for target in range(2, 2 + nodes) for source in range(target))


EDGES = edges_of(4)
"""Source and target of the 14 edges of a cell of the DARTS space."""

Lists = tuple[tuple[str, ...], ...]


@cache
def _group(name: str, edges: tuple[tuple[int, int], ...], lists: Lists, roles: Roles) -> Group:
    return Group(name, tuple(Decision(*edge, names) for edge, names in zip(edges, lists, strict=True)), keep=2, roles=roles)


@dataclass(frozen=True, kw_only=True)
class Darts(Stacked):
    """Cells of 4 nodes that read the two cells before; each node keeps the best two of its edges, ``none`` not counting.

    The cells at a third and two thirds of the depth are reduction cells: they halve every axis and double the channels.
    A cell's output are its four nodes side by side. Signals have the same network in one dimension. Feature vectors, and
    outputs at every token, do not go with halving: take a `CellSpace` with one stage for those.

    Args:
        operations: candidates on every edge: of `KNOWN_OPERATIONS`, or ``package.module:make`` of your own.
        normal_operations: instead, a list for each of the 14 edges of the normal cell, equally long.
        reduce_operations: the same for the reduction cell.
        cells: depth of the network, >= 1; 8 in the published search, 20 in its evaluation, 14 for ImageNet.
        channels: channels of a node in the first cells, even; 16 in the published search, 36 in its evaluation.
        stem: ``cifar``: one convolution; ``imagenet``: three strided ones, which leave an eighth of the size; tokens have a
            stem of their own in place of ``cifar``.
        stem_multiplier: the stem for CIFAR has this multiple of the channels.
        stem_stride: of the stem for CIFAR: images and signals are divided by it at once; 1 as published.
        input_shape: shape of one input: ``(C, H, W)`` images, ``(C, L)`` signals, ``(V, T)`` windows of T tokens of a
            vocabulary of V; None to take the data's.
        outputs: numbers for an example, or for each position, >= 1; None to take the data's.
        dense: whether there is an output at every position; None to take the data's.
        tokens: whether inputs are tokens; None to take the data's.

    Raises:
        SpaceError: for sizes that make no network, and for unknown operations.

    Example:
        >>> Darts(operations=("skip_connect", "sep_conv_3x3")).size() == (180 * 2**8) ** 2
        True
    """

    operations: tuple[str, ...] = DARTS_OPERATIONS
    normal_operations: Lists | None = None
    reduce_operations: Lists | None = None
    cells: int = 8
    channels: int = 16
    stem: Literal["cifar", "imagenet"] = "cifar"
    stem_multiplier: int = 3
    stem_stride: int = 1
    input_shape: tuple[int, ...] | None = None
    outputs: int | None = None
    dense: bool | None = None
    tokens: bool | None = None
    name: str = field(default="darts", init=False)
    nodes: ClassVar[int] = 4

    def __post_init__(self) -> None:
        check_skeleton(self.name, cells=self.cells, channels=self.channels, stem_multiplier=self.stem_multiplier)
        if self.stem not in ("cifar", "imagenet"):
            raise SpaceError(f"{self.name}: stem must be 'cifar' or 'imagenet', got {self.stem!r}.")
        if self.channels % 2:
            raise SpaceError(f"{self.name}: channels must be even, because the reductions halve them, got {self.channels}.")
        object.__setattr__(self, "operations", self._names("operations", self.operations))
        for kind in ("normal_operations", "reduce_operations"):
            if getattr(self, kind) is not None:
                object.__setattr__(self, kind, self._lists(kind, getattr(self, kind)))
        if not self.operations and None in (self.normal_operations, self.reduce_operations):
            raise SpaceError(f"{self.name}: give at least one operation, operations=('sep_conv_3x3', ...), got none.")
        _ = self.groups  # its own checks: repeated options, lists of different lengths
        self._check_sizes()

    def _names(self, where: str, names: object) -> tuple[str, ...]:
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise SpaceError(f"{self.name}: {where} must be a list of names, got {names!r}.")
        for name in names:
            if ":" not in name and name not in KNOWN_OPERATIONS:
                raise SpaceError(unknown(f"operation in {self.name}", name, KNOWN_OPERATIONS))
        return tuple(names)

    def _lists(self, where: str, lists: object) -> Lists:
        if not isinstance(lists, list | tuple) or len(lists) != len(self.edges):
            got = f"{len(lists)} lists" if isinstance(lists, list | tuple) else repr(lists)
            raise SpaceError(f"{self.name}: {where} must hold a list for each of the {len(self.edges)} edges, got {got}.")
        return tuple(self._names(f"{where}[{e}]", names) for e, names in enumerate(lists))

    def _check_sizes(self) -> None:
        super()._check_sizes()
        if self.dims == 0:
            raise SpaceError(
                f"{self.name} halves its input, but a feature vector has no positions to halve: use a CellSpace with stages=1."
            )
        if self.tokens and self.dense:
            raise SpaceError(
                f"{self.name} halves its input and looks at neighbours, which is not possible with an output at every token: "
                "use a CellSpace with stages=1 and operations that look at their own position only."
            )
        if self.tokens and self.stem != "cifar":
            raise SpaceError(f"{self.name}: tokens are embedded in place of the stem 'cifar', got the stem {self.stem!r}.")
        check_stem_stride(self, self.stem_stride)
        if self.stem_stride > 1 and self.stem == "imagenet":
            raise SpaceError(
                f"{self.name}: the stem 'imagenet' has its own strides: leave stem_stride at 1, got {self.stem_stride}."
            )
        if self.input_shape is None:
            return
        halvings = len(set(self.reductions)) + (3 if self.stem == "imagenet" else (self.stem_stride - 1).bit_length())
        check_halvings(self.name, self.input_shape, halvings)

    @property
    def reductions(self) -> tuple[int, int]:
        """Numbers of the reduction cells, counted from 0."""
        return self.cells // 3, 2 * self.cells // 3

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Source and target of the edges of a cell."""
        return edges_of(self.nodes)

    @property
    def groups(self) -> tuple[Group, ...]:
        """``normal`` and ``reduce``, 14 edges each."""
        everywhere = (self.operations,) * len(self.edges)
        return (
            _group("normal", self.edges, self.normal_operations or everywhere, self.roles),
            _group("reduce", self.edges, self.reduce_operations or everywhere, self.roles),
        )

    def graph(self, group: str) -> Graph:
        """The cell's graph, the same for both kinds: two inputs, four nodes, all of them its output."""
        self.group(group)
        return Graph(inputs=2, nodes=2 + self.nodes, output=tuple(range(2, 2 + self.nodes)))

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Stem, cells with the layers that bring their inputs to one shape, head."""
        dims = self.dims
        layers: list[Layer] = []
        if self.stem == "imagenet":
            layers += [
                stem(self, self.channels, kind="imagenet_stem", stride=4),
                Layer("imagenet_stem_reduction", (1,), (self.channels,), self.channels, stride=2, dims=dims),
            ]
            before, last = (1, self.channels), (2, self.channels)
        else:
            layers.append(stem(self, self.stem_multiplier * self.channels, stride=self.stem_stride))
            before = last = (1, self.stem_multiplier * self.channels)
        halved = self.stem == "imagenet"  # whether the older input is twice as large as the newer one
        width = self.channels
        for number in range(self.cells):
            reduces = number in self.reductions
            width *= 2 if reduces else 1
            kind = "reducing_preprocess" if halved else "preprocess"
            layers.append(Layer(kind, (before[0],), (before[1],), width, stride=2 if halved else 1, dims=dims))
            layers.append(Layer("preprocess", (last[0],), (last[1],), width, dims=dims))
            inputs = (len(layers) - 1, len(layers))
            group = "reduce" if reduces else "normal"
            stride = 2 if reduces else 1
            out = len(self.graph(group).output) * width
            layers.append(Layer("cell", inputs, (width, width), out, stride=stride, group=group, dims=dims))
            before, last, halved = last, (len(layers), out), reduces
        return (*layers, head(self, *last, kind="linear_head"))

    @property
    def auxiliary(self) -> Layer:
        """The auxiliary head of the evaluation, on the output of the second reduction cell.

        Where there is an output at every position, it is the head of a `CellSpace`: batch norm, ReLU, 1x1 convolution.
        """
        cells = [number for number, layer in enumerate(self.layers, start=1) if layer.kind == "cell"]
        at = cells[2 * self.cells // 3]
        if self.dense:
            return head(self, at, self.layers[at - 1].out)
        kind = "imagenet_auxiliary_head" if self.stem == "imagenet" else "auxiliary_head"
        return head(self, at, self.layers[at - 1].out, kind=kind)

    def searched(self, option: str) -> str:
        """In a supernet, pools are followed by a batch norm without scale and shift."""
        return f"{option}_norm" if option in ("max_pool_3x3", "avg_pool_3x3") else option

    def prune(self, kept: Mapping[str, Sequence[Sequence[int]]]) -> Self:
        normal, reduce = (pruned_lists(group, kept[group.name]) for group in self.groups)
        return replace(self, normal_operations=normal, reduce_operations=reduce)

    def deeper(self, cells: int) -> Self:
        return replace(self, cells=self.cells + cells)

    _other_nodes: ClassVar[Mapping[int, str]] = {5: ": cells of 5 nodes, such as NASNet's, are of the space nasnet"}
    _other_output: ClassVar[str] = ""

    def to_native(self, architecture: Architecture) -> str:
        """The genotype, as the community writes it: ``Genotype(normal=[('sep_conv_3x3', 1), ...], ...)``.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        self.check(architecture)
        return write_genotype(self, architecture)

    def from_native(self, text: str) -> Architecture:
        """The architecture of a genotype; pairs may stand in any order within a node.

        It may be an assignment, a line of a log or a dictionary; its pairs may be nested by node, and weights may follow them.

        Raises:
            SpaceError: if the text is malformed, or has another number of pairs, a source that a node does not have, or an
                operation that an edge does not have.
        """
        architecture = read_genotype(self, text, other_nodes=self._other_nodes, other_output=self._other_output)
        self.check(architecture)
        return architecture


DARTS_WITHOUT_NONE = DARTS_OPERATIONS[1:]

_SKIP, _MAX, _AVERAGE = "skip_connect", "max_pool_3x3", "avg_pool_3x3"
_SEP3, _DIL3, _DIL5 = "sep_conv_3x3", "dil_conv_3x3", "dil_conv_5x5"

S1_NORMAL: Lists = (
    (_SKIP, _DIL3),
    (_SKIP, _DIL5),
    (_SKIP, _DIL5),
    (_SKIP, _SEP3),
    (_SKIP, _DIL3),
    (_MAX, _SKIP),
    (_SKIP, _SEP3),
    (_SKIP, _SEP3),
    (_SKIP, _DIL3),
    (_SKIP, _SEP3),
    (_MAX, _SKIP),
    (_SKIP, _DIL3),
    (_DIL3, _DIL5),
    (_DIL3, _DIL5),
)
S1_REDUCE: Lists = (
    (_MAX, _AVERAGE),
    (_MAX, _DIL3),
    (_MAX, _AVERAGE),
    (_MAX, _AVERAGE),
    (_SKIP, _DIL5),
    (_MAX, _AVERAGE),
    (_MAX, _SEP3),
    (_SKIP, _DIL3),
    (_SKIP, _DIL5),
    (_MAX, _AVERAGE),
    (_MAX, _AVERAGE),
    (_SKIP, _DIL5),
    (_SKIP, _DIL5),
    (_SKIP, _DIL5),
)


@dataclass(frozen=True, kw_only=True)
class S1(Darts):
    """Two operations on every edge, those that an earlier search had left; see `Darts` for the arguments.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 3.1 and the authors' code.
    """

    normal_operations: Lists | None = S1_NORMAL
    reduce_operations: Lists | None = S1_REDUCE
    name: str = field(default="s1", init=False)


@dataclass(frozen=True, kw_only=True)
class S2(Darts):
    """``skip_connect`` or ``sep_conv_3x3`` on every edge; see `Darts` for the arguments.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 3.1.
    """

    operations: tuple[str, ...] = (_SKIP, _SEP3)
    name: str = field(default="s2", init=False)


@dataclass(frozen=True, kw_only=True)
class S3(Darts):
    """``none``, ``skip_connect`` or ``sep_conv_3x3`` on every edge; see `Darts` for the arguments.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 3.1.
    """

    operations: tuple[str, ...] = ("none", _SKIP, _SEP3)
    name: str = field(default="s3", init=False)


@dataclass(frozen=True, kw_only=True)
class S4(Darts):
    """``noise`` or ``sep_conv_3x3`` on every edge; see `Darts` for the arguments.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 3.1.
    """

    operations: tuple[str, ...] = ("noise", _SEP3)
    name: str = field(default="s4", init=False)


@dataclass(frozen=True, kw_only=True)
class S5(Darts):
    """The DARTS space without ``none``, called S0 too; see `Darts` for the arguments.

    Source: code of Chen & Hsieh 2020 (arXiv:2002.05283); Chu et al. 2021 (arXiv:2009.01027).
    """

    operations: tuple[str, ...] = DARTS_WITHOUT_NONE
    name: str = field(default="s5", init=False)


def darts(
    *,
    cells: int = 8,
    channels: int = 16,
    stem: Literal["cifar", "imagenet"] = "cifar",
    input_shape: tuple[int, ...] | None = None,
    outputs: int | None = None,
    dense: bool | None = None,
    tokens: bool | None = None,
    operations: tuple[str, ...] = DARTS_OPERATIONS,
) -> Darts:
    """The DARTS space, by default with the published search's sizes; see `Darts` for the arguments."""
    return Darts(
        cells=cells,
        channels=channels,
        stem=stem,
        input_shape=input_shape,
        outputs=outputs,
        dense=dense,
        tokens=tokens,
        operations=operations,
    )
