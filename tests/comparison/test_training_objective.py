"""Trials that are trained: an ordinary retraining on the weight split, scored on the validation split."""

from dataclasses import replace

import pytest
import torch

from mixop import api
from mixop.comparison.conditions import held_out
from mixop.comparison.training_objective import TrainingObjective
from mixop.core.optim import SGD
from mixop.core.schedules import Constant
from mixop.data.toy import toy_set
from mixop.evaluate.protocol import PROTOCOLS
from mixop.searchers.driver import run_search
from mixop.searchers.random_search import RandomSearch
from mixop.spaces.toy import Toy

PROTOCOL = replace(PROTOCOLS["quick"], epochs=99, batch_size=16)


@pytest.fixture
def objective(tmp_path):
    return TrainingObjective(space=Toy(), data=toy_set(Toy(), n=96), folder=tmp_path / "trials", protocol=PROTOCOL, seed=3)


def test_a_score_is_the_accuracy_of_a_retraining_in_percent(objective, tmp_path):
    architecture = Toy().optimum
    score, seconds = objective(architecture, 2)
    protocol = replace(PROTOCOL, epochs=2)
    alone = api.retrain(architecture, Toy(), held_out(objective.data), tmp_path / "alone", protocol=protocol, seed=3)
    assert score == 100 * alone.accuracy
    assert 0 < score <= 100
    assert seconds > 0


def test_the_test_set_is_not_looked_at(objective, tmp_path):
    spoilt = replace(objective.data, test_y=torch.zeros_like(objective.data.test_y), source=None)
    other = replace(objective, data=spoilt, folder=tmp_path / "spoilt")
    assert other(Toy().optimum, 2)[0] == objective(Toy().optimum, 2)[0]


def test_what_was_trained_is_read_and_costs_the_same(objective):
    first = objective(Toy().optimum, 1)
    written = (objective.place(Toy().optimum, 1) / "score.json").stat().st_mtime_ns
    assert objective(Toy().optimum, 1) == first
    assert (objective.place(Toy().optimum, 1) / "score.json").stat().st_mtime_ns == written
    assert objective.place(Toy().optimum, 2) != objective.place(Toy().optimum, 1)


def test_a_training_that_diverges_scores_nothing(objective):
    wild = replace(objective, protocol=replace(PROTOCOL, optimiser=SGD(lr=Constant(1e30)), clip=0.0))
    score, seconds = wild(Toy().optimum, 2)
    assert score == 0.0
    assert seconds > 0


def test_a_search_trains_its_trials_and_goes_on(objective, tmp_path):
    save = tmp_path / "search.jsonl"
    first = run_search(RandomSearch(epochs=1), Toy(), objective, max_trials=2, save=save)
    more = run_search(RandomSearch(epochs=1), Toy(), objective, max_trials=3, save=save)
    assert more.rows[:2] == first.rows
    for row in more.rows:
        assert row.score == objective(Toy().from_native(row.architecture), 1)[0]
