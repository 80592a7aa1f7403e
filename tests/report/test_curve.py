"""Scores against costs: what the figure says, and where it ends."""

import re

import pytest

from mixop.core.measure import ACCURACY
from mixop.report.curve import Spot, costs_and_scores

pytestmark = pytest.mark.usefixtures("drawn")
KINDS = ("known networks", "found by the search", "drawn at random")


def placed(svg):
    return [(text, float(x)) for x, text in re.findall(r'<text[^>]* x="([\d.]+)"[^>]*>([^<]+)</text>', svg)]


def test_a_legend_of_three_kinds_stays_within_the_figure():
    """Each name ends before the side of the figure, where an SVG is cut off; a letter takes 5 px or so."""
    svg = costs_and_scores([Spot(kind, kind, 1e5, 0.9) for kind in KINDS], "multiply-adds", ACCURACY)
    (width,) = map(float, re.findall(r'viewBox="0 0 ([\d.]+)', svg))
    names = {text: x for text, x in placed(svg) if text in KINDS}
    assert set(names) == set(KINDS)
    assert all(x + 5 * len(name) < width for name, x in names.items())


def test_an_axis_of_shares_ends_at_a_hundred_percent():
    svg = costs_and_scores([Spot(name, "trials", 10.0, 1.0) for name in "ab"], "seconds", ACCURACY)
    shares = [float(text.removesuffix(" %")) for text, _ in placed(svg) if text.endswith(" %")]
    assert max(shares) == 100
    assert len(shares) > 1
