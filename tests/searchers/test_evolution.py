"""Regularised evolution against its algorithm, done again by hand."""

from collections import Counter, deque
from dataclasses import replace
from itertools import product
from random import Random

from scipy.stats import chisquare

from mixop.searchers.base import Trial
from mixop.searchers.driver import run_search
from mixop.searchers.evolution import Evolution
from mixop.spaces import CellSpace
from mixop.spaces.toy import Toy


def test_the_population_is_a_queue_and_every_child_comes_from_it(rugged):
    """By the paper's algorithm 1: a child is one change away from a member, and the oldest member goes, not the worst."""
    space, searcher = Toy(), Evolution(population=6, sample=2)
    objective = rugged(space)
    state = searcher.start(space, Random(3))
    queue: deque = deque(maxlen=6)
    for number in range(1, 101):
        trial = searcher.ask(state)
        if number > 6:
            near = [member for member, _ in queue if member.distance(trial.architecture) == 1]
            assert near
            assert len(queue) == 6
        score, seconds = objective(trial.architecture, 12)
        searcher.tell(state, trial, score, seconds)
        queue.append((trial.architecture, score))
        assert state.memory["population"] == [[space.to_native(a), s] for a, s in queue]


def test_children_are_distributed_as_tournament_and_mutation_say():
    """Every tournament (with replacement, of equals the one drawn first) and every mutation, enumerated."""
    space = CellSpace(operations=("none", "skip_connect", "nor_conv_1x1"), nodes=3)
    members = [space.architecture([options]) for options in ((0, 0, 0), (0, 1, 2), (2, 2, 1), (0, 0, 1))]
    scores = [70.0, 90.0, 90.0, 10.0]
    searcher = Evolution(population=4, sample=3)
    state = searcher.start(space, Random(0))
    for number, (member, score) in enumerate(zip(members, scores, strict=True), start=1):
        searcher.tell(state, Trial(number, member, 12), score, 1.0)

    expected: Counter = Counter()
    for tournament in product(range(4), repeat=3):
        best = max(scores[k] for k in tournament)
        parent = next(members[k] for k in tournament if scores[k] == best)
        options = [group_choice.option for group_choice in parent.of("cell")]
        for edges in ((0,), (1, 2)):  # into node 1, into node 2
            for edge in edges:
                others = [o for o in ("none", "skip_connect", "nor_conv_1x1") if o != options[edge]]
                for other in others:
                    child = [*options[:edge], other, *options[edge + 1 :]]
                    indices = [("none", "skip_connect", "nor_conv_1x1").index(o) for o in child]
                    expected[space.architecture([indices])] += 4**-3 / 2 / len(edges) / len(others)
    assert abs(sum(expected.values()) - 1) < 1e-12

    n = 12_000
    counts = Counter(searcher.ask(replace(state, seed=seed)).architecture for seed in range(n))
    assert counts.keys() <= expected.keys()
    assert chisquare([counts[child] for child in expected], [n * p for p in expected.values()]).pvalue > 1e-3


def test_it_climbs_where_random_search_does_not():
    """On a hill of 4,096 architectures, the share of right decisions: 20 random searches of 120 trials would reach the top
    0.6 times in the mean, and 6 times in less than one case of 10,000."""
    space = Toy(blocks=6)

    def hill(architecture, epochs):
        return 100 * (1 - architecture.distance(space.optimum) / 6), 1.0

    found = [run_search(Evolution(), space, hill, max_trials=120, seed=seed).value for seed in range(20)]
    assert sum(score == 100 for score in found) >= 6
