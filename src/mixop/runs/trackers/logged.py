"""What trackers are given, one table: of every epoch, of every scored network, and of the run itself. Imports no torch."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from statistics import fmean
from typing import Any

from mixop.runs.files import (
    ARCHITECTURE,
    DATA,
    ENVIRONMENT,
    KNOWN,
    RECIPE,
    REPORT,
    RETRAINING,
    SCORE,
    SETTINGS,
    SPACE,
)
from mixop.runs.load import Record, damaged, read_known, read_object, read_score
from mixop.runs.records import NetworkScore, SearchRecord

Names = Mapping[str, Sequence[tuple[str, Sequence[str]]]]
"""For each group its decisions in the order of the mixing weights: nodes ``source-target``, and the options."""

Points = Iterator[tuple[str, float | None]]


@dataclass(frozen=True)
class Logged:
    """A row of the table.

    Args:
        tag: how the numbers are called; words in capitals stand for names that the run gives.
        meaning: what they are, and their unit.
        of: the numbers of a record, with their tags.
    """

    tag: str
    meaning: str
    of: Callable[[Record, Names], Points]


def _measured(part: str) -> Callable[[Record, Names], Points]:
    def points(record: Record, _: Names) -> Points:
        yield from ((f"{measure}/{part}", value) for measure, value in getattr(record, part).items())

    return points


def _of_search(tag: str, value: Callable[[SearchRecord], float | None]) -> Callable[[Record, Names], Points]:
    def points(record: Record, _: Names) -> Points:
        if isinstance(record, SearchRecord):
            yield tag, value(record)

    return points


def _shares(record: Record, names: Names) -> Points:
    if isinstance(record, SearchRecord):
        for group, rows in record.mix.items():
            given: dict[str, list[float]] = {}
            for row, (_, options) in zip(rows, names[group], strict=True):
                for share, option in zip(row, options, strict=True):
                    given.setdefault(option, []).append(share)
            yield from ((f"{group}/{option}", fmean(shares)) for option, shares in given.items())


def _columns(record: Record, _: Names) -> Points:
    if isinstance(record, SearchRecord):
        yield from ((f"monitors/{name}", value) for name, value in record.columns.items() if not isinstance(value, str))


EPOCH: tuple[Logged, ...] = (
    Logged("MEASURE/train", "each measure of the task over the training batches of the epoch", _measured("train")),
    Logged("MEASURE/valid", "each measure on the validation part, where there is one", _measured("valid")),
    Logged("seconds", "since this search, or this network's training, began", lambda r, _: iter([("seconds", r.seconds)])),
    Logged(
        "learning rate/weights",
        "of the optimiser of the weights",
        lambda r, _: iter([("learning rate/weights", r.learning_rate)]),
    ),
    Logged(
        "learning rate/architecture",
        "of the optimiser of the architecture, 0 while it rests",
        _of_search("learning rate/architecture", lambda r: r.architecture_rate),
    ),
    Logged(
        "mixing weights/entropy",
        "mean over decisions, in nats",
        _of_search("mixing weights/entropy", lambda r: r.entropy),
    ),
    Logged(
        "mixing weights/skip share",
        "weight of skip connections, mean over decisions that have one",
        _of_search("mixing weights/skip share", lambda r: r.skip_share),
    ),
    Logged("GROUP/OPTION", "weight of an option, mean over the decisions of a group that have it", _shares),
    Logged("monitors/COLUMN", "each number that a monitor adds", _columns),
)
"""Of every epoch of a search and of every network's training; all behind the rate of the weights is of searches only."""

SCORES: tuple[tuple[str, str], ...] = (
    ("MEASURE/test", "each measure on the test examples; ``MEASURE/validation`` where those were scored"),
    ("parameters", "trained numbers of the network"),
    ("multiply-adds", "of one example"),
)
"""Of every network that was trained and scored, known ones beside it too, at its last epoch."""

CONFIG: tuple[tuple[str, str, str], ...] = (
    ("recipe", RECIPE, "the method, every field of it"),
    ("space", SPACE, "the space with its sizes"),
    ("data", DATA, "name, task, counts, fingerprint and source of the data"),
    ("settings", SETTINGS, "seed and executor"),
    ("retraining", RETRAINING, "protocol, seed and parts of a training from scratch"),
    ("environment", ENVIRONMENT, "versions, hardware, commit and command"),
    ("architecture", ARCHITECTURE, "what was found, in its community's notation"),
)
"""The settings: their name, the file of the run directory that holds them, and what they are."""

FILES: tuple[tuple[str, str], ...] = (
    (REPORT, "the page of the run"),
    ("architecture*.svg", "the drawing of the architecture"),
)
"""What goes along as artefacts, by the pattern of its name, when the run has ended."""

_ONLY: Mapping[str, tuple[str, ...]] = {
    SPACE: ("space",),
    DATA: ("name", "task", "shape", "counts", "fingerprint", "source"),
    RETRAINING: ("protocol", "seed", "train_on", "score_on"),
}
"""Keys of a file that are settings; of the others all but what changes when a run is resumed."""


@dataclass(frozen=True)
class Row:
    """What a tracker is given at once: an epoch, or the score of a network.

    Args:
        part: the search, or which network: ``search``, ``found``, ``random-1`` ...
        epoch: counted from 1; of a score the last one of its network.
        at: when it was, in seconds since 1970.
        values: finite numbers by tag.
        record: of the epoch; None for a score.
    """

    part: str
    epoch: int
    at: float
    values: Mapping[str, float]
    record: Record | None = None


@dataclass(frozen=True)
class Told:
    """What does not change in a run, as trackers show it.

    Args:
        path: of the run directory.
        key: the same for the same run wherever its directory is, 16 hexadecimal digits; trackers find a run again by it.
        group: of runs that belong together: the name of their comparison; empty for none.
        began: in seconds since 1970.
        names: of decisions and options.
        config: the settings at the beginning.
    """

    path: Path
    key: str
    group: str
    began: float
    names: Names = field(repr=False)
    config: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        """Name of the run: of its directory, behind that of the group."""
        own = self.path.resolve().name
        return f"{self.group}/{own}" if self.group else own


def told(path: Path, group: str = "") -> Told:
    """A run that has begun, for trackers.

    Args:
        path: of its directory.
        group: as in `Told`.

    Raises:
        RunError: if a file is torn or damaged.
    """
    environment = read_object(path / ENVIRONMENT)
    try:
        began = datetime.fromisoformat(environment["started"]).timestamp()
        names = {
            str(group["name"]): [(f"{d['source']}-{d['target']}", tuple(map(str, d["options"]))) for d in group["decisions"]]
            for group in read_object(path / SPACE)["groups"]
        }
    except (KeyError, TypeError, ValueError) as error:
        raise damaged(path, f"an {ENVIRONMENT} and a {SPACE} of a run", str(error)) from None
    # What a run is and when it began: a file with a number in it would be one more thing to lose.
    files = (RECIPE, SPACE, SETTINGS) if (path / RECIPE).exists() else (RETRAINING, SPACE)
    content = [environment["started"], environment.get("seed"), *(read_object(path / name) for name in files)]
    key = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]
    return Told(path, key, group, began, names, config(path))


def row(record: Record, run: Told) -> Row:
    """An epoch as a row.

    Raises:
        RunError: if its mixing weights are not those of the space.
    """
    part = record.phase if isinstance(record, SearchRecord) else record.label.replace(" ", "-")
    try:
        values = {tag: value for logged in EPOCH for tag, value in logged.of(record, run.names) if value is not None}
    except (KeyError, ValueError):
        raise damaged(f"Epoch {record.epoch} in {run.path}", "the mixing weights of its space", "others") from None
    return Row(part, record.epoch, run.began + record.seconds, values, record)


def scores(run: Told) -> list[Row]:
    """A row for each network that was trained and scored, known ones last.

    Raises:
        RunError: if a file is torn or damaged.
    """
    score, known = read_score(run.path / SCORE), read_known(run.path / KNOWN)
    if score is None:
        return []
    word = score.scored_on.word
    return [_scored(network, word, run) for network in (*score.networks, *(known.networks if known else ()))]


def _scored(network: NetworkScore, word: str, run: Told) -> Row:
    measured = {f"{name}/{word}": value for name, value in network.measures.items() if value is not None}
    values = {**measured, "parameters": float(network.parameters), "multiply-adds": float(network.flops)}
    return Row(network.label.replace(" ", "-"), network.epochs, run.began + network.seconds, values)


def config(path: Path) -> dict[str, Any]:
    """The settings of a run by their names, as JSON data; what is not there yet is left out.

    Raises:
        RunError: if a file is torn or damaged.
    """
    found = {}
    for name, file, _ in CONFIG:
        content = read_object(path / file)
        if file == ARCHITECTURE:
            content = content.get("native")
        elif file == SPACE:
            content = content.get("space")
        elif file in _ONLY:
            content = {key: content[key] for key in _ONLY[file] if key in content}
        else:
            content.pop("resumed", None)
        if content:
            found[name] = content
    return found


def files(path: Path) -> list[Path]:
    """The artefacts that a run has."""
    return [file for pattern, _ in FILES for file in sorted(path.glob(pattern))]


def is_finished(path: Path) -> bool:
    """Whether a run has what it works for: its architecture or, of a retraining, its score."""
    return (path / (SCORE if (path / RETRAINING).exists() else ARCHITECTURE)).exists()
