"""Reads the directory of a comparison: what it is, and the runs that are done."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mixop.core.errors import RecipeError, RunError
from mixop.core.files import read_file
from mixop.core.measure import Measure, Number, measure_from_json
from mixop.report.comparison import Comparison
from mixop.report.methods import RANDOM, Row, SeedRun, chosen, fitting
from mixop.runs.files import COMPARISON, TRIAL
from mixop.runs.load import check_version


def read_comparison(path: str | Path) -> Comparison:
    """Reads the directory of a comparison, finished or not.

    Raises:
        RunError: if it is none, or a file is torn.
    """
    path = Path(path)
    if not (path / COMPARISON).is_file():
        raise RunError(f"{path} is not a comparison (it has no {COMPARISON}): give the --out of mixop compare.")
    check_version(path)
    identity = _read(path / COMPARISON)
    try:
        return _comparison(path, identity)
    except (KeyError, TypeError, ValueError, AttributeError, RecipeError) as error:
        raise RunError(
            f"A file of the comparison {path} is damaged ({type(error).__name__}: {error}): "
            f"remove the {TRIAL} of the run concerned and give the same command again."
        ) from error


def _comparison(path: Path, identity: Mapping[str, Any]) -> Comparison:
    seeds, measure, by = identity["seeds"], *(measure_from_json(identity[name]) for name in ("measure", "trial_measure"))
    searchers = identity.get("searchers", ())  # they have the time of random search's own row
    runs = {
        name: tuple(run for run in (_run(path / f"{name}-{seed}", seed) for seed in seeds) if run is not None)
        for name in (*identity["recipes"], *searchers)
    }
    budgets = mean_seconds({name: Row(name, measure, runs[name]) for name in identity["recipes"]})
    drawn = [(seed, found) for seed in seeds if (found := _read(path / f"{RANDOM}-{seed}" / TRIAL, missing=True))]

    def at(name: str) -> Row:
        own = (_random_run(path / f"{RANDOM}-{seed}", seed, found, found["budgets"][name], by) for seed, found in drawn)
        return Row(RANDOM, measure, tuple(own))

    time_of = {n: "median" if n in searchers else n for n in runs}
    rows = [
        Row(n, measure, own, at(time_of[n]) if drawn and time_of[n] in drawn[0][1]["budgets"] else None)
        for n, own in runs.items()
    ]
    if drawn:
        rows.append(at("median"))
    order = sorted(rows, key=lambda r: (-(r.rate or 0), -measure.rank(r.mean), r.seconds or math.inf))
    return Comparison(path, identity, measure, tuple(order), budgets)


def mean_seconds(rows: Mapping[str, Row]) -> dict[str, float]:
    """Mean time of a search, by recipe, of those that have finished one."""
    return {name: row.seconds for name, row in rows.items() if row.seconds is not None}


def _run(folder: Path, seed: int) -> SeedRun | None:
    found = _read(folder / TRIAL, missing=True)
    if found is None:
        return None
    return SeedRun(
        seed=seed,
        path=folder,
        architecture=found.get("architecture"),
        seconds=found.get("search_seconds"),
        score=_number(found.get("score")),
        hit=found.get("hit"),
        distance=found.get("distance"),
        trained=found.get("trained"),
        skips=found.get("skips"),
        entropy=found.get("entropy"),
        curve=tuple((epoch, seconds, score) for epoch, seconds, score in found.get("curve", ())),
        error=found.get("error"),
    )


def _random_run(folder: Path, seed: int, found: Mapping[str, Any], budget: float, measure: Measure) -> SeedRun:
    candidates = found["candidates"]
    taken, count = candidates[chosen(candidates, budget, measure)], fitting(candidates, budget)
    return SeedRun(
        seed=seed,
        path=folder,
        architecture=taken["architecture"],
        seconds=sum(candidate["seconds"] for candidate in candidates[:count]),
        score=taken["score"],
        hit=taken.get("hit"),
        distance=taken.get("distance"),
        trained=count,
        skips=taken.get("skips"),
        error="Every training diverged." if taken["score"] is None else None,
    )


def _number(value: Any) -> Number:
    """A score as it is in a file.

    Raises:
        TypeError: if it is no number.
    """
    if value is None or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    raise TypeError(f"a score is {value!r}")


def _read(path: Path, *, missing: bool = False) -> Any:
    try:
        return json.loads(read_file(path))
    except FileNotFoundError:
        if missing:
            return None
        raise
    except (OSError, ValueError) as error:
        raise RunError(f"{path} is torn or unreadable ({error}): remove it and give the same command again.") from error
