"""The macro space of ENAS: a whole network, in which every layer decides its operation and which layers before it it reads.

Source: Pham et al. 2018 (arXiv:1802.03268), section 2.3, and the authors' code (melodyguan/enas).
"""

from dataclasses import dataclass, field, replace
from functools import cache
from typing import ClassVar

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.core import Architecture, Choice, Decision, Group, Roles, check_complete
from mixop.spaces.enas import check_dropout, check_halved, numbers_of
from mixop.spaces.ends import head, stem
from mixop.spaces.stacked import Graph, Layer, Stacked, check_skeleton

MACRO_OPERATIONS = (
    "conv_3x3",
    "separable_conv_3x3",
    "conv_5x5",
    "separable_conv_5x5",
    "average_pooling",
    "max_pooling",
)
"""The published operations; their order is that of the published numbers."""

_SEARCHED: dict[str, str] = dict(
    zip(
        MACRO_OPERATIONS,
        (
            "enas_conv_3x3",
            "enas_sep_conv_3x3",
            "enas_conv_5x5",
            "enas_sep_conv_5x5",
            "enas_avg_pool_3x3",
            "enas_max_pool_3x3",
        ),
        strict=True,
    )
)

_LITERAL = {
    "separable_conv_3x3": "enas_conv_3x3",
    "separable_conv_5x5": "enas_conv_5x5",
    "average_pooling": "enas_identity",
    "max_pooling": "enas_identity",
}

DEEPEST = 64
"""Layers that a network may have."""

NETWORK = "network"
"""The name of the one cell, which is the network."""


@dataclass(frozen=True, kw_only=True)
class EnasMacro(Stacked):
    """A chain of layers with skips: every layer has one operation on the layer before it, and adds any of those before that.

    The network is one cell of ``depth + 1`` nodes: node 0 is the stem, node k the k-th layer. Two groups decide about it:
    ``operations``, an operation on the edge into every layer from the one before, and ``skips``, ``none`` or ``skip_connect``
    on the edge from every other node before it. After a third and two thirds of the layers every node so far goes through a
    factorised reduction of its own. In the supernet the channels stay the same, a layer is batch norm of its operation plus
    its skips, and operations end in a ReLU.

    The network of an architecture is built in the authors' other form: channels double with every reduction, ReLUs stand before
    convolutions, and a layer is batch norm of a 1x1 convolution of the concatenation of its operation and its skips, which is
    written here as the sum of a 1x1 convolution of each. Nodes that no later layer reads are reduced too, as in their code.

    Args:
        operations: candidates in every layer, of `MACRO_OPERATIONS`.
        depth: layers, >= 1; 12 in the published search, 24 in the published network.
        channels: channels of the first layers, even; 36 in the search, 96 in the published training.
        dropout: share of the features before the classifier that is zero in training, in [0, 1); 0.1 in the search.
        enas_literal: whether built networks have what the authors' code for fixed networks has in place of what was searched:
            plain convolutions for separable ones. Their code stops at pools; here they pass their input on.
        input_shape: shape of one input: ``(C, H, W)`` images, ``(C, L)`` signals; None to take the data's.
        outputs: numbers for an example, or for each position, >= 1; None to take the data's.
        dense: whether there is an output at every position; None to take the data's.
        tokens: whether inputs are tokens, which is refused; None to take the data's.

    Raises:
        SpaceError: for sizes that make no network, and for unknown operations.

    Example:
        >>> space = EnasMacro(depth=3)
        >>> architecture = space.from_native("0  3 0  2 1 0")
        >>> space.to_native(architecture)
        '0 3 0 2 1 0'
        >>> space.size() == 6**3 * 2**3
        True
    """

    operations: tuple[str, ...] = MACRO_OPERATIONS
    depth: int = 12
    channels: int = 36
    dropout: float = 0.1
    enas_literal: bool = False
    input_shape: tuple[int, ...] | None = None
    outputs: int | None = None
    dense: bool | None = None
    tokens: bool | None = None
    name: str = field(default="enas_macro", init=False)
    roles: ClassVar[Roles] = Roles(pools=("average_pooling", "max_pooling"))
    rebuilt: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_skeleton(self.name, depth=self.depth, channels=self.channels)
        if self.depth > DEEPEST:
            raise SpaceError(f"{self.name}: depth must be at most {DEEPEST}, got {self.depth}.")
        if self.channels % 2:
            raise SpaceError(f"{self.name}: channels must be even, because the reductions halve them, got {self.channels}.")
        check_dropout(self.name, self.dropout)
        if not isinstance(self.enas_literal, bool):
            raise SpaceError(f"{self.name}: enas_literal must be true or false, got {self.enas_literal!r}.")
        if not isinstance(self.operations, list | tuple) or not self.operations:
            raise SpaceError(f"{self.name}: operations must be a list of names, got {self.operations!r}.")
        for operation in self.operations:
            if operation not in MACRO_OPERATIONS:
                raise SpaceError(unknown(f"operation in {self.name}", str(operation), MACRO_OPERATIONS))
        object.__setattr__(self, "operations", tuple(self.operations))
        _ = self.groups  # its own checks: repeated operations
        self._check_sizes()

    def _check_sizes(self) -> None:
        super()._check_sizes()
        check_halved(self, len(self.reductions))

    @property
    def reductions(self) -> tuple[int, ...]:
        """The layers, counted from 1, after which everything is halved."""
        third = self.depth // 3
        return (third, 2 * third) if third else ()

    @property
    def groups(self) -> tuple[Group, ...]:
        """``operations``, one decision for each layer, and ``skips``, one for each pair of nodes that are not neighbours."""
        return _groups(self.operations, self.depth)

    def graph(self, group: str) -> Graph:
        """The network's graph: the stem, and a node for each layer; the last one is its output."""
        self.group(group)
        return Graph(inputs=1, nodes=self.depth + 1, output=(self.depth,), chain=True)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Stem, layers with their batch norms, reductions of all nodes so far, head; the channels stay the same."""
        return self._layers(doubling=False)

    def layers_of(self, architecture: Architecture) -> tuple[Layer, ...]:
        """The same with channels that double with every reduction."""
        return self._layers(doubling=True)

    def _layers(self, *, doubling: bool) -> tuple[Layer, ...]:
        dims, width = self.dims, self.channels
        layers = [stem(self, width)]
        nodes = [1]  # the numbers of the layers that give the nodes
        for node in range(1, self.depth + 1):
            layers.append(Layer("cell", tuple(nodes), (width,) * node, width, group=NETWORK, dims=dims, node=node))
            if node > 1:  # the first layer adds nothing to its operation
                layers.append(Layer("norm", (len(layers),), (width,), width, dims=dims))
            nodes.append(len(layers))
            if node in self.reductions:
                wider = 2 * width if doubling else width
                for k, given in enumerate(nodes):
                    layers.append(Layer("factorised_reduction", (given,), (width,), wider, stride=2, dims=dims))
                    nodes[k] = len(layers)
                width = wider
        return (*layers, replace(head(self, nodes[-1], width, kind="dropped_head"), dropout=self.dropout))

    def searched(self, option: str) -> str:
        """The authors' operations of the supernet: a 1x1 convolution, batch norm and ReLU before each."""
        return _SEARCHED.get(option, option)

    def built(self, option: str, decision: Decision) -> str:
        """The authors' operations of the final network, each with its part of the convolution that joins a layer's inputs."""
        if self.is_skip(option):
            return "enas_join"
        if option not in _SEARCHED:
            return option
        name = (_LITERAL if self.enas_literal else _SEARCHED).get(option, _SEARCHED[option])
        joined = "_joined" if decision.source > 0 else ""  # the first layer has no skips to be joined with
        return f"enas_final_{name.removeprefix('enas_')}{joined}"

    def check(self, architecture: Architecture) -> None:
        """As `Space.check`; an architecture decides everything.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        layers = len(dict(architecture.choices).get("operations", ()))
        if architecture.space == self.name and layers != self.depth:
            raise SpaceError(
                f"The architecture has {layers} layers, but this {self.name} has {self.depth}: give it depth={layers}."
            )
        super().check(architecture)
        check_complete(self, architecture)

    def to_native(self, architecture: Architecture) -> str:
        """The authors' numbers: for each layer its operation, 0 to 5, then 1 or 0 for each node but the last one before it.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        self.check(architecture)
        operations = [MACRO_OPERATIONS.index(choice.option) for choice in architecture.of("operations")]
        skips = iter(int(self.is_skip(choice.option)) for choice in architecture.of("skips")) if self.depth > 1 else iter(())
        numbers = []
        for layer, operation in enumerate(operations):
            numbers += [operation, *(next(skips) for _ in range(layer))]
        return " ".join(map(str, numbers))

    def from_native(self, text: str) -> Architecture:
        """The architecture of the authors' numbers, in one line or in one for each layer.

        Raises:
            SpaceError: if the text is malformed, with what was expected.
        """
        form = f"as one line of numbers, or one for each of the {self.depth} layers: an operation, then a 0 or 1 for each skip"
        numbers = iter(numbers_of(text, self.name, form, self.depth * (self.depth + 1) // 2))
        operations, skips = [], []
        for layer in range(self.depth):
            number = next(numbers)
            if number >= len(MACRO_OPERATIONS) or MACRO_OPERATIONS[number] not in self.operations:
                known = ", ".join(f"{MACRO_OPERATIONS.index(name)} {name}" for name in self.operations)
                raise SpaceError(f"Layer {layer + 1} of {self.name} has one of the operations {known}, got {number}.")
            operations.append(Choice(layer, MACRO_OPERATIONS[number]))
            for _ in range(layer):
                bit = next(numbers)
                if bit > 1:
                    raise SpaceError(f"A skip of layer {layer + 1} of {self.name} is 0 or 1, got {bit}.")
                skips.append(Choice(len(skips), ("none", "skip_connect")[bit]))
        choices = (("operations", tuple(operations)), *((("skips", tuple(skips)),) if skips else ()))
        architecture = Architecture(self.name, choices)
        self.check(architecture)
        return architecture


@cache
def _groups(operations: tuple[str, ...], depth: int) -> tuple[Group, ...]:
    together = {"roles": EnasMacro.roles, "cell": NETWORK, "chain": NETWORK}
    layers = tuple(Decision(node - 1, node, operations) for node in range(1, depth + 1))
    pairs = tuple(
        Decision(source, node, ("none", "skip_connect")) for node in range(2, depth + 1) for source in range(node - 1)
    )
    return (Group("operations", layers, **together), *((Group("skips", pairs, **together),) if pairs else ()))


def enas_macro(
    *,
    depth: int = 12,
    channels: int = 36,
    dropout: float = 0.1,
    enas_literal: bool = False,
    input_shape: tuple[int, ...] | None = None,
    outputs: int | None = None,
    dense: bool | None = None,
    tokens: bool | None = None,
    operations: tuple[str, ...] = MACRO_OPERATIONS,
) -> EnasMacro:
    """The macro space of ENAS, by default with the published search's sizes; see `EnasMacro` for the arguments."""
    return EnasMacro(
        depth=depth,
        channels=channels,
        dropout=dropout,
        enas_literal=enas_literal,
        input_shape=input_shape,
        outputs=outputs,
        dense=dense,
        tokens=tokens,
        operations=operations,
    )
