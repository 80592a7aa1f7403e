"""Selection over seeds: which of several found architectures to take, by a short training from scratch."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from mixop.api import SearchResult, note_environment
from mixop.core.door import door
from mixop.core.errors import RecipeError
from mixop.core.measure import Measure
from mixop.data.core import Data, Source
from mixop.data.given import MapStyle, given
from mixop.engine.driver import Observer
from mixop.engine.settings import Settings
from mixop.evaluate.protocol import PROTOCOLS, Protocol
from mixop.evaluate.retrain import FOUND, Retraining
from mixop.report.progress import watched
from mixop.runs.directory import RunDirectory
from mixop.runs.files import SCORE, SELECTION
from mixop.runs.records import NetworkScore, Scope, Values, from_record, to_record
from mixop.tasks.base import Task


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """What one search of a selection scored.

    Args:
        run: its run directory.
        architecture: what it found, in its native notation.
        measures: of the network trained from scratch, by name.
    """

    run: str
    architecture: str
    measures: Values


@dataclass(frozen=True, kw_only=True)
class Selection:
    """What a selection found out: the content of ``selection.json``.

    Args:
        selected: index of the candidate that was taken.
        epochs: of each training.
        trained_on: what the networks were trained on.
        scored_on: what the measures are about.
        measures: the task's; the first one ranks.
        candidates: the searches, in the order given.
    """

    selected: int
    epochs: int
    trained_on: Scope
    scored_on: Scope
    measures: tuple[Measure, ...]
    candidates: tuple[Candidate, ...]


def read_selection(path: str | Path) -> Selection:
    """What a finished selection found out.

    Args:
        path: its directory.

    Raises:
        RunError: if its file is missing or damaged.
    """
    return from_record(Selection, RunDirectory(path).read_json(SELECTION), str(Path(path, SELECTION)))


@door()
def select(
    results: Sequence[SearchResult],
    data: Data | Source | MapStyle,
    out: str | Path,
    *,
    epochs: int | None = None,
    protocol: Protocol | None = None,
    seed: int = 0,
    device: str | torch.device = "cpu",
    checkpoint_seconds: float = 30.0,
    observe: Observer | None = None,
    progress: bool | None = None,
) -> SearchResult:
    """The best of several searches, as most papers choose among seeds: each architecture is trained briefly from scratch.

    Training sees the split for the weights only, and what it reaches is measured on the validation split: the test set is
    never looked at. The task's first measure ranks. The same architecture, found twice, is trained once.

    A directory that already holds this selection is continued from its checkpoint.

    Args:
        results: finished searches of one space.
        data: the data that they searched on.
        out: the selection's directory, new or its own; ``selection.json`` says what each scored, and on what.
        epochs: replaces the protocol's number of epochs.
        protocol: how to train; default `PROTOCOLS` ``quick``.
        seed: of initial weights, data order and augmentation; the same for every architecture.
        device: where torch computes.
        checkpoint_seconds: least time between two checkpoints, in seconds.
        observe: called with every step and record.
        progress: whether a line says how far it is; None for in a terminal or a notebook, where there is no ``observe``.

    Returns:
        The result with the best validation measure; a lower validation loss, then the earlier one, breaks ties.

    Raises:
        RecipeError: for no results, or results of different spaces.
        MixopError: as `retrain`.

    Source: Liu et al. 2019 (arXiv:1806.09055), section 3.2: four searches, selected by a short training from scratch.
    """
    if not results:
        raise RecipeError("A selection needs at least one finished search, got none.")
    space = results[0].space
    for result in results:
        if result.space != space:
            raise RecipeError(
                f"A selection compares searches of one space, got {results[0].out} and {result.out} of different ones: "
                "select for each space separately."
            )
    data = given(data)
    protocol = protocol or PROTOCOLS["quick"]
    if epochs is not None:
        protocol = replace(protocol, epochs=epochs)
    architectures = list(dict.fromkeys(result.architecture for result in results))
    # `Retraining` keeps the weights of the network that is called found; a selection has no use for them.
    labels = [FOUND, *(f"candidate {k}" for k in range(2, len(architectures) + 1))]
    run = RunDirectory(out)
    settings = Settings(seed=seed, device=str(device), checkpoint_seconds=checkpoint_seconds)
    networks = list(zip(labels, architectures, strict=True))
    with run.locked(), watched("selecting", data.task.measures, labels, observe, progress) as watcher:
        job = Retraining(networks, space, data, protocol, run, settings, watcher, train_on=("train",), score_on="valid")
        job.claim()
        if not (run / SCORE).exists():
            note_environment(run, settings)
        score = job.run()
        of = dict(zip(architectures, score.networks, strict=True))
        best = max(range(len(results)), key=lambda i: (*_worth(of[results[i].architecture], data.task), -i))
        selection = Selection(
            selected=best,
            epochs=protocol.epochs,
            trained_on=score.trained_on,
            scored_on=score.scored_on,
            measures=score.measures,
            candidates=tuple(
                Candidate(run=str(result.out), architecture=result.native, measures=of[result.architecture].measures)
                for result in results
            ),
        )
        run.write_json(SELECTION, to_record(selection))
    return results[best]


def _worth(network: NetworkScore, task: Task) -> tuple[float, float]:
    """First measure and loss as numbers of which the larger is better."""
    loss = task.measure("loss")
    return task.first.rank(network.measures[task.first.name]), loss.rank(network.measures[loss.name])
