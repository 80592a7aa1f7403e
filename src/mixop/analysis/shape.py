"""How deep and how wide a derived cell is.

Searches by gradient prefer cells that are shallow and wide, since they train faster. Here skip connections and pools add no
depth; otherwise it is the depth of Shu, Wang & Cai 2020 (arXiv:1909.09569), who found that preference.
"""

from mixop.spaces.core import Architecture, Space
from mixop.spaces.stacked import stacked


def depth(architecture: Architecture, space: Space, cell: str) -> int:
    """The number of edges of the longest path in a cell that is made of working edges alone.

    An edge works if it is there and neither a skip connection nor a pool. Where operations stand at nodes, an edge has the
    operation of the node that it leads to, and one to the output has none. Paths may begin at any node: a skip connection ends
    one path, and what follows begins another.

    Args:
        architecture: the discrete architecture.
        space: its search space, one of cells.
        cell: the name of a cell: that of its group, or of the cell that several groups decide about.

    Returns:
        A number >= 0 and less than the number of the cell's nodes.

    Raises:
        SpaceError: if the space has no such cell, or no cells at all.

    Example:
        >>> from mixop.spaces import nasbench201
        >>> space = nasbench201()
        >>> text = "|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|skip_connect~0|none~1|avg_pool_3x3~2|"
        >>> depth(space.from_native(text), space, "cell"), width(space.from_native(text), space, "cell")
        (2, 2)
    """
    longest: dict[int, int] = {}
    for source, target, works in _edges(architecture, space, cell):  # by target: a source is complete before it is read
        if works:
            longest[target] = max(longest.get(target, 0), longest.get(source, 0) + 1)
    return max(longest.values(), default=0)


def width(architecture: Architecture, space: Space, cell: str) -> int:
    """The number of a cell's nodes that read one of its inputs, by an edge of any kind.

    Where operations stand at nodes, the output is not counted: it has none, and puts the others together.

    Args:
        architecture: the discrete architecture.
        space: its search space, one of cells.
        cell: the name of a cell, as for `depth`.

    Raises:
        SpaceError: as `depth`.
    """
    inputs = stacked(space).graph(stacked(space).cell_of(cell)[0].name).inputs
    return len({target for source, target, _ in _edges(architecture, space, cell) if source < inputs})


def _edges(architecture: Architecture, space: Space, cell: str) -> list[tuple[int, int, bool]]:
    """The edges of a cell that are there, by increasing target: source, target, and whether it works."""
    space = stacked(space)
    groups = space.cell_of(cell)
    spec = space.spec(architecture)
    if spec is not None:
        found = spec.pruned()  # what is on no path through the cell is not in the network
        if found is None:
            return []
        works = [not space.is_pool(operation) for operation in found.operations]
        return [(source, target, works[target - 1]) for source, target in found.edges if target <= len(works)]
    graph = space.graph(groups[0].name)
    edges = []
    for group in groups:
        for choice in architecture.of(group.name):
            edge = group.decisions[choice.decision]
            joins = graph.node is not None and edge.target in graph.output
            if not (joins or group.is_absent(choice.option)):
                works = not (group.is_skip(choice.option) or group.is_pool(choice.option))
                edges.append((edge.source, edge.target, works))
    return sorted(edges, key=lambda edge: edge[1])
