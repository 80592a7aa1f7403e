"""Regularised evolution: a queue of architectures, where the oldest dies and not the worst."""

from dataclasses import dataclass
from random import Random
from typing import Any

from mixop.searchers.base import SameLength, State, Trial
from mixop.searchers.coding import mutated
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class Evolution(SameLength):
    """A child of the best of a few random members joins the population, and the oldest member leaves it.

    The first ``population`` trials are drawn uniformly. The tournament draws with replacement, and of equals the one drawn
    first is the parent. The child differs from its parent in one choice.

    Args:
        epochs: length of the training of every trial, >= 1.
        population: members, >= 1; 10 on NAS-Bench-201, 100 in the original paper.
        sample: members of a tournament, >= 1; 3 on NAS-Bench-201, 25 in the original paper.

    Source: Real et al. 2019 (arXiv:1802.01548), algorithm 1; settings of Dong & Yang 2020 (arXiv:2001.00326) and its code.
    """

    population: int = 10
    sample: int = 3

    def __post_init__(self) -> None:
        super().__post_init__()
        self.check_whole("population", self.population)
        self.check_whole("sample", self.sample)

    def begin(self, space: Space, rng: Random) -> dict[str, Any]:
        return {"population": []}

    def propose(self, state: State, rng: Random) -> tuple[Architecture, int] | None:
        members = state.memory["population"]
        if len(members) < self.population:
            return state.space.random(rng), self.epochs
        tournament = [rng.choice(members) for _ in range(self.sample)]
        parent, _ = max(tournament, key=lambda member: member[1])
        return mutated(state.space, state.space.from_native(parent), rng), self.epochs

    def learn(self, state: State, trial: Trial, score: float, rng: Random) -> None:
        members = state.memory["population"]
        members.append([state.space.to_native(trial.architecture), score])
        del members[: -self.population]
