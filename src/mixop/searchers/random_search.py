"""Random search: the baseline of all baselines."""

from dataclasses import dataclass
from random import Random
from typing import Any

from mixop.searchers.base import SameLength, State, Trial
from mixop.searchers.coding import unseen
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class RandomSearch(SameLength):
    """Architectures drawn uniformly, one after the other; the best one wins.

    Args:
        epochs: length of the training of every trial, >= 1.
        repeat: whether an architecture may be drawn again, as in the published runs; else all of a small space are tried
            once, and then nothing is left.

    Source: Bergstra & Bengio 2012 (JMLR 13); as a baseline on tables, Dong & Yang 2020 (arXiv:2001.00326), section 5.
    """

    repeat: bool = True

    def check(self, space: Space) -> None:
        """Every space can be drawn from."""

    def begin(self, space: Space, rng: Random) -> dict[str, Any]:
        return {} if self.repeat else {"seen": []}

    def propose(self, state: State, rng: Random) -> tuple[Architecture, int] | None:
        architecture = state.space.random(rng) if self.repeat else unseen(state.space, state.memory["seen"], rng)
        return None if architecture is None else (architecture, self.epochs)

    def learn(self, state: State, trial: Trial, score: float, rng: Random) -> None:
        if not self.repeat:
            state.memory["seen"].append(state.space.to_native(trial.architecture))
