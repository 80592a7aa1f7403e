"""What a tuning found: its trials, the best of them, and how they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

from mixop.core.errors import RunError
from mixop.core.measure import Measure, Number
from mixop.core.values import type_of

State = Literal["running", "complete", "pruned", "failed"]
"""Of a trial: at work or left by a process that ended, scored, stopped between two epochs, refused or diverged."""


@dataclass(frozen=True, kw_only=True)
class Tried:
    """A trial of a tuning.

    Args:
        number: counted from 0.
        path: its run directory.
        state: how it ended.
        settings: what each tuned field was, as JSON data.
        score: of what the search found, in the unit of the measure; of a pruned trial, of its last epoch; None without one.
        cost: of what was found, where it counts too; None without one.
        epochs: of the search that told something of the score.
        architecture: what was found, in its native notation; empty without one.
        error: why it failed; empty where it did not.
    """

    number: int
    path: Path
    state: State
    settings: Mapping[str, Any]
    score: Number
    cost: Number
    epochs: int
    architecture: str
    error: str


@dataclass(frozen=True, kw_only=True)
class TuneResult:
    """The trials of a tuning.

    Args:
        out: its directory.
        study: the name of its study in the storage.
        measure: what the score is, and which of two is better.
        cost: what the second objective is; None for one objective.
        planned: how many trials there shall be.
        trials: those that have begun, in order.
    """

    out: Path
    study: str
    measure: Measure
    cost: str | None
    planned: int
    trials: tuple[Tried, ...]

    @property
    def complete(self) -> list[Tried]:
        """The trials that have a score, the best first; of equals the cheaper one, then the first."""
        done = [trial for trial in self.trials if trial.state == "complete"]
        return sorted(done, key=lambda trial: (-self.measure.rank(trial.score), trial.cost or 0.0, trial.number))

    @property
    def best(self) -> Tried:
        """The trial with the best score.

        Raises:
            RunError: if none has one.
        """
        if not self.complete:
            failed = next((trial for trial in self.trials if trial.error), None)
            why = f", for example trial {failed.number}: {failed.error.rstrip('.')}" if failed else ""
            raise RunError(
                f"None of the {len(self.trials)} trials in {self.out} has a score{why}; give other ranges, or more trials."
            )
        return self.complete[0]

    @property
    def front(self) -> list[Tried]:
        """The trials that no other one beats in score and cost, the best score first; the best alone where no cost counts."""
        if self.cost is None:
            return self.complete[:1]
        front: list[Tried] = []
        for trial in self.complete:  # a trial with a worse score is of use if it costs less than all before it
            if not front or (trial.cost or 0.0) < (front[-1].cost or 0.0):
                front.append(trial)
        return front

    def count(self, state: State) -> int:
        """How many trials ended in a way."""
        return sum(trial.state == state for trial in self.trials)

    def __str__(self) -> str:
        ways = [f"{self.count(state)} {state}" for state in get_args(State) if self.count(state)]
        lines = [f"{len(self.trials)} of {self.planned} trials in {self.out}: {', '.join(ways) or 'none has begun'}."]
        if self.complete:
            names = short_names(list(self.best.settings))
            settings = ", ".join(f"{names[name]} {written(value)}" for name, value in self.best.settings.items())
            score = f"{self.measure.name.replace('_', ' ')} {self.measure.written(self.best.score)}"
            lines.append(f"The best is trial {self.best.number}: {score}, {settings}.")
        return "\n".join(lines)

    def __repr__(self) -> str:
        return f"<tuning of {len(self.trials)} trials in {str(self.out)!r}>"


def short_names(fields: Sequence[str]) -> dict[str, str]:
    """For each field the shortest end of its name that no other one has: ``lr`` for ``recipe.architecture_optimiser.lr``."""
    found = {}
    for name in fields:
        pieces = name.split(".")
        ends = [".".join(pieces[-length:]) for length in range(1, len(pieces) + 1)]
        others = [other for other in fields if other != name]
        found[name] = next((end for end in ends if not any(f".{other}".endswith(f".{end}") for other in others)), name)
    return found


def written(value: Any) -> str:
    """The value of a field for people."""
    if isinstance(value, float):
        return f"{value:.3g}"
    return str(type_of(value) or value)
