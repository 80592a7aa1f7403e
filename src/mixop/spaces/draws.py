"""Different architectures of a space, drawn by a seed."""

from random import Random

from mixop.core.errors import RecipeError
from mixop.spaces.core import Architecture, Space

USUAL = 100
"""Architectures that are drawn, where there are more and no number is given."""

TRIED = 100
"""Draws for each architecture that is wanted: some spaces refuse many of their own draws."""


def distinct(space: Space, count: int | None, seed: int) -> list[Architecture]:
    """Different architectures of a space, drawn uniformly; all of them, in order, if there are as many.

    Args:
        space: whose.
        count: how many, from 2 to the size of the space; None for 100, or all if there are fewer.
        seed: of the draw, >= 0.

    Raises:
        RecipeError: if there are fewer, or a table could not hold them.
    """
    size = space.size()
    count = min(USUAL, size) if count is None else count
    if not 2 <= count <= size:
        raise RecipeError(f"The number of architectures must be 2 to {size:,} of this supernet, got {count:,}.")
    if seed < 0:
        raise RecipeError(f"The seed of the draw must be a whole number of at least 0, got {seed}.")
    if count == size:
        return [architecture for architecture in space.architectures() if space.allows(architecture)]
    rng, found = Random(seed), dict[Architecture, None]()  # a dictionary keeps the order
    for _ in range(TRIED * count):
        architecture = space.random(rng)
        if space.allows(architecture):
            found[architecture] = None
        if len(found) == count:
            return list(found)
    raise RecipeError(f"{TRIED * count:,} draws gave only {len(found):,} different architectures: ask for no more of them.")
