"""Trials that are trained: an ordinary retraining on the weight split, scored on the validation split."""

from dataclasses import replace

import pytest
from toy_regression import ToyRegression

from mixop import api
from mixop.comparison.training_objective import TrainingObjective
from mixop.core.measure import ACCURACY
from mixop.core.optim import SGD
from mixop.core.schedules import Constant
from mixop.data.examples import Arrays
from mixop.data.toy import toy_set
from mixop.evaluate.protocol import PROTOCOLS
from mixop.searchers.driver import run_search
from mixop.searchers.random_search import RandomSearch
from mixop.spaces.toy import Toy

PROTOCOL = replace(PROTOCOLS["quick"], epochs=99, batch_size=16)


@pytest.fixture
def objective(tmp_path):
    return TrainingObjective(space=Toy(), data=toy_set(Toy(), n=96), folder=tmp_path / "trials", protocol=PROTOCOL, seed=3)


def test_a_value_is_the_first_measure_of_a_retraining_on_the_validation_split(objective, tmp_path):
    architecture = Toy().optimum
    value, seconds = objective(architecture, 2)
    how = {"protocol": replace(PROTOCOL, epochs=2), "seed": 3, "train_on": ("train",), "score_on": "valid"}
    alone = api.retrain(architecture, Toy(), objective.data, tmp_path / "alone", **how)
    assert objective.measure == ACCURACY
    assert value == alone.measures["accuracy"]
    assert 0 < value <= 1
    assert seconds > 0


def test_the_test_set_is_not_looked_at(objective, tmp_path):
    data = objective.data
    spoilt_targets = data.examples.targets.clone()
    spoilt_targets[data.test] = spoilt_targets[data.test].flip(0)
    spoilt = replace(data, examples=Arrays(data.examples.inputs, spoilt_targets), source=None)
    other = replace(objective, data=spoilt, folder=tmp_path / "spoilt")
    assert other(Toy().optimum, 2)[0] == objective(Toy().optimum, 2)[0]


def test_what_was_trained_is_read_and_costs_the_same(objective):
    first = objective(Toy().optimum, 1)
    written = (objective.place(Toy().optimum, 1) / "score.json").stat().st_mtime_ns
    assert objective(Toy().optimum, 1) == first
    assert (objective.place(Toy().optimum, 1) / "score.json").stat().st_mtime_ns == written
    assert objective.place(Toy().optimum, 2) != objective.place(Toy().optimum, 1)


def test_a_training_that_diverges_has_no_value(objective):
    wild = replace(objective, protocol=replace(PROTOCOL, optimiser=SGD(lr=Constant(1e30)), clip=0.0))
    value, seconds = wild(Toy().optimum, 2)
    assert value is None
    assert seconds > 0


def test_a_search_trains_its_trials_and_goes_on(objective, tmp_path):
    save = tmp_path / "search.jsonl"
    first = run_search(RandomSearch(epochs=1), Toy(), objective, max_trials=2, save=save)
    more = run_search(RandomSearch(epochs=1), Toy(), objective, max_trials=3, save=save)
    assert more.rows[:2] == first.rows
    for row in more.rows:
        assert row.value == objective(Toy().from_native(row.architecture), 1)[0]


def test_a_regression_is_searched_for_the_lowest_error(tmp_path):
    data = ToyRegression().load()
    objective = TrainingObjective(space=Toy(), data=data, folder=tmp_path / "trials", protocol=PROTOCOL)
    outcome = run_search(RandomSearch(epochs=2), Toy(), objective, max_trials=5)
    assert objective.measure.name == "rmse"
    assert outcome.value == min(row.value for row in outcome.rows)
    assert outcome.value < max(row.value for row in outcome.rows)
