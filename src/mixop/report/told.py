"""What a result says when it is printed: a few lines, and in a notebook the cells as well."""

from html import escape
from pathlib import Path

from mixop.report.drawing import drawings
from mixop.report.verdict import beside_known, last, remarks, verdict
from mixop.report.words import count, duration, said
from mixop.runs.read import RunContents, read_run


def search_lines(path: Path, recipe: str) -> list[str]:
    """What a finished search found, in how long, what its supernet scored, and signs that something went wrong.

    Args:
        path: its run directory.
        recipe: name of the method.
    """
    run = read_run(path)
    spent = ""
    if run.search is not None:
        spent = f" in {count(run.search.planned, 'epoch')} and {duration(last(run.search.seconds))}"
    lines = [f"{recipe} found{spent}:", f"  {run.native}"]
    valid = None if run.search is None else last(run.search.valid.get(run.first.name))
    if valid is not None:
        lines.append(f"The supernet ended with {said(run.first, valid)} on the validation split.")
    return [*lines, *remarks(run), f"Run directory: {path}"]


def training_lines(path: Path) -> list[str]:
    """What the networks of a finished retraining scored.

    Args:
        path: its run directory.
    """
    run = read_run(path)
    return [verdict(run), *beside_known(run), f"Run directory: {path}"]


def as_html(text: str, run: RunContents) -> str:
    """Some lines of text, and the drawing of every cell, for a notebook.

    Args:
        text: plain text.
        run: whose cells are drawn.
    """
    return f"<div style='white-space: pre-wrap'>{escape(text)}</div>" + "".join(
        f"<div>{picture}</div>" for picture in drawings(run).values()
    )
