"""The sections about a run, which its report and the live page share: for each a template and the values that it lays out."""

from collections.abc import Callable, Mapping
from typing import Any

from markupsafe import Markup

from mixop.report import choices, figures, sections, verdict, words
from mixop.report.drawing import alike, drawings
from mixop.report.palette import KINDS
from mixop.report.templating import template
from mixop.runs.read import RunContents

Values = Mapping[str, Any]
"""What a template lays out, by name."""


def _cell(run: RunContents) -> Values:
    return {
        "of_choices": choices.has_choices(run),
        "choices": choices.rows(run) if run.choices is not None else [],
        "cells": [(name, Markup(picture)) for name, picture in drawings(run).items()],
        "chain": any(cell.get("chain") for cell in run.cells.values()),
        "wired": next((cell["operations"][0] for cell in run.cells.values() if alike(cell)), ""),
        "used": figures.used_kinds(run),
    }


def _comparison(run: RunContents) -> Values:
    return {
        "score": run.score,
        "scope": sections.scope(run),
        "heads": sections.heads(run.score),
        "networks": sections.networks(run.score),
        "known": sections.known(run),
        "ranking": figures.ranking(run),
    }


def _confusion(run: RunContents) -> Values:
    return {"confusion": sections.confusion(run)}


def _search(run: RunContents) -> Values:
    return {"curves": figures.search_figures(run), "notes": sections.notes(run)}


def _weights(run: RunContents) -> Values:
    of_choices = choices.has_choices(run)
    return {
        "choices": of_choices and run.choices is not None,
        "strips": figures.strips(run) if of_choices else [],
        "heatmaps": [] if of_choices else figures.heatmaps(run),
        "used": figures.used_kinds(run),
    }


def _changes(run: RunContents) -> Values:
    return {"changes": sections.changes(run), "shown_changes": sections.SHOWN_CHANGES}


def _retraining(run: RunContents) -> Values:
    return {"retraining": figures.retraining_figures(run)}


def _environment(run: RunContents) -> Values:
    return {"data": {**run.data, "measures": [words.head(measure) for measure in run.measures]}}


def _repeat(run: RunContents) -> Values:
    return {"commands": sections.commands(run)}


SECTIONS: Mapping[str, Callable[[RunContents], Values]] = {
    "cell": _cell,
    "comparison": _comparison,
    "confusion": _confusion,
    "search": _search,
    "weights": _weights,
    "changes": _changes,
    "retraining": _retraining,
    "recipe": lambda run: {},
    "environment": _environment,
    "repeat": _repeat,
}
"""The sections in the order of the report: name, which is that of the template, to its values."""


def section(name: str, run: RunContents, *, now: int | None = None, most: int | None = None) -> Markup:
    """One section about a run as HTML.

    Args:
        name: a key of `SECTIONS`.
        run: what was read.
        now: the epoch that the run's architecture was derived after, where the search has not found it yet.
        most: rows of its tables of epochs, the latest; None for all.
    """
    shared = {
        "run": run,
        "score": run.score,
        "now": now,
        "most": most,
        "kinds": KINDS,
        "next": {verb: verdict.command(run, verb) for verb in ("resume", "retrain", "report")},
    }
    return Markup(template(f"sections/{name}.html.jinja").render({**shared, **SECTIONS[name](run)}))
