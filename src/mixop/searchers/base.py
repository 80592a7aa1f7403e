"""What a black-box searcher is: it asks for a trial, receives its score, and carries all it knows in one state.

A searcher is a frozen value of settings. `Searcher.ask` is a function of the state alone, and only `Searcher.tell` changes
it: a state is what its trials made of it. So a search continues from the record of its trials alone, with the same trials
that it would have had.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from mixop.core.errors import MixopError, RecipeError, RunError
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True)
class Trial:
    """What a searcher wants to know.

    Args:
        number: counts the trials of a search, from 1.
        architecture: what to train.
        epochs: for how long, >= 1.
    """

    number: int
    architecture: Architecture
    epochs: int


@dataclass(frozen=True)
class Scored:
    """A trial with its score.

    Args:
        trial: what was trained.
        score: what it reached; larger is better.
    """

    trial: Trial
    score: float


@dataclass
class State:
    """All that changes during a search; `state_to_json` writes it, `state_from_json` reads it.

    Args:
        space: the search space.
        seed: of all that is drawn, in [0, 2**62).
        told: number of trials with a score.
        spent: seconds of those trials, by the clock of whoever scored them.
        best: the best of the trials that trained longest, of equals the first; None before the first score.
        lowest: the lowest score so far; None before the first one.
        memory: what the searcher itself carries, as JSON data.
    """

    space: Space
    seed: int
    told: int = 0
    spent: float = 0.0
    best: Scored | None = None
    lowest: float | None = None
    memory: dict[str, Any] = field(default_factory=dict)

    def rng(self, purpose: str) -> Random:
        """A generator of the trial that is due, for one purpose: the same until the score of that trial is known."""
        return Random(f"{self.seed}/{self.told + 1}/{purpose}")


@dataclass(frozen=True, kw_only=True)
class Searcher(ABC):
    """Base of the black-box searchers. Subclasses are frozen dataclasses of settings."""

    asked: ClassVar[str] = "a searcher such as mixop.searchers.Evolution()"

    def check(self, space: Space) -> None:
        """Refuses a space that this searcher cannot search; by default one whose architectures are drawn as a whole.

        Raises:
            RecipeError: saying which can.
        """
        if space.whole:
            raise RecipeError(
                f"{type(self).__name__} changes single decisions, but architectures of {space.name} are drawn as a whole: use "
                "random search."
            )

    def start(self, space: Space, rng: Random) -> State:
        """The state of a new search.

        Args:
            space: the search space.
            rng: gives the search its seed.

        Raises:
            RecipeError: if the searcher cannot search this space.
        """
        self.check(space)
        state = State(space, rng.getrandbits(62))
        state.memory = self.begin(space, state.rng("begin"))
        return state

    def ask(self, state: State) -> Trial | None:
        """The trial that is due, or None if there is nothing left to try. Asking again gives the same.

        Args:
            state: of the search; it is left as it is.
        """
        proposed = self.propose(state, state.rng("ask"))
        return None if proposed is None else Trial(state.told + 1, *proposed)

    def tell(self, state: State, trial: Trial, score: float | None, seconds: float) -> None:
        """Takes in what a trial reached.

        A score is a finite number of any scale, and larger is better: whoever measures something that is better when lower
        turns it round (`mixop.core.measure.Measure.rank`). A trial without a score, because its training diverged, is never
        the best and counts as the worst so far; nothing is learned from it while there is no score yet.

        Args:
            state: of the search; it is changed.
            trial: what `ask` gave, or what is recorded of it.
            score: larger is better; None if the trial has none.
            seconds: what the trial cost, >= 0.

        Raises:
            RunError: if another trial is due, or a number is not what it should be.
        """
        if trial.number != state.told + 1:
            raise RunError(f"Trial {state.told + 1} comes next, got trial {trial.number}: tell every trial once, in order.")
        for name, value, least in (("score", 0.0 if score is None else score, -math.inf), ("seconds", seconds, 0.0)):
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value < least:
                bound = "" if least else " of at least 0"
                raise RunError(f"The {name} of a trial must be a finite number{bound}, got {value!r}.")
        learned = state.lowest if score is None else float(score)
        if learned is not None:
            self.learn(state, trial, learned, state.rng("tell"))
        if score is not None:
            best = state.best
            if best is None or (trial.epochs, score) > (best.trial.epochs, best.score):
                state.best = Scored(trial, float(score))
            state.lowest = float(score) if state.lowest is None else min(state.lowest, float(score))
        state.told += 1
        state.spent += float(seconds)

    @abstractmethod
    def begin(self, space: Space, rng: Random) -> dict[str, Any]:
        """The memory of a new search, as JSON data."""

    @abstractmethod
    def propose(self, state: State, rng: Random) -> tuple[Architecture, int] | None:
        """The architecture and the epochs of the trial that is due; leaves the state as it is."""

    @abstractmethod
    def learn(self, state: State, trial: Trial, score: float, rng: Random) -> None:
        """Changes the memory by a score, which is larger for what is better."""

    def check_whole(self, name: str, value: Any, least: int = 1) -> None:
        """Refuses a setting that is not a whole number of at least ``least``.

        Raises:
            RecipeError: with the name and the value.
        """
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise RecipeError(f"{name} of {type(self).__name__} must be a whole number of at least {least}, got {value!r}.")


@dataclass(frozen=True, kw_only=True)
class SameLength(Searcher):
    """Base of the searchers whose trials all train equally long.

    Args:
        epochs: length of the training of every trial, >= 1.
    """

    epochs: int = 12

    def __post_init__(self) -> None:
        self.check_whole("epochs", self.epochs)


def state_to_json(state: State) -> dict[str, Any]:
    """A state as JSON data, without loss; the space is not part of it."""
    best = state.best
    return {
        "seed": state.seed,
        "told": state.told,
        "spent": state.spent,
        "best": None
        if best is None
        else {
            "trial": best.trial.number,
            "architecture": state.space.to_native(best.trial.architecture),
            "epochs": best.trial.epochs,
            "score": best.score,
        },
        "lowest": state.lowest,
        "memory": state.memory,
    }


def state_from_json(space: Space, data: Mapping[str, Any]) -> State:
    """The state that `state_to_json` wrote.

    Args:
        space: the space of the search.
        data: what was written.

    Raises:
        RunError: if it is not the state of a search in this space.
    """
    try:
        best = data["best"]
        scored = best and Scored(Trial(best["trial"], space.from_native(best["architecture"]), best["epochs"]), best["score"])
        return State(space, data["seed"], data["told"], data["spent"], scored, data["lowest"], dict(data["memory"]))
    except (KeyError, TypeError, ValueError, MixopError) as error:
        raise RunError(f"This is not the state of a search in {space.name} ({type(error).__name__}: {error}).") from error
