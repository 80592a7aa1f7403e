"""Recurrent cells for language: the DARTS space of the Penn Treebank, and the cell of ENAS in the same form.

Source: Liu, Simonyan & Yang 2019 (arXiv:1806.09055), sections 2.1 and 3.2, and the authors' code.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import ClassVar, Self

from mixop.core.errors import SpaceError, unknown
from mixop.core.schedules import check_range
from mixop.spaces.core import Architecture, Decision, Group, Roles, pruned_lists
from mixop.spaces.ends import OPEN_OUTPUTS
from mixop.spaces.genotype import read_genotype, write_genotype
from mixop.spaces.sizes import Sizes
from mixop.spaces.stacked import Graph, Layer, Stacked, check_skeleton

ACTIVATIONS = ("none", "tanh", "relu", "sigmoid", "identity")
"""The published options, in their order."""

Lists = tuple[tuple[str, ...], ...]

FORM = "Genotype(recurrent=[('relu', 0), ('tanh', 1), ...], concat=range(1, 9))"


@cache
def _group(lists: Lists, nodes: int, roles: Roles) -> Group:
    edges = [(source, target) for target in range(1, nodes + 1) for source in range(target)]
    decisions = tuple(Decision(*edge, names) for edge, names in zip(edges, lists, strict=True))
    return Group("recurrent", decisions, keep=1, roles=roles)


@dataclass(frozen=True, kw_only=True)
class RecurrentSpace(Stacked):
    """A recurrent cell between an embedding and a decoder that shares its weight: it reads tokens, and predicts the next ones.

    Rates of dropout are part of the space, since a network draws one mask for a whole window. The cell is the group
    ``recurrent``; which graph it has and what decides it is the business of subclasses.

    Attributes:
        kind: of the cell's layer.

    Args:
        hidden: size of the embedding and of the state, >= 1.
        word_dropout: chance that all places of a word in a window are dropped, in [0, 1).
        embedding_dropout: chance of a number of the embedded tokens, one mask for a window.
        input_dropout: chance of a number of the cell's input, one mask for a window.
        state_dropout: chance of a number of the state and of every node that is read, one mask for a window.
        output_dropout: chance of a number of the cell's output, one mask for a window.
        slowness: weight of the squared change of the state from token to token in the loss of training, >= 0.
        activation: weight of the squared output after dropout in the loss of training, >= 0.
        input_shape: ``(V, T)``, vocabulary and window; None to take the data's.
        outputs: the vocabulary V again; None to take the data's.
        dense: true, there is an output at every token; None to take the data's.
        tokens: true; None to take the data's.

    Source: dropout and slowness as Merity et al. 2018 (arXiv:1708.02182), sections 3 and 4.
    """

    roles: ClassVar[Roles] = Roles(skips=())
    kind: ClassVar[str] = "recurrent_cell"

    hidden: int = 300
    word_dropout: float = 0.0
    embedding_dropout: float = 0.2
    input_dropout: float = 0.75
    state_dropout: float = 0.25
    output_dropout: float = 0.75
    slowness: float = 1e-3
    activation: float = 0.0
    input_shape: tuple[int, ...] | None = None
    outputs: int | None = None
    dense: bool | None = None
    tokens: bool | None = None

    def _check_numbers(self) -> None:
        """Refuses rates and weights out of range."""
        for rate in ("word", "embedding", "input", "state", "output"):
            value = getattr(self, f"{rate}_dropout")
            check_range(f"{rate} dropout of {self.name}", value, at_least=0)
            if not value < 1:
                raise SpaceError(f"{self.name}: {rate} dropout must be less than 1, which drops everything, got {value:g}.")
        for name in ("slowness", "activation"):
            check_range(f"{name} of {self.name}", getattr(self, name), at_least=0)

    def _check_sizes(self) -> None:
        super()._check_sizes()
        if False in (self.tokens, self.dense) or (self.input_shape is not None and len(self.input_shape) != 2):
            raise SpaceError(
                f"{self.name} reads the tokens of a text and predicts the next one at every place: use data of texts, such as "
                "--data ptb or --data text, or a space for the data that you have."
            )
        if self.input_shape is not None and self.outputs is not None and self.outputs != self.input_shape[0]:
            raise SpaceError(
                f"{self.name} predicts the tokens that it reads, so its outputs must be the vocabulary of "
                f"{self.input_shape[0]}, got {self.outputs}."
            )

    @property
    def dims(self) -> int:
        return 1

    @property
    def usual(self) -> Sizes:
        """Those of the Penn Treebank."""
        return Sizes((10_000, 35), 10_000, dense=True, tokens=True)

    @property
    def vocabulary(self) -> int:
        """The number of tokens that there are; a small one where it is open."""
        return OPEN_OUTPUTS if self.input_shape is None else self.input_shape[0]

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Embedding, cell, and a decoder with the embedding's weight."""
        size, words = self.hidden, self.vocabulary
        embedding = (("word_dropout", self.word_dropout), ("dropout", self.embedding_dropout))
        cell = (
            ("input_dropout", self.input_dropout),
            ("state_dropout", self.state_dropout),
            ("slowness", self.slowness),
        )
        decoder = (("dropout", self.output_dropout), ("activation", self.activation))
        return (
            Layer("embedding", (0,), (words,), size, dims=1, settings=embedding),
            Layer(self.kind, (1,), (size,), size, group="recurrent", dims=1, settings=cell),
            Layer("tied_decoder", (2,), (size,), words, dims=1, tied=1, settings=decoder),
        )


@dataclass(frozen=True, kw_only=True)
class DartsRnn(RecurrentSpace):
    """A recurrent cell: each of its nodes reads one node before it through one activation.

    For every token, node 0 is ``s_0 = h + c (tanh(g) - h)`` of the state h that the token before left, with the gate
    ``c`` (a sigmoid) and ``g`` from ``[x, h] W_0``. Node i reads node j: ``s_i = s_j + c (f(g) - s_j)`` with both from
    ``s_j W_i``. The matrix is the node's: all edges into it and all their activations share it. The cell's output, which is
    also the state for the next token, is the mean of its nodes without node 0. In a supernet a node is the sum over all its
    edges and activations by their mixing weights, and batch norm without scale and shift, one for all nodes, follows each.

    Around the cell are an embedding and a decoder that shares its weight. Inputs are tokens, and every token has an output.
    Rates of dropout are part of the space, since a network draws one mask for a whole window.

    Args:
        operations: candidates on every edge, of `ACTIVATIONS`.
        edge_operations: instead, a list for each edge, equally long: where a search has pruned edges.
        nodes: nodes besides node 0, >= 1; 8 in the published search.
        output: the nodes, 1 to ``nodes``, whose mean is the output; None for all of them.
        hidden: size of the embedding and of the state, >= 1; 300 in the published search, 850 in its evaluation.
        word_dropout: chance that all places of a word in a window are dropped, in [0, 1); ``dropoute`` of the published code.
        embedding_dropout: chance of a number of the embedded tokens, one mask for a window; ``dropouti``.
        input_dropout: chance of a number of the cell's input, one mask for a window; ``dropoutx``.
        state_dropout: chance of a number of the state and of every node that is read, one mask for a window; ``dropouth``.
        output_dropout: chance of a number of the cell's output, one mask for a window; ``dropout``.
        slowness: weight of the squared change of the state from token to token in the loss of training, >= 0.
        activation: weight of the squared output after dropout in the loss of training, >= 0.
        input_shape: ``(V, T)``, vocabulary and window; None to take the data's.
        outputs: the vocabulary V again; None to take the data's.
        dense: true, there is an output at every token; None to take the data's.
        tokens: true; None to take the data's.

    Raises:
        SpaceError: for sizes that make no network, unknown activations, and data that are no tokens.

    Source: Liu et al. 2019, section 3.2; dropout and slowness as Merity et al. 2018 (arXiv:1708.02182), sections 3 and 4.

    Example:
        >>> space = DartsRnn(nodes=2)
        >>> space.size()  # one edge of node 1 and two of node 2, each with one of four activations
        32
        >>> print(space.to_native(space.architecture([(2, None, 4)])))
        Genotype(recurrent=[('relu', 0), ('identity', 1)], concat=range(1, 3))
    """

    operations: tuple[str, ...] = ACTIVATIONS
    edge_operations: Lists | None = None
    nodes: int = 8
    output: tuple[int, ...] | None = None
    name: str = field(default="darts_rnn", init=False)

    def __post_init__(self) -> None:
        check_skeleton(self.name, nodes=self.nodes, hidden=self.hidden)
        object.__setattr__(self, "operations", self._names("operations", self.operations))
        if self.edge_operations is not None:
            object.__setattr__(self, "edge_operations", self._lists(self.edge_operations))
        elif not self.operations:
            raise SpaceError(f"{self.name}: give at least one operation, operations=('tanh', ...), got none.")
        if self.output is not None:
            object.__setattr__(self, "output", self._output(self.output))
        self._check_numbers()
        _ = self.groups  # its own checks: repeated options, lists of different lengths
        self._check_sizes()

    def _names(self, where: str, names: object) -> tuple[str, ...]:
        if not isinstance(names, list | tuple) or not all(isinstance(name, str) for name in names):
            raise SpaceError(f"{self.name}: {where} must be a list of names, got {names!r}.")
        for name in names:
            if name not in ACTIVATIONS:
                raise SpaceError(unknown(f"operation in {self.name}", name, ACTIVATIONS))
        return tuple(names)

    def _lists(self, lists: object) -> Lists:
        edges = self.nodes * (self.nodes + 1) // 2
        if not isinstance(lists, list | tuple) or len(lists) != edges:
            got = f"{len(lists)} lists" if isinstance(lists, list | tuple) else repr(lists)
            raise SpaceError(f"{self.name}: edge_operations must hold a list for each of the {edges} edges, got {got}.")
        return tuple(self._names(f"edge_operations[{e}]", names) for e, names in enumerate(lists))

    def _output(self, nodes: object) -> tuple[int, ...]:
        if not isinstance(nodes, list | tuple) or not nodes or any(type(node) is not int for node in nodes):
            raise SpaceError(f"{self.name}: output must be a list of nodes, got {nodes!r}.")
        if sorted(set(nodes)) != list(nodes) or not 1 <= nodes[0] <= nodes[-1] <= self.nodes:
            raise SpaceError(f"{self.name}: output must be increasing nodes from 1 to {self.nodes}, got {nodes!r}.")
        return tuple(nodes)

    @property
    def groups(self) -> tuple[Group, ...]:
        """The one group ``recurrent``: 36 edges where there are 8 nodes; a node keeps one of those that end in it."""
        everywhere = (self.operations,) * (self.nodes * (self.nodes + 1) // 2)
        return (_group(self.edge_operations or everywhere, self.nodes, self.roles),)

    def graph(self, group: str) -> Graph:
        """The cell's graph: node 0 is given by input and state, the mean of the output nodes is the output."""
        self.group(group)
        output = tuple(range(1, self.nodes + 1)) if self.output is None else self.output
        return Graph(inputs=1, nodes=1 + self.nodes, output=output, recurrent=True)

    def prune(self, kept: Mapping[str, Sequence[Sequence[int]]]) -> Self:
        return replace(self, edge_operations=pruned_lists(self.groups[0], kept["recurrent"]))

    _other_nodes: ClassVar[Mapping[int, str]] = {11: ": the cell of ENAS, of 11 nodes, is of the space enas_rnn_cell"}
    _other_output: ClassVar[str] = ": give the space the nodes as output to have other ones"

    def to_native(self, architecture: Architecture) -> str:
        """The genotype, as the community writes it: ``Genotype(recurrent=[('relu', 0), ...], concat=range(1, 9))``.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        self.check(architecture)
        return write_genotype(self, architecture)

    def from_native(self, text: str) -> Architecture:
        """The architecture of a genotype: for each node its activation and the node that it reads.

        It may be an assignment, a line of a log or a dictionary.

        Raises:
            SpaceError: if the text is malformed, or has another number of pairs, a source that a node does not have, or an
                activation that an edge does not have.
        """
        architecture = read_genotype(self, text, other_nodes=self._other_nodes, other_output=self._other_output, form=FORM)
        self.check(architecture)
        return architecture


@dataclass(frozen=True, kw_only=True)
class EnasRnnCell(DartsRnn):
    """Cells with the size and the output of the one that ENAS found: 11 nodes, whose output are those that no other reads.

    ENAS itself searches otherwise: its output are the loose ends of every cell that it draws, and its matrices belong to pairs
    of nodes, see `mixop.spaces.enas_rnn.EnasRnn`. Here the output is fixed, and the cell is trained as its node has it in the
    published code of DARTS. See `DartsRnn` for the arguments.

    Source: Pham et al. 2018 (arXiv:1802.03268), section 2.1; the cell in the code of Liu et al. 2019 (arXiv:1806.09055).
    """

    nodes: int = 11
    output: tuple[int, ...] | None = (2, 5, 6, 9, 10, 11)
    name: str = field(default="enas_rnn_cell", init=False)

    _other_nodes: ClassVar[Mapping[int, str]] = {8: ": cells of 8 nodes are of the space darts_rnn"}


def darts_rnn(*, hidden: int = 300, nodes: int = 8, operations: tuple[str, ...] = ACTIVATIONS) -> DartsRnn:
    """The recurrent space of DARTS with its published rates of dropout; see `DartsRnn` for the arguments."""
    return DartsRnn(hidden=hidden, nodes=nodes, operations=operations)
