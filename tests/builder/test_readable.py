"""Docstrings as Markdown."""

from builder.readable import plain, readable

DOCSTRING = """A method.

Scorecard (a space, error in %):
    paper: 2.46 +- 0.03 (see
        table 4)
    ours: not measured

Source: Someone 2021 (arXiv:2006.10355); docs/results.md.

Example:
    >>> 1
    1
"""


def test_scorecards_papers_pages_and_examples():
    assert readable(DOCSTRING) == (
        "A method.\n\nScorecard, a space, error in %:\n\n- paper: 2.46 ± 0.03 (see table 4)\n- ours: not measured\n\n"
        "Source: Someone 2021 ([arXiv:2006.10355](https://arxiv.org/abs/2006.10355)); [results](../results.md).\n\n"
        "Examples:\n    >>> 1\n    1"
    )


def test_what_has_no_better_form_stays():
    text = "Two tensors ``(E, O)`` and `mixop.find`.\n\nArgs:\n    x: a number."
    assert plain(text) == readable(text) == text


def test_names_that_the_reference_shows_are_links():
    home = {"Softmax": "mixop.relax.softmax.Softmax"}.get
    assert readable("As `Softmax`, not `Hardmax` or ``Softmax``.\n>>> `Softmax`", home) == (
        "As [`Softmax`][mixop.relax.softmax.Softmax], not `Hardmax` or ``Softmax``.\n>>> `Softmax`"
    )
