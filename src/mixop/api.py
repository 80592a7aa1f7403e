"""The library's front door: search, resume, retrain, and what a run found."""

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, get_args

import torch
from torch import nn

from mixop.core.door import door
from mixop.core.errors import DataError, RecipeError, RunError, unknown
from mixop.core.launched import local_rank
from mixop.core.measure import Number
from mixop.core.names import from_file
from mixop.core.ranks import Ranks, joined
from mixop.core.surroundings import using
from mixop.core.values import check_names
from mixop.data import source_from_json
from mixop.data.core import Data, Part, Source
from mixop.data.given import MapStyle, given
from mixop.engine.driver import Observer
from mixop.engine.fit import check_fit, computing
from mixop.engine.loop import Search, search_identity
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.evaluate.retrain import FOUND, Retraining, random_architectures
from mixop.evaluate.start import trained_supernet
from mixop.evaluate.trained import check_data, load_network, read_found, read_space
from mixop.plan.scaling import paced_to
from mixop.recipe.core import Recipe
from mixop.recipe.parts import recipe_from_json
from mixop.report.drawing import drawings
from mixop.report.html import write_report
from mixop.report.progress import watched
from mixop.report.told import as_html, search_lines, training_lines
from mixop.report.verdict import remarks
from mixop.runs import checkpoint
from mixop.runs.directory import RunDirectory
from mixop.runs.environment import environment
from mixop.runs.files import ARCHITECTURE, DATA, ENVIRONMENT, RECIPE, RETRAINING, SCORE, SETTINGS, STATE, drawing
from mixop.runs.frame import epoch_rows, frame, network_rows
from mixop.runs.identity import BOUND_TO, SEARCH_FILES
from mixop.runs.read import read_run
from mixop.runs.records import Score, SearchRecord
from mixop.runs.trackers.live import chosen, tracked
from mixop.spaces.core import Architecture, Space
from mixop.spaces.stacked import Stacked
from mixop.supernet.executors import EXECUTORS
from mixop.supernet.fused import FusedSupernet

if TYPE_CHECKING:
    import pandas

Rates = Literal["scaled", "paper"]
"""How a search takes the architecture's learning rate of its recipe."""


@dataclass(frozen=True)
class SearchResult:
    """What a finished search gives.

    Args:
        out: its run directory.
        architecture: what it found.
        space: the search space, with the sizes that it had.
        recipe: the method.
    """

    asked: ClassVar[str] = "what mixop.search returns"

    out: Path
    architecture: Architecture
    space: Space
    recipe: Recipe

    @property
    def native(self) -> str:
        """The architecture in its community's notation."""
        return self.space.to_native(self.architecture)

    @property
    def history(self) -> list[SearchRecord]:
        """What the search wrote down, one record for each epoch."""
        return [record for record in RunDirectory(self.out).records() if isinstance(record, SearchRecord)]

    @property
    def remarks(self) -> list[str]:
        """Signs that the search did not go as it should, and what to change; empty if there are none."""
        return remarks(read_run(self.out))

    def frame(self) -> "pandas.DataFrame":
        """The search epoch by epoch.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(epoch_rows(self.history))

    def __str__(self) -> str:
        return "\n".join(search_lines(self.out, self.recipe.name))

    def __repr__(self) -> str:
        return f"<{self.recipe.name} in {str(self.out)!r} found {self.native}>"

    def _repr_html_(self) -> str:
        return as_html(str(self), read_run(self.out))


@dataclass(frozen=True)
class RetrainResult:
    """What a finished retraining gives.

    Args:
        out: its run directory.
        model: the found network with its trained weights, a plain module in evaluation mode.
        score: its score, those of the networks beside it, and the examples they were measured on.
    """

    out: Path
    model: nn.Module
    score: Score

    @property
    def measures(self) -> Mapping[str, Number]:
        """The task's measures of the found network by name: ``result.measures["accuracy"]``."""
        return self.score.networks[0].measures

    def frame(self) -> "pandas.DataFrame":
        """A row for each network that was trained.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        return frame(network_rows(self.score.networks))

    def __str__(self) -> str:
        return "\n".join(training_lines(self.out))

    def __repr__(self) -> str:
        return f"<training in {str(self.out)!r} of {self.score.networks[0].architecture}>"

    def _repr_html_(self) -> str:
        return as_html(str(self), read_run(self.out))


@door()
def search(
    recipe: Recipe,
    space: Space,
    data: Data | Source | MapStyle,
    out: str | Path,
    *,
    seed: int = 0,
    device: str | torch.device = "cpu",
    checkpoint_seconds: float = 30.0,
    threads: int = 0,
    rates: Rates = "scaled",
    executor: Literal["auto", "fused", "nodewise", "triton", "plain"] = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    channels_last: bool = False,
    compile: bool = False,
    capture: bool = False,
    accumulate: int = 1,
    track: str | Sequence[str] = (),
    observe: Observer | None = None,
    progress: bool | None = None,
) -> SearchResult:
    """Searches a space for an architecture.

    If the directory already holds this search, it continues from its checkpoint, or returns its result if it is finished.

    Processes that torchrun started, or that a program has joined by ``torch.distributed.init_process_group``, search together:
    all call this with the same arguments, and each computes its share of every batch. The first one writes the directory,
    observes and shows progress. The result is that of one process, up to rounding.

    Args:
        recipe: the method, from `mixop.recipes` or your own.
        space: the search space; sizes left open are taken from the data.
        data: examples with a task, from `mixop.data`; or a source of them, or a data set of torch or Hugging Face, divided by
            the defaults of `mixop.data.from_dataset`.
        out: the run directory, new or this search's own.
        seed: of initial weights, data order, augmentation and draws.
        device: where torch computes, "cpu" or "cuda".
        checkpoint_seconds: least time between two checkpoints, in seconds; 0 saves after every step.
        threads: of torch on the CPU; 0 for torch's own number, but never more than there are cores.
        rates: ``scaled`` raises the architecture's learning rate where the search is shorter than the published one, so that it
            can move as far, by one rule for all methods (`mixop.plan.scaling`); a rate that you set stays. ``paper`` takes
            the recipe as it is.
        executor: how the supernet is computed: ``auto`` takes the compiled kernels (``fused``) where they can compute the
            search, else ``nodewise``; ``triton`` has kernels for GPUs, whose speed nobody has measured; ``plain`` computes as
            the papers write it. The same numbers up to rounding.
        precision: of the supernet's convolutions.
        channels_last: layout of images in the plain executor; the others always have the channels last.
        compile: whether torch compiles the supernet's cells.
        capture: whether the network's part of a step is replayed as a CUDA graph.
        accumulate: pieces that a batch is computed in, one after the other, where memory is small; batch norm takes the
            statistics of each piece.
        track: trackers that the run is sent to while it works, words of `mixop.runs.trackers.TRACKERS`: ``tensorboard``,
            ``wandb``, ``trackio``, ``mlflow``. A tracker that fails is told as a warning, and the run goes on.
        observe: called with every step and every record of the metrics.
        progress: whether a line says how far it is; None for in a terminal or a notebook, where there is no ``observe``.

    Returns:
        The architecture and where everything about it is.

    Raises:
        MixopError: in one sentence, before anything is computed where that is possible.
    """
    track = chosen(track)
    ranks = joined(str(device))
    settings = Settings(
        seed=seed,
        device=_own(device, ranks),
        checkpoint_seconds=checkpoint_seconds,
        threads=threads,
        executor=executor,
        precision=precision,
        channels_last=channels_last,
        compile=compile,
        capture=capture,
        accumulate=accumulate,
    )
    data = given(data)
    space = space.fit(data)
    recipe = at_rates(recipe, data, rates)
    run = RunDirectory(out, owned=ranks.leads)
    settings, why = computing(recipe, space, _as_begun(run, settings), ranks)
    check_fit(recipe, space, data, settings, ranks)
    identity = search_identity(recipe, space, data, settings)
    _check_same(ranks, run, identity)
    watch = watched(recipe.name, data.task.measures, (), *_looking(ranks, observe, progress))
    with run.locked(), using(settings.threads), watch as seen, _tracked(run, track, seen) as watcher:
        known = run.holds(identity)
        finished = known and (run / ARCHITECTURE).exists()
        ranks.wait()  # all have looked before one of them writes
        if finished:
            return _found(run, recipe, space)
        job = Search(recipe, space, data, run, settings, watcher, ranks)
        if not known:
            job.try_out()
            run.claim(identity)
        return _search(job, why)


def _own(device: str | torch.device, ranks: Ranks) -> str:
    """The device of this process: of several processes each has a GPU of its own."""
    return f"cuda:{local_rank()}" if str(device) == "cuda" and not ranks.alone else str(device)


def _check_same(ranks: Ranks, run: RunDirectory, identity: Mapping[str, Any]) -> None:
    """Refuses processes that were called with different arguments.

    Raises:
        RunError: in each of them.
    """
    if not ranks.alone:
        content = json.dumps([str(run.path.absolute()), identity], sort_keys=True)
        ranks.check_same(hashlib.sha256(content.encode()).hexdigest(), "runs")


def _looking(ranks: Ranks, observe: Observer | None, progress: bool | None) -> tuple[Observer | None, bool | None]:
    """Who watches a run, in this process."""
    return (observe, progress) if ranks.leads else (None, False)


@contextmanager
def _tracked(run: RunDirectory, names: Sequence[str], observe: Observer | None) -> Iterator[Observer | None]:
    """An observer of a run that is sent to trackers; its page goes along at the end."""
    with tracked(run.path, names if run.owned else (), observe) as watcher:
        yield watcher
        if names and run.owned:
            write_report(run.path)


def _as_begun(run: RunDirectory, settings: Settings) -> Settings:
    """The settings with the executor that a run began with, where it is left open: a run keeps to one."""
    if settings.executor != "auto" or not run.has(SETTINGS):
        return settings
    begun = run.read_json(SETTINGS)
    executor, last = begun.get("executor"), begun.get("channels_last", False)
    return replace(settings, executor=executor, channels_last=last) if executor in EXECUTORS else settings


def at_rates(recipe: Recipe, data: Data, rates: Rates) -> Recipe:
    """The recipe as a search of a data set takes it.

    Raises:
        RecipeError: for another word.
    """
    if rates not in get_args(Rates):
        raise RecipeError(unknown("way to choose rates", str(rates), get_args(Rates)))
    return paced_to(recipe, data.windows_in("train"), data.windows_in("valid")) if rates == "scaled" else recipe


def _search(job: Search, why: str = "") -> SearchResult:
    """Searches from the start, or from the checkpoint.

    Args:
        job: the search.
        why: the fused executor does not compute it, in a sentence; empty where it does, or where the executor was given.
    """
    run = job.run_directory
    if checkpoint.exists(run.state):
        job.restore()
    elif run.position():
        raise RunError(
            f"{run.path} has metrics but no {STATE}: restore the checkpoint, or search again into another --out; "
            "starting over would mix two searches."
        )
    noted: dict[str, Any] = {"not_fused": why} if why else {}
    if not job.ranks.alone:
        noted["processes"] = job.ranks.size
    if isinstance(job.state.net, FusedSupernet):
        noted["kernels"] = job.state.net.origin
    note_environment(run, job.settings, **job.settings.computing(cells=isinstance(job.base, Stacked)), **noted)
    job.run()
    draw(run)
    job.ranks.wait()  # until all is written
    return _found(run, job.recipe, job.base)


def _found(run: RunDirectory, recipe: Recipe, space: Space) -> SearchResult:
    """The result of a finished search."""
    return SearchResult(run.path, found_architecture(run, space), space, recipe)


def found_architecture(run: RunDirectory, space: Space) -> Architecture:
    """What a finished search found.

    Raises:
        RunError: if it is not finished, or another run's, or a file that it depends on was changed.
    """
    architecture = read_found(run, space)
    run.check_binding(run.read_json(ARCHITECTURE).get(BOUND_TO), SEARCH_FILES, ARCHITECTURE)
    return architecture


@door()
def resume(
    out: str | Path,
    data: Data | Source | MapStyle | str | os.PathLike[str] | None = None,
    *,
    device: str | torch.device = "cpu",
    checkpoint_seconds: float = 30.0,
    threads: int = 0,
    track: str | Sequence[str] = (),
    observe: Observer | None = None,
    progress: bool | None = None,
) -> SearchResult | RetrainResult:
    """Continues what a run directory has not finished: its search or its retraining.

    Args:
        out: the run directory.
        data: the data, if the run cannot load it again by itself (arrays given in Python); or the path where its files or its
            folder are now, if they were moved.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        threads: of torch on the CPU; 0 for torch's own number, but never more than there are cores.
        track: trackers that the run is sent to while it works, words of `mixop.runs.trackers.TRACKERS`: ``tensorboard``,
            ``wandb``, ``trackio``, ``mlflow``. A tracker that fails is told as a warning, and the run goes on.
        observe: called with every step and record.
        progress: whether a line says how far it is; None for in a terminal or a notebook, where there is no ``observe``.

    Returns:
        The search's result, or the retraining's if one was begun.

    Raises:
        RunError: if there is nothing to resume, or the data is no longer the same.
    """
    track = chosen(track)
    ranks = joined(str(device))
    run = RunDirectory(out, owned=ranks.leads)
    run.require()
    if data is None or isinstance(data, str | os.PathLike):
        data = load_data(run, data)
    else:
        data = given(data)
        check_data(run, data)
    began = run.read_json(SETTINGS)
    try:
        with from_file(run / SETTINGS):
            settings = Settings(**began, device=_own(device, ranks), checkpoint_seconds=checkpoint_seconds, threads=threads)
    except TypeError as error:
        raise RunError(
            f"{run / SETTINGS} has a setting that this version of mixop does not know ({error}): use the version that wrote it."
        ) from error
    watch = watched("resumed", data.task.measures, (), *_looking(ranks, observe, progress))
    with run.locked(), using(threads), watch as seen, _tracked(run, track, seen) as watcher:
        space = read_space(run)
        retrains = (run / RETRAINING).exists()
        finished = (run / ARCHITECTURE).exists()
        _check_same(ranks, run, {"retrains": retrains, "finished": finished})
        if retrains:
            return _retrain(Retraining.of(run, space, data, settings, watcher, ranks), settings)
        recipe = read_recipe(run)
        if finished:
            return _found(run, recipe, space)
        if not ranks.alone:
            check_fit(recipe, space, data, settings, ranks)
        return _search(Search(recipe, space, data, run, settings, watcher, ranks))


@door()
def retrain(
    architecture: Architecture | str,
    space: Space,
    data: Data | Source | MapStyle,
    out: str | Path,
    *,
    protocol: Protocol | None = None,
    epochs: int | None = None,
    random: int = 0,
    train_on: Sequence[Part] | None = None,
    score_on: Part = "test",
    start: Literal["scratch", "supernet"] = "scratch",
    supernet: str | Path | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    checkpoint_seconds: float = 30.0,
    threads: int = 0,
    executor: Literal["nodewise", "fused", "triton", "plain", "auto"] = "auto",
    track: str | Sequence[str] = (),
    observe: Observer | None = None,
    progress: bool | None = None,
) -> RetrainResult:
    """Trains an architecture, by default from scratch and on all training examples, and scores it once, on the test set.

    Args:
        architecture: an architecture of the space, or its native string.
        space: the space with the sizes of the network.
        data: examples with a task.
        out: a run directory: the search's own, or a new one.
        protocol: how to train; default `PROTOCOLS` ``quick``.
        epochs: replaces the protocol's number of epochs.
        random: how many random architectures of the space are trained beside it, by the same protocol.
        train_on: the parts of the data that are trained on; None for ``("train", "valid")``, or ``("train",)`` where the
            protocol looks at the validation part. Choices that must not see the test set train on ``("train",)`` and score on
            ``"valid"``.
        score_on: the part that is scored.
        start: ``supernet`` to begin from the weights of the architecture's path in a search's supernet, with the statistics
            of batch norms measured on training batches, in place of weights that are drawn; random architectures begin from
            their own paths. Operations that a search computes in another way than the network (the pools of DARTS, which it
            normalises) and an auxiliary head begin as they do from scratch.
        supernet: the run directory of that search; default ``out``.
        seed: of initial weights, data order and augmentation; the same for every network.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        threads: of torch on the CPU; 0 for torch's own number, but never more than there are cores.
        executor: how networks of cells are computed in training: ``plain`` as the papers write them, by any other name node
            by node, which is faster; the numbers agree up to rounding. A training that goes on keeps the one it began with.
        track: trackers that the run is sent to while it works, words of `mixop.runs.trackers.TRACKERS`: ``tensorboard``,
            ``wandb``, ``trackio``, ``mlflow``. A tracker that fails is told as a warning, and the run goes on.
        observe: called with every step and record.
        progress: whether a line says how far it is; None for in a terminal or a notebook, where there is no ``observe``.

    Returns:
        The trained network and its score.

    Raises:
        MixopError: in one sentence.
    """
    track = chosen(track)
    ranks = joined(str(device))
    settings = Settings(
        seed=seed,
        device=_own(device, ranks),
        checkpoint_seconds=checkpoint_seconds,
        threads=threads,
        executor=executor,
    )
    data = given(data)
    space = space.fit(data)
    if isinstance(architecture, str):
        architecture = space.from_native(architecture)
    space.check(architecture)
    protocol = protocol or PROTOCOLS["quick"]
    if epochs is not None:
        protocol = replace(protocol, epochs=epochs)
    run = RunDirectory(out, owned=ranks.leads)
    if start not in ("scratch", "supernet"):
        raise RecipeError(f"start must be 'scratch' or 'supernet', got {start!r}.")
    if supernet is not None and start == "scratch":
        raise RecipeError("A training from scratch reads no supernet: leave it out, or say start='supernet'.")
    begun = trained_supernet(run if supernet is None else RunDirectory(supernet)) if start == "supernet" else None
    if begun is not None:
        begun.check(space, protocol.sized(space))
    # Of what a search has pruned, its supernet has no weights any more.
    drawn_from = space if begun is None else begun.space
    others = [
        space.from_native(drawn_from.to_native(a)) for a in random_architectures(drawn_from, random, seed, but=architecture)
    ]
    networks = [(FOUND, architecture), *((f"random {k}", a) for k, a in enumerate(others, 1))]
    labels = [label for label, _ in networks]
    watch = watched("training", data.task.measures, labels, *_looking(ranks, observe, progress))
    scope: dict[str, Any] = {"train_on": train_on, "score_on": score_on, "supernet": begun}
    with run.locked(), using(threads), watch as seen, _tracked(run, track, seen) as watcher:
        job = Retraining(networks, space, data, protocol, run, settings, watcher, ranks=ranks, **scope)
        _check_same(ranks, run, job.identity())
        job.claim()
        return _retrain(job, settings)


def _retrain(job: Retraining, settings: Settings) -> RetrainResult:
    run = job.run_directory
    finished = (run / SCORE).exists()
    job.ranks.wait()  # all have looked before one of them writes
    if not finished:
        note_environment(run, settings, **({} if job.ranks.alone else {"processes": job.ranks.size}))
    score = job.run()
    draw(run)
    job.ranks.wait()  # until all is written
    return RetrainResult(run.path, load_network(run.path), score)


def read_recipe(run: RunDirectory) -> Recipe:
    """The recipe of a run.

    Raises:
        RunError: if its file is missing or torn.
        RecipeError: if it names a part that this version does not have.
    """
    with from_file(run / RECIPE):
        return recipe_from_json(run.read_json(RECIPE))


def load_data(
    run: RunDirectory, path: str | os.PathLike[str] | None = None, index_file: str | os.PathLike[str] | None = None
) -> Data:
    """The data of a run, loaded again from where it came from, or from where it is now.

    Args:
        run: the run directory.
        path: where the files or the folder of the data are now; None where they were.
        index_file: where the file of index lists is now; None where it was.

    Raises:
        RunError: if the run's data were arrays given in Python, which no file can restore, or is not what the run began with.
        DataError: if it cannot be loaded.
    """
    plain = run.read_json(DATA).get("source")
    if plain is None:
        raise RunError(
            f"The data of {run.path} were arrays given in Python: pass them again as mixop.resume({str(run.path)!r}, data)."
        )
    with from_file(run / DATA):
        source = source_from_json(plain)
        check_names(source, "data")
    source = source.at(path, index_file)
    for flag, place in (("--data.path", getattr(source, "path", None)), ("--data.split.index-file", source.split.index_file)):
        if isinstance(place, str) and not Path(place).exists():
            raise DataError(
                f"The data of {run.path} must be at {place!r}, but nothing is there: say with {flag} where it is now."
            )
    data = source.load()
    check_data(run, data)
    return data


def note_environment(run: RunDirectory, settings: Settings, **computing: Any) -> None:
    """Writes ``environment.json`` when a run begins, and adds to it when the run is resumed.

    Args:
        run: the run directory.
        settings: of the run.
        computing: how the network is computed, where that is a choice.
    """
    if not run.owned:
        return
    now = {**environment(settings.device), **computing}
    if (run / ENVIRONMENT).exists():
        first = run.read_json(ENVIRONMENT)
        now = {**first, "resumed": [*first.get("resumed", []), now]}
    run.write_json(ENVIRONMENT, {"seed": settings.seed, **now})


def draw(run: RunDirectory) -> None:
    """Draws the architecture: ``architecture.svg``, or ``architecture-GROUP.svg`` where there are several cells."""
    if not run.owned:
        return
    found = drawings(read_run(run.path))
    for group, picture in found.items():
        run.save(drawing(group, len(found)), (picture + "\n").encode())
