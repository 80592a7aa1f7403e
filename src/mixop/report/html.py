"""Writes ``report.html``: one file that needs nothing else, made from the files of a run directory and nothing else."""

from pathlib import Path

from mixop.report import choices, sections, verdict
from mixop.report.palette import KINDS
from mixop.report.run_sections import SECTIONS, section
from mixop.report.templating import template, unique_ids
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
    has_classes = sections.has_classes(run)
    page = template("report.html.jinja").render(
        run=run,
        kinds=KINDS,
        verdict=verdict.verdict(run),
        remarks=verdict.remarks(run),
        beside_known=verdict.beside_known(run),
        facts=sections.facts(run),
        cards=sections.cards(run),
        of_choices=choices.has_choices(run),
        has_classes=has_classes,
        sections=[section(name, run) for name in SECTIONS if name != "confusion" or has_classes],
    )
    return unique_ids(page)
