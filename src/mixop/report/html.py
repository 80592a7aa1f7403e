"""Writes ``report.html``: one file that needs nothing else, made from the files of a run directory and nothing else."""

import itertools
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined, Template
from markupsafe import Markup

from mixop.report import choices, figures, sections, verdict, words
from mixop.report.drawing import alike, drawings
from mixop.report.palette import KINDS
from mixop.runs.files import REPORT
from mixop.runs.read import RunContents, read_run
from mixop.runs.write import write_bytes


def write_report(run: str | Path) -> Path:
    """Writes the report of a run, ``report.html``, atomically.

    Args:
        run: the run directory; what it does not hold yet the report names, with the command that makes it.

    Returns:
        Path of the report.

    Raises:
        RunError: if it is not a run directory, a file in it is torn, or the report cannot be written.
    """
    return write_page(Path(run) / REPORT, render(read_run(run)))


def write_page(target: Path, text: str) -> Path:
    """Writes a page, atomically.

    Raises:
        RunError: if it cannot be written.
    """
    write_bytes(target, text.encode(errors="replace"))
    return target


def render(run: RunContents) -> str:
    """The report of a run as the text of an HTML page."""
    page = template("report.html.jinja").render(
        run=run,
        score=run.score,
        kinds=KINDS,
        next={verb: verdict.command(run, verb) for verb in ("resume", "retrain", "report")},
        verdict=verdict.verdict(run),
        remarks=verdict.remarks(run),
        commands=sections.commands(run),
        facts=sections.facts(run),
        cards=sections.cards(run),
        cells=[(name, Markup(picture)) for name, picture in drawings(run).items()],
        chain=any(cell.get("chain") for cell in run.cells.values()),
        wired=next((cell["operations"][0] for cell in run.cells.values() if alike(cell)), ""),
        of_choices=choices.has_choices(run),
        choices=choices.rows(run) if run.choices is not None else [],
        strips=figures.strips(run) if choices.has_choices(run) else [],
        used=figures.used_kinds(run),
        heatmaps=[] if choices.has_choices(run) else figures.heatmaps(run),
        curves=figures.search_figures(run),
        notes=sections.notes(run),
        retraining=figures.retraining_figures(run),
        ranking=figures.ranking(run),
        scope=sections.scope(run),
        heads=sections.heads(run.score),
        data={**run.data, "measures": [words.head(measure) for measure in run.measures]},
        networks=sections.networks(run.score),
        known=sections.known(run),
        beside_known=verdict.beside_known(run),
        has_classes=sections.has_classes(run),
        confusion=sections.confusion(run),
        changes=sections.changes(run),
        shown_changes=sections.SHOWN_CHANGES,
    )
    return unique_ids(page)


@cache
def template(name: str) -> Template:
    """A template of this package, with the filters that pages use."""
    environment = Environment(
        loader=PackageLoader("mixop.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters.update(
        duration=words.duration, listed=words.listed, scalar=words.scalar, large=words.large, percent=words.percent
    )
    environment.tests["simple"] = lambda value: not isinstance(value, Mapping | list)
    return environment.get_template(name)


def unique_ids(page: str) -> str:
    """Numbers the ids inside every figure, as a page must not have one twice."""
    numbers = itertools.count()

    def renumber(match: re.Match[str]) -> str:
        number = next(numbers)
        return re.sub(r'( id="|url\(#|href="#)', lambda found: f"{found[1]}f{number}-", match[0])

    return re.sub(r"<svg.*?</svg>", renumber, page, flags=re.DOTALL)
