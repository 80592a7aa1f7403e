"""Examples as pages and as notebooks: a script is the only source of both.

A script begins with its docstring. ``# %%`` begins a cell of code, ``# %% [markdown]`` one of text, in comments; this is the
format that editors and Jupytext know.
"""

import ast
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ARGUMENT = re.compile(r"(?:\w+\()?sys\.argv\[(\d)\]\)? if len\(sys\.argv\) > \d else ([^),\n]+)")
"""An argument with its default. A notebook has no arguments, so the default takes its place."""

RELATIVE = re.compile(r"\[([^\]]*)\]\((?!https?:)[^)]*\)")
"""A link to a neighbour, which a notebook that was taken along does not have."""

DURATION = re.compile(r"\s*\(~(.*)\)\s*$")


@dataclass(frozen=True)
class Cell:
    """A stretch of a script: text in Markdown, or code."""

    kind: Literal["markdown", "code"]
    source: str


@dataclass(frozen=True)
class Script:
    """An example, taken apart.

    Args:
        name: of the file, without its ending.
        title: what it is about, in a few words.
        summary: the first sentence of its docstring.
        takes: how long it runs, as its docstring says.
        text: the rest of the docstring.
        cells: what follows.
    """

    name: str
    title: str
    summary: str
    takes: str
    text: str
    cells: tuple[Cell, ...]


def read(path: Path) -> Script:
    """Takes a script apart.

    Args:
        path: a Python file that begins with a docstring.
    """
    code = path.read_text(encoding="utf-8")
    tree = ast.parse(code)
    docstring = ast.get_docstring(tree)
    assert docstring is not None, f"{path} needs a docstring to begin with"
    first, _, text = docstring.partition("\n")
    takes = DURATION.search(first)
    summary = DURATION.sub("", first)
    body = "\n".join(code.splitlines()[tree.body[0].end_lineno :])
    title = re.split(r"[:.,]", summary)[0]
    return Script(path.stem, title, summary, takes[1] if takes else "", text.strip("\n"), tuple(cells(body)))


def cells(body: str) -> list[Cell]:
    """The cells of a script's body; what stands before the first marker is code."""
    found = []
    for kind, text in re.findall(r"^# %%( \[markdown\])?[^\n]*\n(.*?)(?=^# %%|\Z)", f"# %%\n{body}\n", re.M | re.S):
        if kind:
            text = "\n".join(line.removeprefix("#").removeprefix(" ") for line in text.splitlines())
        if text.strip():
            found.append(Cell("markdown" if kind else "code", text.strip()))
    return found


def page(script: Script, title: str) -> str:
    """A script as a page: its text, its code, and how to run it or take it along."""
    takes = f" It takes about {script.takes}." if script.takes else ""
    body = "\n\n".join(f"```python\n{cell.source}\n```" if cell.kind == "code" else cell.source for cell in script.cells)
    return (
        f"# {title}\n\n{script.summary}{takes}\n\n{script.text}\n\n"
        f'<a href="../examples/{script.name}.py" download>Script</a> · '
        f'<a href="{script.name}.ipynb" download>Notebook</a>\n\n{body}\n'
    )


def notebook(script: Script, title: str, arguments: Sequence[str] = ()) -> str:
    """A script as a notebook (nbformat 4.5).

    Args:
        script: with its cells.
        title: of the notebook.
        arguments: the first of the script's, as Python writes them; the others have their defaults.
    """
    text = f"# {title}\n\n{script.summary}\n\n{script.text}"
    every = [Cell("markdown", text), *script.cells]
    return json.dumps(
        {
            "nbformat": 4,
            "nbformat_minor": 5,
            "metadata": {
                "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
                "language_info": {"name": "python"},
            },
            "cells": [_as_json(cell, f"{script.name}-{number}", arguments) for number, cell in enumerate(every)],
        },
        indent=1,
    )


def _as_json(cell: Cell, name: str, arguments: Sequence[str]) -> dict[str, object]:
    def argument(found: re.Match[str]) -> str:
        place = int(found[1])
        return arguments[place - 1] if place <= len(arguments) else found[2]

    source = ARGUMENT.sub(argument, cell.source) if cell.kind == "code" else RELATIVE.sub(r"\1", cell.source)
    entry: dict[str, object] = {
        "cell_type": cell.kind,
        "id": name.replace("_", "-"),
        "metadata": {},
        "source": source.splitlines(keepends=True),
    }
    return entry | ({"execution_count": None, "outputs": []} if cell.kind == "code" else {})
