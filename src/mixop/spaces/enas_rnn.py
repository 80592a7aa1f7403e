"""The recurrent space of ENAS: cells whose nodes read one node before by one activation, and whose output is what is not read.

Source: Pham et al. 2018 (arXiv:1802.03268), section 2.1, and the authors' code (melodyguan/enas).
"""

from dataclasses import dataclass, field
from functools import cache
from typing import ClassVar

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.core import Architecture, Choice, Decision, Group
from mixop.spaces.enas import numbers_of
from mixop.spaces.recurrent import RecurrentSpace
from mixop.spaces.stacked import Graph, check_skeleton

RNN_OPERATIONS = ("tanh", "relu", "identity", "sigmoid")
"""The published activations; their order is that of the published numbers."""

DEEPEST = 64
"""Nodes that a cell may have."""


@dataclass(frozen=True, kw_only=True)
class EnasRnn(RecurrentSpace):
    """A recurrent cell in which every node is a highway layer on one node before it, with an activation of its own.

    For every token, node 0 is the token x and the state h of the token before, side by side. Node 1 is ``h + c (f(g) - h)``
    with ``[c, g]`` from ``[x, h] W``, ``c`` behind a sigmoid, and the activation f that was chosen. Node i reads one node j
    from 1 to i - 1: ``s_i = s_j + c (f(g) - s_j)`` with both from ``s_j W``. The mean of the nodes that no other one reads is
    the cell's output, and the state for the next token.

    In a supernet every pair of an edge and an activation has a matrix of its own. Batch norm follows the product of every
    node, before the sigmoid and the activation, and the output. Where a relaxation mixes all edges, a node is the sum over
    them by their mixing weights, no node is left over, and the mean of all is the output. The network of an architecture has
    one matrix for each node, and no batch norm.

    Around the cell are an embedding and a decoder that shares its weight. Inputs are tokens, and every token has an output.

    Args:
        operations: candidates in every node, of `RNN_OPERATIONS`.
        nodes: nodes besides node 0, >= 1; 12 in the published search.
        hidden: size of the embedding and of the state, >= 1; 720 in the published search, 748 in its evaluation.
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

    Raises:
        SpaceError: for sizes that make no network, unknown activations, and data that are no tokens.

    Example:
        >>> space = EnasRnn(nodes=3)
        >>> space.size()  # node 2 reads node 1, node 3 one of two; each has one of four activations
        128
        >>> space.to_native(space.from_native("0  0 1  1 3"))
        '0 0 1 1 3'
    """

    kind: ClassVar[str] = "highway_cell"
    rebuilt: ClassVar[bool] = True

    operations: tuple[str, ...] = RNN_OPERATIONS
    nodes: int = 12
    hidden: int = 720
    word_dropout: float = 0.25
    embedding_dropout: float = 0.0
    slowness: float = 0.0
    name: str = field(default="enas_rnn", init=False)

    def __post_init__(self) -> None:
        check_skeleton(self.name, nodes=self.nodes, hidden=self.hidden)
        if self.nodes > DEEPEST:
            raise SpaceError(f"{self.name}: nodes must be at most {DEEPEST}, got {self.nodes}.")
        if not isinstance(self.operations, list | tuple) or not self.operations:
            raise SpaceError(f"{self.name}: operations must be a list of names, got {self.operations!r}.")
        for operation in self.operations:
            if operation not in RNN_OPERATIONS:
                raise SpaceError(unknown(f"operation in {self.name}", str(operation), RNN_OPERATIONS))
        object.__setattr__(self, "operations", tuple(self.operations))
        self._check_numbers()
        _ = self.groups  # its own checks: repeated operations
        self._check_sizes()

    @property
    def drops_paths(self) -> bool:
        return False  # a node reads one other, and without it there would be nothing

    @property
    def groups(self) -> tuple[Group, ...]:
        """The one group ``recurrent``: the edge from node 0 to node 1, and one from every node to every later one."""
        return _groups(self.operations, self.nodes)

    def graph(self, group: str) -> Graph:
        """The cell's graph: node 0 are token and state, the mean of what is left over is the output."""
        self.group(group)
        nodes = tuple(range(1, self.nodes + 1))
        return Graph(inputs=1, nodes=1 + self.nodes, output=nodes, recurrent=True, loose=True)

    def to_native(self, architecture: Architecture) -> str:
        """The authors' numbers: the activation of the first node, then for each other one the node that it reads, and its own.

        Nodes count from 0, which is our node 1.

        Raises:
            SpaceError: if the architecture does not belong to the space.
        """
        self.check(architecture)
        numbers = []
        for choice in architecture.of("recurrent"):
            source = self.groups[0].decisions[choice.decision].source
            numbers += [*([source - 1] if source else []), RNN_OPERATIONS.index(choice.option)]
        return " ".join(map(str, numbers))

    def from_native(self, text: str) -> Architecture:
        """The architecture of the authors' numbers.

        Raises:
            SpaceError: if the text is malformed, with what was expected.
        """
        form = f"as the activation of the first node (0 to 3), then for each other of {self.nodes} a node before it (0 is the "
        form += "first) and an activation"
        numbers = iter(numbers_of(text, self.name, form, 2 * self.nodes - 1))
        (group,), choices = self.groups, []
        for node in range(1, self.nodes + 1):
            read = next(numbers) if node > 1 else 0
            if read >= max(node - 1, 1):
                raise SpaceError(f"Node {node - 1} of {self.name} reads one of the nodes 0 to {node - 2}, got {read}.")
            number = next(numbers)
            if number >= len(RNN_OPERATIONS) or RNN_OPERATIONS[number] not in self.operations:
                known = ", ".join(f"{RNN_OPERATIONS.index(name)} {name}" for name in self.operations)
                raise SpaceError(f"A node of {self.name} has one of the activations {known}, got {number}.")
            choices.append(Choice(group.into(node)[read], RNN_OPERATIONS[number]))
        architecture = Architecture(self.name, (("recurrent", tuple(choices)),))
        self.check(architecture)
        return architecture


@cache
def _groups(operations: tuple[str, ...], nodes: int) -> tuple[Group, ...]:
    pairs = [(0, 1), *((source, target) for target in range(2, nodes + 1) for source in range(1, target))]
    decisions = tuple(Decision(*pair, operations) for pair in pairs)
    return (Group("recurrent", decisions, keep=1, roles=EnasRnn.roles, chain="recurrent"),)


def enas_rnn(*, hidden: int = 720, nodes: int = 12, operations: tuple[str, ...] = RNN_OPERATIONS) -> EnasRnn:
    """The recurrent space of ENAS with the rates of dropout of its search; see `EnasRnn` for the arguments."""
    return EnasRnn(hidden=hidden, nodes=nodes, operations=operations)
