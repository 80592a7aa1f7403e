"""The genotype notation of the DARTS community, written and read without running it."""

import ast
from typing import Any

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.core import Architecture, Choice, Group, Space

FORM = "Genotype(normal=[('sep_conv_3x3', 1), ...], normal_concat=range(2, 6), reduce=[...], reduce_concat=range(2, 6))"


def write_genotype(space: Space, architecture: Architecture) -> str:
    """The genotype of an architecture: for each cell its pairs of operation and source, node by node."""
    parts = []
    for group in space.groups:
        pairs = [(choice.option, group.decisions[choice.decision].source) for choice in architecture.of(group.name)]
        output = space.graph(group.name).output
        parts.append(f"{group.name}={pairs!r}, {group.name}_concat=range({output[0]}, {output[-1] + 1})")
    return f"Genotype({', '.join(parts)})"


def read_genotype(space: Space, text: str) -> Architecture:
    """The architecture of a genotype: as many pairs for each node as it keeps, in any order.

    Raises:
        SpaceError: with what was expected and what came.
    """
    given = _parts(space, text)
    return Architecture(space.name, tuple((group.name, _choices(space, group, given[group.name])) for group in space.groups))


def _parts(space: Space, text: str) -> dict[str, list[Any]]:
    """The lists of pairs by cell."""
    if not isinstance(text, str):
        raise SpaceError(f"An architecture of {space.name} is written as a string, got {type(text).__name__}.")
    try:
        call = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError) as error:
        raise SpaceError(f"An architecture of {space.name} is written {FORM}, got {_short(text)}.") from error
    named = isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "Genotype"
    if not named or not isinstance(call, ast.Call) or call.args:
        raise SpaceError(f"An architecture of {space.name} is written {FORM}, got {_short(text)}.")
    given = {keyword.arg: keyword.value for keyword in call.keywords}
    wanted = [name for group in space.groups for name in (group.name, f"{group.name}_concat")]
    for name in given:
        if name not in wanted:
            raise SpaceError(unknown(f"part of a genotype of {space.name}", str(name), wanted))
    parts = {}
    for group in space.groups:
        output = list(space.graph(group.name).output)
        for name in (group.name, f"{group.name}_concat"):
            if name not in given:
                raise SpaceError(f"A genotype of {space.name} has the parts {', '.join(wanted)}, but {name} is missing.")
        concat = _numbers(given[f"{group.name}_concat"])
        if concat is None or sorted(concat) != output:
            raise SpaceError(
                f"{group.name}_concat of a genotype of {space.name} must be range({output[0]}, {output[-1] + 1}), "
                f"got {_short(ast.unparse(given[f'{group.name}_concat']))}."
            )
        parts[group.name] = _literal(given[group.name], group.name)
    return parts


def _choices(space: Space, group: Group, pairs: list[Any]) -> tuple[Choice, ...]:
    """The choices of one cell; the pairs belong to the nodes in turn."""
    counts = [min(group.keep, len(group.into(target))) for target in group.targets]
    if len(pairs) != sum(counts):
        raise SpaceError(f"The {group.name} cell of {space.name} has {sum(counts)} pairs, got {len(pairs)}.")
    choices, rest = [], iter(pairs)
    for target, count in zip(group.targets, counts, strict=True):
        edges = {group.decisions[e].source: e for e in group.into(target)}
        for _ in range(count):
            pair = next(rest)
            if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str) or type(pair[1]) is not int:
                raise SpaceError(f"A genotype's pairs are ('operation', source), got {_short(repr(pair))} in {group.name}.")
            option, source = pair
            if source not in edges:
                raise SpaceError(
                    f"Node {target} of the {group.name} cell reads one of the nodes 0 to {target - 1}, "
                    f"got {_short(repr(tuple(pair)))}."
                )
            options = group.decisions[edges[source]].options
            if option not in options:
                raise SpaceError(
                    unknown(f"operation on edge {target}<-{source} of {group.name} in {space.name}", option, options)
                )
            choices.append((edges[source], options.index(option)))
    return tuple(Choice(e, group.decisions[e].options[o]) for e, o in sorted(choices))


def _literal(node: ast.expr, name: str) -> list[Any]:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, MemoryError, RecursionError):
        value = None
    if not isinstance(value, list | tuple):
        raise SpaceError(f"{name} of a genotype must be a list of ('operation', source), got {_short(ast.unparse(node))}.")
    return list(value)


def _numbers(node: ast.expr) -> list[int] | None:
    """The numbers of ``range(2, 6)`` or of a list; None for anything else."""
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "range" and not node.keywords:
        try:
            arguments = [ast.literal_eval(argument) for argument in node.args]
        except (ValueError, TypeError):
            return None
        fine = 1 <= len(arguments) <= 2 and all(type(number) is int and 0 <= number < 100 for number in arguments)
        return list(range(*arguments)) if fine else None
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError):
        return None
    return list(value) if isinstance(value, list | tuple) and all(type(number) is int for number in value) else None


def _short(text: str) -> str:
    return repr(text) if len(text) <= 80 else repr(text[:77] + "...")
