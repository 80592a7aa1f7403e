"""Who computes a run of `find` where that is not this process alone: workers, some of them at a time.

A worker is given a training or a search in a run directory of its own, and leaves a note of where it was when that is done.
Whoever looks reads the result from the directory, as if this process had computed it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from mixop.core.errors import RunError
from mixop.data.core import Data
from mixop.data.portable import Portable
from mixop.engine.driver import Observer
from mixop.evaluate.protocol import Protocol
from mixop.finder import tasks
from mixop.finder.contender import Contender
from mixop.recipe.core import Recipe
from mixop.report.progress import RunsLine
from mixop.runs.directory import RunDirectory
from mixop.runs.files import WORKER, WORKERS
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.runs.load import read_object
from mixop.runs.local import check_guarded, check_workers
from mixop.runs.runner import Assignment, Runner
from mixop.spaces.core import Space

TRIES = 2
"""How often a task is given away: a worker may be killed by a machine that is short of memory, which others then have back."""


class Crew:
    """The workers of a run of `find`.

    Args:
        run: the directory of the run.
        data: examples with a task.
        runner: who the workers are.
        jobs: how many there are at a time.
        seed: of the run.
        device: where they compute.
        threads: of torch in each; 0 for the runner's own rule.
        observe: called with every step and record, with the name of its training or search as ``run``.
        progress: whether a line says how far they are.
        ended: called whenever one has done its task.

    Raises:
        RunError: if workers cannot be given the data, or read the script that calls this.
    """

    def __init__(
        self,
        run: RunDirectory,
        data: Data,
        runner: Runner,
        jobs: int,
        *,
        seed: int,
        device: str,
        threads: int,
        observe: Observer | None,
        progress: bool,
        ended: Callable[[], None],
    ) -> None:
        check_guarded("mixop.find")
        self.run, self.runner, self.jobs, self.device = run, runner, jobs, device
        self.given: dict[str, Any] = {"data": Portable.of(data), "device": device, "threads": threads}
        check_workers(self.given)
        self.seed, self.observe, self.progress, self.ended = seed, observe, progress, ended
        self._paces: dict[tuple[str, int], float] = {}

    @property
    def here(self) -> bool:
        """Whether the workers share this machine, so that a training takes longer beside others than alone."""
        return self.runner.one_machine

    def training(self, contender: Contender, protocol: Protocol, place: Path, scope: Mapping[str, Any]) -> Assignment:
        """The task to train a network.

        Args:
            contender: the network.
            protocol: how.
            place: its run directory.
            scope: the parts that it is trained and scored on, as `mixop.retrain` takes them.
        """
        given = {"architecture": contender.architecture, "space": contender.space, "protocol": protocol, "scope": scope}
        return self._at(place, tasks.train, {**given, "seed": self.seed})

    def searching(self, recipe: Recipe, space: Space, place: Path, seed: int) -> Assignment:
        """The task to search a space."""
        return self._at(place, tasks.search_space, {"recipe": recipe, "space": space, "seed": seed})

    def _at(self, place: Path, run: Callable[..., None], given: Mapping[str, Any]) -> Assignment:
        folder = place.resolve()
        return Assignment(place.name, run, {**self.given, **given, "folder": folder, "note": folder / WORKER})

    def paces(self, contenders: Sequence[Contender], protocol: Protocol) -> dict[str, float]:
        """Seconds of a training by label, of some steps each: as many networks at a time as are trained at a time.

        Args:
            contenders: the networks.
            protocol: of the training, always the same.
        """
        count = min(self.jobs, len(contenders))
        left = [c for c in contenders if (c.label, count) not in self._paces]
        timed = [
            {"networks": [(c.label, c.architecture, c.space) for c in left[k::count]], "protocol": protocol}
            for k in range(min(count, len(left)))
        ]
        for found in self._timed(tasks.time_trainings, timed):
            self._paces.update({(label, count): seconds for label, seconds in found.items()})
        return {c.label: self._paces[c.label, count] for c in contenders}

    def search_pace(self, recipe: Recipe, space: Space, times: int) -> float:
        """Seconds of a search, of some steps: of the slowest of as many as are made at a time.

        Args:
            recipe: the method.
            space: what is searched.
            times: how many searches there will be at most.
        """
        timed = [{"recipe": recipe, "space": space, "seed": self.seed} for _ in range(min(self.jobs, times))]
        return max(found["seconds"] for found in self._timed(tasks.time_search, timed))

    def _timed(self, run: Callable[..., None], given: Sequence[Mapping[str, Any]]) -> list[dict[str, float]]:
        notes = [(self.run / WORKERS / f"pace-{k}.json").resolve() for k in range(len(given))]
        for note in notes:
            note.unlink(missing_ok=True)  # of another time
        each = zip(notes, given, strict=True)
        self.do([Assignment(note.stem, run, {**self.given, **its, "note": note}) for note, its in each])
        return [read_object(note) for note in notes]

    def do(self, some: Sequence[Assignment]) -> None:
        """Has tasks done; those that are done already are not given away again.

        Raises:
            RunError: if one cannot be done.
            InterruptedRunError: after a signal; the workers have saved their states.
        """
        left, failures = _left(some), dict[str, str]()
        with listening() as stop, RunsLine(self.progress, "finding") as line:
            line("", {"event": "plan", "total": len(some), "done": len(some) - len(left)})

            def told(name: str, record: Mapping[str, Any]) -> None:
                line(name, record)
                if record.get("event") == "done":
                    self.ended()
                elif record.get("event") not in ("begun", "failed") and self.observe is not None:
                    self.observe({**record, "run": name})

            for _ in range(TRIES):
                if left and not stop:
                    how = {"device": self.device, "jobs": self.jobs, "tell": told, "stop": stop}
                    failures = self.runner.work(left, folder=self.run / WORKERS, **how)
                    left = _left(left)
            if stop.signum is not None:
                raise InterruptedRunError("Stopped with all progress saved.", stop.signum)
        if left:
            name = left[0].name
            why = failures.get(name, "its worker left no result").rstrip(".")
            raise RunError(f"{name} could not be finished: {why}; the same command tries it again.")


def _left(some: Sequence[Assignment]) -> list[Assignment]:
    return [task for task in some if not task.arguments["note"].exists()]


def place_of(run: RunDirectory, number: int, label: str) -> Path:
    """The run directory of a short training.

    Args:
        run: of `find`.
        number: of the round.
        label: of the network.
    """
    return run / "trials" / f"{number}-{label.replace(' ', '-')}"


def where(place: Path) -> str:
    """The machine whose worker did the task of a run directory, with its GPUs; empty where that was no worker."""
    note = note_of(place)
    return ", ".join([*([note["machine"]] if "machine" in note else []), *([f"GPU {note['gpus']}"] if "gpus" in note else [])])


def note_of(place: Path) -> dict[str, Any]:
    """What a worker noted when it had done its task in a run directory; empty where there was none."""
    return read_object(place / WORKER) if (place / WORKER).exists() else {}
