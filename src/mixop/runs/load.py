"""Files of a run directory as values, checked: what is torn or damaged is named by file and line. Imports no torch."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixop.core.errors import RecipeError, RunError
from mixop.core.files import read_file
from mixop.core.measure import Measure, measure_from_json
from mixop.core.outside import MalformedError, parse_object, shortened
from mixop.runs.files import DATA, FORMAT_FILE, IDENTITY, RECIPE, RETRAINING, check_format
from mixop.runs.records import KnownNetworks, RetrainingRecord, Score, SearchRecord, from_record

Record = SearchRecord | RetrainingRecord
"""A line of the metrics."""

_KINDS: Mapping[str, type[SearchRecord] | type[RetrainingRecord]] = {"search": SearchRecord, "retrain": RetrainingRecord}


def read_object(path: Path) -> dict[str, Any]:
    """The object in a JSON file, empty where there is no file.

    Raises:
        RunError: if the file is torn, or holds something else.
    """
    try:
        return parse_object(read_file(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error}): change its permissions.") from error
    except MalformedError as error:
        raise RunError(f"{path} is torn or damaged ({error}): restore it, or run the command that wrote it again.") from error


def damaged(where: object, expected: str, got: object) -> RunError:
    """The error for a file that holds something else than it must."""
    return RunError(f"{where} must hold {expected}, got {shortened(got)}: restore it, or run the command that wrote it again.")


def check_version(path: Path) -> None:
    """Refuses a directory whose files have another format than this version of mixop reads.

    Args:
        path: a directory with the files of a search, a retraining or a comparison in it.

    Raises:
        RunError: naming what can read it.
    """
    file = path / FORMAT_FILE
    if not file.exists():
        return check_format(None, path)
    found = read_object(file).get("format")
    if type(found) is not int:
        raise damaged(file, "a whole number in 'format'", found)
    return check_format(found, path)


def is_begun(path: Path) -> bool:
    """Whether a directory holds the files of a run, of whatever kind and format."""
    return any((path / name).exists() for name in IDENTITY)


def require_run(path: Path) -> None:
    """Refuses a directory that is neither a search nor a retraining of this format.

    Raises:
        RunError: in one sentence.
    """
    if not path.is_dir():
        raise RunError(f"There is no run directory {path}: give the --out of a search.")
    if not any((path / name).exists() for name in (RECIPE, RETRAINING)):
        raise RunError(f"{path} is not a run directory (it has no {RECIPE}): give the --out of a search.")
    check_version(path)


def read_records(path: Path) -> list[Record]:
    """The lines of the metrics in order; the last one may be torn by a crash and is left out then.

    Args:
        path: the file; if it does not exist, nothing was measured yet.

    Raises:
        RunError: if a line before the last is torn, or a line holds no record, naming the line.
    """
    lines = _lines(path)
    records: list[Record] = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"Line {number} of {path}"
        try:
            records.append(parse_record(line, where))
        except MalformedError as error:
            if number == len(lines):
                break
            raise RunError(f"{where} is torn or damaged ({error}): remove it, or start the run again.") from error
    return records


def parse_record(line: str | bytes, where: str) -> Record:
    """The record in a line of the metrics.

    Args:
        line: the text, or its bytes.
        where: the line, for messages.

    Raises:
        MalformedError: if it is torn.
        RunError: if it holds no record.
    """
    content = parse_object(line)
    phase = content.get("phase")
    if not isinstance(phase, str) or phase not in _KINDS:
        raise damaged(where, f"{' or '.join(map(repr, _KINDS))} in 'phase'", phase)
    record: Record = from_record(_KINDS[phase], content, where)
    if record.epoch < 1:
        raise damaged(where, "an epoch counted from 1", record.epoch)
    return record


def _lines(path: Path) -> list[str]:
    """Lines without the empty ones at the end; in bytes first, as a crash may tear a character in two."""
    try:
        content = read_file(path)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise RunError(f"{path} cannot be read ({error.strerror or error}): change its permissions.") from error
    return content.decode("utf-8", errors="replace").rstrip().split("\n") if content.strip() else []


def read_score(path: Path) -> Score | None:
    """What a retraining found out; None where there is no file.

    Raises:
        RunError: if the file is torn or damaged, naming what is wrong.
    """
    content = read_object(path)
    if not content:
        return None
    score = from_record(Score, content, str(path))
    _check_measures(score.measures, path)
    if not score.networks:
        raise damaged(path, "at least one network in 'networks'", [])
    for number, network in enumerate(score.networks, start=1):
        for measure in score.measures:
            _check_value(network.measures.get(measure.name), measure, f"Network {number} in {path}")
    rows = score.confusion
    if any(len(row) != len(rows) or min(row) < 0 for row in rows):
        raise damaged(path, "as many rows as columns of counts in 'confusion'", rows)
    if rows and len(score.classes) != len(rows):
        raise damaged(path, f"{len(rows)} names in 'classes', one for each row of 'confusion'", list(score.classes))
    return score


def read_known(path: Path) -> KnownNetworks | None:
    """The known networks beside a retraining; None where there is no file.

    Raises:
        RunError: if the file is torn or damaged.
    """
    content = read_object(path)
    if not content:
        return None
    known = from_record(KnownNetworks, content, str(path))
    if len(known.networks) > len(known.planned):
        raise damaged(path, "no more networks in 'networks' than in 'planned'", len(known.networks))
    return known


def _check_value(value: float | None, measure: Measure, where: str) -> None:
    if value is not None and measure.style == "percent" and not 0 <= value <= 1:
        raise damaged(where, f"a share between 0 and 1 in {measure.name!r}", value)


def read_measures(data: Mapping[str, Any], path: Path) -> tuple[Measure, ...]:
    """The measures of a run's task, from what it keeps of its data; the first one ranks.

    Args:
        data: content of the file.
        path: the file, for messages.

    Raises:
        RunError: if they are missing or damaged.
    """
    given = data.get("measures")
    if not isinstance(given, list):
        raise damaged(path, "a list of measures in 'measures'", given)
    try:
        measures = tuple(measure_from_json(measure) for measure in given)
    except RecipeError as error:
        raise RunError(f"{path} is damaged: {error}") from error
    _check_measures(measures, path)
    return measures


def _check_measures(measures: tuple[Measure, ...], path: Path) -> None:
    names = [measure.name for measure in measures]
    if not names or len(set(names)) != len(names):
        raise damaged(path, "measures of different names in 'measures'", names)


def data_measures(run: Path) -> tuple[Measure, ...]:
    """The measures of the task of a run directory; the first one ranks.

    Raises:
        RunError: if the directory does not say them.
    """
    path = run / DATA
    if not path.exists():
        raise RunError(f"{run} has no {DATA}: it is not a run directory, or was copied without it.")
    return read_measures(read_object(path), path)
