"""Cells with operations at their vertices, as NAS-Bench-101 writes them: a matrix and a list of operations.

Source: Ying et al. 2019 (arXiv:1902.09635), section 2; pruning, hash and channels as in the authors' code.
"""

import ast
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mixop.core.errors import SpaceError
from mixop.core.outside import shortened

INPUT, OUTPUT = "input", "output"
"""What the first and the last vertex are called."""

OPERATIONS = ("conv3x3-bn-relu", "conv1x1-bn-relu", "maxpool3x3")
"""The operations of NAS-Bench-101, in the order of its labels."""

DUMMY = "conv1x1-bn-relu"
"""The operation of a vertex that nothing reads, as the authors of NAS-Bench-1Shot1 fill up their smaller cells."""

LONGEST = 4000
"""Characters that a cell is written in at most."""

FORM = "ModelSpec(matrix=[[0, 1], [0, 0]], ops=['input', 'output'])"
"""How a cell is written, in messages."""


@dataclass(frozen=True)
class ModelSpec:
    """A directed acyclic graph with an operation at every vertex but the first, the input, and the last, the output.

    Args:
        matrix: V rows of V numbers 0 and 1, zero on and below the diagonal; ``matrix[s][t]`` is 1 where vertex t reads s.
        operations: of the V - 2 vertices between, in their order.

    Raises:
        SpaceError: for a matrix that is not square or not upper triangular, and another number of operations.

    Example:
        >>> chain = ModelSpec(((0, 1, 0), (0, 0, 1), (0, 0, 0)), ("maxpool3x3",))
        >>> chain.text()
        "ModelSpec(matrix=[[0,1,0],[0,0,1],[0,0,0]], ops=['input', 'maxpool3x3', 'output'])"
        >>> chain.channels(16, 32)
        (16, 32, 32)
    """

    matrix: tuple[tuple[int, ...], ...]
    operations: tuple[str, ...]

    def __post_init__(self) -> None:
        count = len(self.matrix)
        if count < 2 or any(len(row) != count for row in self.matrix):
            raise SpaceError(f"The matrix of a cell must be square, with 2 rows at least, got {_sizes(self.matrix)}.")
        for s, row in enumerate(self.matrix):
            for t, entry in enumerate(row):
                if type(entry) is not int or entry not in (0, 1) or (entry and t <= s):
                    raise SpaceError(
                        f"The matrix of a cell has 0 and 1 above its diagonal and 0 elsewhere, got {entry!r} in row {s}, "
                        f"column {t}."
                    )
        if len(self.operations) != count - 2:
            raise SpaceError(
                f"A cell of {count} vertices has {count - 2} operations between its input and its output, got "
                f"{len(self.operations)}."
            )

    @property
    def edges(self) -> tuple[tuple[int, int], ...]:
        """Source and target of every edge, by target and then by source."""
        count = len(self.matrix)
        return tuple((s, t) for t in range(count) for s in range(t) if self.matrix[s][t])

    def pruned(self) -> "ModelSpec | None":
        """The cell without the vertices that lie on no path from the input to the output; None if there is no such path."""
        count = len(self.matrix)
        ahead, behind = {0}, {count - 1}
        for s, t in self.edges:  # by target: a source is complete before it is read
            if s in ahead:
                ahead.add(t)
        for s, t in sorted(self.edges, reverse=True):
            if t in behind:
                behind.add(s)
        kept = sorted(ahead & behind)
        if not {0, count - 1} <= set(kept):
            return None
        matrix = tuple(tuple(self.matrix[s][t] for t in kept) for s in kept)
        return ModelSpec(matrix, tuple(self.operations[v - 1] for v in kept[1:-1]))

    def filled(self, vertices: int) -> "ModelSpec":
        """The cell with further vertices before its output, which read nothing and which nothing reads.

        Args:
            vertices: how many it then has in all; no fewer than it has.
        """
        more = vertices - len(self.matrix)
        rows = [(*row[:-1], *[0] * more, row[-1]) for row in self.matrix]
        empty = [(0,) * vertices] * more
        return ModelSpec((*rows[:-1], *empty, rows[-1]), (*self.operations, *[DUMMY] * more))

    def module_hash(self) -> str:
        """The hash of NAS-Bench-101, 32 hexadecimal digits: equal for cells that are the same but for the order of vertices.

        It is that of this graph as it is: prune it first.

        Raises:
            SpaceError: for an operation that NAS-Bench-101 does not have.

        Source: Ying et al. 2019 (arXiv:1902.09635), section 2.1 and appendix S1; ``graph_util.hash_module`` of the code.
        """
        for operation in self.operations:
            if operation not in OPERATIONS:
                raise SpaceError(f"NAS-Bench-101 has the operations {', '.join(OPERATIONS)}, got {operation!r}.")
        count = len(self.matrix)
        labels = [-1, *map(OPERATIONS.index, self.operations), -2]
        reads = [[s for s in range(count) if self.matrix[s][v]] for v in range(count)]
        read_by = [[t for t in range(count) if self.matrix[v][t]] for v in range(count)]
        hashes = [_md5(str((len(read_by[v]), len(reads[v]), labels[v]))) for v in range(count)]
        for _ in range(count):
            near = [["".join(sorted(hashes[w] for w in those[v])) for those in (reads, read_by)] for v in range(count)]
            hashes = [_md5(f"{before}|{after}|{own}") for (before, after), own in zip(near, hashes, strict=True)]
        return _md5(str(sorted(hashes)))

    def channels(self, inputs: int, outputs: int) -> tuple[int, ...]:
        """How many channels every vertex has: those that the output reads share its channels, others have as many as is read.

        Args:
            inputs: channels of the cell's input.
            outputs: of its output; no fewer than the vertices that it reads, the input not counted.

        Raises:
            SpaceError: if there are too few.

        Source: Ying et al. 2019 (arXiv:1902.09635), appendix S3; ``compute_vertex_channels`` of the code.
        """
        count, last = len(self.matrix), len(self.matrix) - 1
        found = [0] * count
        found[0], found[last] = inputs, outputs
        shares = [v for v in range(1, last) if self.matrix[v][last]]
        if len(shares) > outputs:
            raise SpaceError(
                f"The output of this cell joins {len(shares)} vertices, which {outputs} channels are too few for: set channels "
                f"to {len(shares)} at least."
            )
        for rank, v in enumerate(shares):
            found[v] = outputs // len(shares) + (rank < outputs % len(shares))
        for v in range(last - 1, 0, -1):
            if v not in shares:
                found[v] = max((found[t] for t in range(v + 1, last) if self.matrix[v][t]), default=0)
        return tuple(found)

    def text(self) -> str:
        """The cell as the benchmark's own API takes it: ``ModelSpec(matrix=[[0,1,...],...], ops=['input', ..., 'output'])``."""
        rows = ",".join(f"[{','.join(map(str, row))}]" for row in self.matrix)
        names = ", ".join(repr(name) for name in (INPUT, *self.operations, OUTPUT))
        return f"ModelSpec(matrix=[{rows}], ops=[{names}])"


_CALL = re.compile(r"\bModelSpec\s*\(")
_WORDS = {"matrix": ("matrix", "module_adjacency", "adjacency"), "ops": ("ops", "module_operations", "operations")}


def read_spec(text: str, space: str) -> ModelSpec:
    """The cell of a text: ``ModelSpec(...)``, also in a line of code, or a dictionary with a matrix and operations.

    The keys of a dictionary are ``matrix`` and ``ops``, or ``module_adjacency`` and ``module_operations``, as in the
    benchmark's answers. A matrix may also be one text of 0 and 1, row by row, and the operations one text with commas, as in
    its file.

    Args:
        text: what the user gave.
        space: name of the space, for messages.

    Raises:
        SpaceError: with what was expected and what came.
    """
    if not isinstance(text, str):
        raise SpaceError(f"An architecture of {space} is written as a string, got {type(text).__name__}.")
    malformed = SpaceError(f"An architecture of {space} is written {FORM}, got {shortened(text, 120)}.")
    if len(text) > LONGEST:
        raise SpaceError(f"An architecture of {space} is written in at most {LONGEST:,} characters, got {len(text):,}.")
    found = _CALL.search(text)
    body = (text[found.start() :] if found else text[max(text.find("{"), 0) :]).strip()
    body = body[: max(body.rfind(")" if found else "}"), 0) + 1]
    if any(depth > 4 for depth in _depths(body)):
        raise malformed
    try:
        node = ast.parse(body, mode="eval").body
        if isinstance(node, ast.Call):
            given = dict(zip(("matrix", "ops"), map(ast.literal_eval, node.args), strict=False))
            given |= {str(keyword.arg): ast.literal_eval(keyword.value) for keyword in node.keywords}
        else:
            given = ast.literal_eval(node)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError) as error:
        raise malformed from error
    if not isinstance(given, dict):
        raise malformed
    parts = {name: next((given[word] for word in words if word in given), None) for name, words in _WORDS.items()}
    return spec_of(parts["matrix"], parts["ops"], f"An architecture of {space}")


def spec_of(matrix: Any, operations: Any, what: str) -> ModelSpec:
    """The cell of a matrix and operations that came from outside.

    Args:
        matrix: rows of 0 and 1, or one text of them, row by row.
        operations: names with ``input`` and ``output`` at their ends, or one text with commas.
        what: it is, for messages.

    Raises:
        SpaceError: if it is none.
    """
    if isinstance(matrix, str):
        side = int(len(matrix) ** 0.5)
        if not re.fullmatch("[01]+", matrix) or side * side != len(matrix):
            raise SpaceError(f"{what} has a matrix as a text of 0 and 1, a square number of them, got {shortened(matrix)}.")
        matrix = [[int(digit) for digit in matrix[side * row : side * (row + 1)]] for row in range(side)]
    if isinstance(operations, str):
        operations = operations.split(",")
    if not _is_list(matrix) or not all(_is_list(row) for row in matrix):
        raise SpaceError(f"{what} needs a matrix, a list of rows of 0 and 1, got {shortened(matrix)}.")
    if not _is_list(operations) or not all(isinstance(name, str) for name in operations):
        raise SpaceError(f"{what} needs ops, a list of names, got {shortened(operations)}.")
    names = [name.strip() for name in operations]
    if len(names) < 2 or names[0] != INPUT or names[-1] != OUTPUT:
        raise SpaceError(f"{what} begins with the operation 'input' and ends with 'output', got {shortened(', '.join(names))}.")
    return ModelSpec(tuple(tuple(row) for row in matrix), tuple(names[1:-1]))


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple)


def _depths(text: str) -> list[int]:
    depths, depth = [0], 0
    for letter in text:
        depth += (letter in "([{") - (letter in ")]}")
        depths.append(depth)
    return depths


def _sizes(matrix: Sequence[Sequence[int]]) -> str:
    return f"rows of {', '.join(str(len(row)) for row in matrix)}" if matrix else "none"


def _md5(text: str) -> str:
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
