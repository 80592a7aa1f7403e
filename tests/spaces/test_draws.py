"""Draws of different architectures: uniform, repeatable, and all of a space where as many are asked for."""

import pytest

from mixop.core.errors import RecipeError
from mixop.spaces.draws import distinct
from mixop.spaces.toy import Toy

SPACE = Toy()


def test_draws_are_uniform_and_different():
    """Of 2,000 draws of 8 of the 64 each is in 250; six standard deviations of that count are 89."""
    everything = list(SPACE.architectures())
    counts = dict.fromkeys(everything, 0)
    for seed in range(2000):
        drawn = distinct(SPACE, 8, seed)
        assert len(set(drawn)) == 8
        for architecture in drawn:
            counts[architecture] += 1
    assert len(everything) == 64
    assert all(abs(count - 250) < 89 for count in counts.values())


def test_a_seed_repeats_its_draw_and_all_are_in_order():
    assert distinct(SPACE, 8, 3) == distinct(SPACE, 8, 3)
    assert distinct(SPACE, 8, 3) != distinct(SPACE, 8, 4)
    assert distinct(SPACE, None, 3) == distinct(SPACE, 64, 0) == list(SPACE.architectures())


def test_what_cannot_be_drawn_is_a_sentence():
    for count in (1, 65):
        with pytest.raises(RecipeError, match=f"must be 2 to 64 of this supernet, got {count}"):
            distinct(SPACE, count, 0)
    with pytest.raises(RecipeError, match="at least 0, got -1"):
        distinct(SPACE, 2, -1)
