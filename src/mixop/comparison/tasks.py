"""What the workers of a comparison do: one search and its score, or random search with one seed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from mixop import api
from mixop.comparison.conditions import Conditions
from mixop.comparison.evaluators import Evaluator, Retrain
from mixop.comparison.pace import Pace
from mixop.core.errors import DivergedError, RecipeError, RunError, SpaceError
from mixop.data.core import Data
from mixop.data.portable import Portable
from mixop.engine.driver import Observer
from mixop.engine.settings import Executor
from mixop.finder.known import plainly, plan
from mixop.finder.portfolio import by_hand
from mixop.recipe.core import Recipe
from mixop.report.methods import chosen
from mixop.runs.directory import RunDirectory
from mixop.runs.files import KNOWN, TRIAL, TRIALS
from mixop.runs.load import read_known
from mixop.runs.local import check_workers
from mixop.runs.records import KnownNetworks, to_record
from mixop.searchers.base import Searcher
from mixop.searchers.driver import TrialRecord, measure_of, run_search
from mixop.spaces.core import Architecture, Space

REPEATABLE = (DivergedError, RecipeError, SpaceError)
"""Errors that the same run would end with again: it diverged, or its parts do not fit. Files may be there again next time."""


def check_sent(space: Space, given: object) -> None:
    """Refuses what workers cannot be given, before anything is begun.

    Args:
        space: of the searches.
        given: all that tasks are made of.

    Raises:
        RunError: saying how else to run it.
    """
    if space.only_here:
        raise RunError(
            f"The {space.only_here} of {space.name} is an object of this program, which workers do not have: give in_module a "
            "function or class that Python can import, or run everything in this process with jobs=1."
        )
    check_workers(given)


def search(
    *,
    name: str,
    recipe: Recipe,
    space: Space,
    data: Portable,
    folder: Path,
    seed: int,
    device: str,
    checkpoint_seconds: float,
    evaluator: Evaluator,
    pace: Pace | None,
    observe: Observer,
    executor: Executor,
) -> None:
    """Searches in an ordinary run directory, scores what was found and writes ``trial.json``.

    A run that would fail in the same way again is recorded as failed.

    Args:
        pace: how fast this machine is, where others take part: seconds then count as those of the one that began.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run = RunDirectory(folder)
    trial: dict[str, Any] = {"recipe": name, "seed": seed}
    loaded = data.load()  # outside of what is recorded: nothing about it is for good
    options = {"device": device, "checkpoint_seconds": checkpoint_seconds, "observe": observe}
    try:
        conditions = Conditions(space=space, data=loaded, seed=seed, pace=_slower(pace, loaded, device), **options)
        # The rates are the paper's: they were scaled when it was planned.
        search_and_score(trial, recipe, folder, conditions, evaluator, rates="paper", executor=executor)
    except REPEATABLE as error:
        run.write_json(TRIAL, {**trial, "error": str(error)})
        raise
    run.write_json(TRIAL, trial)


def search_and_score(
    trial: dict[str, Any],
    recipe: Recipe,
    folder: Path,
    conditions: Conditions,
    evaluator: Evaluator,
    *,
    rates: api.Rates,
    executor: Executor,
    threads: int = 0,
) -> api.SearchResult:
    """Searches in an ordinary run directory and scores what was found; what is known goes into ``trial``, also before an error.

    Args:
        trial: gets the architecture, the seconds of the search, the score and what else there is.
        recipe: the method.
        folder: the run directory.
        conditions: space, data and seed.
        evaluator: scores it.
        rates: how the architecture's rate is taken, see `mixop.search`.
        executor: see `mixop.search`.
        threads: of torch on the CPU; 0 for torch's own number.
    """
    options = {name: getattr(conditions, name) for name in ("seed", "device", "checkpoint_seconds", "observe")}
    space, data = conditions.space, conditions.data
    found = api.search(recipe, space, data, folder, rates=rates, executor=executor, threads=threads, **options)
    last = found.history[-1]
    trial |= {
        "architecture": found.native,
        "search_seconds": last.seconds / conditions.pace,
        **_skips(found.architecture, space),
    }
    if last.entropy is not None:
        trial["entropy"] = last.entropy
    trial |= evaluator.of_search(found, conditions)
    return found


def random_search(
    *,
    space: Space,
    data: Portable,
    folder: Path,
    seed: int,
    device: str,
    checkpoint_seconds: float,
    evaluator: Evaluator,
    budgets: Mapping[str, float],
    pace: Pace | None,
    observe: Observer,
) -> None:
    """Trains or looks up random architectures as long as the largest budget lasts, and writes ``trial.json``.

    They are drawn uniformly, none twice. For every budget the one that is best on the validation split is scored, of those
    that were trained within it; the first one counts in any case.

    Args:
        budgets: seconds, by name.
        pace: as in `search`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    loaded, budget = data.load(), max(budgets.values())
    spent = 0.0

    slower = _slower(pace, loaded, device)
    told = _within(budget * slower, observe, lambda: (spent * slower, len(candidates)))
    conditions = Conditions(
        space=space, data=loaded, seed=seed, device=device, checkpoint_seconds=checkpoint_seconds, observe=told, pace=slower
    )
    objective = evaluator.objective(conditions, folder)
    candidates: list[dict[str, Any]] = []
    drawn: dict[Architecture, None] = {}  # keeps the order
    rng = Random(seed)
    while len(candidates) < space.size():
        if candidates and spent + candidates[-1]["seconds"] > budget:  # another one would not fit any more
            break
        while (architecture := space.random(rng)) in drawn:
            pass
        drawn[architecture] = None
        value, seconds = objective(architecture, evaluator.trial_epochs)
        native = space.to_native(architecture)
        candidates.append({"architecture": native, "value": value, "seconds": seconds, **_skips(architecture, space)})
        spent += seconds
    architectures = list(drawn)
    measure = measure_of(objective)
    for index in {chosen(candidates, seconds, measure) for seconds in budgets.values()}:
        candidates[index] |= evaluator.of_trial(architectures[index], candidates[index]["value"], conditions, folder)
    trial = {"recipe": "random", "seed": seed, "budgets": dict(budgets), "candidates": candidates}
    RunDirectory(folder).write_json(TRIAL, trial)


def black_box(
    *,
    name: str,
    searcher: Searcher,
    space: Space,
    data: Portable,
    folder: Path,
    seed: int,
    device: str,
    checkpoint_seconds: float,
    evaluator: Evaluator,
    budgets: Mapping[str, float],
    pace: Pace | None,
    observe: Observer,
) -> None:
    """Searches by training each trial or looking it up, scores what was found and writes ``trial.json``.

    The file has the fields of a recipe's run, and how many networks were trained; ``trials.jsonl`` has the trials.

    Args:
        searcher: how to search.
        budgets: seconds, by name; a searcher has those of the median recipe. The first trial counts in any case.
        pace: as in `search`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run, budget = RunDirectory(folder), budgets["median"]
    trial: dict[str, Any] = {"recipe": name, "seed": seed, "budgets": {"median": budget}}
    rows: list[TrialRecord] = []
    loaded = data.load()
    try:
        slower = _slower(pace, loaded, device)
        told = _within(budget * slower, observe, lambda: (slower * rows[-1].spent if rows else 0.0, len(rows)))
        options = {"device": device, "checkpoint_seconds": checkpoint_seconds, "observe": told}
        conditions = Conditions(space=space, data=loaded, seed=seed, pace=slower, **options)
        trained = folder / "trained"
        objective = evaluator.objective(conditions, trained)
        searching = {"seed": seed, "save": folder / TRIALS}
        # A budget of 0 seconds, from recipes that took none, still has a first trial.
        limit = {"budget_seconds": budget} if budget > 0 else {"max_trials": 1}
        found = run_search(searcher, space, objective, first_counts=True, observe=rows.append, **limit, **searching)
        best = found.best
        trial |= {"architecture": best.architecture, "search_seconds": found.spent, "trained": len(found.rows)}
        trial |= _skips(found.architecture, space)
        trial |= evaluator.of_trial(found.architecture, found.value, conditions, trained)
    except REPEATABLE as error:
        run.write_json(TRIAL, {**trial, "error": str(error)})
        raise
    run.write_json(TRIAL, trial)


def known(
    *,
    name: str,
    label: str,
    parameters: int,
    data: Portable,
    folder: Path,
    seed: int,
    device: str,
    checkpoint_seconds: float,
    evaluator: Retrain,
    budgets: Mapping[str, float],
    pace: Pace | None,
    observe: Observer,
) -> None:
    """Trains a network that is known without a search for as long as the budget lasts, and writes ``trial.json``.

    The file has the fields of a recipe's run; its seconds are those of the training.

    Args:
        label: of its family.
        parameters: that it has at most.
        budgets: seconds, by name; it has those of the median recipe, its training from scratch included.
        pace: as in `search`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    run, seconds = RunDirectory(folder), budgets["median"]
    loaded = data.load()
    slower = _slower(pace, loaded, device)
    family = next(family for family in by_hand(loaded) if family.label == label)
    before = read_known(folder / KNOWN)
    if before is None or before.seconds != seconds or not before.planned:  # decided once, however often it is stopped
        share = len(loaded.train) / (len(loaded.train) + len(loaded.valid))
        planned = plan(family, parameters, seconds * slower, plainly(evaluator.protocol), loaded, share=share, device=device)
        before = KnownNetworks(seconds=seconds, planned=(planned,), networks=(), weights_sha256="")
        run.write_json(KNOWN, to_record(before))
    planned = before.planned[0]
    own = family.space(planned.size).fit(loaded)
    architecture = family.architecture(own)
    trial: dict[str, Any] = {
        "recipe": name,
        "seed": seed,
        "budgets": dict(budgets),
        "architecture": own.to_native(architecture),
    }
    conditions = Conditions(
        space=own,
        data=loaded,
        seed=seed,
        device=device,
        checkpoint_seconds=checkpoint_seconds,
        observe=observe,
        pace=slower,
    )
    try:
        trial |= evaluator.of_known(architecture, planned.epochs, conditions, folder / f"{planned.size}-{planned.epochs}")
    except REPEATABLE as error:
        run.write_json(TRIAL, {**trial, "error": str(error)})
        raise
    run.write_json(TRIAL, trial)


def _slower(pace: Pace | None, data: Data, device: str) -> float:
    """How many times slower this machine is than the one that began; 1 where all runs are on one machine."""
    return 1.0 if pace is None else pace.here(data, device)


def _within(budget: float, observe: Observer, done: Callable[[], tuple[float, int]]) -> Observer:
    """Adds the share of the time used, and the network's number, to every record of a training.

    Args:
        budget: seconds.
        observe: called with the extended records.
        done: gives the seconds that earlier networks took, and their number.
    """

    def told(record: Mapping[str, Any]) -> None:
        spent, number = done()
        share = min(1.0, (spent + record.get("seconds", 0.0)) / budget) if budget else 1.0
        observe({**record, "share": share, "network": number + 1})

    return told


def _skips(architecture: Architecture, space: Space) -> dict[str, int]:
    """How many edges of an architecture are skip connections."""
    return {"skips": sum(map(space.is_skip, architecture.options()))}
