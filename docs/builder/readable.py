"""Docstrings as Markdown. They are written to be read in a terminal; a page can do a little more."""

import re
from collections.abc import Callable

SCORE = re.compile(r"^    (paper|ours): (.*(?:\n      +.*)*)", re.M)
"""A line of a scorecard, with the deeper lines that it goes on in."""

SCORECARD = re.compile(r"^Scorecard \((.*)\):\n((?:    .*\n?)+)", re.M)


def plain(text: str) -> str:
    """What is written the same way everywhere: plus-minus signs, papers and pages as links.

    Args:
        text: of a docstring; the pages are those of the folder above.
    """
    text = text.replace("+-", "±")
    text = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"[arXiv:\1](https://arxiv.org/abs/\1)", text)
    return re.sub(r"docs/(\w+)\.md", r"[\1](../\1.md)", text)


NAME = re.compile(r"(?<![`\[])`([A-Za-z_][\w.]*)`(?!`)")


def readable(docstring: str, home: Callable[[str], str | None] = lambda name: None) -> str:
    """A docstring in the form that griffe reads, with scorecards as lists and names as links.

    Args:
        docstring: dedented, with sections as Google writes them.
        home: where the reference shows what a name stands for; None where it does not.
    """
    docstring = re.sub(r"^Example:$", "Examples:", docstring, flags=re.M)
    docstring = SCORECARD.sub(lambda card: f"Scorecard, {card[1]}:\n\n{_scores(card[2])}\n", docstring)

    def as_link(found: re.Match[str]) -> str:
        path = home(found[1])
        return f"[{found[0]}][{path}]" if path else found[0]

    return plain("\n".join(line if ">>>" in line else NAME.sub(as_link, line) for line in docstring.splitlines()))


def _scores(lines: str) -> str:
    return "\n".join(f"- {who}: {' '.join(value.split())}" for who, value in SCORE.findall(lines))
