"""What a tuned field may be, and what it may not."""

import math

import pytest

from mixop.comparison.ranges import OneOf, Range
from mixop.core.errors import RecipeError
from mixop.relax.gumbel import GumbelSoftmax
from mixop.relax.softmax import Softmax


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Range(1, 1), "from a lower to a higher number, got 1 to 1"),
        (lambda: Range(3, 1), "from a lower to a higher"),
        (lambda: Range(0, 1, log=True), "begins above 0, got 0"),
        (lambda: Range(0, math.inf), "finite numbers, got inf"),
        (lambda: Range("a", 2), "finite numbers, got 'a'"),  # type: ignore[arg-type]
        (lambda: OneOf(()), "at least one option"),
        (lambda: OneOf(("a", "b", "a")), "'a' twice"),
        (lambda: OneOf((Softmax(), Softmax())), "twice"),
        (lambda: OneOf((object(),)), "holds dataclasses, strings and numbers"),
    ],
)
def test_what_is_no_range_is_refused_in_a_sentence(make, sentence: str):
    with pytest.raises(RecipeError, match=sentence):
        make()


def test_whole_is_how_it_was_written():
    assert Range(1, 3).whole
    assert not Range(1.0, 3).whole


def test_parts_have_labels_of_their_own():
    labels = OneOf((Softmax(), GumbelSoftmax(), "none", None, 3)).labels
    assert len(set(labels)) == 5
    assert labels[2:] == ["none", None, 3]
    assert all(isinstance(label, str) for label in labels[:3])
