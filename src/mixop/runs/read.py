"""Reads a run directory into plain values, checked: what is torn or damaged is told by file and line, not drawn."""

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mixop.core.errors import RunError
from mixop.runs.cells import parse_cell

NAN = float("nan")


@dataclass(frozen=True)
class Decision:
    """One decision of the space: the edge ``source`` -> ``target`` and its O options, in the order of the mixing weights."""

    source: int
    target: int
    options: tuple[str, ...]


@dataclass(frozen=True)
class Search:
    """The search epoch by epoch; every series has T entries, NaN where nothing was measured.

    Args:
        epochs: number of each epoch, ascending.
        planned: epochs that were asked for, or None.
        series: ``train_loss``, ``train_accuracy``, ``valid_loss``, ``valid_accuracy``, ``entropy`` (nats), ``skip_share``
            (above 1 where mixing weights need not sum to 1), ``seconds`` (since the search began), and ``eigenvalue`` and
            ``gap`` of monitors, each of shape ``(T,)``.
        mix: group -> mixing weights ``(T, E, O)``.
        architectures: native string derived at each epoch, or None.
        warnings: what monitors warned of at each epoch, or None.
    """

    epochs: tuple[int, ...]
    planned: int | None
    series: Mapping[str, np.ndarray]
    mix: Mapping[str, np.ndarray]
    architectures: tuple[str | None, ...]
    warnings: tuple[str | None, ...] = ()


@dataclass(frozen=True)
class Retraining:
    """One network trained from scratch, epoch by epoch; series as in `Search` (``train_loss``, ``train_accuracy``)."""

    label: str
    epochs: tuple[int, ...]
    planned: int | None
    series: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Network:
    """One line of ``score.json``; accuracies in [0, 1], time in seconds, None where not measured."""

    label: str
    architecture: str
    test_accuracy: float
    test_loss: float | None = None
    parameters: int | None = None
    flops: int | None = None
    seconds: float | None = None
    epochs: int | None = None
    seed: int | None = None


@dataclass(frozen=True)
class Score:
    """``score.json``: the networks, the found one's confusion ``(K, K)`` (rows: true class), class names, the protocol."""

    networks: tuple[Network, ...]
    confusion: np.ndarray | None
    classes: tuple[str, ...]
    protocol: Mapping[str, Any]

    @property
    def found(self) -> Network | None:
        """The network of the found architecture."""
        return next((n for n in self.networks if n.label == "found"), None)

    @property
    def rivals(self) -> tuple[Network, ...]:
        """The networks of random architectures."""
        return tuple(n for n in self.networks if n.label.startswith("random"))

    @property
    def images(self) -> int | None:
        """Number of test images."""
        return None if self.confusion is None else int(self.confusion.sum())


@dataclass(frozen=True)
class Run:
    """A run directory, read. What is not there yet is empty or None.

    Args:
        path: the directory, as it was given.
        decisions: group -> its decisions.
        native: the found architecture in its community's notation.
        cells: group -> the cell as `mixop.report.cell.draw_cell` takes it.
    """

    path: Path
    recipe: Mapping[str, Any]
    space: Mapping[str, Any]
    environment: Mapping[str, Any]
    data: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, Any] = field(default_factory=dict)
    decisions: Mapping[str, tuple[Decision, ...]] = field(default_factory=dict)
    search: Search | None = None
    retrainings: tuple[Retraining, ...] = ()
    native: str | None = None
    cells: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    score: Score | None = None

    @property
    def name(self) -> str:
        """Name of the directory."""
        return self.path.resolve().name

    @property
    def max_entropy(self) -> float | None:
        """Entropy in nats of uniform mixing weights: the mean of log O over all decisions."""
        sizes = [len(decision.options) for decisions in self.decisions.values() for decision in decisions]
        return float(np.mean(np.log(sizes))) if sizes else None


def read_run(path: str | Path) -> Run:
    """Reads a run directory.

    Args:
        path: the directory; ``space.json``, ``environment.json`` and one of ``recipe.json``, ``retrain.json`` must be there.

    Raises:
        RunError: if it is no run, or a file is torn or damaged, naming the file and the line.
    """
    path = Path(path)
    if not path.is_dir():
        raise RunError(f"There is no run directory {path}: give the --out of a search.")
    begun = "retrain.json" if (path / "retrain.json").is_file() else "recipe.json"
    missing = [name for name in (begun, "space.json", "environment.json") if not (path / name).is_file()]
    if missing:
        raise RunError(f"{path} is not a run directory (it has no {missing[0]}): give the --out of a search.")
    space = _mapping(path / "space.json")
    decisions = _decisions(space, path / "space.json")
    records = _records(path / "metrics.jsonl")
    native, cells = _architecture(path / "architecture.json")
    return Run(
        path=path,
        recipe=_mapping(path / "recipe.json"),
        space=space,
        environment=_mapping(path / "environment.json"),
        data=_mapping(path / "data.json"),
        settings=_mapping(path / "settings.json"),
        decisions=decisions,
        search=_search([r for r in records if r.get("phase") == "search"], decisions),
        retrainings=_retrainings([r for r in records if r.get("phase") == "retrain"]),
        native=native,
        cells=cells,
        score=_score(path / "score.json"),
    )


def _read(path: Path) -> str | None:
    """The text of a file, None where there is none."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
    except (OSError, UnicodeDecodeError) as error:
        raise RunError(f"{path} cannot be read ({error}): restore it, or run the command that wrote it again.") from error


def _mapping(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no file."""
    text = _read(path)
    if text is None:
        return {}
    try:
        content = json.loads(text)
    except ValueError as error:
        raise RunError(f"{path} is torn ({error}): restore it, or run the command that wrote it again.") from error
    if not isinstance(content, dict):
        raise _damaged(path, "a JSON object", content)
    return content


def _damaged(where: object, expected: str, got: object) -> RunError:
    text = repr(got)
    text = text if len(text) <= 60 else text[:57] + "..."
    return RunError(f"{where} must hold {expected}, got {text}: restore it, or run the command that wrote it again.")


def _field(record: Mapping[str, Any], key: str, kind: Callable[[Any], bool], expected: str, where: object) -> Any:
    """A checked value of an object; None where it is null or absent."""
    value = record.get(key)
    if value is not None and not kind(value):
        raise _damaged(where, f"{expected} in {key!r}", value)
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_share(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= 1


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict)


def _is_list(value: Any) -> bool:
    return isinstance(value, list)


def _decisions(space: Mapping[str, Any], path: Path) -> dict[str, tuple[Decision, ...]]:
    decisions = {}
    try:
        for group in space.get("groups", ()):
            decisions[str(group["name"])] = tuple(
                Decision(int(d["source"]), int(d["target"]), tuple(map(str, d["options"]))) for d in group["decisions"]
            )
    except (KeyError, TypeError, ValueError) as error:
        raise RunError(
            f"{path} must give every group a name and decisions of source, target and options; "
            f"it is damaged ({type(error).__name__}: {error})."
        ) from error
    for group, rows in decisions.items():
        if not rows or not rows[0].options or any(len(row.options) != len(rows[0].options) for row in rows):
            raise RunError(f"{path} must give all decisions of group {group!r} equally many options; it is damaged.")
    return decisions


def _records(path: Path) -> list[dict[str, Any]]:
    """The lines of the metrics, checked; the last one may be torn by a crash and is left out then."""
    text = _read_lines(path)
    records = []
    for number, line in enumerate(text, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except ValueError as error:
            if number == len(text):
                break
            raise RunError(f"Line {number} of {path} is torn: remove it, or start the run again.") from error
        where = f"Line {number} of {path}"
        if not isinstance(record, dict):
            raise _damaged(where, "a JSON object", record)
        if record.get("phase") in ("search", "retrain"):
            _check_record(record, where)
            records.append(record)
    return records


def _read_lines(path: Path) -> list[str]:
    """Lines without the empty ones at the end; in bytes first, as a crash may tear a character in two."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error}): change its permissions.") from error
    return content.decode("utf-8", errors="replace").rstrip().split("\n") if content.strip() else []


NUMBERS = ("seconds", "train_loss", "valid_loss", "entropy", "eigenvalue", "gap", "skip_share")
SHARES = ("train_accuracy", "valid_accuracy")


def _check_record(record: Mapping[str, Any], where: str) -> None:
    if not _is_count(record.get("epoch")):
        raise _damaged(where, "a whole number in 'epoch'", record.get("epoch"))
    for key in NUMBERS:
        _field(record, key, _is_number, "a number", where)
    for key in SHARES:
        _field(record, key, _is_share, "a share between 0 and 1", where)
    _field(record, "epochs", _is_count, "a whole number", where)
    _field(record, "label", _is_text, "a text", where)
    _field(record, "architecture", _is_text, "a text", where)
    _field(record, "warning", _is_text, "a text", where)
    for group, rows in (_field(record, "mix", _is_mapping, "an object", where) or {}).items():
        if not (_is_list(rows) and all(_is_list(row) and all(map(_is_number, row)) for row in rows)):
            raise _damaged(where, f"rows of numbers in 'mix' of {group!r}", rows)


def _last_of_each_epoch(records: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """One record an epoch, in order: an epoch that was done again after an interruption counts as it went the last time."""
    return [record for _, record in sorted({record["epoch"]: record for record in records}.items())]


def _series(records: Sequence[Mapping[str, Any]]) -> dict[str, np.ndarray]:
    columns = {}
    for key in NUMBERS + SHARES:
        values = [NAN if record.get(key) is None else float(record[key]) for record in records]
        columns[key] = np.array([value if math.isfinite(value) else NAN for value in values])
    return columns


def _search(records: Sequence[Mapping[str, Any]], decisions: Mapping[str, tuple[Decision, ...]]) -> Search | None:
    records = _last_of_each_epoch(records)
    if not records:
        return None
    mix = {}
    for group, rows in decisions.items():
        shape = (len(rows), len(rows[0].options))
        weights = np.full((len(records), *shape), NAN)
        for index, record in enumerate(records):
            given = (record.get("mix") or {}).get(group) or []
            if len(given) == shape[0] and all(len(row) == shape[1] for row in given):
                weights[index] = given
        if not np.isnan(weights).all():
            mix[group] = weights
    return Search(
        epochs=tuple(record["epoch"] for record in records),
        planned=records[-1].get("epochs"),
        series=_series(records),
        mix=mix,
        architectures=tuple(record.get("architecture") for record in records),
        warnings=tuple(record.get("warning") for record in records),
    )


def _retrainings(records: Sequence[Mapping[str, Any]]) -> tuple[Retraining, ...]:
    by_label: dict[str, list[Mapping[str, Any]]] = {}
    for record in records:
        by_label.setdefault(record.get("label") or "found", []).append(record)
    result = []
    for label, given in by_label.items():
        own = _last_of_each_epoch(given)
        result.append(Retraining(label, tuple(r["epoch"] for r in own), own[-1].get("epochs"), _series(own)))
    return tuple(result)


def _architecture(path: Path) -> tuple[str | None, dict[str, Mapping[str, Any]]]:
    content = _mapping(path)
    if not content:
        return None, {}
    native = content.get("native")
    cells = _field(content, "cells", _is_mapping, "an object", path) or {}
    if not isinstance(native, str):
        raise _damaged(path, "a text in 'native'", native)
    for name, cell in cells.items():
        parse_cell(cell, f"Cell {name!r} in {path}")
    return native, cells


def _score(path: Path) -> Score | None:
    content = _mapping(path)
    if not content:
        return None
    networks = []
    for index, given in enumerate(_field(content, "networks", _is_list, "a list", path) or []):
        where = f"Network {index + 1} in {path}"
        if not isinstance(given, dict) or not _is_text(given.get("label")) or not _is_share(given.get("test_accuracy")):
            raise _damaged(where, "an object with a label and a test_accuracy between 0 and 1", given)
        networks.append(
            Network(
                label=given["label"],
                architecture=_field(given, "architecture", _is_text, "a text", where) or "",
                test_accuracy=float(given["test_accuracy"]),
                test_loss=_field(given, "test_loss", _is_number, "a number", where),
                parameters=_field(given, "parameters", _is_count, "a whole number", where),
                flops=_field(given, "flops", _is_count, "a whole number", where),
                seconds=_field(given, "seconds", _is_number, "a number", where),
                epochs=_field(given, "epochs", _is_count, "a whole number", where),
                seed=_field(given, "seed", _is_count, "a whole number", where),
            )
        )
    rows = _field(content, "confusion", _is_list, "a list", path)
    confusion = None
    if rows:
        if not all(_is_list(row) and len(row) == len(rows) and all(map(_is_count, row)) for row in rows):
            raise _damaged(path, "as many rows as columns of counts in 'confusion'", rows)
        confusion = np.array(rows, dtype=np.int64)
    size = 0 if confusion is None else len(confusion)
    classes = tuple(map(str, _field(content, "classes", _is_list, "a list", path) or range(size)))
    if confusion is not None and len(classes) != size:
        raise _damaged(path, f"{size} names in 'classes', one for each row of 'confusion'", list(classes))
    protocol = _field(content, "protocol", _is_mapping, "an object", path) or {}
    return Score(tuple(networks), confusion, classes, protocol)
