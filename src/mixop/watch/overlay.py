"""Several runs in the same figures."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup

from mixop.core.measure import Measure
from mixop.report import plots
from mixop.report.verdict import last
from mixop.report.words import head, written
from mixop.runs.read import RunContents
from mixop.runs.records import FOUND
from mixop.watch.follow import Followed

COLOURS = ("accent", "second", "op-pool", "op-dilated", "op-separable", "op-pointwise", "op-other")
"""Of as many runs, or methods; more of them are told apart by what they are: the best, those at work, the others."""

DESCRIBED = 12
"""Runs whose ends a figure's description names."""

_Curve = tuple[Sequence[int], np.ndarray]


@dataclass(frozen=True)
class Key:
    """What the colours of a figure mean.

    Args:
        entries: names and colours, for a legend.
        of: the colour of each run by its number.
    """

    entries: tuple[tuple[str, str], ...]
    of: Mapping[int, str]


def method(run: Followed) -> str:
    """What a run was made by: the name of its recipe, or what it is without one."""
    recipe = {} if run.contents is None else run.contents.recipe
    return str(recipe.get("name") or recipe.get("type") or "training alone")


def reached(run: RunContents) -> float | None:
    """The last known value of the first measure: of the score, else of the supernet or the training."""
    if run.score is not None and run.score.found is not None:
        return run.score.value(run.score.found)
    curve = _supernet(run, run.first)
    return last(curve[1]) if curve is not None else _end(_trained(run, run.first))


def score_of(run: Followed) -> float | None:
    """The score of a run that is a part of a comparison or a tuning; None without one."""
    score = run.trial.get("score")
    return score if isinstance(score, int | float) and not isinstance(score, bool) else None


def key(runs: Sequence[Followed], running: Sequence[int], scored_by: Measure | None = None) -> Key:
    """Colours for runs: one for each, where they are few; else one for each method; else the best, those at work, the rest.

    Args:
        runs: with contents.
        running: numbers of those at work.
        scored_by: what the scores of a comparison or a tuning are.
    """
    if len(runs) <= len(COLOURS):
        of = {run.number: colour for run, colour in zip(runs, COLOURS, strict=False)}
        return Key(tuple((run.name, of[run.number]) for run in runs), of)
    methods = list(dict.fromkeys(map(method, runs)))
    if 1 < len(methods) <= len(COLOURS):
        colour_of = dict(zip(methods, COLOURS, strict=False))
        return Key(tuple(colour_of.items()), {run.number: colour_of[method(run)] for run in runs})
    best = best_of(runs, scored_by)
    of = {run.number: "second" if run.number in running else "rival" for run in runs}
    entries = [("at work", "second")] if running else []
    if best is not None:
        of[best.number] = "accent"
        entries.insert(0, (f"best so far: {best.name}", "accent"))
    return Key((*entries, ("others", "rival")), of)


def best_of(runs: Sequence[Followed], scored_by: Measure | None = None) -> Followed | None:
    """The run with the best score; where none has one, the one that has reached the most, of those that measure the same.

    Args:
        runs: with contents.
        scored_by: what the scores of a comparison or a tuning are.
    """
    if scored_by is not None:
        scored = [(scored_by.rank(score), run) for run in runs if (score := score_of(run)) is not None]
        if scored:
            return max(scored, key=lambda pair: pair[0])[1]
    found: list[tuple[float, Followed]] = []
    measure = next((run.contents.first for run in runs if run.contents is not None), None)
    for run in runs:
        if measure is not None and run.contents is not None and run.contents.first == measure:
            value = reached(run.contents)
            if value is not None:
                found.append((measure.rank(value), run))
    return max(found, key=lambda pair: pair[0])[1] if found else None


def overlays(runs: Sequence[Followed], colours: Mapping[int, str]) -> list[dict[str, object]]:
    """Figures with a curve for each run: every first measure, the loss, entropy, skip share, and trainings from scratch.

    Args:
        runs: with contents.
        colours: by a run's number.

    Returns:
        Title, ``note`` on how to read it and ``svg`` of each.
    """
    known = [(run, run.contents) for run in runs if run.contents is not None]
    measures: dict[str, Measure] = {}
    for _, contents in known:
        for measure in (contents.first, *(m for m in contents.measures if m.name == "loss")):
            measures.setdefault(measure.name, measure)
    figures = [
        _figure(head(measure, after="of the supernet"), known, colours, lambda c, m=measure: _supernet(c, m), measure)
        for measure in measures.values()
    ]
    figures.append(_figure("Entropy of the mixing weights (nats)", known, colours, _entropy, None))
    figures.append(_figure("Skip share", known, colours, _skips, Measure("skip_share", "lower", style="percent")))
    for measure in dict.fromkeys(contents.first for _, contents in known):
        title = head(measure, after="of trainings from scratch")
        figures.append(_figure(title, known, colours, lambda c, m=measure: _trained(c, m), measure))
    return [figure for figure in figures if figure is not None]


def _figure(
    title: str,
    runs: Sequence[tuple[Followed, RunContents]],
    colours: Mapping[int, str],
    curve_of: Callable[[RunContents], _Curve | None],
    measure: Measure | None,
) -> dict[str, object] | None:
    found = [(run, curve) for run, contents in runs if (curve := curve_of(contents)) is not None]
    if not found:
        return None
    width = 1.9 if len(found) <= 7 else 1.3 if len(found) <= 25 else 0.9
    order = sorted(found, key=lambda pair: colours[pair[0].number] != "rival")  # what has a colour lies above the greys
    curves = [plots.Curve(None, *curve, colours[run.number], width=width) for run, curve in order]
    ends = [(run.name, _end(curve)) for run, curve in found[:DESCRIBED]]
    text = "; ".join(f"{name} {_said(measure, value)}" for name, value in ends)
    rest = f"; and {len(found) - DESCRIBED} more" if len(found) > DESCRIBED else ""
    description = f"{title} of {len(found)} runs over the epochs, at their ends: {text}{rest}."
    share = measure is not None and measure.style == "percent"
    return {"title": title, "note": _note(measure), "svg": Markup(plots.lines(curves, percent=share, description=description))}


def _note(measure: Measure | None) -> str:
    if measure is None:
        return "Averaged over the decisions: 0 where one option of each has all of the weight."
    if measure.name == "skip_share":
        return "Mixing weight on skip connections where they are offered. A steady climb above one half warns of collapse."
    return f"On the validation part, or on training batches where a run has none; {measure.better} is better."


def _said(measure: Measure | None, value: float | None) -> str:
    if measure is None:
        return "unknown" if value is None else f"{value:.3f}"
    return written(measure, value)


def _end(curve: _Curve | None) -> float | None:
    return None if curve is None else last(curve[1])


def _curve(epochs: Sequence[int], *values: np.ndarray | None) -> _Curve | None:
    """The first of the values that hold one."""
    for given in values:
        if given is not None and np.isfinite(given).any():
            known = np.isfinite(given)
            return [epoch for epoch, is_known in zip(epochs, known.tolist(), strict=True) if is_known], given[known]
    return None


def _supernet(run: RunContents, measure: Measure) -> _Curve | None:
    search = run.search
    if search is None or measure not in run.measures:
        return None
    return _curve(search.epochs, search.valid.get(measure.name), search.train.get(measure.name))


def _entropy(run: RunContents) -> _Curve | None:
    return None if run.search is None else _curve(run.search.epochs, run.search.entropy)


def _skips(run: RunContents) -> _Curve | None:
    return None if run.search is None else _curve(run.search.epochs, run.search.skip_share)


def _trained(run: RunContents, measure: Measure) -> _Curve | None:
    found = next((training for training in run.retrainings if training.label == FOUND), None)
    if found is None or measure not in run.measures:
        return None
    return _curve(found.epochs, found.valid.get(measure.name), found.train.get(measure.name))
