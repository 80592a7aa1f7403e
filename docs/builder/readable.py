"""Docstrings as Markdown. They are written to be read in a terminal; a page can do a little more."""

import re

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


def readable(docstring: str) -> str:
    """A docstring in the form that griffe reads, with scorecards as lists.

    Args:
        docstring: dedented, with sections as Google writes them.
    """
    docstring = re.sub(r"^Example:$", "Examples:", docstring, flags=re.M)
    docstring = SCORECARD.sub(lambda card: f"Scorecard, {card[1]}:\n\n{_scores(card[2])}\n", docstring)
    return plain(docstring)


def _scores(lines: str) -> str:
    return "\n".join(f"- {who}: {' '.join(value.split())}" for who, value in SCORE.findall(lines))
