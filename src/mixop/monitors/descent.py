"""How fast the loss of the supernet falls by the theory behind PR-DARTS, as a number of every epoch."""

from dataclasses import dataclass
from typing import Literal

import torch

from mixop.analysis.descent import cell_phi, guaranteed_decrease
from mixop.core.errors import RecipeError, SpaceError
from mixop.core.schedules import check_range
from mixop.monitors.base import Action, Column, Continue, Monitor, View
from mixop.relax.base import Relaxation
from mixop.spaces.core import Space
from mixop.spaces.stacked import stacked


@dataclass(frozen=True, kw_only=True)
class Descent(Monitor):
    """Writes down the theorem's phi and lambda of the mean mixing weights; changes nothing.

    The columns are ``phi`` and ``lambda``, where a space has several cells ``phi_CELL`` and ``lambda_CELL``. By the theorem a
    step on the weights takes at least the share lambda off the loss: both grow with skip connections, so a search that prefers
    what trains fast prefers these. A skip connection that a wrap adds beside the options, as DARTS- does, is counted with its
    present weight. What a cell is to the theorem's network is our choice: see `mixop.analysis.descent.layer_weights`.

    Args:
        constant: of the theorem, > 0. It depends on data and activation, and no source gives a number for it: lambda is the
            learning rate times phi by default.
        combine: whether an edge's weight of operations with parameters is their ``sum`` or the largest of them (``max``).

    Source: Zhou et al. 2020 (arXiv:2006.16537), theorem 1; its form for DARTS- after Shin 2022 (slides).
    """

    constant: float = 1.0
    combine: Literal["sum", "max"] = "sum"

    def __post_init__(self) -> None:
        check_range("constant of Descent", self.constant, above=0)

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        try:
            even = {group.name: torch.ones(group.shape) for group in stacked(space).groups}
            for cell in stacked(space).cells_decided:
                cell_phi(even, space, cell, combine=self.combine)
        except SpaceError as error:
            raise RecipeError(f"Descent needs the cells of the theorem, but: {error}") from error

    def __call__(self, view: View) -> Action:
        return Continue()

    def columns(self, view: View) -> dict[str, Column]:
        mean, cells, columns = view.mean(), stacked(view.space).cells_decided, dict[str, Column]()
        for cell in cells:
            value = cell_phi(mean, view.space, cell, auxiliary=view.added_skip, combine=self.combine)
            end = "" if len(cells) == 1 else f"_{cell}"
            columns[f"phi{end}"] = value
            # The rate is 0 in the last epoch of some schedules.
            rate = view.learning_rate
            columns[f"lambda{end}"] = float(guaranteed_decrease(value, lr=rate, constant=self.constant)) if rate > 0 else 0.0
        return columns
