"""The genotype notation of the DARTS community, as architectures of a space."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from mixop.core.errors import SpaceError, unknown
from mixop.spaces.core import Architecture, Choice, Group
from mixop.spaces.notation import EMPTY, FORM, fields_of, short, shown
from mixop.spaces.stacked import Stacked


def write_genotype(space: Stacked, architecture: Architecture) -> str:
    """The genotype of an architecture: for each cell its pairs of operation and source, node by node."""
    parts = []
    for group in space.groups:
        pairs = [(choice.option, group.decisions[choice.decision].source) for choice in architecture.of(group.name)]
        parts.append(f"{group.name}={pairs!r}, {_concat(space, group)}={_nodes(space.graph(group.name).output)}")
    return f"Genotype({', '.join(parts)})"


def read_genotype(
    space: Stacked,
    text: str,
    *,
    other_nodes: Mapping[int, str] = MappingProxyType({}),
    other_output: str = "",
    form: str = FORM,
) -> Architecture:
    """The architecture of a genotype: as many pairs for each node as it keeps, in any order.

    Pairs may be nested by node, and may have a weight behind them; see `mixop.spaces.notation` for what else is read.

    Args:
        space: whose architecture it is.
        text: the genotype.
        other_nodes: what to say besides where cells have another number of nodes, by that number.
        other_output: what to say besides where a cell's output are other nodes.
        form: what a genotype of the space looks like, for messages.

    Raises:
        SpaceError: with what was expected and what came.
    """
    given = fields_of(text, space.name, form)
    wanted = [name for group in space.groups for name in (group.name, _concat(space, group))]
    for name, value in given.items():
        if name in EMPTY and value in (None, "", []):
            continue
        if name in EMPTY:
            raise SpaceError(f"A genotype of {space.name} has nothing but its pairs, got {name}={shown(value)}.")
        if name not in wanted:
            raise SpaceError(
                f"A genotype of {space.name} has the parts {', '.join(wanted)}, but there is {short(name)} besides."
            )
    for name in wanted:
        if name not in given:
            raise SpaceError(f"A genotype of {space.name} has the parts {', '.join(wanted)}, but {name} is missing.")
    choices = tuple((group.name, _choices(space, group, given[group.name], other_nodes)) for group in space.groups)
    for group in space.groups:
        name, output = _concat(space, group), space.graph(group.name).output
        if not _is_nodes(given[name]) or sorted(given[name]) != sorted(output):
            raise SpaceError(
                f"{name} of a genotype of {space.name} must be {_nodes(output)}, got {shown(given[name])}{other_output}."
            )
    return Architecture(space.name, choices)


def _choices(space: Stacked, group: Group, given: Any, other_nodes: Mapping[int, str]) -> tuple[Choice, ...]:
    """The choices of one cell; the pairs belong to the nodes in turn."""
    if not isinstance(given, list):
        raise SpaceError(f"{group.name} of a genotype must be a list of ('operation', source), got {short(repr(given))}.")
    choices = []
    for target, pairs in zip(group.targets, _by_node(space, group, given, other_nodes), strict=True):
        edges = {group.decisions[e].source: e for e in group.into(target)}
        for pair in pairs:
            option, source = _pair(pair, group)
            if source not in edges:
                raise SpaceError(
                    f"Node {target} of the {group.name} cell reads one of the nodes 0 to {target - 1}, "
                    f"got {short(repr((option, source)))}."
                )
            options = group.decisions[edges[source]].options
            if option not in options:
                raise SpaceError(
                    unknown(f"operation on edge {target}<-{source} of {group.name} in {space.name}", option, options)
                )
            choices.append((edges[source], options.index(option)))
    return tuple(Choice(e, group.decisions[e].options[o]) for e, o in sorted(choices))


def _by_node(space: Stacked, group: Group, given: list[Any], other_nodes: Mapping[int, str]) -> list[list[Any]]:
    """The pairs of each node, whether they are nested or one behind the other."""
    counts = [min(group.keep, len(group.into(target))) for target in group.targets]
    where = f"The {group.name} cell of {space.name}"
    nested = [isinstance(item, list) and len(item) > 0 and all(isinstance(pair, list) for pair in item) for item in given]
    if given and all(nested):
        if len(given) != len(counts):
            raise SpaceError(f"{where} has {len(counts)} nodes, got {len(given)}{other_nodes.get(len(given), '')}.")
        for target, pairs, count in zip(group.targets, given, counts, strict=True):
            if len(pairs) != count:
                raise SpaceError(f"{where} has {count} pairs in node {target}, got {len(pairs)}.")
        return given
    if len(given) != sum(counts):
        nodes, rest = divmod(len(given), max(group.keep, 1))
        hint = "" if rest else other_nodes.get(nodes, "")
        raise SpaceError(f"{where} has {sum(counts)} pairs, got {len(given)}{hint}.")
    pairs = iter(given)
    return [[next(pairs) for _ in range(count)] for count in counts]


def _pair(given: Any, group: Group) -> tuple[str, int]:
    """Operation and source; a weight behind them, which the search gave the edge, says nothing of the architecture."""
    weighted = isinstance(given, list) and len(given) == 3 and type(given[2]) in (int, float)
    pair = given[:2] if weighted else given
    if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str) or type(pair[1]) is not int:
        raise SpaceError(f"A genotype's pairs are ('operation', source), got {short(repr(given))} in {group.name}.")
    return pair[0], pair[1]


def _concat(space: Stacked, group: Group) -> str:
    """The field that names the output nodes of a cell; a recurrent one has no name in it."""
    return "concat" if space.graph(group.name).recurrent else f"{group.name}_concat"


def _is_nodes(given: Any) -> bool:
    return isinstance(given, list) and all(type(number) is int for number in given)


def _nodes(output: Sequence[int]) -> str:
    """Nodes as the community writes them: a range where they follow each other, else a list."""
    if list(output) == list(range(output[0], output[-1] + 1)):
        return f"range({output[0]}, {output[-1] + 1})"
    return str(list(output))
