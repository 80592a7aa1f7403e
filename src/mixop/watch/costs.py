"""Scores against costs, of runs that are finished or on their way."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from markupsafe import Markup

from mixop.core.errors import MixopError
from mixop.core.measure import Measure, measure_from_json
from mixop.report.comparison import Comparison
from mixop.report.curve import Spot, best_for_each_cost, costs_and_scores
from mixop.report.methods import RANDOM
from mixop.report.verdict import last
from mixop.report.words import capital, word
from mixop.runs.files import TUNING
from mixop.runs.load import read_object
from mixop.runs.read import RunContents
from mixop.watch.follow import Followed
from mixop.watch.overlay import score_of

SECONDS = "seconds of the search"
TRAINED = "seconds of search and training"
COSTS = {"seconds": SECONDS, "parameters": "parameters", "flops": "multiply-adds"}
"""What a tuning's second objective is called at an axis."""

SUPERNET = (
    "No run has a score yet, so this is what each supernet has reached by now, against the seconds of its search. It is no "
    "forecast of what its architecture will score."
)
SCORED = "A dot for each run that has a score. The line goes through those that no cheaper one equals; the ring is the best."


def against_cost(folder: Path, runs: Sequence[Followed], comparison: Comparison | None) -> dict[str, object] | None:
    """The figure with its title and note; None where there is nothing to show.

    Args:
        folder: that is watched.
        runs: below it.
        comparison: what it is; None where it is none.
    """
    if comparison is not None:
        measure, cost, note = comparison.measure, SECONDS, SCORED
        spots = [
            Spot(f"{row.name}-{run.seed}", _kind(comparison, row.name), run.seconds, run.score)
            for row in comparison.rows
            for run in row.runs
            if run.seconds and run.score is not None
        ]
    else:
        spots, measure, cost, note = _of_runs(folder, runs)
    if measure is None or not spots:
        return None
    front = best_for_each_cost(spots, measure)
    spots = [Spot(s.label, s.kind, s.cost, s.score, chosen=s == front[-1]) for s in spots]
    return {
        "title": f"{capital(word(measure))} against {cost}",
        "note": note,
        "svg": Markup(costs_and_scores(spots, cost, measure)),
    }


def scored_by(folder: Path, comparison: Comparison | None) -> Measure | None:
    """What the scores of a comparison or a tuning are; None where the directory is neither."""
    if comparison is not None:
        return comparison.measure
    tuning = _tuning(folder)
    return None if tuning is None else tuning[0]


def _kind(comparison: Comparison, name: str) -> str:
    if name == RANDOM:
        return "random search"
    return "known networks" if name in comparison.known else "methods"


def _of_runs(folder: Path, runs: Sequence[Followed]) -> tuple[list[Spot], Measure | None, str, str]:
    known = [(run, run.contents) for run in runs if run.contents is not None]
    tuning = _tuning(folder)
    if tuning is not None:
        measure, cost = tuning
        spots = [_spot(run, cost or "search_seconds") for run, _ in known]
        found = [spot for spot in spots if spot is not None]
        if found:
            return found, measure, COSTS.get(cost or "seconds", SECONDS), SCORED
    measure = known[0][1].first if known else None
    same = [(run, contents) for run, contents in known if contents.first == measure]
    scored = [
        (contents.score.scored_on, spot) for run, contents in same if contents.score and (spot := _scored(run.name, contents))
    ]
    if scored:
        scopes = Counter(scope for scope, _ in scored)
        most = max(scopes, key=lambda scope: scopes[scope])
        note = SCORED if len(scopes) == 1 else f"{SCORED} Those that were scored on other examples than most are left out."
        return [spot for scope, spot in scored if scope == most], measure, TRAINED, note
    return [spot for run, contents in same for spot in _supernet(run.name, contents)], measure, SECONDS, SUPERNET


def _tuning(folder: Path) -> tuple[Measure, str | None] | None:
    """What a tuning is scored by, and its second objective; None where the directory is none."""
    try:
        content = read_object(folder / TUNING)
        cost = content.get("cost")
        return (measure_from_json(content["measure"]), cost if isinstance(cost, str) else None) if content else None
    except (MixopError, KeyError):
        return None


def _spot(run: Followed, cost: str) -> Spot | None:
    score, paid = score_of(run), run.trial.get("cost" if cost in COSTS else cost)
    if score is not None and isinstance(paid, int | float) and paid > 0:
        return Spot(run.name, "trials", paid, score)
    return None


def _scored(name: str, run: RunContents) -> Spot | None:
    found = run.score.found if run.score is not None else None
    value = None if found is None or run.score is None else run.score.value(found)
    if found is None or value is None:
        return None
    searched = last(run.search.seconds) if run.search is not None else None
    paid = found.seconds + (searched or 0.0)
    return Spot(name, "runs", paid, value) if paid > 0 else None


def _supernet(name: str, run: RunContents) -> list[Spot]:
    if run.search is None:
        return []
    value = last(run.search.valid.get(run.first.name, run.search.train.get(run.first.name)))
    seconds = last(run.search.seconds)
    if value is None or not seconds or seconds <= 0:
        return []
    return [Spot(name, "at work" if run.native is None else "finished", seconds, value)]
