"""Writes ``find.html``: what `find` decided and why, scores against costs, and every short training; from its files alone."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markupsafe import Markup

from mixop.core.errors import RunError
from mixop.core.measure import Measure
from mixop.finder.contender import Trial
from mixop.finder.costs import Limits
from mixop.finder.crew import place_of, where
from mixop.report.curve import Spot, costs_and_scores
from mixop.report.html import write_page
from mixop.report.palette import KINDS
from mixop.report.templating import template, unique_ids
from mixop.report.words import capital, count, duration, said, word
from mixop.runs.directory import RunDirectory
from mixop.runs.files import DECISIONS, FIND, FIND_REPORT, REPORT
from mixop.runs.read import RunContents, read_run
from mixop.runs.records import from_record

ORIGINS = {
    "known": "known networks",
    "searched": "found by the search",
    "ranked": "ranked before training",
    "random": "drawn at random",
}
"""Words for where networks come from."""

_COSTS = (("flops", "multiply-adds"), ("parameters", "parameters"), ("latency_ms", "ms for one example"))


def write_found(path: str | Path) -> Path:
    """Writes the page of a finished `find`, ``find.html``, atomically.

    Args:
        path: its directory.

    Returns:
        Path of the page.

    Raises:
        RunError: if it is not finished, a file in it is torn, or the page cannot be written.
    """
    run = RunDirectory(path)
    asked, made = run.read_json(FIND), run.read_json(DECISIONS).get("decisions", {})
    if "winner" not in made:
        raise RunError(f"{run.path} is not finished: the same mixop find goes on.")
    return write_page(Path(path) / FIND_REPORT, _render(run, asked, made, read_run(run / "final")))


def _render(run: RunDirectory, asked: Mapping[str, Any], made: Mapping[str, Any], final: RunContents) -> str:
    trials = [
        from_record(Trial, value, DECISIONS) for name, value in made.items() if name.startswith("trial ") and value is not None
    ]
    limits = from_record(Limits, asked["limits"], FIND)
    first, winner = final.first, made["winner"]
    score = final.score
    if score is None:
        raise RunError(f"{final.path} has no score: the same mixop find trains its network again.")
    reached = f"{said(first, score.value(score.networks[0]), score.counted)} on {score.scored_on.words}"
    page = template("find.html.jinja").render(
        name=run.path.resolve().name,
        kinds=KINDS,
        verdict=f"{winner} reaches {reached}.",
        facts=[
            ("asked for", count(asked["minutes"], "minute")),
            ("limits", str(limits) or "none"),
            ("short trainings", str(len(trials))),
            *([("winner trained on", there)] if (there := where(run / "final")) else []),
        ],
        sentences=made.get("sentences", []),
        figures=_figures(trials, winner, first, limits),
        rounds=[_round(run, number, trials, winner, first) for number in sorted({trial.round for trial in trials})],
        final=f"final/{REPORT}" if (run / "final" / REPORT).is_file() else "",
        command=f"mixop report {shlex.quote(str(run.path))}",
        path=run.path,
    )
    return unique_ids(page)


def _figures(trials: Sequence[Trial], winner: str, first: Measure, limits: Limits) -> list[dict[str, Any]]:
    """Scores of the last comparison that each network took part in, against each of its costs."""
    last = {trial.label: trial for trial in trials if trial.round < 3}
    figures = []
    for name, words in _COSTS:
        spots = [
            Spot(trial.label, ORIGINS[trial.origin], float(cost), score, trial.label == winner)
            for trial in last.values()
            if (cost := getattr(trial, name)) and (score := trial.measures[first.name]) is not None
        ]
        if len(spots) > 1:
            most = getattr(limits, name)
            figures.append(
                {"title": f"{capital(word(first))} against {words}", "svg": Markup(costs_and_scores(spots, words, first, most))}
            )
    return figures


def _round(run: RunDirectory, number: int, trials: Sequence[Trial], winner: str, first: Measure) -> dict[str, Any]:
    """A table of the trainings of one round, the best first."""
    of = [trial for trial in trials if trial.round == number]
    of.sort(key=lambda trial: first.rank(trial.measures[first.name]), reverse=True)
    title = f"Round {number}" if number < 3 else "The winner, trained for longer"
    timed = any(trial.latency_ms is not None for trial in of)
    places = {trial.label: where(place_of(run, number, trial.label)) for trial in of}
    apart = any(places.values())
    rows = [
        {
            "label": trial.label,
            "winner": trial.label == winner,
            "cells": [
                first.digits(trial.measures[first.name]),
                str(trial.epochs),
                duration(trial.seconds),
                f"{trial.parameters:,}",
                f"{trial.flops:,}",
                *([f"{trial.latency_ms:.2f}"] if trial.latency_ms is not None else []),
                *([places[trial.label]] if apart else []),
                ORIGINS[trial.origin],
            ],
        }
        for trial in of
    ]
    head = ["Network", capital(first.title), "Epochs", "Time", "Parameters", "Multiply-adds", *(["ms"] if timed else [])]
    head += [*(["Computed on"] if apart else []), "From"]
    return {"title": title, "head": head, "rows": rows}
