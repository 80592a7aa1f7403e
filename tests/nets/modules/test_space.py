"""Spaces in models against enumeration by hand: nested and shared choices, what is reached, texts, distances, searchers."""

import itertools
import random

import pytest
import torch
from own_nets import Nested, Small
from torch import nn

from mixop.core.errors import SpaceError
from mixop.nets.modules.choice import Choice
from mixop.nets.modules.space import in_module
from mixop.searchers.coding import mutated, neighbours
from mixop.spaces.core import Architecture

SMALL = {
    f"one={one}, two={two}, {inner}join={join}"
    for one, two, join in itertools.product(("k1", "k3", "skip"), ("k3", "deep"), ("stem+one", "stem+two", "one+two"))
    for inner in (("two.deep.1=0, ", "two.deep.1=1, ") if two == "deep" else ("",))
}


class Shared(nn.Module):
    """One decision in two places, one of them inside an option of another decision."""

    def __init__(self) -> None:
        super().__init__()
        self.outer = Choice({"with": self.side(), "without": nn.Identity()})
        self.inner = Choice({"x": self.side(), "y": nn.Tanh()})

    @staticmethod
    def side() -> Choice:
        return Choice([nn.Identity(), nn.Tanh(), nn.ReLU()], share="side")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.inner(self.outer(x))


SHARED = {
    f"outer={outer}, inner={inner}" + (f", side={side}" if side else "")
    for outer, inner in itertools.product(("with", "without"), ("x", "y"))
    for side in (("0", "1", "2") if outer == "with" or inner == "x" else ("",))
}


def parts(text):
    return frozenset(text.split(", "))


@pytest.mark.parametrize(("make", "texts"), [(Small, SMALL), (Shared, SHARED), (Nested, None)])
def test_architectures_are_those_that_a_person_counts(make, texts):
    space = in_module(make)
    texts = texts or {"block=skip", "block=k1", *(f"block=deep, block.deep.1={o}" for o in ("k1", "k3", "skip"))}
    listed = list(space.architectures())
    assert {parts(space.to_native(a)) for a in listed} == set(map(parts, texts))
    assert len(listed) == len(texts) == space.size()
    assert [space.from_native(space.to_native(a)) for a in listed] == listed
    rng = random.Random(0)
    assert {space.random(rng) for _ in range(60 * len(texts))} == set(listed)
    assert all(space.settled(a) == a for a in listed)


@pytest.mark.parametrize("make", [Small, Shared, Nested])
def test_neighbours_and_mutations_stay_in_the_space(make):
    space = in_module(make)
    listed = set(space.architectures())
    for architecture in listed:
        near = set(neighbours(space, architecture))
        assert near <= listed - {architecture}
        assert near
        assert {mutated(space, architecture, random.Random(seed)) for seed in range(20)} <= listed


def test_the_distance_counts_decisions_that_differ():
    space = in_module(Nested)
    at = {
        text: space.from_native(text) for text in ("block=skip", "block=deep, block.deep.1=k1", "block=deep, block.deep.1=k3")
    }
    one, two, three = at.values()
    assert (one.distance(one), two.distance(three), one.distance(two)) == (0, 1, 2)


def test_what_is_not_reached_is_neither_asked_for_nor_taken():
    space = in_module(Nested)
    with pytest.raises(SpaceError, match=r"must decide block\.deep\.1"):
        space.from_native("block=deep")
    with pytest.raises(SpaceError, match=r"does not reach block\.deep\.1: leave it out"):
        space.from_native("block=skip, block.deep.1=k1")
    whole = Architecture(space.name, space.from_native("block=deep, block.deep.1=k1").choices)
    assert space.reaches(whole, "block.deep.1")
    assert not space.reaches(space.from_native("block=k1"), "block.deep.1")
