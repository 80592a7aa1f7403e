"""The best of several architectures: the most probable ones against enumeration, the best one against all scores."""

import math
import random
from itertools import product

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.derive.sampled import BestSampled, _architecture, _indices, most_probable
from mixop.nets.ops import BatchNorm
from mixop.spaces import nasbench1shot1
from mixop.spaces.toy import Toy

SPACE = Toy()
EDGES, OPTIONS = SPACE.groups[0].shape
ALL = list(SPACE.architectures())


def scores(architecture):
    """Some numbers, all different: the architectures in a shuffled order."""
    return random.Random(1).sample(range(len(ALL)), len(ALL))[ALL.index(architecture)] / len(ALL), 1.0


@pytest.mark.parametrize("seed", range(5))
def test_the_most_probable_are_those_of_the_enumeration(seed):
    rng = random.Random(seed)
    rows = [[rng.random() for _ in range(rng.randint(2, 4))] for _ in range(4)]
    rows[0][0] = 0.0
    every = sorted(
        product(*(range(len(row)) for row in rows)), key=lambda c: -math.prod(r[o] for r, o in zip(rows, c, strict=True))
    )
    certain = [c for c in every if math.prod(r[o] for r, o in zip(rows, c, strict=True)) > 0]
    for count in (1, 7, len(certain)):
        assert most_probable(rows, count) == certain[:count]
    assert sorted(most_probable(rows, 10**6)) == sorted(every)


def test_a_large_space_is_searched_without_enumerating_it():
    rows = torch.rand(28, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64).tolist()
    found = most_probable(rows, 100)
    sums = [sum(math.log(row[o]) for row, o in zip(rows, c, strict=True)) for c in found]
    assert sums == sorted(sums, reverse=True)
    assert len(set(found)) == 100
    assert found[0] == tuple(max(range(8), key=row.__getitem__) for row in rows)


def test_by_probability_the_best_of_the_most_probable_is_found(trained):
    weights = torch.rand(EDGES, OPTIONS, generator=torch.Generator().manual_seed(2)).softmax(-1)
    view = trained(scores, weights)
    probable = sorted(
        ALL,
        key=lambda a: (
            -math.prod(weights[c.decision, SPACE.groups[0].decisions[c.decision].options.index(c.option)] for c in a.of("cell"))
        ),
    )
    rule = BestSampled(samples=20, by="probability", batches=3, norm="recalibrated")
    assert rule.final(view) == max(probable[:20], key=scores)
    assert view.calls == [("score", 3, "recalibrated")] * 20


def test_by_draws_the_best_of_the_drawn_is_found_and_none_is_scored_twice(trained):
    view, twin = (trained(scores, torch.full((EDGES, OPTIONS), 1 / OPTIONS)) for _ in range(2))
    drawn = [twin.draw() for _ in range(40)]
    assert BestSampled(samples=40).final(view) == max(drawn, key=scores)
    assert len(view.calls) == len(set(drawn)) < 40


def test_the_loss_breaks_ties(trained):
    view = trained(lambda a: (0.5, 1.0 - scores(a)[0]), torch.full((EDGES, OPTIONS), 1 / OPTIONS))
    assert BestSampled(samples=len(ALL), by="probability").final(view) == max(ALL, key=scores)


def test_a_comparison_that_was_left_goes_on_with_the_same_candidates(trained):
    weights = torch.full((EDGES, OPTIONS), 1 / OPTIONS)
    whole, torn = trained(scores, weights), trained(scores, weights, stop_after=7)
    want = BestSampled(samples=20).final(whole)
    with pytest.raises(KeyboardInterrupt):
        BestSampled(samples=20).final(torn)
    torn.stop_after = None
    assert BestSampled(samples=20).final(torn) == want
    assert len(torn.calls) == len(whole.calls) + 1
    assert all(torch.equal(torn.memory[key], value) for key, value in whole.memory.items())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"samples": 0}, "samples of BestSampled"),
        ({"batches": 0}, "batches of BestSampled"),
        ({"norm": "layer"}, "batch norm of BestSampled"),
        ({"by": "luck"}, "way to sample"),
    ],
)
def test_settings_that_mean_nothing_are_refused(change, words):
    with pytest.raises(RecipeError, match=words):
        BestSampled(**change)


def test_statistics_that_a_supernet_does_not_keep_are_refused():
    BestSampled(norm="running").check(SPACE, BatchNorm())
    with pytest.raises(RecipeError, match="keeps none"):
        BestSampled(norm="running").check(SPACE, BatchNorm(track=False))


def test_candidates_that_take_several_options_come_back():
    space, rng = nasbench1shot1(3), random.Random(0)
    drawn = [space.random(rng) for _ in range(20)]
    rows = [_indices(space, architecture) for architecture in drawn]
    assert len({len(row) for row in rows}) == 1
    assert [_architecture(space, row) for row in rows] == drawn
