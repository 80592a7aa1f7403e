"""Directions, sorting and writing of measured values."""

import math

import pytest

from mixop.core.errors import RecipeError
from mixop.core.measure import ACCURACY, LOSS, Measure, measure_from_json

RMSE = Measure("rmse", "lower", "km")


def test_a_measure_that_is_better_when_lower_is_never_maximised():
    values = {"a": 3.0, "b": 1.0, "c": None, "d": math.nan, "e": 2.0}
    assert RMSE.best(values) == "b"
    assert sorted(values, key=lambda key: RMSE.rank(values[key]), reverse=True)[:3] == ["b", "e", "a"]
    assert RMSE.beats(1.0, 3.0)
    assert not RMSE.beats(3.0, 1.0)
    assert not RMSE.beats(1.0, 1.0)


def test_a_measure_that_is_better_when_higher_is_maximised():
    values = {"a": 0.5, "b": 0.9, "c": None, "d": math.nan}
    assert ACCURACY.best(values) == "b"
    assert ACCURACY.beats(0.9, 0.5)
    assert not ACCURACY.beats(0.5, 0.9)


@pytest.mark.parametrize("measure", [ACCURACY, LOSS])
def test_what_is_measured_beats_what_is_not(measure):
    for nothing in (None, math.nan):
        assert measure.beats(0.5, nothing)
        assert not measure.beats(nothing, 0.5)
        assert not measure.beats(nothing, None)


def test_the_first_of_equal_values_is_the_best():
    assert LOSS.best({"late": 0.2, "first": 0.1, "second": 0.1}) == "first"


@pytest.mark.parametrize(
    ("measure", "value", "written"),
    [
        (ACCURACY, 0.93442, "93.4 %"),
        (LOSS, 0.25, "0.250 nats"),
        (RMSE, 1234.56, "1,235 km"),
        (RMSE, 123.456, "123.5 km"),
        (RMSE, None, "-"),
        (Measure("r2", "higher"), 0.5, "0.500"),
    ],
)
def test_written(measure, value, written):
    assert measure.written(value) == written


def test_json_there_and_back_and_refusals():
    for measure in (ACCURACY, LOSS, RMSE):
        assert measure_from_json(measure.to_json()) == measure
    with pytest.raises(RecipeError, match="higher' or 'lower'"):
        Measure("loss", "less")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="must be a word"):
        Measure("mean loss", "lower")
    with pytest.raises(RecipeError, match="object of name"):
        measure_from_json({"word": "loss"})
