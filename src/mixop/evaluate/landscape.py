"""The validation loss around the architecture that a search ended with: a scan along two random directions.

Where it rises little, rounding the mixing weights to one architecture is expected to lose little as well.
"""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Generator
from torch.func import functional_call

from mixop.analysis.landscape import landscape
from mixop.core.errors import RecipeError
from mixop.core.names import from_file
from mixop.core.types import Params
from mixop.data.core import Data
from mixop.engine.settings import Settings
from mixop.engine.state import stage_net
from mixop.evaluate.start import trained_supernet
from mixop.evaluate.trained import check_data
from mixop.recipe.parts import recipe_from_json
from mixop.runs.directory import RunDirectory
from mixop.runs.files import RECIPE


@dataclass(frozen=True, kw_only=True)
class Scan:
    """Losses and scores on a square grid around the architecture parameters, rows along the first direction.

    Args:
        axis: how far the P points are from the middle along both directions, in the unit of the parameters.
        losses: ``P x P``, of the validation examples.
        scores: the task's first measure of the same passes, ``P x P``.
        examples: how many validation examples, from the first.
        radius: the largest entry of the axis.
        points: P.
        seed: of the directions.
    """

    axis: tuple[float, ...]
    losses: tuple[tuple[float, ...], ...]
    scores: tuple[tuple[float, ...], ...]
    examples: int
    radius: float
    points: int
    seed: int

    @cached_property
    def rise(self) -> np.ndarray:
        """By how much the loss is above that of the middle, ``(P, P)``."""
        return _from_middle(self.losses)

    @cached_property
    def gain(self) -> np.ndarray:
        """By how much the score is above that of the middle, ``(P, P)``; below 0 where it falls."""
        return _from_middle(self.scores)


def scan(
    run: RunDirectory,
    data: Data,
    *,
    radius: float = 1.0,
    points: int = 51,
    examples: int = 256,
    seed: int = 0,
    device: str = "cpu",
) -> Scan:
    """Scans the surroundings of a finished search, under mean mixing weights and with the weights that it ended with.

    Batch norms use the statistics of the batch, which is that of the first validation examples, without augmentation. The
    directions have length 1 and are orthogonal; no document says how long they are.

    Args:
        run: the directory of the search.
        data: what it searched on.
        radius: half the side of the square, > 0.
        points: of one side, odd, >= 3; the network is called ``points^2`` times.
        examples: of the batch, >= 2; all validation examples if there are fewer.
        seed: of the directions, >= 0.
        device: where torch computes.

    Raises:
        RunError: if the search is not finished, its checkpoint is gone or torn, or these are not its data.
        RecipeError: for numbers out of range, parameters that must stay on the simplex, and networks that carry a state from
            batch to batch.

    Source: Chu et al. 2021 (arXiv:2009.01027) for DARTS-, from -1 to 1 with 51 points; see `mixop.analysis.landscape`.
    """
    if examples < 2:
        raise RecipeError(f"Batch norms need at least 2 examples, got {examples}.")
    supernet = trained_supernet(run)
    check_data(run, data)
    with from_file(run / RECIPE):
        recipe = recipe_from_json(run.read_json(RECIPE))
    if recipe.relaxation.params_on_simplex:
        raise RecipeError(
            f"The parameters of {type(recipe.relaxation).__name__} lie on the simplex, which a straight line leaves: scan a "
            "search whose parameters are free, such as darts."
        )
    net = stage_net(supernet.space, recipe, supernet.stage, Generator(), Settings(device=device, executor="nodewise"))
    net.load_state_dict(supernet.tensors)
    if net.carries:
        raise RecipeError("A network that carries a state from batch to batch has no loss of one batch.")
    net.train()
    data, first = data.to(device), data.task.first
    batch = data.batch(data.valid[:examples])
    buffers = {name: value.detach().clone() for name, value in net.named_buffers()}
    scores: list[float] = []

    def loss(params: Params) -> torch.Tensor:
        mix = recipe.relaxation.mean_all(params, net.groups)
        kept = {name: value.clone() for name, value in buffers.items()}  # a pass in train mode moves the statistics
        outputs = functional_call(net, kept, (batch.x, mix), {"progress": 1.0})
        totals = data.task.totals()
        totals.add(outputs, batch.y)
        scores.append(first.rank(totals.value()[first.name]))
        return data.task.loss(outputs, batch.y)

    params = {name: value.to(device) for name, value in supernet.params.items()}
    found = landscape(loss, params, Generator().manual_seed(seed), radius=radius, points=points)
    sign = first.rank(1.0)
    return Scan(
        axis=tuple(found.axis.tolist()),
        losses=_rows(found.losses.tolist()),
        scores=_rows((sign * np.array(scores).reshape(points, points)).tolist()),
        examples=len(batch.y),
        radius=radius,
        points=points,
        seed=seed,
    )


def _rows(values: list[list[float]]) -> tuple[tuple[float, ...], ...]:
    return tuple(map(tuple, values))


def _from_middle(values: tuple[tuple[float, ...], ...]) -> np.ndarray:
    grid = np.array(values)
    middle = len(grid) // 2
    return grid - grid[middle, middle]
