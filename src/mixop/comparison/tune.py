"""`tune`: fields of a recipe, a space and a training are searched with Optuna; each trial is an ordinary run."""

import secrets
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator

from mixop import api
from mixop.comparison.conditions import Conditions
from mixop.comparison.evaluators import Evaluator, Retrain, Training, default_evaluator
from mixop.comparison.ranges import Tuned
from mixop.comparison.study import Pruner, Sampler, opened, pruner_for, public, sampler_for, study_in
from mixop.comparison.tasks import REPEATABLE, check_sent, search_and_score
from mixop.comparison.tunable import Built, Tunable
from mixop.comparison.tuned import Tried, TuneResult, short_names, written
from mixop.core.door import door
from mixop.core.errors import DataError, MemoryLimitError, RecipeError, RunError
from mixop.core.extras import package
from mixop.core.outside import as_json
from mixop.core.values import to_plain
from mixop.data.core import Data, Part, Source
from mixop.data.given import MapStyle, given
from mixop.data.portable import Portable
from mixop.engine.driver import Observer
from mixop.engine.fit import check_fit
from mixop.engine.settings import Executor, Settings
from mixop.finder.costs import cost_of
from mixop.nets.discrete import build
from mixop.recipe.core import Recipe
from mixop.report.progress import tell_there, where_one_looks
from mixop.runs.directory import RunDirectory
from mixop.runs.files import DATA, STUDY, TRIAL, TUNING, WORKERS, trial_of
from mixop.runs.identity import essence
from mixop.runs.interrupt import InterruptedRunError, StopRequest, listening
from mixop.runs.local import Local
from mixop.runs.lock import Lock, LockedError
from mixop.runs.runner import Assignment, Runner, Teller
from mixop.spaces.core import Space
from mixop.spaces.describe import describe_space

Cost = Literal["seconds", "parameters", "flops"]
"""A second objective: what the search took, or what the network that was found has."""

SETTINGS, FOUND, ERROR = "settings", "architecture", "error"
"""What a trial of the study keeps besides what Optuna does."""


_ENDED = "trial"
"""The event by which a worker tells that a trial has ended, and how."""


class _PrunedError(Exception):
    """Leaves a search that is pruned."""


@door()
def tune(
    recipe: Recipe,
    space: Space,
    data: Data | Source | MapStyle,
    out: str | Path,
    *,
    ranges: Mapping[str, Tuned],
    trials: int = 20,
    evaluate: Evaluator | None = None,
    cost: Cost | None = None,
    sampler: Sampler = "tpe",
    pruner: Pruner | None = None,
    storage: str | Path | None = None,
    rates: api.Rates = "scaled",
    seed: int = 0,
    device: str | torch.device = "cpu",
    checkpoint_seconds: float = 30.0,
    threads: int = 0,
    executor: Executor = "auto",
    jobs: int = 1,
    runner: Runner | None = None,
    observe: Observer | None = None,
    tell: Callable[[str], None] | None = None,
    progress: bool | None = None,
) -> TuneResult:
    """Searches the settings of a search: rates, lengths, batches, the relaxation, the method itself, sizes of the space.

    Each trial is a search with other settings, in an ordinary run directory ``out/trial-N``, and is scored as `mixop.compare`
    scores its runs, never on the test set. After every epoch it reports what a table, the known optimum or the supernet's
    validation score says; by that a pruner may stop it before the next one, which its ``trial.json`` says.

    All searches have the same seed, so that settings are compared and not draws. What a sampler suggests for a trial follows
    from ``seed``, the number of the trial and what is known of those before it.

    The same call in a second process works beside the first one: both take trials from one study, and the locks of the
    directory say who is at which. What a process that was stopped or killed leaves behind, the next free one continues from its
    checkpoint. With more ``trials`` a finished tuning goes on.

    Args:
        recipe: the method, with the values of all fields that are not tuned.
        space: the search space; sizes left open are taken from the data.
        data: examples with a task.
        out: the directory, new or this tuning's own. Its last name is the name of the study.
        ranges: what is tuned, by the name of its flag, ``recipe.architecture_optimiser.lr``, to a `mixop.Range` or a
            `mixop.OneOf`; see `mixop.comparison.tunable.Tunable`.
        trials: how many there shall be in the study, pruned and failed ones included, >= 1.
        evaluate: how what a search found is scored; default `Optimum` where the space has one, else `Retrain`. Its protocol is
            the one whose fields are tuned.
        cost: a second objective, the less the better: seconds of the search, or parameters or multiply-adds of what was found.
        sampler: who suggests.
        pruner: who stops searches that fall behind; default ``median``, and ``none`` with a second objective, where Optuna has
            no pruning.
        storage: of the study: a URL as Optuna takes it, or the path of a journal; default a journal in ``out``. Workers on
            several machines need the same ``out`` too, on a file system with locks.
        rates: how searches take the architecture's learning rates, see `mixop.search`; a tuned rate stays.
        seed: of the sampler, and of every search and training.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        threads: of torch on the CPU; 0 for torch's own number.
        executor: see `mixop.search`.
        jobs: workers that take trials, >= 1; a single local one is this process.
        runner: who computes the trials; default `mixop.runs.local.Local`. All machines must see ``out`` under the same path.
        observe: called with every step and record of the searches and trainings.
        tell: called with a sentence for every trial that ends.
        progress: whether these sentences are shown; None for in a terminal or a notebook, where there is neither ``observe``
            nor ``tell``.

    Returns:
        All trials, of this process and of others.

    Raises:
        MissingExtraError: if Optuna is not installed.
        RunError: if no trial has a score, the directory holds another tuning, or the storage cannot be opened.
        InterruptedRunError: after SIGINT, SIGTERM or SIGHUP; the trial has saved its state.
        MixopError: in one sentence, before anything is computed where that is possible.

    Source: Akiba et al. 2019 (arXiv:1907.10902).
    """
    package("optuna", "Tuning")
    if jobs < 1:
        raise RecipeError(f"jobs must be at least 1, got {jobs}.")
    if trials < 1:
        raise RecipeError(f"trials must be at least 1, got {trials}.")
    if cost is not None and pruner not in (None, "none"):
        raise RecipeError(
            f"Optuna prunes by one objective, and cost={cost!r} is a second one: leave out the pruner {pruner!r}."
        )
    evaluator = evaluate or default_evaluator(space)
    if getattr(evaluator, "test", False):
        raise RecipeError("A tuning chooses by the score, so it must not see the test set: use an evaluator with test=False.")
    data = given(data)
    pruner = pruner or ("median" if cost is None else "none")
    runner, device = runner or Local(), str(device)
    here = device if runner.one_machine else "cpu"  # this machine need not have the workers' device
    settings = Settings(seed=seed, device=here, checkpoint_seconds=checkpoint_seconds, threads=threads, executor=executor)
    leaves = runner.leaves(device, jobs)
    shared = {
        "recipe": recipe,
        "space": space,
        "ranges": dict(ranges),
        "trials": trials,
        "evaluate": evaluator,
        "cost": cost,
        "sampler": sampler,
        "pruner": pruner,
        "rates": rates,
        "seed": seed,
        "device": device,
        "checkpoint_seconds": checkpoint_seconds,
        "executor": executor,
    }
    if leaves:
        check_sent(space, shared)
    protocol = evaluator.protocol if isinstance(evaluator, Retrain) else None
    tunable = Tunable(recipe, space, protocol, ranges)

    tunable.check(lambda built: _checked(built, evaluator, data, settings))
    shown = where_one_looks() is not None and not observe and not tell if progress is None else progress
    directory = RunDirectory(out)
    identity = {
        "recipe": to_plain(recipe),
        "space": describe_space(space.fit(data)),
        "data": data.describe(),
        "evaluator": to_plain(evaluator),
        "measure": evaluator.measure(data.task).to_json(),
        "ranges": {name: to_plain(tuned) for name, tuned in tunable.ranges.items()},
        "cost": cost,
        "sampler": sampler,
        "pruner": pruner,
        "seed": seed,
        "rates": rates,
        "executor": executor,
        "storage": None if storage is None else public(str(storage)),
    }
    with directory.locked(wait=True):
        token = _claim(directory, identity)
        api.note_environment(directory, settings)
    with opened(storage or directory / STUDY) as held, listening() as stop:
        directions = ["maximize" if evaluator.measure(data.task).better == "higher" else "minimize"]
        directions += [] if cost is None else ["minimize"]
        with directory.locked(wait=True):
            study = study_in(held, directory.path.resolve().name, token, directions, pruner_for(pruner, tunable.longest))
        worker = _Worker(
            directory,
            study,
            tunable,
            data,
            evaluator,
            settings,
            trials,
            cost,
            sampler,
            rates,
            observe or (lambda _: None),
            tell or (tell_there if shown else lambda _: None),
            stop,
        )
        if leaves:
            place = {"out": directory.path.resolve(), "storage": None if storage is None else _found_anywhere(storage)}
            sent = {**shared, **place, "data": Portable.of(data)}
            tasks = [Assignment(f"worker-{number}", _take_trials, sent) for number in range(jobs)]
            told = _heard(worker.observe, worker.tell)
            failures = runner.work(tasks, folder=directory / WORKERS, device=device, jobs=jobs, tell=told, stop=stop)
            if stop.signum is not None:
                raise InterruptedRunError(_stopped(directory), stop.signum)
            if len(failures) == jobs:
                raise RunError(next(iter(failures.values())))
        else:
            worker.work()
        result = worker.result()
    if result.count("running") == 0:
        _ = result.best  # raises where nothing has a score
    return result


def _take_trials(*, data: Portable, observe: Observer, **given: Any) -> None:
    """What a worker does: the same call, beside the others."""
    tune(data=data.load(), observe=observe, tell=lambda sentence: observe({"event": _ENDED, "sentence": sentence}), **given)


def _heard(observe: Observer, tell: Callable[[str], None]) -> Teller:
    """What workers tell, for somebody who listens to one."""

    def told(_: str, record: Mapping[str, Any]) -> None:
        if record.get("event") == _ENDED:
            tell(record["sentence"])
        elif record.get("event") not in ("begun", "done", "failed"):  # of the worker, not of a trial
            observe(record)

    return told


def _found_anywhere(storage: str | Path) -> str:
    """A URL, or the whole path of a journal."""
    return str(storage) if "://" in str(storage) else str(Path(storage).resolve())


def _stopped(directory: RunDirectory) -> str:
    return f"Stopped with all progress saved in {directory.path}: the same command continues from there."


def _claim(directory: RunDirectory, identity: Mapping[str, Any]) -> str:
    """Makes the directory this tuning's, or finds that it is; what its study is known by."""
    begun = directory.read_json(TUNING) if directory.has(TUNING) else {}
    token = str(begun.get("token") or secrets.token_hex(8))
    identity = {**as_json(identity), "token": token}
    if essence(DATA, begun.get("data")) == essence(DATA, identity["data"]):
        identity["data"] = begun["data"]  # the same examples, from another place perhaps
    directory.claim({TUNING: identity}, (TUNING,))
    return token


def _checked(built: Built, evaluator: Evaluator, data: Data, settings: Settings) -> tuple[Evaluator, Space]:
    """The evaluator and the space of a trial; what cannot be searched or scored is refused.

    Raises:
        MixopError: saying why.
    """
    recipe, space = built.recipe, built.space.fit(data)
    if built.protocol is not None and isinstance(evaluator, Training):
        evaluator = replace(evaluator, protocol=built.protocol)
    evaluator.check(space, data)
    check_fit(recipe, space, data, settings)
    own: tuple[Part, ...] = ("train", "valid")
    try:
        for parts in [own] if recipe.scheme.shares_data else [own[:1], own[1:]]:
            data.stream(parts, recipe.batch_size, Generator())
    except DataError as error:  # the batch is tuned, and not the data
        raise RecipeError(str(error)) from error
    return evaluator, space


class _Worker:
    """One process that takes trials from a study."""

    def __init__(
        self,
        directory: RunDirectory,
        study: Any,
        tunable: Tunable,
        data: Data,
        evaluator: Evaluator,
        settings: Settings,
        trials: int,
        cost: Cost | None,
        sampler: Sampler,
        rates: api.Rates,
        observe: Observer,
        tell: Callable[[str], None],
        stop: StopRequest,
    ) -> None:
        self.directory, self.study, self.tunable, self.data = directory, study, tunable, data
        self.evaluator, self.settings, self.trials, self.cost = evaluator, settings, trials, cost
        self.sampler: Sampler = sampler
        self.rates: api.Rates = rates
        self.observe, self.tell, self.stop = observe, tell, stop
        self.measure = evaluator.measure(data.task)
        self.short = short_names(list(tunable.ranges))

    def work(self) -> None:
        """Takes trials as long as there are any."""
        while (taken := self._take()) is not None:
            trial, lock = taken
            told = _stopped(self.directory)
            try:
                self._run(trial)
            except InterruptedRunError as error:
                raise InterruptedRunError(told, error.signum) from error
            finally:
                # Whoever sees the trial running and finds the lock free continues it.
                lock.release(remove=True)
            if self.stop.signum is not None:
                raise InterruptedRunError(told, self.stop.signum)

    def _take(self) -> tuple[Any, Lock] | None:
        """A trial that a process has left behind, else a new one; None where all are taken."""
        from optuna.trial import Trial

        with self.directory.locked(wait=True):
            known = self.study.get_trials(deepcopy=False)
            for left in known:
                if not left.state.is_finished() and (lock := self._lock(left.number)) is not None:
                    # It may have ended between the look and the lock. By number Optuna gives a trial back only to be told.
                    if self.study.get_trials(deepcopy=False)[left.number].state.is_finished():
                        lock.release(remove=True)
                        continue
                    self.study.sampler = sampler_for(self.sampler, self.settings.seed, left.number)
                    return self._drawn(Trial(self.study, left._trial_id)), lock
            if len(known) >= self.trials:
                return None
            self.study.sampler = sampler_for(self.sampler, self.settings.seed, len(known))
            trial = self.study.ask()
            lock = Lock(self.directory.path, _lock_of(trial.number))
            return self._drawn(trial), lock

    def _lock(self, number: int) -> Lock | None:
        """The lock of a trial; None if another process holds it."""
        try:
            return Lock(self.directory.path, _lock_of(number))
        except LockedError:
            return None

    def _drawn(self, trial: Any) -> Any:
        """The trial with its settings; one that had some keeps them."""
        trial.set_user_attr(SETTINGS, self.tunable.draw(trial))
        return trial

    def _run(self, trial: Any) -> None:
        """Searches, scores, and tells the study."""
        from optuna.trial import TrialState

        settings = trial.user_attrs[SETTINGS]
        run = RunDirectory(self.directory / trial_of(trial.number))
        run.path.mkdir(exist_ok=True)
        noted: dict[str, Any] = {"recipe": self.tunable.recipe.name, "seed": self.settings.seed, "settings": settings}
        ended = run.read_json(TRIAL) if run.has(TRIAL) else {}
        if "pruned" in ended or "error" in ended:  # written by a process that was killed before it could tell the study
            noted = ended
        else:
            try:
                self._search(trial, settings, run, noted)
            except _PrunedError:
                noted["pruned"] = trial.storage.get_trial(trial._trial_id).last_step
            except (*REPEATABLE, MemoryLimitError) as error:  # a batch may be tuned too large
                noted["error"] = str(error)
            run.write_json(TRIAL, noted)
        if FOUND in noted:
            trial.set_user_attr(FOUND, noted[FOUND])
        if "error" in noted:
            trial.set_user_attr(ERROR, noted["error"])
            self.study.tell(trial, state=TrialState.FAIL)
        elif "pruned" in noted:
            self.study.tell(trial, state=TrialState.PRUNED)
        else:
            self.study.tell(trial, [noted["score"], *([] if self.cost is None else [noted["cost"]])])
        self.tell(self._sentence(trial.number, noted))

    def _search(self, trial: Any, settings: Mapping[str, Any], run: RunDirectory, noted: dict[str, Any]) -> None:
        """Searches and scores; what is known goes into ``noted``."""
        built = self.tunable.build(settings)
        noted["recipe"] = built.recipe.name
        evaluator, space = _checked(built, self.evaluator, self.data, self.settings)
        reported = set(trial.storage.get_trial(trial._trial_id).intermediate_values)
        told = {name: getattr(self.settings, name) for name in ("seed", "device", "checkpoint_seconds")}
        scored = Conditions(space=space, data=self.data, observe=self.observe, **told)

        def report(record: Mapping[str, Any]) -> None:
            self.observe(record)
            if self.cost is not None or "event" in record or record.get("phase") != "search":
                return
            value, epoch = evaluator.so_far(record, scored), record["epoch"]
            if value is not None and epoch not in reported:  # a search that goes on may repeat an epoch
                trial.report(value, epoch)
                reported.add(epoch)
            if epoch < record["epochs"] and trial.should_prune():
                raise _PrunedError

        found = search_and_score(
            noted,
            built.recipe,
            run.path,
            replace(scored, observe=report),
            evaluator,
            rates=self.rates,
            executor=self.settings.executor,
            threads=self.settings.threads,
        )
        if self.cost is not None:
            noted["cost"] = noted["search_seconds"] if self.cost == "seconds" else self._network_cost(found)
        if noted["score"] is None:
            raise RecipeError(f"What {built.recipe.name} found has no {self.measure.name}.")

    def _network_cost(self, found: api.SearchResult) -> int:
        net = build(found.architecture, found.space).to(self.data.device)
        return getattr(cost_of(net, self.data.batch(self.data.train[:1]).x), str(self.cost))

    def _sentence(self, number: int, noted: Mapping[str, Any]) -> str:
        """How a trial ended."""
        fields = ", ".join(f"{self.short[name]} {written(value)}" for name, value in noted["settings"].items())
        if "error" in noted:
            return f"Trial {number} failed ({fields}): {noted['error']}"
        if "pruned" in noted:
            return f"Trial {number}: pruned after epoch {noted['pruned']} ({fields})."
        cost = "" if self.cost is None else f", {noted['cost']:,.6g} {self.cost}"
        return f"Trial {number}: {self.measure.written(noted['score'])} {self.measure.name}{cost} ({fields})."

    def result(self) -> TuneResult:
        """All trials of the study."""
        trials = tuple(self._tried(trial) for trial in self.study.get_trials(deepcopy=False))
        return TuneResult(
            out=self.directory.path,
            study=self.study.study_name,
            measure=self.measure,
            cost=self.cost,
            planned=self.trials,
            trials=trials,
        )

    def _tried(self, trial: Any) -> Tried:
        state = {"COMPLETE": "complete", "PRUNED": "pruned", "FAIL": "failed"}.get(trial.state.name, "running")
        values = list(trial.values or [])
        return Tried(
            number=trial.number,
            path=self.directory / trial_of(trial.number),
            state=state,  # type: ignore[arg-type]
            settings=trial.user_attrs.get(SETTINGS, {}),
            score=values[0] if values else None,
            cost=values[1] if len(values) > 1 else None,
            epochs=trial.last_step or 0,
            architecture=trial.user_attrs.get(FOUND, ""),
            error=trial.user_attrs.get(ERROR, ""),
        )


def _lock_of(number: int) -> str:
    return f"{trial_of(number)}.lock"
