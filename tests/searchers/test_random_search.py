"""Random search against its closed forms."""

import math

from mixop.searchers.driver import run_search
from mixop.searchers.random_search import RandomSearch
from mixop.spaces.toy import Toy


def hits(searcher: RandomSearch, trials: int, seeds: int) -> int:
    space = Toy()

    def objective(architecture, epochs):
        return 100.0 * (architecture == space.optimum), 1.0

    return sum(run_search(searcher, space, objective, max_trials=trials, seed=seed).value == 100 for seed in range(seeds))


def test_with_repetition_the_optimum_is_found_as_often_as_independent_draws_find_it():
    n, trials = 400, 40
    p = 1 - (1 - 1 / Toy().size()) ** trials
    assert abs(hits(RandomSearch(), trials, n) - n * p) < 3.5 * math.sqrt(n * p * (1 - p))


def test_without_repetition_it_is_found_as_often_as_a_share_of_the_space_is_seen():
    n, trials = 150, 40
    p = trials / Toy().size()
    assert abs(hits(RandomSearch(repeat=False), trials, n) - n * p) < 3.5 * math.sqrt(n * p * (1 - p))


def test_without_repetition_a_small_space_is_tried_once_and_no_more():
    space = Toy()
    outcome = run_search(RandomSearch(repeat=False), space, lambda a, epochs: (1.0, 1.0), max_trials=1000)
    assert sorted(row.architecture for row in outcome.rows) == sorted(space.to_native(a) for a in space.architectures())
