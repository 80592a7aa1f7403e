"""The latency table of all networks that `find` may build for a data set, measured on this machine for use on another."""

from collections.abc import Iterator

import torch

from mixop.core.door import door
from mixop.core.errors import SpaceError
from mixop.data.core import Data, Source
from mixop.data.given import MapStyle, given
from mixop.finder.contender import around
from mixop.finder.portfolio import SIZES, Family, Member, portfolio, strides
from mixop.measure.latency import Example, examples_of, table_of
from mixop.nets.discrete import build
from mixop.nets.latency import LatencyTable


@door()
def latency_table_for(
    data: Data | Source | MapStyle, *, device: str | torch.device = "cpu", name: str | None = None, seed: int = 0
) -> LatencyTable:
    """The table of the networks that `find` may build for a data set: on this machine, for one example at a time.

    Args:
        data: examples with a task; only their shape and the number of outputs matter.
        device: where the networks run.
        name: what the table calls this machine; None for the machine's name.
        seed: of the networks that are drawn.
    """
    data = given(data)
    return table_of(_kinds(data, seed), device=device, name=name, seed=seed)


def _kinds(data: Data, seed: int) -> Iterator[Iterator[Example]]:
    widest: dict[Family, int] = {}
    for stride in strides(data):
        for member in portfolio(data, stride=stride, cheaper=True, small=True):
            widest[member.family] = max(member.size, widest.get(member.family, 0))
    for family, most in widest.items():
        for size in SIZES:
            try:
                yield _known(family, size, data)
            except SpaceError:  # too narrow for it
                continue
            if family.around is not None and size <= most:
                yield examples_of(around(Member(family, size), size).fit(data), seed)


def _known(family: Family, size: int, data: Data) -> Iterator[Example]:
    space = family.space(size).fit(data)
    net = build(family.architecture(space), space).eval()
    return iter([(net, data.batch(data.train[:1]).x)])
