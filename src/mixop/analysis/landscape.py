"""The loss around a point of the architecture parameters, on a grid along two random directions.

A smooth and wide landscape loses little when the architecture is made discrete; a rugged one shows that it will. Every point of
the grid costs a pass over the data that the loss is made of.

Source: Li et al. 2018, "Visualizing the Loss Landscape of Neural Nets" (arXiv:1712.09913), section 4, for weights; in
architecture parameters Chu et al. 2021 (arXiv:2009.01027).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError, unknown
from mixop.core.schedules import check_range
from mixop.core.types import Params

NORMALISE = ("whole", "group")


@dataclass(frozen=True, kw_only=True)
class Landscape:
    """Losses on a grid.

    Args:
        axis: how far the points are from the middle, along both directions, ``(P,)``.
        losses: ``(P, P)``, float64; ``[i, j]`` is the loss of ``params + axis[i] * first + axis[j] * second``.
        first: the first direction, by group.
        second: the second one, orthogonal to it.
    """

    axis: Tensor
    losses: Tensor
    first: Params
    second: Params


def directions(
    params: Params, generator: Generator, *, normalise: Literal["whole", "group"] = "whole"
) -> tuple[Params, Params]:
    """Two random orthogonal directions, no direction more likely than another.

    Args:
        params: architecture parameters by group.
        generator: source of the directions, on the CPU.
        normalise: ``whole``: all groups together are one vector of length 1; ``group``: the vector of each group has length 1,
            so that a small group moves as far as a large one. The two are orthogonal in the same sense.

    Returns:
        Both directions, in the shapes, dtypes and devices of the parameters.

    Raises:
        RecipeError: for another way to normalise, and where there are fewer than two parameters to normalise together.
    """
    if normalise not in NORMALISE:
        raise RecipeError(unknown("way to normalise directions", str(normalise), NORMALISE))
    sizes = [value.numel() for value in params.values()]
    found = []
    for size in [sum(sizes)] if normalise == "whole" else sizes:
        if size < 2:
            where = " in every group" if normalise == "group" else ""
            raise RecipeError(f"Two directions need at least 2 architecture parameters{where}, got {size}.")
        q, r = torch.linalg.qr(torch.randn(size, 2, generator=generator, dtype=torch.float64))
        found.append(q * r.diagonal().sign())  # as Gram and Schmidt have it: LAPACK's signs would prefer a side
    one, two = torch.cat(found).unbind(1)
    return _shaped(one, params), _shaped(two, params)


def landscape(
    loss: Callable[[Params], Tensor | float],
    params: Params,
    generator: Generator,
    *,
    radius: float = 1.0,
    points: int = 51,
    normalise: Literal["whole", "group"] = "whole",
) -> Landscape:
    """The losses on a square grid around the parameters, along `directions`.

    Args:
        loss: scalar function of the parameters; weights, batch and random numbers fixed. It is called without gradients.
        params: architecture parameters by group, the middle of the grid; they stay as they are.
        generator: source of the directions, on the CPU.
        radius: half the side of the square, > 0, in the unit of the parameters.
        points: of one side, odd so that the middle is one of them, >= 3; the loss is called ``points^2`` times.
        normalise: as for `directions`.

    Raises:
        RecipeError: for numbers out of range, and as `directions`.
    """
    check_range("radius of a landscape", radius, above=0)
    if type(points) is not int or points < 3 or points % 2 == 0:
        raise RecipeError(f"A side of a landscape has an odd number of points, 3 at least, got {points!r}.")
    first, second = directions(params, generator, normalise=normalise)
    half = torch.arange(points // 2 + 1, dtype=torch.float64) * (radius / (points // 2))
    axis = torch.cat([-half.flip(0)[:-1], half])
    with torch.no_grad():
        rows = [
            [float(loss({name: p + x * first[name] + y * second[name] for name, p in params.items()})) for y in axis.tolist()]
            for x in axis.tolist()
        ]
    return Landscape(axis=axis, losses=torch.tensor(rows, dtype=torch.float64), first=first, second=second)


def _shaped(vector: Tensor, params: Params) -> Params:
    parts = vector.split([value.numel() for value in params.values()])
    return {name: part.reshape(value.shape).to(value) for (name, value), part in zip(params.items(), parts, strict=True)}
