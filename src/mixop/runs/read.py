"""Reads a run directory into plain values and curves, checked, for pages and screens. Imports no torch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from mixop.core.errors import RunError
from mixop.core.measure import Measure
from mixop.runs.cells import parse_cell
from mixop.runs.files import ARCHITECTURE, COSTS, DATA, ENVIRONMENT, KNOWN, METRICS, RECIPE, SCORE, SETTINGS, SPACE
from mixop.runs.load import Record, damaged, read_known, read_measures, read_object, read_records, read_score, require_run
from mixop.runs.records import KnownNetworks, RetrainingRecord, Score, SearchRecord, Values, noun

NAN = float("nan")

Curves = Mapping[str, np.ndarray]
"""By name, a value ``(T,)`` for each of T epochs, NaN where nothing was measured."""


@dataclass(frozen=True)
class EdgeOptions:
    """One decision of the space: the edge ``source`` -> ``target`` and its O options, in the order of the mixing weights.

    ``place`` says in words what is decided, where that is no edge; ``reads`` whether the options are what a node reads.
    """

    source: int
    target: int
    options: tuple[str, ...]
    place: str = ""
    reads: bool = False


@dataclass(frozen=True)
class SearchCurves:
    """The search epoch by epoch; every array has T entries, NaN where nothing was measured.

    Args:
        epochs: number of each epoch, ascending.
        planned: epochs that were asked for.
        seconds: since the search began, ``(T,)``.
        train: measures over the training batches.
        valid: measures of the supernet on the validation part; empty where there is none.
        entropy: of the mixing weights in nats, ``(T,)``.
        skip_share: mixing weight of skip connections, ``(T,)``; above 1 where mixing weights need not sum to 1.
        columns: numbers that monitors added.
        texts: texts that monitors added, by name: one for each epoch, None where there was nothing to say.
        actions: what monitors did to the search after each epoch; empty for nothing.
        mix: group -> mixing weights ``(T, E, O)``.
        architectures: native string derived at each epoch.
    """

    epochs: tuple[int, ...]
    planned: int
    seconds: np.ndarray
    train: Curves
    valid: Curves
    entropy: np.ndarray
    skip_share: np.ndarray
    columns: Curves
    texts: Mapping[str, tuple[str | None, ...]]
    actions: tuple[str, ...]
    mix: Mapping[str, np.ndarray]
    architectures: tuple[str, ...]


@dataclass(frozen=True)
class RetrainingCurves:
    """One network trained from scratch, epoch by epoch; arrays as in `SearchCurves`."""

    label: str
    epochs: tuple[int, ...]
    planned: int
    train: Curves
    valid: Curves


@dataclass(frozen=True)
class RunContents:
    """A run directory, read. What is not there yet is empty or None.

    Args:
        path: the directory, as it was given.
        recipe: JSON data; empty where the directory holds a retraining alone.
        space: JSON data.
        environment: JSON data.
        data: JSON data: task, measures, shape of an input, number of examples.
        measures: of the task; the first one ranks.
        settings: JSON data.
        decisions: group -> its decisions.
        search: the search's epochs.
        retrainings: epochs of the networks that are trained from scratch.
        native: the found architecture in its community's notation.
        cells: group -> the cell as `mixop.report.cell.draw_cell` takes it.
        choices: of a space without cells, decision -> its option, or the inputs that are read; without those that are not
            reached. None where none are found, and for cells.
        costs: decision -> option -> what it costs by itself, by measure; empty where that is not known.
        inputs: decision -> the names of its rows, where they have some.
        score: what the retraining found out.
        known: the known networks beside it; None where there are none.
        chain: decisions in the order in which they follow one another, where the network is a chain of them.
    """

    path: Path
    recipe: Mapping[str, Any]
    space: Mapping[str, Any]
    environment: Mapping[str, Any]
    data: Mapping[str, Any]
    measures: tuple[Measure, ...]
    settings: Mapping[str, Any]
    decisions: Mapping[str, tuple[EdgeOptions, ...]]
    search: SearchCurves | None
    retrainings: tuple[RetrainingCurves, ...]
    native: str | None
    cells: Mapping[str, Mapping[str, Any]]
    choices: Mapping[str, str | tuple[str, ...]] | None
    costs: Mapping[str, Mapping[str, Mapping[str, float]]]
    inputs: Mapping[str, tuple[str, ...]]
    score: Score | None
    known: KnownNetworks | None
    chain: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.resolve().name

    @property
    def factory(self) -> str:
        """What makes the model whose choices are the space, ``package.module:name``; empty for another space."""
        space = self.space.get("space")
        name = space.get("factory") if isinstance(space, Mapping) else None
        return name if isinstance(name, str) else ""

    @property
    def first(self) -> Measure:
        """The measure that ranks."""
        return self.measures[0]

    @property
    def noun(self) -> str:
        """What an example is for people: an image where an input has channels, height and width, else an example."""
        shape = self.data.get("shape")
        return noun(shape if isinstance(shape, list) else (), tokens=bool(self.data.get("tokens")))

    @property
    def max_entropy(self) -> float | None:
        """Entropy in nats of uniform mixing weights: the mean of log O over all decisions."""
        sizes = [len(decision.options) for decisions in self.decisions.values() for decision in decisions]
        return float(np.mean(np.log(sizes))) if sizes else None


def read_run(path: str | Path, records: Sequence[Record] | None = None) -> RunContents:
    """Reads a run directory.

    Args:
        path: the directory, of a search or a retraining that has begun.
        records: of its metrics, where the caller has read them already.

    Raises:
        RunError: if it is no run, has another format, or a file is torn or damaged, naming the file and the line.
    """
    path = Path(path)
    require_run(path)
    missing = [name for name in (SPACE, DATA, ENVIRONMENT) if not (path / name).exists()]
    if missing:
        raise RunError(f"{path} is not a run directory (it has no {missing[0]}): give the --out of a search.")
    space, data = read_object(path / SPACE), read_object(path / DATA)
    decisions = _decisions(space, path / SPACE)
    if records is None:
        records = read_records(path / METRICS)
    native, cells, choices, chain = _architecture(path / ARCHITECTURE, decisions)
    return RunContents(
        path=path,
        recipe=read_object(path / RECIPE),
        space=space,
        environment=read_object(path / ENVIRONMENT),
        data=data,
        measures=read_measures(data, path / DATA),
        settings=read_object(path / SETTINGS),
        decisions=decisions,
        search=_search([r for r in records if isinstance(r, SearchRecord)], decisions),
        retrainings=_retrainings([r for r in records if isinstance(r, RetrainingRecord)]),
        native=native,
        cells=cells,
        choices=choices,
        chain=chain,
        costs=_costs(path / COSTS),
        inputs=_inputs(space),
        score=read_score(path / SCORE),
        known=read_known(path / KNOWN),
    )


def _decisions(space: Mapping[str, Any], path: Path) -> dict[str, tuple[EdgeOptions, ...]]:
    decisions = {}
    try:
        for group in space.get("groups", ()):
            decisions[str(group["name"])] = tuple(
                EdgeOptions(
                    int(d["source"]),
                    int(d["target"]),
                    tuple(map(str, d["options"])),
                    str(d.get("place", "")),
                    group.get("reads") is True,
                )
                for d in group["decisions"]
            )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} must give every group a name and decisions of source, target and options; "
            f"it is damaged ({type(error).__name__}: {error})."
        ) from error
    for group, rows in decisions.items():
        if not rows or not rows[0].options or any(len(row.options) != len(rows[0].options) for row in rows):
            raise RunError(f"{path} must give all decisions of group {group!r} the same number of options; it is damaged.")
    return decisions


class _Numbered(Protocol):
    @property
    def epoch(self) -> int: ...


R = TypeVar("R", bound=_Numbered)


def _last_of_each_epoch(records: Sequence[R]) -> list[R]:
    """One record an epoch, in order: an epoch that was done again after an interruption counts as it went the last time."""
    return [record for _, record in sorted({record.epoch: record for record in records}.items())]


def _array(values: Sequence[float | None]) -> np.ndarray:
    return np.array([NAN if value is None else value for value in values], dtype=np.float64)


def _curves(values: Sequence[Values]) -> dict[str, np.ndarray]:
    """A curve for every name that occurs in some epoch."""
    names = dict.fromkeys(name for given in values for name in given)
    return {name: _array([given.get(name) for given in values]) for name in names}


def _search(records: Sequence[SearchRecord], decisions: Mapping[str, tuple[EdgeOptions, ...]]) -> SearchCurves | None:
    records = _last_of_each_epoch(records)
    if not records:
        return None
    mix = {}
    for group, rows in decisions.items():
        shape = (len(rows), len(rows[0].options))
        weights = np.full((len(records), *shape), NAN)
        for index, record in enumerate(records):
            given = record.mix.get(group, ())
            if len(given) == shape[0] and all(len(row) == shape[1] for row in given):
                weights[index] = given
        if not np.isnan(weights).all():
            mix[group] = weights
    added = [record.columns for record in records]
    numbers = [{name: value for name, value in given.items() if isinstance(value, float)} for given in added]
    texts = dict.fromkeys(name for given in added for name, value in given.items() if isinstance(value, str))
    return SearchCurves(
        epochs=tuple(record.epoch for record in records),
        planned=records[-1].epochs,
        seconds=_array([record.seconds for record in records]),
        train=_curves([record.train for record in records]),
        valid=_curves([record.valid for record in records]),
        entropy=_array([record.entropy for record in records]),
        skip_share=_array([record.skip_share for record in records]),
        columns=_curves(numbers),
        texts={name: tuple(value if isinstance(value := given.get(name), str) else None for given in added) for name in texts},
        actions=tuple(record.action for record in records),
        mix=mix,
        architectures=tuple(record.architecture for record in records),
    )


def _retrainings(records: Sequence[RetrainingRecord]) -> tuple[RetrainingCurves, ...]:
    by_label: dict[str, list[RetrainingRecord]] = {}
    for record in records:
        by_label.setdefault(record.label, []).append(record)
    result = []
    for label, given in by_label.items():
        own = _last_of_each_epoch(given)
        train, valid = (_curves([getattr(r, part) for r in own]) for part in ("train", "valid"))
        result.append(RetrainingCurves(label, tuple(r.epoch for r in own), own[-1].epochs, train, valid))
    return tuple(result)


def _inputs(space: Mapping[str, Any]) -> dict[str, tuple[str, ...]]:
    return {str(g["name"]): tuple(map(str, g["inputs"])) for g in space.get("groups", ()) if isinstance(g.get("inputs"), list)}


def _costs(path: Path) -> dict[str, dict[str, dict[str, float]]]:
    content = read_object(path)
    try:
        return {d: {o: {m: float(v) for m, v in c.items()} for o, c in of.items()} for d, of in content.items()}
    except (AttributeError, TypeError, ValueError):
        raise damaged(path, "numbers by decision, option and measure", content) from None


_Choices = dict[str, str | tuple[str, ...]]


def _architecture(
    path: Path, decisions: Mapping[str, tuple[EdgeOptions, ...]]
) -> tuple[str | None, dict[str, Mapping[str, Any]], _Choices | None, tuple[str, ...]]:
    content = read_object(path)
    if not content:
        return None, {}, None, ()
    native, cells, choices = content.get("native"), content.get("cells", {}), content.get("choices")
    if not isinstance(native, str):
        raise damaged(path, "a text in 'native'", native)
    if not isinstance(cells, dict):
        raise damaged(path, "an object in 'cells'", cells)
    for name, cell in cells.items():
        parse_cell(cell, f"Cell {name!r} in {path}")
    found = None if choices is None else _choices(choices, decisions, path)
    chain = content.get("chain", [])
    single = {name for name, taken in (found or {}).items() if isinstance(taken, str)}
    if not isinstance(chain, list) or not all(isinstance(name, str) and name in single for name in chain):
        raise damaged(path, "decisions with one option each in 'chain'", chain)
    return native, cells, found, tuple(chain)


def _choices(choices: Any, decisions: Mapping[str, tuple[EdgeOptions, ...]], path: Path) -> _Choices:
    if not isinstance(choices, dict):
        raise damaged(path, "an object in 'choices'", choices)
    found: _Choices = {}
    for name, taken in choices.items():
        given = taken if isinstance(taken, list) else [taken]
        if name not in decisions or not all(isinstance(one, str) for one in given):
            raise damaged(path, f"an option of a decision of the space in 'choices.{name}'", taken)
        found[name] = tuple(given) if isinstance(taken, list) else taken
    return found
