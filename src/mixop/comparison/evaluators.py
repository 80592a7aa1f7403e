"""How the runs of a comparison are scored: against a known optimum, by training, by a table, or by the supernet itself."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar

from mixop import api
from mixop.comparison.conditions import SHORT, Conditions
from mixop.comparison.training_objective import TrainingObjective
from mixop.core.errors import DataError, RecipeError, SpaceError, unknown
from mixop.core.measure import Measure, Number
from mixop.data.core import Data
from mixop.evaluate.protocol import Protocol
from mixop.finder.known import plainly
from mixop.report.words import word
from mixop.runs.files import SCORE
from mixop.searchers.driver import Objective
from mixop.searchers.objective import TableObjective
from mixop.spaces.core import Architecture, Space
from mixop.tables.catalogue import open_table
from mixop.tables.table import SearchTable, Table
from mixop.tasks.base import Task

TRAINED = "trained"
"""In the directory of a search: where what it found is trained."""

RIGHT = Measure("decisions", "higher", style="percent")
"""The score of a run against a known optimum: the share of its decisions that are right."""


@dataclass(frozen=True, kw_only=True)
class Evaluator(ABC):
    """How the architecture of a run is scored, and how trials of black-box searches are, as a value."""

    asked: ClassVar[str] = "an evaluator such as mixop.comparison.evaluators.Retrain()"

    def measure(self, task: Task) -> Measure:
        """What the score is, and whether higher or lower is better: the first measure of the task."""
        return task.first

    def trial_measure(self, task: Task) -> Measure:
        """What `objective` gives, which black-box searches choose by: the first measure of the task."""
        return task.first

    @abstractmethod
    def words(self, task: Task) -> str:
        """What the score is, in words."""

    @property
    @abstractmethod
    def trial_epochs(self) -> int:
        """Length of a trial's training."""

    def ladder(self, rungs: int, factor: int) -> tuple[int, ...]:
        """Increasing lengths of trainings up to `trial_epochs`, each about ``factor`` times the one before it."""
        return tuple(sorted({max(1, round(self.trial_epochs / factor**rung)) for rung in range(rungs)}))

    def check(self, space: Space, data: Data) -> None:  # noqa: B027
        """Refuses what cannot be scored in this way.

        Raises:
            RecipeError: naming what can.
        """

    @abstractmethod
    def objective(self, conditions: Conditions, folder: Path) -> Objective:
        """Scores a trial on the validation split.

        Args:
            conditions: what the runs of a seed share.
            folder: for what is trained.
        """

    @property
    def trains_what_is_found(self) -> bool:
        """Whether the score is that of a training from scratch, which known networks can have too."""
        return False

    @abstractmethod
    def of_search(self, found: api.SearchResult, conditions: Conditions) -> dict[str, Any]:
        """Scores what a search found.

        Returns:
            ``score`` in the unit of its `measure`, and further measurements.
        """

    def so_far(self, epoch: Mapping[str, Any], conditions: Conditions) -> Number:
        """What an epoch of a search says of the score to come: its supernet's first measure on the validation split.

        Args:
            epoch: the record of the epoch.
            conditions: what the runs of a seed share.

        Returns:
            A number that compares with that of other searches after as many epochs, and is better where the score is; None
            where there is none.
        """
        return epoch["valid"].get(conditions.measure.name)

    @abstractmethod
    def of_trial(self, architecture: Architecture, value: Number, conditions: Conditions, folder: Path) -> dict[str, Any]:
        """Scores what a black-box search took.

        Args:
            architecture: what it took.
            value: what `objective` gave for it; None if its training diverged.
            conditions: the rest.
            folder: the one of `objective`.
        """


@dataclass(frozen=True, kw_only=True)
class Training(Evaluator):
    """Base of those whose trials are trained from scratch, on the weight split, and scored on the validation split.

    Args:
        protocol: of the trainings from scratch.
    """

    protocol: Protocol = field(default=SHORT)

    @property
    def trial_epochs(self) -> int:
        return self.protocol.epochs

    def check(self, space: Space, data: Data) -> None:
        if self.protocol.batch_size > len(data.train):
            raise RecipeError(
                f"Trainings from scratch take batches of {self.protocol.batch_size}, but the weight split has "
                f"{len(data.train)} examples: give the evaluator a protocol with a smaller batch_size."
            )

    def objective(self, conditions: Conditions, folder: Path) -> TrainingObjective:
        shared = {f.name: getattr(conditions, f.name) for f in fields(Conditions)}
        return TrainingObjective(folder=folder, protocol=self.protocol, **shared)


@dataclass(frozen=True, kw_only=True)
class Optimum(Training):
    """Against the known optimum of a space such as `mixop.spaces.toy`: found or not, and how many decisions are right."""

    def measure(self, task: Task) -> Measure:
        return RIGHT

    def words(self, task: Task) -> str:
        return "share of decisions that are those of the optimum"

    def check(self, space: Space, data: Data) -> None:
        super().check(space, data)
        if not isinstance(getattr(space, "optimum", None), Architecture):
            raise RecipeError(f"The best architecture of {space.name} is not known: score its runs by retrain or supernet.")

    def of_search(self, found: api.SearchResult, conditions: Conditions) -> dict[str, Any]:
        return against(found.architecture, conditions.space)

    def so_far(self, epoch: Mapping[str, Any], conditions: Conditions) -> Number:
        architecture = _derived(epoch["architecture"], conditions.space)
        return None if architecture is None else against(architecture, conditions.space)["score"]

    def of_trial(self, architecture: Architecture, value: Number, conditions: Conditions, folder: Path) -> dict[str, Any]:
        return against(architecture, conditions.space)


@dataclass(frozen=True, kw_only=True)
class Retrain(Training):
    """By training what was found from scratch on the weight split, and scoring it on the validation split.

    Args:
        test: score on the test set in place of the validation split, once for each run. Off, a comparison never looks at it.
    """

    test: bool = False

    def words(self, task: Task) -> str:
        return f"{word(task.first)} on the {'test set' if self.test else 'validation split'} after a training from scratch"

    @property
    def trains_what_is_found(self) -> bool:
        return True

    def of_known(self, architecture: Architecture, epochs: int, conditions: Conditions, folder: Path) -> dict[str, Any]:
        """Scores a network that is known without a search.

        Args:
            architecture: of the space of the conditions.
            epochs: of its training.
            conditions: what the runs of a seed share, with its own space.
            folder: the run directory of the training.
        """
        trained = conditions.train(architecture, replace(plainly(self.protocol), epochs=epochs), folder)
        scored = self._scored(folder, trained.measures[conditions.measure.name], conditions)
        return {**scored, "search_seconds": trained.seconds / conditions.pace}

    def of_search(self, found: api.SearchResult, conditions: Conditions) -> dict[str, Any]:
        folder = found.out / TRAINED
        trained = conditions.train(found.architecture, self.protocol, folder)
        value = trained.measures[conditions.measure.name]
        return {**self._scored(folder, value, conditions), "scoring_seconds": trained.seconds / conditions.pace}

    def of_trial(self, architecture: Architecture, value: Number, conditions: Conditions, folder: Path) -> dict[str, Any]:
        place = self.objective(conditions, folder).place(architecture, self.trial_epochs)
        return self._scored(place, value, conditions)

    def _scored(self, folder: Path, value: Number, conditions: Conditions) -> dict[str, Any]:
        if not self.test:
            return {"score": value}
        tested = conditions.test(folder) if (folder / SCORE).exists() else None  # a training that diverged has no network
        return {"score": tested, "valid": value}


@dataclass(frozen=True, kw_only=True)
class Supernet(Training):
    """By the supernet's first measure on the validation split after the last epoch: costs nothing, and says the least.

    It is no forecast of what the architecture is worth alone, and random search, which has no supernet, is scored by the
    network that it trained: compare recipes with recipes only.
    """

    def words(self, task: Task) -> str:
        return f"validation {word(task.first)} of the supernet (of random search, of the network that it trained)"

    def of_search(self, found: api.SearchResult, conditions: Conditions) -> dict[str, Any]:
        measure = conditions.measure
        value = found.history[-1].valid.get(measure.name)
        if value is None:
            raise RecipeError(
                f"{found.recipe.name} trains on both splits, so its supernet has no validation {word(measure)}: "
                "score it by retrain or by a known optimum."
            )
        return {"score": value}

    def of_trial(self, architecture: Architecture, value: Number, conditions: Conditions, folder: Path) -> dict[str, Any]:
        return {"score": value}


@dataclass(frozen=True, kw_only=True)
class Tabular(Evaluator):
    """By looking it up in a table of trained architectures: costs nothing, and is the truth of that table.

    An architecture's score is its mean over all runs that the table has. Trials of black-box searches are looked up too: each
    is one run of a training, drawn by the seed, and its seconds are those that the training and its validation took, on the
    machine that made the table. `tabular` fills in what a table itself knows.

    Args:
        table: the file of a table, or the name of one that comes with mixop.
        dataset: the data set of the table.
        epochs: length of the training that is scored.
        trial_length: epochs of a trial's training; another length than ``epochs`` is another training.
        test: score on the test set in place of the validation split. Searches never see it.
        sha256: of the table, so that a comparison is not continued on another one.
    """

    table: str
    dataset: str
    epochs: int
    trial_length: int
    test: bool = False
    sha256: str = ""

    def measure(self, task: Task) -> Measure:
        return _opened(self.table).measure()

    def trial_measure(self, task: Task) -> Measure:
        return self._search_table.measure

    def words(self, task: Task) -> str:
        what = f"{'test' if self.test else 'validation'} {word(self.measure(task))} on {self.dataset}"
        return (
            f"{what} after {self.epochs} epochs of training from scratch, mean over the runs of the table "
            f"{_opened(self.table).name}"
        )

    @property
    def trial_epochs(self) -> int:
        return self.trial_length

    def ladder(self, rungs: int, factor: int) -> tuple[int, ...]:
        known = self._search_table.lengths if len(self._search_table.lengths) > 1 else self._search_table.curve(self.epochs)
        wanted = [max(known) / factor**rung for rung in range(rungs)]
        return tuple(sorted({min(known, key=lambda length: abs(length - want)) for want in wanted}))

    def check(self, space: Space, data: Data) -> None:
        table = _opened(self.table)
        if self.sha256 and table.header.sha256 != self.sha256:
            raise DataError(f"The table {self.table} is not the one that the comparison began with: restore that one.")
        if not table.space.includes(space):
            raise RecipeError(
                f"The table {table.name} is for {table.space.name} ({table.space.size():,} architectures), which does not "
                f"cover {space.name} with {space.size():,}: search its space, or give another --table."
            )

    def objective(self, conditions: Conditions, folder: Path) -> TableObjective:
        return TableObjective(self._search_table, seed=conditions.seed)

    def of_search(self, found: api.SearchResult, conditions: Conditions) -> dict[str, Any]:
        curve = []
        for record in found.history:
            architecture = _derived(record.architecture, conditions.space)
            if architecture is not None:
                curve.append([record.epoch, record.seconds / conditions.pace, self.look_up(architecture)])
        return {"score": self.look_up(found.architecture), "curve": curve}

    def so_far(self, epoch: Mapping[str, Any], conditions: Conditions) -> Number:
        architecture = _derived(epoch["architecture"], conditions.space)
        return None if architecture is None else self.look_up(architecture)

    def of_trial(self, architecture: Architecture, value: Number, conditions: Conditions, folder: Path) -> dict[str, Any]:
        return {"score": self.look_up(architecture)}

    def look_up(self, architecture: Architecture) -> float:
        """The score of an architecture, in the unit of the table's first measure.

        Raises:
            SpaceError: if the table does not hold it.
        """
        where: dict[str, Any] = {"dataset": self.dataset, "split": "test" if self.test else "valid", "epochs": self.epochs}
        table = _opened(self.table)
        return table.query(architecture, **where, reveal_test=self.test) / table.measure().scale

    @property
    def _search_table(self) -> SearchTable:
        return _opened(self.table).for_search(dataset=self.dataset, epochs=self.trial_length)


def tabular(table: str, dataset: str | None = None, *, test: bool = False) -> Tabular:
    """The evaluator of a table: scores are of its longest training, trials of black-box searches have its shortest one.

    Args:
        table: its file, or the name of one that comes with mixop.
        dataset: the data set; None where the table has one only.
        test: as in `Tabular`.

    Raises:
        DataError: if there is no such table or data set, or the data set must be named.
    """
    opened = _opened(table)
    named = [n for n in opened.datasets if n not in {to for by in opened.header.redirect.values() for to in by.values()}]
    if dataset is None and len(named) == 1:
        dataset = named[0]
    if dataset is None or dataset not in opened.datasets:
        known = ", ".join(named)
        if dataset is None:
            raise DataError(f"The table {opened.name} has the data sets {known}: choose one with --dataset.")
        raise DataError(unknown(f"data set in the table {opened.name} called", dataset, named))
    lengths = opened.lengths(dataset, "valid")
    if test:
        lengths = tuple(n for n in lengths if opened.has(dataset, "test", None, n))
    if not lengths:
        what = f"{'test ' if test else ''}{word(opened.measure())}"
        raise DataError(f"The table {opened.name} has no {what} of {dataset}: choose another one.")
    return Tabular(
        table=table,
        dataset=dataset,
        epochs=lengths[-1],
        trial_length=opened.lengths(dataset, "valid")[0],
        test=test,
        sha256=opened.header.sha256,
    )


@lru_cache(maxsize=4)
def _opened(table: str) -> Table:
    """A table by its file or, where that is missing, by the name of one that comes with mixop."""
    return open_table(table)


EVALUATORS: dict[str, type[Training]] = {"optimum": Optimum, "retrain": Retrain, "supernet": Supernet}
"""Evaluators that need no table, by their words on the command line."""


def default_evaluator(space: Space) -> Evaluator:
    """`Optimum` where it is known, else `Retrain`."""
    return Optimum() if hasattr(space, "optimum") else Retrain()


def _derived(native: str, space: Space) -> Architecture | None:
    """The architecture of an epoch; None in a stage of the search that has a space of its own."""
    try:
        return space.from_native(native)
    except SpaceError:
        return None


def against(architecture: Architecture, space: Space) -> dict[str, Any]:
    """An architecture beside the optimum of its space.

    Returns:
        ``hit``: whether they are the same; ``distance``: decisions that differ; ``score``: share of those that do not.
    """
    chosen, best = (
        {(group.name, choice.decision): choice.option for group in space.groups for choice in a.of(group.name)}
        for a in (architecture, space.optimum)  # type: ignore[attr-defined]
    )
    decisions = [(group.name, e) for group in space.groups for e in range(len(group.decisions))]
    distance = sum(chosen.get(place) != best.get(place) for place in decisions)
    return {"hit": distance == 0, "distance": distance, "score": 1 - distance / len(decisions)}
