"""The text of a genotype, as its many repositories write it: found in a line, and read without running it.

Source: the code of Liu et al. 2019 (arXiv:1806.09055) for ``Genotype(normal=[('op', 1), ...], ...)``, with which those of
P-DARTS, PC-DARTS, SmoothDARTS and DrNAS agree; of Dong & Yang 2019 (arXiv:1910.04465) for triples with a weight; of their
AutoDL-Projects for pairs nested by node, ``connectN`` and ``connects``.
"""

import ast
import re
from typing import Any

from mixop.core.errors import SpaceError

FORM = "Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))"

LONGEST = 20_000
"""Characters of a text that is read; the longest published genotypes have a twentieth."""

DEEPEST = 8
"""Brackets within each other; a genotype nested by node has four."""

LARGEST = 100
"""Nodes that a range may name."""

EMPTY = ("connectN", "connects", "normal_bottleneck", "reduce_bottleneck")
"""Fields that some repositories add, and leave empty where the cell has nothing besides its pairs."""

_START = re.compile(r"\bGenotype\s*\(")
_CLOSING = {"(": ")", "[": "]", "{": "}"}


def fields_of(text: str, space: str, form: str = FORM) -> dict[str, Any]:
    """The fields of the one genotype in a text: a call, an assignment, a line of a log, or a dictionary.

    Args:
        text: what the user gave.
        space: name of the space, for messages.
        form: what a genotype of it looks like, for messages.

    Returns:
        By field a list, a text, a number or None; ranges are lists.

    Raises:
        SpaceError: with what was expected and what came.
    """
    if not isinstance(text, str):
        raise SpaceError(f"An architecture of {space} is written as a string, got {type(text).__name__}.")
    if len(text) > LONGEST:
        raise SpaceError(f"An architecture of {space} is written in at most {LONGEST:,} characters, got {len(text):,}.")
    starts = [match.start() for match in _START.finditer(text)]
    if len(starts) > 1:
        raise SpaceError(f"The text holds {len(starts)} genotypes, and one is read: give it alone.")
    begin = starts[0] if starts else text.find("{")
    end = None if begin < 0 else _end(text, begin)
    malformed = SpaceError(f"An architecture of {space} is written {form}, got {short(text)}.")
    if end is None:
        raise malformed
    try:
        node = ast.parse(text[begin:end], mode="eval").body
        _check_depth(node)
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise malformed from error
    if isinstance(node, ast.Call) and not node.args:
        given = {str(keyword.arg): keyword.value for keyword in node.keywords}
    elif isinstance(node, ast.Dict) and all(isinstance(key, ast.Constant) for key in node.keys):
        pairs = zip(node.keys, node.values, strict=True)
        given = {str(key.value): value for key, value in pairs if isinstance(key, ast.Constant)}
    else:
        raise malformed
    return {name: _value(value, name) for name, value in given.items()}


def _check_depth(tree: ast.expr) -> None:
    """Refuses ``1 + 1 + ...`` and ``- - - 1``, which nest without brackets: Python's own walks through them recurse."""
    level: list[ast.AST] = [tree]
    for _ in range(4 * DEEPEST):
        level = [inner for node in level for inner in ast.iter_child_nodes(node)]
    if level:
        raise SyntaxError("nested too deeply")


def _end(text: str, begin: int) -> int | None:
    """Where the bracket ends that the text at ``begin`` opens; None if it does not, or is nested too deep."""
    open_, quote, at = [], "", begin
    while at < len(text):
        letter = text[at]
        if quote:
            at += letter == "\\"
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "#":
            at = text.find("\n", at)
            if at < 0:
                return None
        elif letter in _CLOSING:
            open_.append(_CLOSING[letter])
            if len(open_) > DEEPEST:
                return None
        elif letter in ")]}":
            if not open_ or open_.pop() != letter:
                return None
            if not open_:
                return at + 1
        at += 1
    return None


def _value(node: ast.expr, field: str) -> Any:
    """A constant, a list of them, ``range(2, 6)`` as a list, or a number of NumPy, ``np.int64(1)``, as a number."""
    match node:
        case ast.Constant(value=str() | int() | float() | None as value):
            return value
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return [_value(item, field) for item in items]
        case ast.Call(func=ast.Name(id="range"), args=[*arguments], keywords=[]):
            limits = [_value(argument, field) for argument in arguments]
            if 1 <= len(limits) <= 2 and all(type(number) is int and 0 <= number <= LARGEST for number in limits):
                return list(range(*limits))
        case ast.Call(func=ast.Attribute(value=ast.Name(id="np" | "numpy")), args=[number], keywords=[]):
            return _value(number, field)
    raise SpaceError(
        f"{field} of a genotype must be a list of ('operation', source), or of nodes, and nothing that has to be computed, got "
        f"{short(ast.unparse(node))}."
    )


def short(text: str) -> str:
    """A text in quotes, cut where it is long."""
    return repr(text) if len(text) <= 80 else repr(text[:77] + "...")


def shown(value: Any) -> str:
    """A value as Python writes it, cut where it is long."""
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
