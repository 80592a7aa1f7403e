"""Ranking before training: what it takes keeps the limits, and is the best of its draws by both scores."""

from random import Random

import pytest
import torch

import mixop
from mixop.analysis.training_free import naswot, synflow
from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.evaluate.score import parameters
from mixop.finder import ranking
from mixop.finder.contender import Entry
from mixop.finder.costs import Limits
from mixop.finder.ranking import best_before_training, first_by_both
from mixop.nets.discrete import build


@pytest.fixture(scope="module")
def data() -> Data:
    """Synthetic: two classes of grey images of different brightness."""
    y = torch.arange(120) % 2
    x = torch.randn(120, 1, 8, 8, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1, 1)
    return from_arrays(x, y, valid=0.4, test_share=0.2, layout="nchw", name="grey")


@pytest.fixture
def space(data):
    return mixop.spaces.nasbench201(channels=4, cells=1).fit(data)


def test_it_takes_the_best_of_its_draws_by_both_scores_and_keeps_the_limit(space, data, monkeypatch):
    monkeypatch.setattr(ranking, "MOST", 10)
    limits, x = Limits(parameters=9000), data.batch(data.train[:32]).x
    best = best_before_training(space, Entry(data, limits), seconds=1e9, seed=3)
    assert best["networks"] == 10
    rng, scores = Random(3), {}
    while len(scores) < 10:
        architecture = space.random(rng)
        net = build(architecture, space, generator=torch.Generator().manual_seed(3))
        if parameters(net) <= 9000:
            scores[architecture] = (synflow(net, (1, 8, 8)), naswot(net, x))
    taken = space.from_native(best["architecture"])
    assert taken in scores
    places = {a: sum(sum(other[k] < own[k] for other in scores.values()) for k in (0, 1)) for a, own in scores.items()}
    assert places[taken] == max(places.values())
    assert best == best_before_training(space, Entry(data, limits), seconds=1e9, seed=3)


def test_where_too_few_keep_the_limit_or_there_is_no_time_none_is_taken(space, data):
    assert best_before_training(space, Entry(data, Limits(parameters=10)), seconds=1.0, seed=0) == {
        "architecture": None,
        "networks": 0,
    }
    assert best_before_training(space, Entry(data, Limits(parameters=1e9)), seconds=0.0, seed=0)["architecture"] is None


def test_places_are_added(space):
    a, b, c = (space.random(Random(seed)) for seed in (0, 1, 2))
    assert first_by_both({a: (1.0, 9.0), b: (2.0, 8.0), c: (3.0, 1.0)}) == a
    assert first_by_both({a: (1.0, 1.0), b: (2.0, 8.0), c: (3.0, 9.0)}) == c
    assert first_by_both({a: (-float("inf"), 1.0), b: (2.0, 2.0), c: (-float("inf"), 0.0)}) == b
