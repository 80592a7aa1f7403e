"""Sampled architectures weighted by how well they explain a batch: PARSEC."""

from dataclasses import dataclass

import torch
from torch import Tensor

from mixop.bilevel.base import Problem, Scheme, fixed, gradient, leaves_of
from mixop.bilevel.sampled import check_samples, check_scored, log_prob_of, penalties_of
from mixop.core.optim import Optimiser
from mixop.core.types import Batch, Params
from mixop.relax.base import Relaxation


def importance_weights(losses: Tensor, examples: int) -> Tensor:
    """Posterior weights of sampled architectures: the softmax of their log-likelihoods of a batch.

    Args:
        losses: mean cross-entropy (nats) of each sample, ``(K,)``.
        examples: batch size B; the log-likelihood is ``-B * loss``.

    Returns:
        ``(K,)``, >= 0, summing to 1.

    Source: Casale et al. 2019 (arXiv:1902.05116).
    """
    return (-examples * losses).softmax(0)


@dataclass(frozen=True, kw_only=True)
class ImportanceWeighted(Scheme):
    """Ascent on the log-evidence ``log E_A p(batch | A)`` of the validation batch: ``sum_k omega_k grad log p(A_k)``.

    The weights omega are normalised over the samples, so the gradient is biased for few samples and exact for many. No
    sample needs a backward pass through the network.

    Args:
        samples: architectures drawn for a step, K, >= 2.

    Source: Casale et al. 2019 (arXiv:1902.05116); no code was published, the number of samples is ours.
    """

    samples: int = 16

    def __post_init__(self) -> None:
        check_samples(type(self).__name__, self.samples, 2)

    def check(self, relaxation: Relaxation, weight_optimiser: Optimiser) -> None:
        check_scored(self, relaxation)

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        leaves, weights = leaves_of(params), fixed(problem)
        losses, log_probs, penalties = [], [], []
        for _ in range(self.samples):
            draws = problem.draw(leaves)
            log_probs.append(log_prob_of(draws))
            penalties += penalties_of(draws)
            with torch.no_grad():
                losses.append(problem.draw_loss(weights, draws, valid_batch))
        omega = importance_weights(torch.stack(losses), len(valid_batch.y))
        score = (omega.to(log_probs[0].device) * torch.stack(log_probs)).sum()
        added = problem.penalty(leaves) + torch.stack(penalties).sum() / self.samples if penalties else problem.penalty(leaves)
        return gradient(added - score, leaves)
