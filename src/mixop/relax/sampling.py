"""Sampling that relaxations share: noise and indices are drawn on the host from a generator, gradients are attached after."""

from collections.abc import Mapping, Sequence

import torch
from torch import Generator, Tensor

from mixop.core.transfer import upload
from mixop.core.types import Draw, Paths
from mixop.spaces.core import Group


def gumbel_noise(like: Tensor, generator: Generator) -> Tensor:
    """Standard Gumbel noise ``-log(Exponential(1))``, always finite.

    Args:
        like: gives shape, dtype and device.
        generator: source of the noise, on the CPU.

    Source: Maddison et al. 2014 (arXiv:1411.0030), section 2.
    """
    # An exponential of exactly 0 would be infinite noise and NaN weights: drawn again, as GDAS does.
    while True:
        noise = torch.empty(like.shape, dtype=like.dtype).exponential_(generator=generator).log().neg()
        if noise.isfinite().all():
            return upload(noise, like.device)


def sample_options(logits: Tensor, generator: Generator, *, count: int = 1) -> Tensor:
    """Options of every row, drawn without replacement in proportion to ``softmax(logits)``, without gradient.

    The largest of ``logits + Gumbel noise`` is a draw of the categorical distribution; the largest ``count`` are that many
    successive draws without replacement. Works on logits, so probabilities that underflow do no harm.

    Args:
        logits: unnormalised log-probabilities ``(E, O)``.
        generator: source of the noise, on the CPU.
        count: options to draw for each row, in [1, O].

    Returns:
        Indices ``(E, count)`` int64 in the order drawn, on the host.

    Source: Kool et al. 2019 (arXiv:1903.06059), section 2.3.
    """
    host = logits.detach().cpu()
    return (host + gumbel_noise(host, generator)).topk(count, dim=-1).indices


def log_prob_of_options(logits: Tensor, chosen: Tensor) -> Tensor:
    """Log-probability of options drawn one after the other without replacement, summed over the rows, a scalar in nats.

    Args:
        logits: unnormalised log-probabilities ``(E, O)``.
        chosen: indices ``(E, K)`` in the order drawn.

    Source: Plackett 1975, "The analysis of permutations"; of one option it is the categorical distribution.
    """
    total, left = logits.new_zeros(()), logits
    for column in chosen.to(logits.device).split(1, dim=-1):
        total = total + left.log_softmax(-1).gather(-1, column).sum()
        left = left.scatter(-1, column, -torch.inf)
    return total


def one_hot(indices: Tensor, like: Tensor) -> Tensor:
    """Rows that are 1 at ``indices`` ``(E, K)`` and 0 elsewhere, with shape, dtype and device of ``like`` ``(E, O)``."""
    return torch.zeros_like(like, requires_grad=False).scatter_(-1, upload(indices, like.device), 1.0)


def straight_through(value: Tensor, soft: Tensor) -> Tensor:
    """``value`` exactly, with the gradient of ``soft``.

    Source: Bengio et al. 2013 (arXiv:1308.3432), section 4.
    """
    # Not (value - soft.detach()) + soft: that leaves rounding errors where the value is 0, on options that do not run.
    return value + (soft - soft.detach())


def without_idle(weights: Tensor, running: Tensor) -> Tensor:
    """Mixing weights ``(E, O)`` whose gradient comes from the options that run alone; the values stay as they are.

    Executors add the weights of idle options to an edge, which are zero in value. Whether that carries a gradient is up to the
    relaxation.

    Args:
        weights: of a draw.
        running: indices ``(E, K)`` of the options that run.
    """
    return torch.where(one_hot(running, weights) > 0, weights, weights.detach())


def as_paths(indices: Tensor) -> Paths:
    """Indices ``(E, K)`` on the host as the options that run, in the order given."""
    return tuple(tuple(row) for row in indices.tolist())


def score_surrogate(loss: Tensor, draws: Mapping[str, Draw]) -> Tensor:
    """The loss in value; its gradient adds ``loss * grad log p(draws)``, the score function, to that of the loss.

    In expectation over the draws this is the gradient of the expected loss, in the parameters of the sampler and in the
    weights.

    Args:
        loss: of these draws, a scalar.
        draws: by group, each with its ``log_prob``.

    Source: Williams 1992 (doi:10.1007/BF00992696), eq. 11 without baseline.
    """
    log_prob = torch.stack([draw.log_prob for draw in draws.values() if draw.log_prob is not None]).sum()
    log_prob = upload(log_prob, loss.device).to(loss.dtype)
    return loss + loss.detach() * (log_prob - log_prob.detach())


def some_edges(group: Group, edges: Sequence[int], generator: Generator) -> list[int]:
    """The edges of a draw: where a group keeps some edges of each node, that many drawn uniformly; otherwise all.

    Args:
        group: the decisions.
        edges: those to draw from, in increasing order.
        generator: source of the draw, on the CPU; not used for a node that has no more edges than it keeps.
    """
    kept: list[int] = []
    for target in group.targets:
        there = [e for e in group.into(target) if e in edges]
        if 0 < group.keep < len(there):
            there = [there[i] for i in torch.randperm(len(there), generator=generator)[: group.keep].tolist()]
        kept += there
    return sorted(kept)
