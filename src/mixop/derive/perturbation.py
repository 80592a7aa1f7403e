"""Selection by what its removal costs: the supernet itself says which option it needs."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from mixop.derive.base import Derivation, Norm, Trained, architecture_of, best_options, check_norm
from mixop.errors import RecipeError, unknown
from mixop.ops import BatchNorm
from mixop.schedules import check_range
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class PerturbationSelection(Derivation):
    """DARTS-PT: decisions in random order; each takes the option whose removal hurts the supernet most.

    An option is removed by setting its mixing weight to 0, the others as they are. The decision is then fixed, and the
    supernet trained on for some epochs before the next one, so that it can adapt. Epochs before the end are shown by the
    argmax of their mean mixing weights.

    Args:
        interval: epochs of tuning after every decision but the last, >= 0.
        rate: learning rate of the weights while tuning, > 0; a tenth of the search's first.
        criterion: what is measured after a removal: ``accuracy`` (the lowest is chosen, on ties the highest loss) or
            ``loss`` (the highest is chosen).
        batches: validation batches of the recipe's size for each measurement, >= 1; None for the whole split.
        norm: what batch norm uses while measuring.

    Source: Wang et al. 2021 (arXiv:2108.04392), algorithm 1, and the authors' code for the numbers. They break ties of the
        accuracy by the options' order.
    """

    scores: ClassVar[bool] = True

    interval: int = 5
    rate: float = 0.0025
    criterion: Literal["accuracy", "loss"] = "accuracy"
    batches: int | None = None
    norm: Norm = "batch"

    def __post_init__(self) -> None:
        for name, value, least in (("interval", self.interval, 0), ("batches", 1 if self.batches is None else self.batches, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{name} of PerturbationSelection must be a whole number of at least {least}, got {value!r}.")
        check_range("rate of PerturbationSelection", self.rate, above=0)
        if self.criterion not in ("accuracy", "loss"):
            raise RecipeError(unknown("criterion of PerturbationSelection", self.criterion, ("accuracy", "loss")))
        check_norm("PerturbationSelection", self.norm)

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        return architecture_of(space, {g.name: best_options(mean[g.name].tolist(), g, none=True) for g in space.groups})

    def final(self, trained: Trained) -> Architecture:
        decisions = [(group.name, e) for group in trained.space.groups for e in range(len(group.decisions))]
        if "PerturbationSelection.order" not in trained.memory:
            trained.memory["PerturbationSelection.order"] = torch.randperm(len(decisions), generator=trained.generator)
        order = [decisions[i] for i in trained.memory["PerturbationSelection.order"].tolist()]
        for name, e in order:
            if e in trained.fixed.get(name, {}):  # decided before the run was left
                continue
            trained.fix(name, e, self._most_needed(trained, name, e))
            if (name, e) != order[-1] and self.interval:
                trained.tune(self.interval, self.rate)
        options = {group.name: [trained.fixed[group.name][e] for e in range(group.shape[0])] for group in trained.space.groups}
        return architecture_of(trained.space, options)

    def check(self, space: Space, norm: BatchNorm) -> None:
        check_norm("PerturbationSelection", self.norm, norm)

    def _most_needed(self, trained: Trained, name: str, decision: int) -> int:
        """The option without which the supernet is worst."""
        mean = trained.mean()
        harm = []
        for o in range(mean[name].shape[1]):
            without = mean[name].clone()
            without[decision, o] = 0.0
            accuracy, loss = trained.accuracy({**mean, name: without}, self.batches, self.norm)
            harm.append((-accuracy, loss) if self.criterion == "accuracy" else (loss, -accuracy))
        return max(range(len(harm)), key=lambda o: (harm[o], -o))
