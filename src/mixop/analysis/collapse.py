"""What a collapsing search shows: skip connections, operations that learn nothing, a gap to the derived network."""

from collections import Counter
from collections.abc import Mapping
from functools import cache

from torch import Generator, Tensor

from mixop.core.rng import fenced
from mixop.nets.ops import BatchNorm, operation
from mixop.spaces.core import Architecture, Space

SKIP = "skip_connect"


@cache
def has_parameters(option: str) -> bool:
    """Whether an operation of that name learns anything where it keeps the size (stride 1, batch norm without scale).

    Raises:
        SpaceError: if there is no such operation.
    """
    with fenced(Generator().manual_seed(0)):  # building a convolution draws its weights
        module = operation(option, 2, 1, BatchNorm(affine=False))
    return any(True for _ in module.parameters())


def skip_share(mean: Mapping[str, Tensor], space: Space) -> float | None:
    """Mean mixing weight of ``skip_connect`` over the decisions that offer it.

    Args:
        mean: for each group the mean mixing weights ``(E, O)``.
        space: the search space.

    Returns:
        A number in [0, 1]; None if no decision offers it.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 3, on skip connections; the weight itself as in Chu et al. 2021
        (arXiv:2009.01027).
    """
    shares = [
        float(mean[group.name][e, decision.options.index(SKIP)])
        for group in space.groups
        for e, decision in enumerate(group.decisions)
        if SKIP in decision.options
    ]
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
        for e, decision in enumerate(group.decisions):
            learns = [has_parameters(option) for option in decision.options]
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


def skip_count(architecture: Architecture, group: str | None = None) -> int:
    """The number of skip connections of one group, or of the group that has most.

    Args:
        architecture: the discrete architecture.
        group: a group's name; None to look at all of them.

    Raises:
        SpaceError: if the architecture has no such group.
    """
    if group is not None:
        return sum(choice.option == SKIP for choice in architecture.of(group))
    return max(counts[SKIP] for counts in operation_counts(architecture).values())


def chosen_skip_share(architecture: Architecture, space: Space) -> float | None:
    """Share of the kept decisions that take ``skip_connect``, among those that offer it; None if none does."""
    taken = [option == SKIP for option, options in _kept(architecture, space) if SKIP in options]
    return sum(taken) / len(taken) if taken else None


def parameter_free_share(architecture: Architecture, space: Space) -> float | None:
    """Share of the kept decisions that take an operation without parameters, among those that offer both kinds.

    Without parameters are ``none``, ``skip_connect``, pooling and noise: a network of them has hardly anything to learn.

    Args:
        architecture: the discrete architecture.
        space: its search space.

    Returns:
        A number in [0, 1]; None if no kept decision offers both kinds.
    """
    both = [option for option, options in _kept(architecture, space) if len({has_parameters(name) for name in options}) == 2]
    return sum(not has_parameters(option) for option in both) / len(both) if both else None


def _kept(architecture: Architecture, space: Space) -> list[tuple[str, tuple[str, ...]]]:
    """Every chosen option with the options that its decision offers."""
    return [
        (choice.option, space.group(name).decisions[choice.decision].options)
        for name, choices in architecture.choices
        for choice in choices
    ]
