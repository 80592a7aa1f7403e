"""Random numbers as an argument: named generators, and a fence around torch functions that take none."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Generator


def generators(seed: int, names: tuple[str, ...]) -> dict[str, Generator]:
    """One independent CPU generator for each name, all from one seed.

    Args:
        seed: any whole number in [0, 2**63).
        names: what the generators are for; adding a name at the end leaves the others' numbers as they were.
    """
    root = Generator().manual_seed(seed)
    return {name: Generator().manual_seed(draw_seed(root)) for name in names}


def draw_seed(generator: Generator) -> int:
    """The next whole number in [0, 2**62) of a generator, to seed another one with."""
    return int(torch.randint(2**62, (), generator=generator, device="cpu"))


@contextmanager
def fenced(generator: Generator) -> Iterator[None]:
    """Inside, torch's global CPU generator continues from ``generator``; outside, it never notices.

    For functions that only know the global generator: initialisers of `torch.nn` layers, `torch.distributions`.
    """
    before = torch.default_generator.get_state()
    torch.default_generator.manual_seed(draw_seed(generator))
    try:
        yield
    finally:
        torch.default_generator.set_state(before)
