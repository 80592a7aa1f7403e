"""Spaces small enough to enumerate, and a score that is known for every architecture."""

import hashlib
from dataclasses import dataclass, field

import pytest

from mixop.spaces.core import Architecture, Choice, Decision, Group
from mixop.spaces.stacked import Graph, Layer, Stacked


@dataclass(frozen=True)
class Kept(Stacked):
    """Two nodes that keep two of their edges, which take ``a`` or ``b``: 1 x 3 ways to keep, 2^4 options, 48 in all."""

    name: str = field(default="kept", init=False)
    input_shape: tuple[int, ...] | None = (3, 8, 8)
    outputs: int | None = 2
    dense: bool | None = False
    tokens: bool | None = False

    @property
    def groups(self) -> tuple[Group, ...]:
        edges = ((0, 2), (1, 2), (0, 3), (1, 3), (2, 3))
        return (Group("cell", tuple(Decision(*edge, ("none", "a", "b")) for edge in edges), keep=2),)

    def graph(self, group: str) -> Graph:
        return Graph(2, 4, (2, 3))

    @property
    def layers(self) -> tuple[Layer, ...]:
        return ()

    def to_native(self, architecture: Architecture) -> str:
        return " ".join(f"{choice.decision}{choice.option}" for choice in architecture.of("cell"))

    def from_native(self, text: str) -> Architecture:
        return Architecture("kept", (("cell", tuple(Choice(int(word[0]), word[1:]) for word in text.split())),))


@pytest.fixture
def kept() -> Kept:
    return Kept()


@pytest.fixture
def rugged():
    """An objective with many local optima: a hash of the native string, and 2 to 4 seconds."""

    def of(space):
        def objective(architecture, epochs):
            digest = hashlib.sha256(space.to_native(architecture).encode()).digest()
            return 100 * int.from_bytes(digest[:4]) / 2**32, 2.0 + digest[4] % 3

        return objective

    return of
