"""The score-function gradient of a reward that need not be differentiable: REINFORCE."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mixop.bilevel.base import Problem, Scheme, fixed, gradient, leaves_of
from mixop.bilevel.sampled import check_samples, check_scored, entropy_of, log_prob_of, penalties_of
from mixop.core.errors import RecipeError
from mixop.core.optim import Optimiser
from mixop.core.schedules import check_range
from mixop.core.types import Batch, Params
from mixop.relax.base import Relaxation
from mixop.tasks.base import Totals

BASELINE = "ScoreFunction.baseline"
"""Where the baseline stands in a problem's memory."""


@dataclass(frozen=True, kw_only=True)
class ScoreFunction(Scheme):
    """The gradient of ``-(R - b) log p(A)``, averaged over sampled architectures A with reward R on the validation batch.

    What the relaxation adds to the loss for a draw (the skip penalty of `mixop.relax.policy.LstmPolicy`) is averaged too.

    The baseline b is a moving mean of the rewards, starts at 0 and takes each reward in before its advantage is formed, as
    in ENAS; with independent samples this scales the expected gradient by ``baseline_decay`` and biases it no further.

    Args:
        samples: architectures drawn for a step, >= 1.
        reward: the task's first measure on the batch, as a number where larger is better (the accuracy, in [0, 1]), minus its
            loss, or ``likelihood``, e to the minus loss: of a language model one over its perplexity.
        scale: what the reward is multiplied by, > 0; 80 in ENAS's search on texts, whose reward is 80 over the perplexity.
        baseline_decay: weight of the old baseline, in (0, 1]; 1 keeps it at 0, which switches it off.
        entropy_weight: weight of the policy's entropy (nats), added to the reward, >= 0. Its own derivative is taken
            as well, which the published code leaves out: without it a factorised policy would not feel the term at all.

    Source: Williams 1992; Pham et al. 2018 (arXiv:1802.03268), section 2.2 and code.
    """

    samples: int = 10
    reward: Literal["measure", "loss", "likelihood"] = "measure"
    scale: float = 1.0
    baseline_decay: float = 0.99
    entropy_weight: float = 0.0

    def __post_init__(self) -> None:
        check_samples(type(self).__name__, self.samples, 1)
        if self.reward not in ("measure", "loss", "likelihood"):
            raise RecipeError(f"reward of ScoreFunction must be 'measure', 'loss' or 'likelihood', got {self.reward!r}.")
        check_range("scale of ScoreFunction", self.scale, above=0)
        check_range("baseline decay of ScoreFunction", self.baseline_decay, above=0, at_most=1)
        check_range("entropy weight of ScoreFunction", self.entropy_weight, at_least=0)

    def check(self, relaxation: Relaxation, weight_optimiser: Optimiser) -> None:
        check_scored(self, relaxation)

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        leaves, weights = leaves_of(params), fixed(problem)
        baseline = problem.memory.get(BASELINE, torch.zeros((), dtype=torch.float64))
        sampled, losses, measured, terms = [], [], [], []
        for _ in range(self.samples):  # all passes first: a reward that is read at once would make the host wait for each
            sampled.append(problem.draw(leaves))
            with torch.no_grad():
                losses.append(problem.draw_loss(weights, sampled[-1], valid_batch))
            measured += [problem.measured()] if self.reward == "measure" else []
        for draws, reward in zip(sampled, self._rewards(problem, losses, measured), strict=True):
            gain, bonus = torch.tensor(self.scale * reward, dtype=torch.float64), 0.0
            if self.entropy_weight:
                entropy = entropy_of(problem.relaxation, leaves, draws, problem.space)
                gain, bonus = gain + self.entropy_weight * entropy.detach().cpu().double(), self.entropy_weight * entropy
            baseline = baseline + (1 - self.baseline_decay) * (gain - baseline)
            log_prob = log_prob_of(draws)
            terms.append(sum(penalties_of(draws), -(gain - baseline).to(log_prob) * log_prob - bonus))
        problem.memory[BASELINE] = baseline
        return gradient(problem.penalty(leaves) + torch.stack(terms).mean(), leaves)

    def _rewards(self, problem: Problem, losses: list[Tensor], measured: list[Totals]) -> list[float]:
        if self.reward == "measure":
            return problem.rewards(measured)
        numbers = torch.stack(losses).tolist()
        return [-loss for loss in numbers] if self.reward == "loss" else [math.exp(-loss) for loss in numbers]
