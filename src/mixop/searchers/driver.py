"""Runs a searcher against an objective, on the objective's own clock, and continues where a killed search stopped."""

import json
import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from random import Random
from typing import Any

from mixop.core.errors import DivergedError, RecipeError, RunError
from mixop.core.files import append_to, read_file
from mixop.core.measure import Measure, Number
from mixop.core.outside import MalformedError, as_json, parse_object
from mixop.core.values import from_plain, to_plain
from mixop.searchers.base import Searcher, State, Trial
from mixop.spaces.core import Architecture, Space
from mixop.spaces.describe import describe_space

Objective = Callable[[Architecture, int], tuple[Number, float]]
"""From an architecture and a length in epochs to its value and what its training and validation took, in seconds.

The value is in the unit of the objective's ``measure``, which also says whether higher or lower is better; None where the
training diverged. A plain function has no ``measure``: of its values the higher one is better, or `run_search` is given one.
`mixop.searchers.objective.TableObjective` looks values up, `mixop.comparison.training_objective.TrainingObjective` trains.
"""

PLAIN = Measure("score", "higher")
"""What a plain function is taken to give."""


def measure_of(objective: Objective) -> Measure:
    """What an objective gives."""
    return getattr(objective, "measure", PLAIN)


@dataclass(frozen=True)
class TrialRecord:
    """One trial as it is recorded, and how the search stood after it.

    Args:
        trial: its number, from 1.
        architecture: in its community's notation.
        epochs: length of its training.
        value: what it reached, in the unit of the measure; None if its training diverged.
        seconds: what it cost.
        spent: what it and all before it cost, in seconds.
        best: value of the best so far, of the trials that trained longest; None before the first value.
        best_architecture: what reached it; None before the first value.
    """

    trial: int
    architecture: str
    epochs: int
    value: Number
    seconds: float
    spent: float
    best: Number
    best_architecture: str | None


@dataclass(frozen=True)
class Outcome:
    """What a search found.

    Args:
        architecture: the best of the trials that trained longest, of equals the first.
        value: what it reached, in the unit of the measure.
        spent: what all trials cost, in seconds.
        rows: the trials that count, in order.
        measure: what the values are, and which of two is better.
    """

    architecture: Architecture
    value: float
    spent: float
    rows: tuple[TrialRecord, ...]
    measure: Measure = PLAIN

    @property
    def best(self) -> TrialRecord:
        """The trial that was best."""
        last = self.rows[-1]
        reached = [r for r in self.rows if (r.value, r.architecture) == (last.best, last.best_architecture)]
        return max(reached, key=lambda row: row.epochs)


def run_search(
    searcher: Searcher,
    space: Space,
    objective: Objective,
    *,
    measure: Measure | None = None,
    budget_seconds: float | None = None,
    max_trials: int | None = None,
    first_counts: bool = False,
    seed: int = 0,
    save: str | Path | None = None,
    observe: Callable[[TrialRecord], None] | None = None,
) -> Outcome:
    """Asks, scores and tells until the budget is used.

    The clock is the objective's: a budget is the sum of the seconds that it gives, as in the published runs on tables, where
    a query costs what the training and one validation would have. What the searcher itself computes costs nothing. A trial
    that would overrun the budget ends the search and does not count.

    With ``save``, each trial is one line of JSON, on the disk before the next one begins. The same call continues
    with the same trials that an undisturbed search would have had; with a larger budget it continues further.

    Args:
        searcher: how to search.
        space: where.
        objective: scores a trial; the same one when a search is continued.
        measure: what the objective gives, and which of two values is better; None for its own `measure_of`.
        budget_seconds: what the trials may cost together, > 0; 12,000 for CIFAR-10 on NAS-Bench-201, and 20,000, 40,000 and
            120,000 for its three data sets in NATS-Bench. None for no limit.
        max_trials: number of trials, >= 1; None for no limit. One of the two is needed.
        first_counts: whether the first trial counts even if it overruns the budget.
        seed: of all that the searcher draws, >= 0.
        save: a file for the record; None keeps it in memory.
        observe: called with every row, those of an earlier call first.

    Raises:
        RecipeError: if a budget is missing or out of range, or the searcher does not fit the space.
        RunError: if not even one trial fits the budget, the objective's answer is no number, or the file holds another
            search, is torn or cannot be written.
        DivergedError: if no trial has a value.

    Source: Dong & Yang 2020 (arXiv:2001.00326), section 5, and its code.
    """
    _check(budget_seconds, max_trials, seed)
    measure = measure or measure_of(objective)
    state = searcher.start(space, Random(seed))
    identity = {
        "searcher": to_plain(searcher),
        "seed": seed,
        "space": describe_space(space),
        "measure": measure.to_json(),
    }
    record = None if save is None else _Record(Path(save), identity)
    known = [] if record is None else record.rows
    rows: list[TrialRecord] = []
    while max_trials is None or len(rows) < max_trials:
        if len(rows) < len(known):
            old = known[len(rows)]
            trial = Trial(old["trial"], space.from_native(old["architecture"]), old["epochs"])
            value, seconds = old["value"], old["seconds"]
        else:
            trial = searcher.ask(state)
            if trial is None:  # nothing is left to try
                break
            value, seconds = objective(trial.architecture, trial.epochs)
        searcher.tell(state, trial, _score(measure, value), seconds)
        row = _row(state, trial, value, seconds, measure)
        if record is not None and len(rows) >= len(known):
            record.append(row)
        if budget_seconds is not None and row.spent > budget_seconds and not (first_counts and not rows):
            break
        rows.append(row)
        if observe is not None:
            observe(row)
    if not rows:
        raise RunError(f"Not even the first trial fits into the budget of {budget_seconds} s: give more time.")
    last = rows[-1]
    if last.best is None or last.best_architecture is None:
        raise DivergedError(
            f"None of the {len(rows)} trials has a value, because their trainings diverged: lower the learning rate."
        )
    return Outcome(space.from_native(last.best_architecture), last.best, last.spent, tuple(rows), measure)


def _score(measure: Measure, value: Any) -> Any:
    """What a searcher receives: larger is better, whatever the measure; what is no number stays as it is, and is refused."""
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    return measure.rank(value) if number else value


def read_rows(path: str | Path, *, budget_seconds: float = math.inf) -> list[TrialRecord]:
    """The trials that a search recorded, without the one that overran its budget.

    Args:
        path: the ``save`` of `run_search`.
        budget_seconds: what the trials may cost together.

    Raises:
        RunError: if the file is missing, or a line before the last is torn.
    """
    if not Path(path).is_file():
        raise RunError(f"There is no record of a search at {path}: give the file that it was saved to.")
    _, rows, _ = _read(Path(path))
    return [TrialRecord(**row) for row in rows if row["spent"] <= budget_seconds]


class _Record:
    """The file of a search: what it is on the first line, then a row a line."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path = path
        identity = as_json(identity)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            here, self.rows, length = _read(path) if path.exists() else (None, [], 0)
            if here is not None and here != identity:
                name = next(key for key in (*here, *identity) if here.get(key) != identity.get(key))
                raise RunError(
                    f"{path} holds another search: its {name} is {here.get(name)!r}, not {identity.get(name)!r}; "
                    "choose another file, or remove that one."
                )
            if path.exists() and path.stat().st_size > length:
                os.truncate(path, length)  # a line that a crash left unfinished
            if here is None:
                self._write(identity)
        except OSError as error:
            raise self._refused(error) from error

    def append(self, row: TrialRecord) -> None:
        """Adds a row and forces it to the disk."""
        try:
            self._write(asdict(row))
        except OSError as error:
            raise self._refused(error) from error

    def _write(self, content: Mapping[str, Any]) -> None:
        with append_to(self.path) as file:
            file.write(json.dumps(content, allow_nan=False).encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())

    def _refused(self, error: OSError) -> RunError:
        return RunError(f"Cannot write {self.path} ({error.strerror or error}): make room, or choose another file.")


def _read(path: Path) -> tuple[Any, list[Any], int]:
    """First line, rows and length in bytes of a record, up to its last whole line."""
    content = read_file(path)
    length = content.rfind(b"\n") + 1
    lines = []
    for number, line in enumerate(content[:length].splitlines(), start=1):
        try:
            parsed = parse_object(line)
            if (number == 1) != ("searcher" in parsed):
                raise MalformedError("it is no line of a search")
            if number > 1:
                from_plain(parsed, TrialRecord, {}, "the row")
        except (MalformedError, RecipeError) as error:
            raise RunError(
                f"Line {number} of {path} is torn or not a row of a search ({str(error).rstrip('.')}): remove the file, or "
                "restore it."
            ) from error
        lines.append(parsed)
    return (lines[0] if lines else None), lines[1:], length


def _row(state: State, trial: Trial, value: Number, seconds: float, measure: Measure) -> TrialRecord:
    best = state.best
    native = state.space.to_native
    return TrialRecord(
        trial=trial.number,
        architecture=native(trial.architecture),
        epochs=trial.epochs,
        value=None if value is None else float(value),
        seconds=float(seconds),
        spent=state.spent,
        best=None if best is None else measure.rank(best.score),  # turned round twice it is the value again
        best_architecture=None if best is None else native(best.trial.architecture),
    )


def _check(budget_seconds: Any, max_trials: Any, seed: Any) -> None:
    if budget_seconds is None and max_trials is None:
        raise RecipeError("A search needs an end: give budget_seconds, max_trials or both.")
    if budget_seconds is not None:
        number = isinstance(budget_seconds, int | float) and not isinstance(budget_seconds, bool)
        if not number or not 0 < budget_seconds < math.inf:
            raise RecipeError(f"budget_seconds must be a finite number above 0, got {budget_seconds!r}.")
    for name, value, least in (("max_trials", max_trials, 1), ("seed", seed, 0)):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < least):
            raise RecipeError(f"{name} must be a whole number of at least {least}, got {value!r}.")
