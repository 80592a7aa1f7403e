"""Diversity against a count of all pairs, and the expectation of uniform draws."""

from itertools import combinations

import numpy as np
import pytest

from mixop.analysis.diversity import diversity


def test_it_is_the_mean_over_all_pairs():
    drawn = np.random.default_rng(0).integers(3, size=(12, 5)).tolist()
    by_hand = np.mean([np.mean([a != b for a, b in zip(one, other, strict=True)]) for one, other in combinations(drawn, 2)])
    assert diversity(drawn) == pytest.approx(by_hand)


def test_the_extremes_and_uniform_draws():
    assert diversity([("a", "b"), ("a", "b"), ("a", "b")]) == 0
    assert diversity([("a", "b"), ("c", "d")]) == 1
    drawn = np.random.default_rng(1).integers(5, size=(500, 40)).tolist()
    assert diversity(drawn) == pytest.approx(0.8, abs=0.01)  # over 40 decisions its deviation is below 0.001


@pytest.mark.parametrize("given", [[], [("a",)], [("a",), ("a", "b")], [(), ()]])
def test_what_has_no_pairs_is_refused(given):
    with pytest.raises(ValueError, match="two or more architectures with the same decisions"):
        diversity(given)
