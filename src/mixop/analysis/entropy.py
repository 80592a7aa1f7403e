"""How decided a search is: entropies of its mixing weights, in nats."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor


def entropy(mean: Mapping[str, Tensor]) -> float:
    """Entropy of the mixing weights, the mean over all decisions of all groups.

    Args:
        mean: for each group weights ``(E, O)`` >= 0. Rows of gates or switches, which need not sum to 1, count by their shares.

    Returns:
        Nats, from 0 (every decision is made) to ``log O`` (nothing is).

    Source: Li et al. 2021 (arXiv:2004.07802), section 5, which reports it per epoch.
    """
    return float(torch.cat([_row_entropy(value) for value in mean.values()]).mean())


def relative_entropy(mean: Mapping[str, Tensor]) -> float | None:
    """As `entropy`, every decision divided by its largest possible value ``log O``, so that spaces can be compared.

    Args:
        mean: as for `entropy`.

    Returns:
        A number in [0, 1]; None where no decision has two options.
    """
    rows = [_row_entropy(value) / math.log(value.shape[-1]) for value in mean.values() if value.shape[-1] > 1]
    return float(torch.cat(rows).mean()) if rows else None


def binary_entropy(probability: Mapping[str, Tensor]) -> float:
    """Entropy of independent gates, the mean over all gates of all groups.

    Args:
        probability: for each group the probability ``(E, O)`` that a gate is not zero; rows need not sum to 1.

    Returns:
        Nats, from 0 (every gate is open or shut for good) to ``log 2``.
    """
    values = torch.cat([value.reshape(-1) for value in probability.values()])
    return float((-torch.xlogy(values, values) - torch.xlogy(1 - values, 1 - values)).mean())


def _row_entropy(weights: Tensor) -> Tensor:
    shares = weights / weights.sum(-1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)
    return -torch.xlogy(shares, shares).sum(-1)
