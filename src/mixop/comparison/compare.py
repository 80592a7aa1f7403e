"""Several recipes, several seeds, and random search at equal cost: one table, one report."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean, median
from typing import Any, get_args

import torch
from torch import Generator

from mixop import api
from mixop.api import Rates, at_rates
from mixop.comparison import tasks
from mixop.comparison.evaluators import TRAINED, Evaluator, Tabular, default_evaluator
from mixop.comparison.pace import Pace
from mixop.comparison.paper import paper_of
from mixop.core.door import door
from mixop.core.errors import RecipeError, RunError
from mixop.core.values import to_plain
from mixop.data.core import Data, Source
from mixop.data.given import MapStyle, given
from mixop.data.portable import Portable
from mixop.engine.fit import check_fit
from mixop.engine.settings import Executor, Settings
from mixop.evaluate.score import parameters
from mixop.finder.portfolio import Family, by_hand
from mixop.nets.discrete import build
from mixop.recipe.core import Recipe
from mixop.recipe.parts import recipe_to_json
from mixop.report.comparison import Comparison
from mixop.report.comparison_files import read_comparison
from mixop.report.comparison_page import write_comparison
from mixop.report.methods import RANDOM
from mixop.report.progress import RunsLine
from mixop.runs.directory import RunDirectory
from mixop.runs.files import COMPARISON, COMPARISON_RUNS, COMPARISON_TABLE, DATA, SCORE, TRIAL, WORKERS
from mixop.runs.identity import essence
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.runs.load import read_score
from mixop.runs.local import Local, check_guarded
from mixop.runs.runner import Assignment, Runner, Teller
from mixop.runs.trackers.live import Tracking, chosen
from mixop.searchers.base import Searcher
from mixop.spaces.core import Space
from mixop.spaces.describe import describe_space
from mixop.watch.follow import runs_below


@door()
def compare(
    recipes: Mapping[str, Recipe],
    space: Space,
    data: Data | Source | MapStyle,
    out: str | Path,
    *,
    searchers: Mapping[str, Searcher] | None = None,
    budget_seconds: float | None = None,
    known: int | None = None,
    seeds: Sequence[int] = range(4),
    jobs: int | None = None,
    runner: Runner | None = None,
    evaluate: Evaluator | None = None,
    rates: Rates = "scaled",
    note: str = "",
    device: str | torch.device = "cpu",
    checkpoint_seconds: float = 30.0,
    executor: Executor = "auto",
    track: str | Sequence[str] = (),
    observe: Teller | None = None,
    progress: bool | None = None,
) -> Comparison:
    """Runs every recipe and every searcher with every seed, several at a time in workers, and random search beside them.

    Each run is an ordinary run directory, ``out/NAME-SEED``. A comparison that was stopped or killed continues with the
    same call; what is finished is not repeated. With more methods, more seeds or a larger budget it grows. A run that would
    fail in the same way again, because its loss diverges or its parts do not fit, is recorded with its error message, which
    table and report name. One that failed in passing, for want of a file or of memory, is tried again by the same call. The
    others continue either way.

    Random search has as much time as the recipes took: for each recipe, and for the median recipe, its row says what it finds
    within the mean time of a search. It scores architectures drawn uniformly, none twice, as the evaluator scores trials, by
    training them or looking them up, and takes the one that is best on the validation split. Which of two is better, and in
    which unit, the task's first measure says; against a known optimum it is the share of decisions that are right.

    Black-box searchers score their trials in the same way, with the time of random search; their seconds are those of the
    trainings, and the first one counts in any case.

    Where what is found is trained, networks that are known without a search take part: for images a plain ResNet and the ResNet
    cell of NAS-Bench-201, for other data their like. Each has at most as many parameters as the median of what the recipes
    found, and is trained for as long as the search and the training from scratch of the median recipe took. Beside random
    search alone they have its time, and as many parameters as the median of what it took.

    Workers read the script that calls this again: it needs ``if __name__ == "__main__":`` around the call. What is defined in a
    notebook or on the command line they cannot find; with ``jobs=1`` there are none, and everything runs in this process.

    With a runner of other machines, seconds are those of the machine that began: each run measures a step before it begins, and
    what it takes counts by how much slower or faster its machine is. All machines must see ``out`` under the same path.

    Args:
        recipes: the methods, by the names that rows and directories have.
        space: the search space; sizes left open are taken from the data.
        data: examples with a task; the test set is not looked at unless the evaluator is set to.
        out: the directory of the comparison, new or this comparison's own.
        searchers: black-box searchers by name, which differ from those of the recipes.
        budget_seconds: what the trials of random search and of searchers may take together, > 0; default the median of the
            recipes' mean times. Needed where there are no recipes; random search may then stand alone.
        known: how many known networks, at most 2; default 2 where recipes, or random search alone, are scored by `Retrain`,
            else 0.
        seeds: of the runs of every method, each >= 0 and different.
        jobs: runs at a time; default as many as the runner has room for. Of the local one that is the number of cores, or of
            GPUs, and a single one at a time is computed in this process.
        runner: who computes the runs; default `mixop.runs.local.Local`.
        evaluate: how runs are scored; default `Optimum` where the space has one, else `Retrain`.
        rates: how searches take the architecture's learning rates of their recipes, see `mixop.search`.
        note: a sentence that table and report show.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        executor: of the searches, see `mixop.search`; ``auto`` is decided for each recipe.
        track: trackers that the searches, and the trainings of what they find, are sent to while they work, each as a run in
            the group of the comparison's name; see `mixop.search`.
        observe: called with what happens in each run.
        progress: whether a line says how far it is; None for in a terminal or a notebook, where there is no ``observe``.

    Returns:
        The runs and their statistics; ``table()`` is the text of ``table.txt``, ``comparison.html`` the report,
        ``runs.jsonl`` every run on a line.

    Raises:
        MixopError: in one sentence, before anything is computed where that is possible.
        InterruptedRunError: after SIGINT, SIGTERM or SIGHUP; every run has saved its state.
    """
    check_guarded("mixop.compare")
    track = chosen(track)
    seeds, searchers, data, device = list(seeds), dict(searchers or {}), given(data), str(device)
    evaluator = evaluate or default_evaluator(space)
    space = space.fit(data)
    recipes = {name: at_rates(recipe, data, rates) for name, recipe in recipes.items()}
    _check(recipes, searchers, budget_seconds, seeds, space, jobs)
    evaluator.check(space, data)
    families = {family.name: family.label for family in _known(known, evaluator, recipes, searchers, data)}
    runner, directory = runner or Local(), RunDirectory(out)
    executor = _as_begun(directory, executor)
    # Of workers elsewhere this machine only knows what they are sent: it need not have their device.
    kept = {"device": device if runner.one_machine else "cpu", "checkpoint_seconds": checkpoint_seconds, "executor": executor}
    settings = [Settings(seed=seed, **kept) for seed in seeds]
    for recipe in recipes.values():  # now: a worker would refuse it after hours of other searches
        check_fit(recipe, space, data, settings[0])
    leaves = runner.leaves(device, jobs)
    options = {
        "space": space,
        "data": Portable.of(data),
        "device": device,
        "checkpoint_seconds": checkpoint_seconds,
        "evaluator": evaluator,
        "pace": None if runner.one_machine else Pace(Path(out).resolve(), space),
    }
    if leaves:
        tasks.check_sent(space, (recipes, searchers, options))
    identity = {
        "recipes": {name: recipe_to_json(recipe) for name, recipe in recipes.items()},
        "space": describe_space(space),
        "data": data.describe(),
        "seeds": seeds,
        "evaluator": to_plain(evaluator),
        "score": evaluator.words(data.task),
        "measure": evaluator.measure(data.task).to_json(),
        "trial_measure": evaluator.trial_measure(data.task).to_json(),
        "note": note,
    }
    if isinstance(evaluator, Tabular) and (paper := paper_of(recipes, searchers, space, data, evaluator)):
        identity["paper"] = paper
    if searchers:  # comparisons without any, and without a budget, keep the identity that they had
        identity["searchers"] = {name: to_plain(searcher) for name, searcher in searchers.items()}
    if families:
        identity["known"] = list(families)
    if budget_seconds is not None:
        identity["budget_seconds"] = budget_seconds
    if executor != _WITHOUT_NAME:
        identity["executor"] = executor
    searches = [
        Assignment(
            _name(name, seed), tasks.search, {"name": name, "recipe": recipe, "seed": seed, "executor": executor, **options}
        )
        for seed in seeds  # the first seed of every recipe comes first: an unfinished table is of use
        for name, recipe in recipes.items()
    ]
    searched = {task.name for task in searches} if track else set()
    tracking = Tracking(track, group=directory.path.resolve().name)
    line = RunsLine(progress if observe is None else bool(progress))

    def tell(name: str, record: Mapping[str, Any]) -> None:
        line(name, record)
        if name in searched and record.get("event") != "step":
            for place in runs_below(directory / name):
                tracking.follow(place)
                if record.get("event") in ("done", "failed"):
                    tracking.end(place)
        if observe is not None:
            observe(name, record)

    with directory.locked(), listening() as stop, line, tracking:
        before = directory.read_json(COMPARISON) if (directory / COMPARISON).exists() else identity
        if isinstance(before, dict) and essence(DATA, before.get("data")) == essence(DATA, identity["data"]):
            identity["data"] = before["data"]  # the same examples, from another place perhaps
        directory.claim({COMPARISON: _without_growth(identity, before)}, markers=(COMPARISON,))
        directory.write_json(COMPARISON, identity)
        api.note_environment(directory, settings[0])
        begun = read_comparison(out)
        tell("", {"event": "plan", "total": begun.planned, "done": begun.done, "measure": data.task.first.to_json()})

        def run(given: Sequence[Assignment]) -> dict[str, str]:
            """Runs tasks, each in the directory of its name; the failures."""
            placed = [replace(task, arguments={**task.arguments, "folder": directory / task.name}) for task in given]
            return runner.work(placed, folder=directory / WORKERS, device=device, jobs=jobs, tell=tell, stop=stop)

        failures = run([task for task in searches if not (directory / task.name / TRIAL).exists()])
        budgets = {} if stop else _budgets(read_comparison(out), budget_seconds)
        rivals = [
            Assignment(_name(RANDOM, seed), tasks.random_search, {"seed": seed, "budgets": budgets, **options})
            for seed in seeds
        ]
        equal = {name: seconds for name, seconds in budgets.items() if name == "median"}
        options["budgets"] = equal
        rivals += [
            Assignment(_name(name, seed), tasks.black_box, {"name": name, "searcher": searcher, "seed": seed, **options})
            for seed in seeds
            for name, searcher in searchers.items()
        ]
        if families and recipes and not stop:
            rivals += _beside(families, seeds, directory, list(recipes), options)
        failures |= run([] if stop else [task for task in rivals if _still(directory, task)])
        if families and not recipes and not stop:
            beside = _beside_random(families, seeds, directory, options)
            failures |= run([task for task in beside if _still(directory, task)])
            rivals += beside
        result = read_comparison(out)
        directory.save(COMPARISON_TABLE, result.table().encode())
        directory.save(COMPARISON_RUNS, "".join(json.dumps(line) + "\n" for line in result.lines()).encode())
        write_comparison(out)
        if stop.signum is not None:
            raise InterruptedRunError(
                f"Stopped with {result.done} of {result.planned} runs done and all progress saved in {out}: "
                "the same command continues from there.",
                stop.signum,
            )
    lasting = {task.name for task in [*searches, *rivals] if (directory / task.name / TRIAL).exists()}
    broken = {name: sentence for name, sentence in failures.items() if name not in lasting}
    if broken:
        name, sentence = next(iter(broken.items()))
        raise RunError(
            f"{len(broken)} of {result.planned} runs could not be finished, for example {name}: {sentence.rstrip('.')}; "
            f"the others are kept in {out}, and the same command tries the rest again."
        )
    return result


_WITHOUT_NAME: Executor = "nodewise"
"""The executor of a comparison that names none: it was once the default."""


def _as_begun(directory: RunDirectory, executor: Executor) -> Executor:
    """The executor that a comparison began with, where it is left open: it keeps to one."""
    if executor != "auto" or not directory.has(COMPARISON):
        return executor
    begun = directory.read_json(COMPARISON).get("executor", _WITHOUT_NAME)
    return begun if begun in get_args(Executor) else executor


def _without_growth(now: Mapping[str, Any], before: Any) -> dict[str, Any]:
    """What makes a comparison, with what was there before in place of more of the same, and of words about it."""
    try:
        kept = {"note", "paper"}
        if set(before.get("known", ())) <= set(now.get("known", ())):
            kept.add("known")
        for name in ("recipes", "searchers"):
            if before.get(name, {}).items() <= now.get(name, {}).items():
                kept.add(name)
        if set(before.get("seeds", ())) <= set(now["seeds"]):
            kept.add("seeds")
        if (before.get("budget_seconds") or math.inf) <= (now.get("budget_seconds") or 0):
            kept.add("budget_seconds")
    except (AttributeError, TypeError):  # a damaged file: nothing grows, and the difference is reported
        return dict(now)
    return {name: now[name] for name in now if name not in kept} | {name: before[name] for name in kept if name in before}


def _name(name: str, seed: int) -> str:
    return f"{name}-{seed}"


def _budgets(comparison: Comparison, given: float | None) -> dict[str, float]:
    """Seconds of random search: those of each recipe, and of the median one, or what is given in its place."""
    budgets = dict(comparison.budgets)
    middle = median(budgets.values()) if budgets else 0.0
    return {**budgets, "median": middle if given is None else float(given)}


def _known(
    count: int | None, evaluator: Evaluator, recipes: Mapping[str, Recipe], searchers: Mapping[str, Searcher], data: Data
) -> tuple[Family, ...]:
    """The known networks that take part."""
    fits = evaluator.trains_what_is_found and bool(recipes or not searchers)
    if count is None:
        count = 2 if fits else 0
    if count < 0:
        raise RecipeError(f"known must be a whole number of at least 0, got {count!r}.")
    if count and not fits:
        raise RecipeError("Known networks are trained as what recipes find is: score recipes by Retrain, or leave known out.")
    families = by_hand(data)[:count]
    for name in (*recipes, *searchers):
        if name in {family.name for family in families}:
            raise RecipeError(f"{name!r} is the name of a known network: give the method another one, or set known=0.")
    return families


def _beside(
    families: Mapping[str, str],
    seeds: Sequence[int],
    directory: RunDirectory,
    recipes: Sequence[str],
    options: Mapping[str, Any],
) -> list[Assignment]:
    """Known networks with the time and the parameters of the median recipe; none where no recipe has finished a run."""
    times, sizes = [], []
    for name in recipes:
        done = [place for seed in seeds if (read_score((place := directory / _name(name, seed)) / TRAINED / SCORE))]
        trials = [RunDirectory(place).read_json(TRIAL) for place in done if (place / TRIAL).exists()]
        spent = [trial["search_seconds"] + trial["scoring_seconds"] for trial in trials if "scoring_seconds" in trial]
        if spent:
            times.append(fmean(spent))
            scores = [read_score(place / TRAINED / SCORE) for place in done]
            sizes.append(median(score.networks[0].parameters for score in scores if score is not None))
    return _equal(families, seeds, median(times), median(sizes), options) if times else []


def _beside_random(
    families: Mapping[str, str], seeds: Sequence[int], directory: RunDirectory, options: Mapping[str, Any]
) -> list[Assignment]:
    """Known networks with the time of random search, and the parameters of what it took; none where it took nothing."""
    space, sizes = options["space"], []
    for seed in seeds:
        place = directory / _name(RANDOM, seed) / TRIAL
        for one in RunDirectory(place.parent).read_json(TRIAL)["candidates"] if place.exists() else ():
            if one.get("score") is not None:
                net = build(space.from_native(one["architecture"]), space, generator=Generator().manual_seed(0))
                sizes.append(parameters(net))
    return _equal(families, seeds, options["budgets"]["median"], median(sizes), options) if sizes else []


def _equal(
    families: Mapping[str, str], seeds: Sequence[int], seconds: float, most: float, options: Mapping[str, Any]
) -> list[Assignment]:
    """Known networks with so many seconds and at most so many parameters."""
    given = {**options, "budgets": {"median": seconds}, "parameters": int(most)}
    del given["space"]  # each has its own
    return [
        Assignment(_name(name, seed), tasks.known, {"name": name, "label": label, "seed": seed, **given})
        for seed in seeds
        for name, label in families.items()
    ]


def _still(directory: RunDirectory, task: Assignment) -> bool:
    return _open(directory / task.name, task.arguments["budgets"])


def _open(folder: Path, budgets: Mapping[str, float]) -> bool:
    """Whether a black-box search is still to be done; with other budgets it continues."""
    if not (folder / TRIAL).exists():
        return True
    done = RunDirectory(folder).read_json(TRIAL)
    return "error" not in done and done["budgets"] != dict(budgets)


def _check(
    recipes: Mapping[str, Recipe],
    searchers: Mapping[str, Searcher],
    budget_seconds: Any,
    seeds: Sequence[int],
    space: Space,
    jobs: Any,
) -> None:
    if not recipes and not searchers and budget_seconds is None:
        raise RecipeError("A comparison needs at least one recipe or searcher, or budget_seconds for random search alone.")
    for name in (*recipes, *searchers):
        if name in (RANDOM, "median") or not re.fullmatch(r"[\w.+-]+", name) or name.startswith((".", "-")):
            raise RecipeError(
                f"The name of a method must consist of letters, digits, - and _, and not be 'random' or 'median', got {name!r}."
            )
        if name in recipes and name in searchers:
            raise RecipeError(f"{name!r} is the name of a recipe and of a searcher: give one of them another name.")
    for searcher in searchers.values():
        searcher.check(space)
    if not recipes and budget_seconds is None:
        raise RecipeError("Searchers get as much time as the recipes take, but there are no recipes: give budget_seconds.")
    if budget_seconds is not None:
        number = isinstance(budget_seconds, int | float) and not isinstance(budget_seconds, bool)
        if not number or not 0 < budget_seconds < math.inf:
            raise RecipeError(f"budget_seconds must be a finite number above 0, got {budget_seconds!r}.")
    if not seeds or len(set(seeds)) != len(seeds):
        raise RecipeError(f"A comparison needs at least one seed, all of them different, got {list(seeds)}.")
    if jobs is not None and (isinstance(jobs, bool) or not isinstance(jobs, int) or jobs < 1):
        raise RecipeError(f"jobs must be a whole number of at least 1, got {jobs!r}.")
