"""REINFORCE: independent softmax policies, one for each question, follow the score."""

from dataclasses import dataclass
from itertools import pairwise
from random import Random
from typing import Any

import numpy as np

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.searchers.base import SameLength, State, Trial
from mixop.searchers.coding import drawn, questions, read, write
from mixop.searchers.policy_gradient import Vector, adam_step, log_softmax, moving_mean
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class Reinforce(SameLength):
    """Samples from independent softmax distributions and steps along ``(R - b) grad log p(A)`` after every trial.

    R is the score, b a moving mean of the rewards that takes each one in before its advantage is formed and is
    corrected for its start at 0. The logits begin at ``1e-3 * N(0, 1)`` and are stepped by Adam. What is found is the best
    architecture sampled, not the mode of the policy. An edge that an architecture does not keep has no part in its
    probability.

    Args:
        epochs: length of the training of every trial, >= 1.
        lr: learning rate of Adam, > 0; 0.01 in the scripts of NATS-Bench, 0.5 in those of NAS-Bench-201, where it decides too
            soon: see `studies/black_box.py`.
        decay: weight of the older rewards in the baseline, in [0, 1).

    Source: Williams 1992 (doi:10.1007/BF00992696); settings of Dong & Yang 2020 (arXiv:2001.00326) and its code.
    """

    lr: float = 0.01
    decay: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("lr of Reinforce", self.lr, above=0)
        check_range("decay of Reinforce", self.decay, at_least=0)
        if not self.decay < 1:
            raise RecipeError(f"decay of Reinforce must be less than 1, got {self.decay:g}: with 1 no reward ever counts.")

    def begin(self, space: Space, rng: Random) -> dict[str, Any]:
        size = sum(len(question.answers) for question in questions(space))
        return {"logits": [1e-3 * rng.gauss() for _ in range(size)], "moments": [[0.0] * size, [0.0] * size]}

    def propose(self, state: State, rng: Random) -> tuple[Architecture, int] | None:
        rows = [np.exp(log_softmax(row)).tolist() for row in self._rows(state)]

        def sample() -> Architecture:
            return write(state.space, [rng.choices(range(len(row)), row)[0] for row in rows])

        return drawn(state.space, sample), self.epochs

    def learn(self, state: State, trial: Trial, score: float, rng: Random) -> None:
        baseline = moving_mean(state.memory, score, self.decay)
        gradient = (baseline - score) * self.score_function(state, trial.architecture)
        logits, moments = (np.array(state.memory[name]) for name in ("logits", "moments"))
        logits, moments = adam_step(logits, gradient, (moments[0], moments[1]), state.told + 1, lr=self.lr)
        state.memory |= {"logits": logits.tolist(), "moments": [moment.tolist() for moment in moments]}

    def score_function(self, state: State, architecture: Architecture) -> Vector:
        """Gradient of the log-probability of an architecture in all logits, question by question, one after the other.

        Args:
            state: of the search.
            architecture: that was sampled.
        """
        rows = self._rows(state)
        pieces = []
        for row, answer in zip(rows, read(state.space, architecture), strict=True):
            if answer is None:
                pieces.append(np.zeros_like(row))
            else:
                pieces.append(np.eye(len(row))[answer] - np.exp(log_softmax(row)))
        return np.concatenate(pieces)

    def _rows(self, state: State) -> list[Vector]:
        """The logits of every question."""
        ends = np.cumsum([0, *(len(question.answers) for question in questions(state.space))]).tolist()
        logits = np.array(state.memory["logits"])
        return [logits[start:end] for start, end in pairwise(ends)]
