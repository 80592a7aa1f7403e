"""Reads the directory of a comparison: what it is, and the runs that are done."""

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from mixop.core.errors import RecipeError, RunError
from mixop.core.measure import Measure, measure_from_json
from mixop.core.values import fields_in
from mixop.report.comparison import Comparison
from mixop.report.methods import RANDOM, Row, SeedRun, chosen, fitting
from mixop.runs.files import COMPARISON, TRIAL
from mixop.runs.load import check_version, damaged, read_object

_IDENTITY: Mapping[str, Any] = {
    "recipes": dict,
    "space": dict,
    "data": dict,
    "seeds": tuple[int, ...],
    "evaluator": dict,
    "score": str,
    "measure": dict,
    "trial_measure": dict,
    "note": str,
    "budget_seconds": float | None,
}
_FOUND: Mapping[str, Any] = {
    "score": float | None,
    "hit": bool | None,
    "distance": int | None,
    "skips": int | None,
}
_TRIAL: Mapping[str, Any] = {
    **_FOUND,
    "architecture": str | None,
    "search_seconds": float | None,
    "trained": int | None,
    "entropy": float | None,
    "curve": tuple[tuple[int, float, float], ...],
    "error": str | None,
}
_CANDIDATE: Mapping[str, Any] = {**_FOUND, "architecture": str, "value": float | None, "seconds": float}


def read_comparison(path: str | Path) -> Comparison:
    """Reads the directory of a comparison, finished or not.

    Raises:
        RunError: if it is none, or a file is torn.
    """
    path = Path(path)
    if not (path / COMPARISON).is_file():
        raise RunError(f"{path} is not a comparison (it has no {COMPARISON}): give the --out of mixop compare.")
    check_version(path)
    identity = read_object(path / COMPARISON)
    _check(identity, path / COMPARISON)
    return _comparison(path, identity)


@contextmanager
def _checking(path: Path) -> Iterator[None]:
    try:
        yield
    except RecipeError as error:
        raise RunError(
            f"{path} is damaged ({str(error).rstrip('.')}): restore it, or repeat the command that wrote it."
        ) from error


def _check(identity: Mapping[str, Any], path: Path) -> None:
    """Refuses an identity that does not hold what the pages of a comparison need."""
    with _checking(path):
        fields_in(identity, _IDENTITY, "comparison")
        fields_in(identity["evaluator"], {"type": str}, "evaluator")
        fields_in(identity["data"], {"name": str}, "data")
        fields_in(fields_in(identity["space"], {"space": dict}, "space")["space"], {"type": str}, "space.space")
        if "searchers" in identity:
            fields_in(identity, {"searchers": dict}, "comparison")
        if "known" in identity:
            fields_in(identity, {"known": tuple[str, ...]}, "comparison")
        if "paper" in identity:
            paper = fields_in(identity, {"paper": dict}, "comparison")["paper"]
            reported = fields_in(paper, {"reported": dict, "differences": str}, "paper")["reported"]
            for name, given in reported.items():
                fields_in(given, {"mean": float, "deviation": float | None, "source": str}, f"paper.reported.{name}")
        if "protocol" in identity["evaluator"]:
            protocol = fields_in(identity["evaluator"], {"protocol": dict}, "evaluator")["protocol"]
            fields_in(protocol, {"name": str, "epochs": int}, "evaluator.protocol")
        for name in ("measure", "trial_measure"):
            measure_from_json(identity[name])
    if not identity["seeds"]:
        raise damaged(path, "at least one seed in 'seeds'", [])


def _comparison(path: Path, identity: Mapping[str, Any]) -> Comparison:
    seeds, measure, by = identity["seeds"], *(measure_from_json(identity[name]) for name in ("measure", "trial_measure"))
    searchers = identity.get("searchers", ())  # they have the time of random search's own row
    runs = {
        name: tuple(run for run in (_run(path / f"{name}-{seed}", seed) for seed in seeds) if run is not None)
        for name in (*identity["recipes"], *searchers, *identity.get("known", ()))
    }
    budgets = mean_seconds({name: Row(name, measure, runs[name]) for name in identity["recipes"]})
    drawn = [(seed, found) for seed in seeds if (found := _drawn(path / f"{RANDOM}-{seed}" / TRIAL))]
    shared = set.intersection(*(set(found["budgets"]) for _, found in drawn)) if drawn else set()

    def at(name: str) -> Row:
        own = (_random_run(path / f"{RANDOM}-{seed}", seed, found, found["budgets"][name], by) for seed, found in drawn)
        return Row(RANDOM, measure, tuple(own))

    time_of = {n: "median" if n in searchers else n for n in runs}
    rows = [Row(n, measure, own, at(time_of[n]) if time_of[n] in shared else None) for n, own in runs.items()]
    if "median" in shared:
        rows.append(at("median"))
    order = sorted(rows, key=lambda r: (-(r.rate or 0), -measure.rank(r.mean), r.seconds or math.inf))
    return Comparison(path, identity, measure, tuple(order), budgets)


def mean_seconds(rows: Mapping[str, Row]) -> dict[str, float]:
    """Mean time of a search, by recipe, of those that have finished one."""
    return {name: row.seconds for name, row in rows.items() if row.seconds is not None}


def _run(folder: Path, seed: int) -> SeedRun | None:
    content = read_object(folder / TRIAL)
    if not content:
        return None
    with _checking(folder / TRIAL):
        found = fields_in({"curve": [], **content}, _TRIAL, "trial")
    return SeedRun(seed=seed, path=folder, seconds=found.pop("search_seconds"), **found)


def _drawn(path: Path) -> dict[str, Any]:
    """The trial of a random search, checked; empty where there is none."""
    content = read_object(path)
    if not content:
        return {}
    with _checking(path):
        found = fields_in(content, {"budgets": Mapping[str, float], "candidates": tuple[Any, ...]}, "trial")
        candidates = [fields_in(candidate, _CANDIDATE, "candidate") for candidate in found["candidates"]]
    if not candidates:
        raise damaged(path, "at least one candidate in 'candidates'", [])
    return {"budgets": found["budgets"], "candidates": candidates}


def _random_run(folder: Path, seed: int, found: Mapping[str, Any], budget: float, measure: Measure) -> SeedRun:
    candidates = found["candidates"]
    taken, count = candidates[chosen(candidates, budget, measure)], fitting(candidates, budget)
    return SeedRun(
        seed=seed,
        path=folder,
        architecture=taken["architecture"],
        seconds=sum(candidate["seconds"] for candidate in candidates[:count]),
        score=taken["score"],
        hit=taken["hit"],
        distance=taken["distance"],
        trained=count,
        skips=taken["skips"],
        error="Every training diverged." if taken["score"] is None else None,
    )
