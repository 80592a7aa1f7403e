"""Seconds of the options of a model's choices on this machine, as a cost table. Never kept under a name: clocks differ."""

import time
from statistics import median

import torch
from torch import Generator
from torch.utils._pytree import tree_map

from mixop.core.errors import RecipeError
from mixop.core.surroundings import undisturbed
from mixop.nets.costs import CostTable
from mixop.nets.modules.costs import Around, metered
from mixop.nets.modules.space import ModuleSpace


@undisturbed()
def timed(space: ModuleSpace, *, batch: int = 1, repeats: int = 5, device: str | torch.device = "cpu") -> CostTable:
    """A cost table of seconds: every option of every choice on the inputs that it gets in a pass of the model.

    A pass runs all options, in evaluation mode, and takes the time of each, choices inside of it aside, which have times of
    their own. The mixing is left out. It is what `ExpectedCost` and `CostCeiling` take as a cost: measured once, here.

    Args:
        space: fitted to data, or made with an example, which is then the batch.
        batch: inputs in a pass, >= 1.
        repeats: passes, >= 1, after one that warms up; the median counts.
        device: where the model runs.

    Returns:
        Seconds of a batch. Where one choice decides at several places, their sum; inputs that are chosen are free.

    Raises:
        RecipeError: if the numbers are out of range.
        SpaceError: if the model fails on examples.
    """
    if batch < 1 or repeats < 1:
        raise RecipeError(f"batch and repeats of a timing must be at least 1, got {batch} and {repeats}.")
    space.try_out()
    device = torch.device(device)
    model = space.make(Generator().manual_seed(0)).eval().to(device)
    x = tree_map(lambda leaf: leaf.to(device) if isinstance(leaf, torch.Tensor) else leaf, space.inputs(batch, Generator()))

    def clock() -> float:
        if device.type != "cpu":
            torch.accelerator.synchronize(device)
        return time.perf_counter()

    passes = [metered(model, space.plan, x, clock) for _ in range(1 + repeats)][1:]
    seconds: dict[Around, float] = {around: median(spent.get(around, 0.0) for spent in passes) for around in passes[0]}
    tables = {group.name: [[0.0] * group.shape[1] for _ in range(group.shape[0])] for group in space.groups}
    groups = {group.name: group for group in space.groups}
    for around, spent in seconds.items():
        if around:
            decision, option = around[-1]
            tables[decision][0][groups[decision].decisions[0].options.index(option)] += spent
    decisions = {name: tuple(tuple(row) for row in rows) for name, rows in tables.items()}
    return CostTable(decisions=decisions, fixed=seconds.get((), 0.0))
