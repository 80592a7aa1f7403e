"""What a collapsing search shows: skip connections, operations that learn nothing, a gap to the derived network."""

from collections import Counter
from collections.abc import Mapping

from torch import Tensor

from mixop.nets.costs import learning
from mixop.spaces.core import Architecture, Space


def skip_share(mean: Mapping[str, Tensor], space: Space) -> float | None:
    """Mean mixing weight of skip connections over the decisions that offer one beside operations.

    A group that only says which nodes are read, as ``skips`` of ENAS's macro space, is left out: its skips displace nothing.

    Args:
        mean: for each group the mean mixing weights ``(E, O)``.
        space: the search space.

    Returns:
        A number in [0, 1]; None if no decision offers one.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 3, on skip connections; the weight itself as in Chu et al. 2021
        (arXiv:2009.01027).
    """
    shares = []
    for group in space.groups:
        for e, decision in enumerate(group.decisions) if not group.switches else ():
            skips = [o for o, option in enumerate(decision.options) if group.is_skip(option)]
            if skips:
                shares.append(float(mean[group.name][e, skips].sum()))
    return sum(shares) / len(shares) if shares else None


def parameter_free_weight(mean: Mapping[str, Tensor], space: Space) -> float | None:
    """Mean mixing weight on operations without parameters, over the decisions that offer both kinds.

    Args:
        mean: for each group the mean mixing weights ``(E, O)``.
        space: the search space.

    Returns:
        A number in [0, 1]; None if no decision offers both kinds.
    """
    shares = []
    for group in space.groups:
        for e, learns in enumerate(learning(space, group)):
            if len(set(learns)) == 2:
                row = mean[group.name][e].tolist()
                shares.append(sum(weight for weight, learning in zip(row, learns, strict=True) if not learning))
    return sum(shares) / len(shares) if shares else None


def operation_counts(architecture: Architecture) -> dict[str, Counter[str]]:
    """For each group, how often an architecture takes each operation.

    Example:
        >>> from mixop.spaces import nasbench201
        >>> space = nasbench201()
        >>> text = "|none~0|+|none~0|skip_connect~1|+|none~0|none~1|nor_conv_3x3~2|"
        >>> operation_counts(space.from_native(text))["cell"].most_common(1)
        [('none', 4)]
    """
    return {name: Counter(choice.option for choice in choices) for name, choices in architecture.choices}


def skip_count(architecture: Architecture, space: Space, group: str | None = None) -> int:
    """The number of skip connections of one group, or of the group that has most.

    Args:
        architecture: the discrete architecture.
        space: its search space.
        group: a group's name; None to look at all of them but those that only say which nodes are read.

    Raises:
        SpaceError: if the architecture has no such group.
    """
    groups = _with_operations(architecture, space) if group is None else [group]
    return max((sum(space.is_skip(choice.option) for choice in architecture.of(name)) for name in groups), default=0)


def chosen_skip_share(architecture: Architecture, space: Space) -> float | None:
    """Share of the kept decisions that take a skip connection, among those that offer one; None if no decision does.

    As in `skip_share`, without groups that only say which nodes are read.
    """
    taken = [space.is_skip(option) for option, options in _kept(architecture, space) if any(map(space.is_skip, options))]
    return sum(taken) / len(taken) if taken else None


def parameter_free_share(architecture: Architecture, space: Space) -> float | None:
    """Share of the kept decisions that take an operation without parameters, among those that offer both kinds.

    ``none``, ``skip_connect``, pooling and noise have none: a network of them has hardly anything to learn.

    Args:
        architecture: the discrete architecture.
        space: its search space.

    Returns:
        A number in [0, 1]; None if no kept decision offers both kinds.
    """
    taken = []
    for name, choices in architecture.choices:
        group = space.group(name)
        learns = learning(space, group) if choices else []
        for choice in choices:
            row = learns[choice.decision]
            if len(set(row)) == 2:
                taken.append(not row[group.decisions[choice.decision].options.index(choice.option)])
    return sum(taken) / len(taken) if taken else None


def _kept(architecture: Architecture, space: Space) -> list[tuple[str, tuple[str, ...]]]:
    """Every chosen option with the options that its decision offers."""
    return [
        (choice.option, space.group(name).decisions[choice.decision].options)
        for name in _with_operations(architecture, space)
        for choice in architecture.of(name)
    ]


def _with_operations(architecture: Architecture, space: Space) -> list[str]:
    """The groups of an architecture whose decisions are about more than which nodes are read."""
    return [name for name, _ in architecture.choices if not space.group(name).switches]
