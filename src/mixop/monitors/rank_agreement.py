"""How far shared weights rank architectures as a table does, while they are trained."""

import math
from dataclasses import dataclass, field
from typing import Any, Literal

import torch

from mixop.analysis.ranking import kendall_tau
from mixop.core.errors import DataError, RecipeError, SpaceError
from mixop.derive.base import NORMS, Norm, check_norm
from mixop.monitors.base import Action, Column, Continue, Monitor, View, check_whole, latest, remember
from mixop.relax.base import Relaxation
from mixop.spaces.core import Space
from mixop.spaces.draws import distinct
from mixop.tables.catalogue import open_table
from mixop.tables.table import Table

_DRAWN = "RankAgreement.drawn"


@dataclass(frozen=True, kw_only=True)
class RankAgreement(Monitor):
    """Ranks the same architectures by the shared weights every few epochs, and compares their order with that of a table.

    Writes Kendall's tau-b into a column for each policy of batch norm, ``tau_batch`` and so on; never stops or changes
    anything. Architectures that the table does not know are left out, and in a search with stages those that a later stage
    has no more. Nothing is chosen by the table, so its test values may be used.

    Args:
        table: the file of a table of the space, or the name of one that comes with mixop.
        dataset: the data set of the table.
        split: of its values, "valid" or "test".
        length: epochs of the table's trainings; None where it has one length only.
        architectures: how many are drawn, uniformly and different, before the first measurement, >= 2.
        seed: of that draw, >= 0.
        every: epochs between two measurements, >= 1; the last epoch is always measured.
        batches: validation batches that an architecture is scored on, >= 1; None for all.
        norms: what batch norm uses, see `mixop.derive.base.Norm`; others than ``batch`` need a supernet that keeps statistics.

    Source: Khodak & Li 2020, "In defense of weight-sharing for neural architecture search: an optimization perspective" (ML@CMU
    blog), on rank disorder.
    """

    table: str
    dataset: str
    split: Literal["valid", "test"] = "valid"
    length: int | None = None
    architectures: int = 100
    seed: int = 0
    every: int = 1
    batches: int | None = None
    norms: tuple[Norm, ...] = field(default=("batch",))

    def __post_init__(self) -> None:
        check_whole("architectures of RankAgreement", self.architectures, 2)
        check_whole("seed of RankAgreement", self.seed, 0)
        check_whole("every of RankAgreement", self.every, 1)
        if self.batches is not None:
            check_whole("batches of RankAgreement", self.batches, 1)
        if not self.norms:
            raise RecipeError(f"RankAgreement needs one policy of batch norm at least, of {', '.join(NORMS)}: set norms.")
        for norm in self.norms:
            check_norm("RankAgreement", norm)

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        table = open_table(self.table)
        if not table.space.includes(space):
            raise RecipeError(
                f"The table {table.name} of RankAgreement is of {table.space.name}, which does not cover {space.name}: give a "
                "table of the space that is searched."
            )
        known = self._trained(table, self._natives(space))
        if len(known) < 2:
            raise DataError(
                f"Of {self.architectures} architectures the table {table.name} has {len(known)}, but an order needs two: draw "
                "more, or give another table."
            )

    def __call__(self, view: View) -> Action:
        if self._measures(view):
            if _DRAWN not in view.memory:
                text = "\n".join(self._natives(view.space)).encode()
                view.memory[_DRAWN] = torch.tensor(list(text), dtype=torch.uint8)
            drawn = bytes(view.memory[_DRAWN].tolist()).decode().split("\n")
            found = {}
            for native, trained in self._trained(open_table(self.table), drawn).items():
                try:
                    found[view.space.from_native(native)] = trained
                except SpaceError:  # a stage has no more of it
                    continue
            for norm in self.norms:
                shared = [view.worth(architecture, self.batches, norm) for architecture in found]
                tau = kendall_tau(shared, list(found.values()))
                remember(view, f"RankAgreement.{norm}", math.nan if tau is None else tau)
        return Continue()

    def columns(self, view: View) -> dict[str, Column]:
        return {f"tau_{norm}": latest(view, f"RankAgreement.{norm}", measured=self._measures(view)) for norm in self.norms}

    def _measures(self, view: View) -> bool:
        return (view.epoch + 1) % self.every == 0 or view.epoch + 1 == view.epochs

    def _natives(self, space: Space) -> list[str]:
        return [space.to_native(architecture) for architecture in distinct(space, self.architectures, self.seed)]

    def _trained(self, table: Table, natives: list[str]) -> dict[str, float]:
        """What the table has of architectures, as numbers where larger is better."""
        where: dict[str, Any] = {"dataset": self.dataset, "split": self.split, "epochs": self.length}
        values, found = table.column(**where, reveal_test=self.split == "test"), {}
        for native in natives:
            try:
                value = float(values[table.index(native)])
            except SpaceError:  # not every table is whole
                continue
            if not math.isnan(value):
                found[native] = table.measure().rank(value)
        return found
