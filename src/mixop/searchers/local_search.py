"""Local search: uphill in single changes until nothing near is better, then from somewhere else."""

from dataclasses import dataclass
from random import Random
from typing import Any

from mixop.searchers.base import SameLength, State, Trial
from mixop.searchers.coding import neighbours, unseen
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class LocalSearch(SameLength):
    """Tries all neighbours of an architecture in random order and moves to the best one, as long as it is better.

    A neighbour differs in one choice. Where no neighbour is better it starts again from an architecture drawn uniformly.
    Nothing is tried twice: once the whole space is known, nothing is left.

    Args:
        epochs: length of the training of every trial, >= 1.
        first: whether to move to the first neighbour that is better instead of the best of all.

    Source: White et al. 2021, "Exploring the Loss Landscape in Neural Architecture Search" (arXiv:2005.02960).
    """

    first: bool = False

    def begin(self, space: Space, rng: Random) -> dict[str, Any]:
        return {"seen": {}, "at": None, "open": []}

    def propose(self, state: State, rng: Random) -> tuple[Architecture, int] | None:
        if state.memory["open"]:
            return state.space.from_native(state.memory["open"][0]), self.epochs
        architecture = unseen(state.space, state.memory["seen"], rng)
        return None if architecture is None else (architecture, self.epochs)

    def learn(self, state: State, trial: Trial, score: float, rng: Random) -> None:
        memory, native = state.memory, state.space.to_native(trial.architecture)
        memory["seen"][native] = score
        if memory["at"] is None:  # a new beginning
            self._move(state, native, rng)
        else:
            memory["open"] = [other for other in memory["open"] if other != native]
            if self.first and score > memory["seen"][memory["at"]]:
                self._move(state, native, rng)
        while memory["at"] is not None and not memory["open"]:  # all neighbours are known
            at = memory["at"]
            best = max(self._around(state, at), key=memory["seen"].__getitem__, default=at)
            if memory["seen"][best] > memory["seen"][at]:
                self._move(state, best, rng)
            else:
                memory["at"] = None

    def _move(self, state: State, native: str, rng: Random) -> None:
        around = [other for other in self._around(state, native) if other not in state.memory["seen"]]
        rng.shuffle(around)
        state.memory |= {"at": native, "open": around}

    def _around(self, state: State, native: str) -> list[str]:
        space = state.space
        return [space.to_native(other) for other in neighbours(space, space.from_native(native))]
