"""Several recipes, several seeds, and random search at equal cost: one table, one report."""

import multiprocessing
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from mixop import api
from mixop.comparison import tasks
from mixop.comparison.evaluators import Evaluator, default_evaluator
from mixop.comparison.pool import Task, Teller, work
from mixop.data.core import Data
from mixop.engine.checkpoint import write_bytes
from mixop.engine.interrupt import InterruptedRunError, StopRequest, listening
from mixop.engine.rundir import RunDirectory
from mixop.engine.settings import Settings
from mixop.errors import RecipeError, RunError
from mixop.machine import cores
from mixop.recipe import Recipe, recipe_to_json
from mixop.report.comparison import COMPARISON, RANDOM, TRIAL, Comparison, read_comparison
from mixop.report.comparison_page import write_comparison
from mixop.spaces.core import Space
from mixop.spaces.describe import describe_space
from mixop.values import to_plain


def compare(
    recipes: Mapping[str, Recipe],
    space: Space,
    data: Data,
    out: str | Path,
    *,
    seeds: Sequence[int] = range(4),
    jobs: int | None = None,
    evaluate: Evaluator | None = None,
    note: str = "",
    device: str = "cpu",
    checkpoint_seconds: float = 30.0,
    observe: Teller | None = None,
) -> Comparison:
    """Runs every recipe with every seed in worker processes, and random search beside them.

    Each run is an ordinary run directory, ``out/NAME-SEED``. A comparison that was stopped or killed goes on with the same
    call; what is finished is not repeated. A run that fails, because its loss diverges for example, is recorded with its
    sentence, and the others go on. Random search has as much time as the recipes took: for each recipe, and for the median
    recipe, it is told what it finds within the mean time of a search. It trains architectures drawn uniformly, none twice,
    from scratch on the weight split, and takes the one that is best on the validation split.

    Workers import the script that calls this: it needs ``if __name__ == "__main__":`` around the call.

    Args:
        recipes: the methods, by the names that rows and directories have.
        space: the search space; sizes left open are taken from the data.
        data: images and labels; the test set is not looked at unless the evaluator is told to.
        out: the directory of the comparison, new or this comparison's own.
        seeds: of the runs of every recipe, each >= 0 and different.
        jobs: workers at a time; default the number of cores, on a GPU 1.
        evaluate: how runs are scored; default `Optimum` where the space has one, else `Retrain`.
        note: a sentence that table and report show.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        observe: is told what happens, by run.

    Returns:
        The runs and their statistics; ``table()`` is the text of ``table.txt``, ``comparison.html`` the report.

    Raises:
        MixopError: in one sentence, before anything is computed where that is possible.
        InterruptedRunError: after SIGINT or SIGTERM; every run has saved its state.
    """
    if getattr(multiprocessing.current_process(), "_inheriting", False):
        raise RunError('A script that calls mixop.compare needs `if __name__ == "__main__":` around it: workers import it.')
    seeds = list(seeds)
    evaluator = evaluate or default_evaluator(space)
    space = space.fit(channels=data.channels, size=data.size, classes=len(data.classes))
    _check(recipes, seeds, space, evaluator, jobs)
    if evaluator.protocol.batch_size > len(data.train):
        raise RecipeError(
            f"Trainings from scratch take batches of {evaluator.protocol.batch_size}, but the weight split has "
            f"{len(data.train)} examples: give the evaluator a protocol with a smaller batch_size."
        )
    for seed in seeds:
        Settings(seed=seed, device=device, checkpoint_seconds=checkpoint_seconds)
    directory = RunDirectory(out)
    identity = {
        "recipes": {name: recipe_to_json(recipe) for name, recipe in recipes.items()},
        "space": describe_space(space),
        "data": data.describe(),
        "seeds": seeds,
        "evaluator": to_plain(evaluator),
        "score": evaluator.score,
        "note": note,
    }
    directory.claim({COMPARISON: identity}, markers=(COMPARISON,))
    options = {
        "space": space,
        "data": tasks.Portable.of(data),
        "device": device,
        "checkpoint_seconds": checkpoint_seconds,
        "evaluator": evaluator,
    }
    searches = [
        Task(_name(name, seed), tasks.search, {"name": name, "recipe": recipe, "seed": seed, **options})
        for seed in seeds  # the first seed of every recipe comes first: an unfinished table is of use
        for name, recipe in recipes.items()
    ]
    tell = observe or (lambda name, record: None)
    with directory.locked(), listening() as stop:
        api.note_environment(directory, Settings(seed=seeds[0], device=device, checkpoint_seconds=checkpoint_seconds))
        before = read_comparison(out)
        tell("", {"event": "plan", "total": before.planned, "done": before.done})
        pool = _Pool(directory, jobs or (cores() if device == "cpu" else 1), tell, stop)
        failures = pool.run([task for task in searches if not (directory / task.name / TRIAL).exists()])
        budgets = {} if stop else _budgets(read_comparison(out))
        randoms = [
            Task(_name(RANDOM, seed), tasks.random_search, {"seed": seed, "budgets": budgets, **options}) for seed in seeds
        ]
        failures |= pool.run([] if stop else [task for task in randoms if _open(directory / task.name, budgets)])
        result = read_comparison(out)
        write_bytes(directory / "table.txt", result.table().encode())
        write_comparison(out)
    if stop.signum is not None:
        raise InterruptedRunError(
            f"Stopped with {result.done} of {result.planned} runs done and all progress saved in {out}: "
            "the same command goes on from there.",
            stop.signum,
        )
    lasting = {task.name for task in searches if (directory / task.name / TRIAL).exists()}
    broken = {name: sentence for name, sentence in failures.items() if name not in lasting}
    if broken:
        name, sentence = next(iter(broken.items()))
        raise RunError(
            f"{len(broken)} of {result.planned} runs could not be finished, {name} for one: {sentence.rstrip('.')}; "
            f"the others are kept in {out}, and the same command tries these again."
        )
    return result


class _Pool:
    """Where the tasks of a comparison run."""

    def __init__(self, directory: RunDirectory, jobs: int, tell: Teller, stop: StopRequest) -> None:
        self.directory, self.jobs, self.tell, self.stop = directory, jobs, tell, stop
        self.threads = max(1, cores() // jobs)

    def run(self, given: Sequence[Task]) -> dict[str, str]:
        """Runs tasks, each in the directory of its name; the failures."""
        placed = [Task(task.name, task.run, {**task.arguments, "folder": self.directory / task.name}) for task in given]
        return work(placed, self.jobs, self.threads, self.tell, self.stop)


def _name(name: str, seed: int) -> str:
    return f"{name}-{seed}"


def _budgets(comparison: Comparison) -> dict[str, float]:
    """Seconds of random search: those of each recipe, and of the median one."""
    budgets = dict(comparison.budgets)
    return {**budgets, "median": median(budgets.values()) if budgets else 0.0}


def _open(folder: Path, budgets: Mapping[str, float]) -> bool:
    """Whether a random search is still to be done; with other budgets it goes on."""
    return not (folder / TRIAL).exists() or RunDirectory(folder).read_json(TRIAL)["budgets"] != dict(budgets)


def _check(recipes: Mapping[str, Recipe], seeds: Sequence[int], space: Space, evaluator: Evaluator, jobs: Any) -> None:
    if not recipes:
        raise RecipeError("A comparison needs at least one recipe, got none.")
    for name, recipe in recipes.items():
        if name in (RANDOM, "median") or not re.fullmatch(r"[\w.+-]+", name) or name.startswith((".", "-")):
            raise RecipeError(
                f"A recipe in a comparison is called by letters, digits, - and _, and not 'random', got {name!r}."
            )
        recipe.check(space)
    if not seeds or len(set(seeds)) != len(seeds):
        raise RecipeError(f"The seeds of a comparison must be different, at least one, got {list(seeds)}.")
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise RecipeError(f"jobs must be a whole number of at least 1, got {jobs!r}.")
    evaluator.check(space)
