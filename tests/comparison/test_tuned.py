"""The trials of a tuning: the best, the front, the names of fields."""

from dataclasses import replace
from itertools import product
from pathlib import Path
from random import Random

import pytest

from mixop.comparison.tuned import State, Tried, TuneResult, short_names, written
from mixop.core.errors import RunError
from mixop.core.measure import ACCURACY, Measure


def result(
    points: list[tuple[float, float]], measure: Measure = ACCURACY, cost: str | None = "flops", state: State = "complete"
):
    trials = [
        Tried(
            number=k, path=Path("x"), state=state, settings={}, score=score, cost=spent, epochs=1, architecture="", error="no."
        )
        for k, (score, spent) in enumerate(points)
    ]
    return TuneResult(out=Path("x"), study="x", measure=measure, cost=cost, planned=9, trials=tuple(trials))


@pytest.mark.parametrize("better", ["higher", "lower"])
def test_the_front_is_what_no_other_trial_beats(better):
    measure, rng = Measure("m", better), Random(0)
    for _ in range(20):
        points = [(float(rng.randint(0, 4)), float(rng.randint(1, 5))) for _ in range(8)]
        found = {(trial.score, trial.cost) for trial in result(points, measure).front}
        beaten = {
            p
            for p, q in product(points, points)
            if measure.rank(q[0]) >= measure.rank(p[0])
            and q[1] <= p[1]
            and (measure.rank(q[0]), -q[1]) != (measure.rank(p[0]), -p[1])
        }
        assert found == set(points) - beaten


def test_without_a_cost_the_front_is_the_best_of_equals_the_first():
    assert [trial.number for trial in result([(0.5, 3.0), (0.9, 9.0), (0.9, 2.0)], cost=None).complete] == [2, 1, 0]
    assert [trial.number for trial in result([(0.9, 0.0), (0.9, 0.0)], cost=None).front] == [0]


def test_where_no_trial_has_a_score_one_error_is_told():
    with pytest.raises(RunError, match=r"None of the 1 trials in x has a score, for example trial 0: no; give other ranges"):
        _ = result([(0.0, 0.0)], state="failed").best


def test_a_field_is_called_by_the_end_that_no_other_one_has():
    names = [
        "recipe",
        "recipe.epochs",
        "protocol.epochs",
        "recipe.weight_optimiser.lr",
        "recipe.architecture_optimiser.lr.start",
    ]
    assert list(short_names(names).values()) == ["recipe", "recipe.epochs", "protocol.epochs", "lr", "start"]


@pytest.mark.parametrize(
    ("value", "text"), [(0.00123456, "0.00123"), (3, "3"), ({"type": "Softmax", "temperature": 1.0}, "Softmax"), (None, "None")]
)
def test_values_for_people(value, text: str):
    assert written(value) == text


def test_what_is_printed():
    settings = {"recipe.architecture_optimiser.lr": 0.5, "recipe": "gaea"}
    trials = result([(0.25, 1.0), (0.75, 1.0)], cost=None)
    trials = replace(trials, trials=tuple(replace(trial, settings=settings) for trial in trials.trials))
    first, second = str(trials).splitlines()
    assert first == "2 of 9 trials in x: 2 complete."
    assert second == "The best is trial 1: accuracy 75.0 %, lr 0.5, recipe gaea."
    assert str(result([], cost=None)) == "0 of 9 trials in x: none has begun."
    assert repr(trials) == "<tuning of 2 trials in 'x'>"
