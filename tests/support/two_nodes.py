"""Cells of the DARTS space with two nodes: five edges in place of fourteen, of every kind that the four nodes have."""

from typing import ClassVar

from mixop.spaces import Darts
from mixop.spaces.darts import DARTS_OPERATIONS


class Two(Darts):
    nodes: ClassVar[int] = 2


def two(*, operations=DARTS_OPERATIONS, **sizes) -> Two:
    return Two(operations=operations, **sizes)
