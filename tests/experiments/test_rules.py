"""Rules, by hand."""

import numpy as np
import pytest

from mixop.experiments.base import Findings, Panel
from mixop.experiments.rules import above, early


@pytest.mark.parametrize(
    ("differences", "verdict"),
    [
        ([1.0, 2.0, 3.0], "shows"),  # 2, error 0.577
        ([-1.0, -2.0, -3.0], "does not show"),
        ([0.0, 1.0, 2.0], "cannot show"),  # 1, error 0.577
        ([1.0], "cannot show"),
        ([1.0, np.nan, 1.0], "shows"),
        ([np.nan, np.nan, 5.0], "cannot show"),
        ([], "cannot show"),
        ([0.0, 0.0], "cannot show"),
    ],
)
def test_a_difference_shows_two_standard_errors_from_nothing(differences, verdict):
    assert above(np.array(differences), "something").verdict == verdict


def test_the_sentence_has_the_numbers():
    assert above(np.array([0.01, 0.02, 0.03]), "accuracy, a less b", percent=True).why == (
        "Accuracy, a less b: +2 points, standard error 0.58, 3 pairs."
    )
    assert above(np.array([1.0]), "accuracy").why == "Accuracy: 1 pairs of runs are too few."


def test_an_early_peak_is_a_difference_of_fixed_quarters():
    """Of eight epochs the third and fourth less the last two."""
    falling = np.array([[0, 0, 5, 5, 0, 0, 1, 3], [0, 0, 6, 6, 0, 0, 2, 2.5]], dtype=float)
    findings = Findings({"score": Panel("score", tuple(range(1, 9)), {"a": falling, "b": falling + 1, "c": -falling})})
    judged = early(findings, "score", ("a", "b"), "score")
    assert judged.verdict == "shows"
    assert judged.why.startswith("Score, second quarter less last quarter: +3.38, ")
    assert "4 pairs" in judged.why
    assert early(findings, "score", ("c",), "score").verdict == "does not show"
