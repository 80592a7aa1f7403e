"""Writes ``experiment.json``, all that an experiment found, its figures, and ``experiment.html``, its page."""

import re
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup

from mixop.core.errors import RunError
from mixop.experiments.base import Experiment, Findings, Judged, Panel, Request, Surface
from mixop.report.html import write_page
from mixop.report.palette import KINDS
from mixop.report.surface import surfaces
from mixop.report.templating import template, unique_ids
from mixop.report.variants import variants
from mixop.report.words import capital, duration
from mixop.runs.directory import RunDirectory
from mixop.runs.environment import environment
from mixop.runs.files import COMPARISON_REPORT, EXPERIMENT, EXPERIMENT_REPORT

WORDS = {
    "shows": "The pattern shows.",
    "does not show": "The pattern does not show: the opposite does.",
    "cannot show": "This scale cannot tell.",
}
"""Verdicts in words."""


def written(experiment: Experiment, request: Request, findings: Findings, seconds: float) -> Path:
    """Keeps what an experiment found, and writes its page.

    Args:
        experiment: what was run.
        request: at which scale, and where.
        findings: what came out.
        seconds: that all of it took.

    Returns:
        Path of the page.
    """
    content = {
        "name": experiment.name,
        "scale": request.scale,
        "about": experiment.scales[request.scale],
        "question": experiment.question,
        "source": experiment.source,
        "seconds": round(seconds, 1),
        "processor": environment(request.device)["processor"],
        "command": command(experiment, request),
        "patterns": [
            {"claim": pattern.claim, "rule": pattern.rule, "verdict": judged.verdict, "why": judged.why}
            for pattern, judged in zip(experiment.patterns, experiment.judged(findings), strict=True)
        ],
        "settings": dict(findings.settings),
        "notes": list(findings.notes),
        "panels": [_plain(panel) for panel in findings.panels.values()],
        "surfaces": [_plain_surface(surface) for surface in findings.surfaces.values()],
    }
    run = RunDirectory(request.out)
    run.write_json(EXPERIMENT, content)
    for title, svg in figures_of(content).items():
        run.save(figure_file(title), f"{svg}\n".encode())
    return write_experiment(request.out)


def figure_file(title: str) -> str:
    """The file that a figure is drawn in: ``table-accuracy.svg``."""
    return f"{re.sub(r'[^a-z0-9]+', '-', title.lower()).strip('-')}.svg"


def write_experiment(path: str | Path) -> Path:
    """Writes the page of a finished experiment again, atomically.

    Args:
        path: its directory.

    Raises:
        RunError: if it is not finished, or the file is damaged.
    """
    run = RunDirectory(path)
    if not run.has(EXPERIMENT):
        raise RunError(f"{run.path} holds no finished experiment: the same mixop reproduce goes on.")
    content = run.read_json(EXPERIMENT)
    try:
        text = _render(run, content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise RunError(f"{run / EXPERIMENT} is damaged: the same mixop reproduce writes it again.") from error
    return write_page(run.path / EXPERIMENT_REPORT, text)


def command(experiment: Experiment, request: Request) -> str:
    """The command line that runs it again, with names of folders as they were given."""
    words = ["mixop", "reproduce", experiment.name, "--scale", request.scale]
    if request.folder is not None:
        words += ["--data", str(request.folder)]
    if request.table is not None:
        words += ["--table", request.table]
    if request.seeds is not None:
        words += ["--seeds", str(len(request.seeds))]
    return shlex.join(words)


def panels_of(content: Mapping[str, Any]) -> dict[str, Panel]:
    """The panels that ``experiment.json`` holds, by title."""
    return {
        panel["title"]: Panel(
            panel["title"],
            tuple(panel["x"]),
            {
                name: np.array(runs, dtype=np.float64).reshape(len(runs), len(panel["x"]))
                for name, runs in panel["series"].items()
            },
            panel["percent"],
            panel["along"],
            panel["log"],
            tuple(panel.get("names", ())),  # files of earlier versions have none, and no unit
            panel.get("unit", ""),
        )
        for panel in content["panels"]
    }


def surfaces_of(content: Mapping[str, Any]) -> dict[str, Surface]:
    """The surfaces that ``experiment.json`` holds, by title; files of earlier versions have none."""
    return {
        one["title"]: Surface(
            one["title"],
            tuple(one["axis"]),
            {name: np.array(rows, dtype=np.float64).reshape(2 * (len(one["axis"]),)) for name, rows in one["series"].items()},
            one["along"],
            one["percent"],
            one.get("unit", ""),
        )
        for one in content.get("surfaces", [])
    }


def headings(content: Mapping[str, Any]) -> dict[str, str]:
    """What stands above the figures of ``experiment.json``, by title: ``Entropy (nats)``."""
    shown = {**panels_of(content), **surfaces_of(content)}
    return {title: capital(title) + (f" ({one.unit})" if one.unit else "") for title, one in shown.items()}


def figures_of(content: Mapping[str, Any]) -> dict[str, str]:
    """The panels and surfaces of ``experiment.json`` as SVG, by title, each described in words with its values."""
    panels = {title: _drawn(panel) for title, panel in panels_of(content).items()}
    return panels | {title: _drawn_surface(surface) for title, surface in surfaces_of(content).items()}


def _plain_surface(surface: Surface) -> dict[str, Any]:
    return {
        "title": surface.title,
        "axis": list(surface.axis),
        "series": {name: _finite(values) for name, values in surface.series.items()},
        "along": surface.along,
        "percent": surface.percent,
        "unit": surface.unit,
    }


def _finite(values: np.ndarray) -> list[list[float | None]]:
    return [[float(value) if np.isfinite(value) else None for value in row] for row in values]


def _plain(panel: Panel) -> dict[str, Any]:
    return {
        "title": panel.title,
        "x": list(panel.x),
        "series": {name: _finite(values) for name, values in panel.series.items()},
        "percent": panel.percent,
        "along": panel.along,
        "log": panel.log,
        "names": list(panel.names),
        "unit": panel.unit,
    }


def _render(run: RunDirectory, content: Mapping[str, Any]) -> str:
    patterns = [
        {**pattern, "verdict": WORDS[Judged(pattern["verdict"], pattern["why"]).verdict]} for pattern in content["patterns"]
    ]
    above = headings(content)
    links = [("All runs", COMPARISON_REPORT)] if run.has(COMPARISON_REPORT) else []
    page = template("experiment.html.jinja").render(
        name=content["name"],
        kinds=KINDS,
        question=content["question"],
        facts=[
            ("scale", f"{content['scale']}: {content['about']}"),
            ("took", duration(content["seconds"])),
            ("processor", content["processor"]),
        ],
        patterns=patterns,
        source=content["source"],
        figures=[{"title": above[title], "svg": Markup(svg)} for title, svg in figures_of(content).items()],
        settings=list(content["settings"].items()),
        notes=content["notes"],
        links=links,
        command=content["command"],
        path=run.path,
    )
    return unique_ids(page)


def _drawn(panel: Panel) -> str:
    scale, unit = (100.0, " %") if panel.percent else (1.0, f" {panel.unit}".rstrip())
    ends = {name: panel.at_end(name) for name in panel.series}
    known = {name: float(np.nanmean(values)) for name, values in ends.items() if np.isfinite(values).any()}
    words = ", ".join(f"{name} {scale * value:.3g}{unit}" for name, value in known.items())
    return variants(
        panel.x,
        panel.series,
        description=f"{panel.title}; at the end: {words}",
        along=panel.along,
        percent=panel.percent,
        log=panel.log,
        names=panel.names,
    )


def _drawn_surface(surface: Surface) -> str:
    scale, unit = (100.0, " %") if surface.percent else (1.0, f" {surface.unit}".rstrip())
    means = {name: float(np.mean(values)) for name, values in surface.series.items() if np.isfinite(values).all()}
    words = ", ".join(f"{name} {scale * value:.3g}{unit}" for name, value in means.items())
    return surfaces(
        surface.axis,
        surface.series,
        description=f"{surface.title}; on average: {words}",
        along=surface.along,
        percent=surface.percent,
    )
