"""Inputs of the shape that a space reads, where no data is at hand: for costs, contracts and tests."""

import torch
from torch import Generator, Tensor

from mixop.nets.modules.space import ModuleSpace
from mixop.spaces.core import Space
from mixop.spaces.stacked import stacked

OPEN_SIZE = 32
"""Height and width of the images of a space whose input shape is open."""


def random_inputs(space: Space, batch: int, *, generator: Generator, dtype: torch.dtype | None = None) -> Tensor:
    """A batch of random inputs.

    Args:
        space: the space; an open input shape is that of images of 32 x 32 pixels.
        batch: number of inputs B, >= 1.
        generator: source of the numbers, on the CPU.
        dtype: of numbers that are not tokens; None for torch's default.

    Returns:
        Standard normal numbers ``(B, *shape)``, or tokens ``(B, T)``, int64.
    """
    if isinstance(space, ModuleSpace):
        return space.inputs(batch, generator)
    if space.input_shape is None:
        channels = stacked(space).layers[0].channels[0]
        return torch.randn(batch, channels, OPEN_SIZE, OPEN_SIZE, generator=generator, dtype=dtype)
    if space.tokens:
        vocabulary, window = space.input_shape
        return torch.randint(vocabulary, (batch, window), generator=generator)
    return torch.randn(batch, *space.input_shape, generator=generator, dtype=dtype)
