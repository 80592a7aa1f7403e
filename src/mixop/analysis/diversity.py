"""How different some architectures are from one another."""

from collections import Counter
from collections.abc import Hashable, Sequence


def diversity(architectures: Sequence[Sequence[Hashable]]) -> float:
    """The share of the decisions in which two of them differ, the mean over all pairs.

    Of n architectures of which ``n_o`` have option o in a decision, ``(n^2 - sum_o n_o^2) / (n (n - 1))`` of the ordered pairs
    differ in it; the result is the mean over the decisions. For independent uniform draws of O options it is about
    ``1 - 1 / O``.

    Args:
        architectures: n >= 2 of them, each the option of every decision, in one order.

    Returns:
        A number in [0, 1].

    Raises:
        ValueError: if there are fewer than two, or they differ in the number of decisions.

    Source: the Gini-Simpson index; Simpson 1949, "Measurement of diversity", Nature 163.
    """
    n = len(architectures)
    if n < 2 or len({len(one) for one in architectures}) != 1 or not architectures[0]:
        raise ValueError(f"Diversity is of two or more architectures with the same decisions, got {n}.")
    counts = [Counter(options) for options in zip(*architectures, strict=True)]
    return sum(n * n - sum(count**2 for count in of.values()) for of in counts) / (n * (n - 1) * len(counts))
