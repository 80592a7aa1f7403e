"""Panels, and what a scale can tell."""

from dataclasses import dataclass

import numpy as np
import pytest

from mixop.core.errors import RecipeError
from mixop.experiments.base import Experiment, Findings, Judged, Panel, Pattern, Request

NAN = np.nan
PANEL = Panel("x", (1, 2, 3, 4), {"a": np.array([[1, 2, 3, NAN], [NAN, 5, NAN, 7], [NAN, NAN, NAN, NAN]])})


def test_the_end_is_the_last_value_that_is_known():
    np.testing.assert_array_equal(PANEL.at_end("a"), [3, 7, NAN])


@pytest.mark.parametrize(
    ("first", "last", "means"),
    [(0, 1, [2, 6, NAN]), (0.25, 0.5, [2, 5, NAN]), (0.75, 1, [NAN, 7, NAN]), (0.5, 0.55, [3, NAN, NAN])],
)
def test_a_mean_over_a_part_of_the_places(first, last, means):
    np.testing.assert_array_equal(PANEL.within("a", first, last), means)


@dataclass(frozen=True, kw_only=True)
class Given(Experiment):
    @property
    def scales(self):
        return {"tiny": "nothing", "small": "a little"}

    def run(self, request):
        return Findings({}, tells=request.scale != "tiny")


GIVEN = Given(
    name="given",
    question="Does it?",
    source="nowhere",
    patterns=(Pattern("It does.", "always", lambda findings: Judged("shows", "It did.")),),
)


def test_a_scale_that_only_runs_tells_nothing(tmp_path):
    judged = {scale: GIVEN.judged(GIVEN.run(Request(scale=scale, out=tmp_path))) for scale in ("tiny", "small")}
    assert judged == {"tiny": (Judged("cannot show", "It did."),), "small": (Judged("shows", "It did."),)}


def test_a_scale_that_it_does_not_have_is_refused(tmp_path):
    with pytest.raises(RecipeError, match="There is no scale of given 'full'"):
        GIVEN.check(Request(scale="full", out=tmp_path))
