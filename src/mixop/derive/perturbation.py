"""Selection by what its removal costs: the supernet itself says which option it needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from mixop.core.errors import RecipeError, unknown
from mixop.core.schedules import Constant, Progress, Schedule, check_range, schedule
from mixop.core.types import DROPPED
from mixop.derive.base import (
    Derivation,
    Norm,
    Trained,
    architecture_from,
    best_options,
    check_norm,
    check_takes_one,
    derived,
)
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class PerturbationSelection(Derivation):
    """DARTS-PT: decisions in random order; each takes the option whose removal hurts the supernet most.

    An option is removed by setting its mixing weight to 0, the others as they are. The decision is then fixed, and the
    supernet trained on for some epochs before the next one, so that it can adapt. With several groups, one decision of each is
    made in a round. Where architectures keep only some edges of every node, the nodes with more edges follow in random order:
    of each, those edges are dropped whose removal hurts least. Epochs before the end are shown by the argmax of their mean
    mixing weights.

    Args:
        interval: epochs of tuning between two rounds, >= 0.
        rate: learning rate of the weights while tuning, > 0; a tenth of the search's first. A schedule runs over all tuning.
            The authors' code makes a cosine for the DARTS space and never steps it, so it is a constant in both.
        early: whether one epoch of tuning less comes before the last round. None does as the authors' code: yes where cells
            keep all edges (NAS-Bench-201: epochs 0, 5, 10, 15, 20 and 24), no where they keep some (DARTS: 0, 5, ..., 80).
        criterion: what is measured after a removal: ``accuracy`` (the lowest is chosen, on ties the highest loss) or
            ``loss`` (the highest is chosen).
        batches: validation batches of the recipe's size for each measurement, >= 1; None for the whole split.
        norm: what batch norm uses while measuring.
        cumulative: whether an edge that a node has lost is absent while its next one is looked for. The authors' code puts it
            back, so that each trial lacks exactly one edge of the full node; that is the default.

    Source: Wang et al. 2021 (arXiv:2108.04392), algorithm 1, and the authors' code for the numbers. They break ties of the
        accuracy by the options' order.
    """

    scores: ClassVar[bool] = True

    interval: int = 5
    rate: Schedule = Constant(0.0025)
    early: bool | None = None
    criterion: Literal["measure", "loss"] = "measure"
    batches: int | None = None
    norm: Norm = "batch"
    cumulative: bool = False

    def __post_init__(self) -> None:
        for name, value, least in (("interval", self.interval, 0), ("batches", 1 if self.batches is None else self.batches, 1)):
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise RecipeError(f"{name} of PerturbationSelection must be a whole number of at least {least}, got {value!r}.")
        check_range("rate of PerturbationSelection", self.rate, above=0)
        object.__setattr__(self, "rate", schedule(self.rate))
        if self.criterion not in ("measure", "loss"):
            raise RecipeError(unknown("criterion of PerturbationSelection", self.criterion, ("measure", "loss")))
        check_norm("PerturbationSelection", self.norm)

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        return derived(space, mean, lambda rows, group: best_options(rows, group, none=True))

    def final(self, trained: Trained) -> Architecture:
        # What was decided or tuned before a run was stopped is known from ``fixed`` and the memory, and not repeated.
        rounds = [*self._option_rounds(trained), *self._node_rounds(trained)]
        before = [number * self.interval for number in range(len(rounds))]
        early = not any(group.keep for group in trained.space.groups) if self.early is None else self.early
        if early and len(rounds) > 1:
            before[-1] = max(before[-1] - 1, 0)
        for decide, epochs in zip(rounds, before, strict=True):
            while _tuned(trained) < epochs:
                self._tune(trained, before[-1])
            decide()
        pairs = {g.name: [(e, o) for e, o in trained.fixed[g.name].items() if o != DROPPED] for g in trained.space.groups}
        return architecture_from(trained.space, pairs)

    def check(self, space: Space, norm: BatchNorm) -> None:
        check_norm("PerturbationSelection", self.norm, norm)
        check_takes_one("PerturbationSelection", space)

    def _option_rounds(self, trained: Trained) -> list[Callable[[], None]]:
        orders = {g.name: _order(trained, g.name, len(g.decisions)) for g in trained.space.groups}

        def decide(number: int) -> None:
            for name, order in orders.items():
                if number < len(order) and order[number] not in trained.fixed.get(name, {}):
                    trained.fix(name, order[number], self._most_needed(trained, name, order[number]))

        return [lambda number=number: decide(number) for number in range(max(map(len, orders.values())))]

    def _node_rounds(self, trained: Trained) -> list[Callable[[], None]]:
        orders: dict[str, list[int]] = {}
        for group in trained.space.groups:
            crowded = [target for target in group.targets if 0 < group.keep < len(group.into(target))]
            orders[group.name] = [crowded[i] for i in _order(trained, f"{group.name}.nodes", len(crowded))]

        def decide(number: int) -> None:
            for group in trained.space.groups:
                if number < len(orders[group.name]):
                    self._thin_out(trained, group.name, group.into(orders[group.name][number]), group.keep)

        return [lambda number=number: decide(number) for number in range(max(map(len, orders.values())))]

    def _thin_out(self, trained: Trained, name: str, edges: list[int], keep: int) -> None:
        """Drops the least needed edges of a node until ``keep`` are left."""
        mean = trained.mean()
        there = [e for e in edges if trained.fixed[name][e] != DROPPED]
        gone: list[int] = []
        harm: dict[int, tuple[float, float]] = {}
        while len(there) > keep:
            if self.cumulative or not harm:
                absent = gone if self.cumulative else []
                harm = {e: self._harm(trained, mean, name, [([*absent, e], slice(None))]) for e in there}
            least = min(there, key=lambda e: (harm[e], -e))
            there.remove(least)
            gone.append(least)
        for e in gone:
            trained.fix(name, e, DROPPED)

    def _most_needed(self, trained: Trained, name: str, decision: int) -> int:
        """The option without which the supernet is worst."""
        mean = trained.mean()
        harm = [self._harm(trained, mean, name, [(decision, o)]) for o in range(mean[name].shape[1])]
        return max(range(len(harm)), key=lambda o: (harm[o], -o))

    def _harm(self, trained: Trained, mean: Mapping[str, Tensor], name: str, removed: list) -> tuple[float, float]:
        """How bad the supernet is where some of a group's mixing weights are zero: larger is worse."""
        without = mean[name].clone()
        for at in removed:
            without[at] = 0.0
        measure, loss = trained.worth({**mean, name: without}, self.batches, self.norm)
        return (-measure, -loss) if self.criterion == "measure" else (-loss, -measure)

    def _tune(self, trained: Trained, total: int) -> None:
        done = _tuned(trained)
        trained.memory["PerturbationSelection.tuned"] = torch.tensor(done + 1)
        trained.tune(1, self.rate(Progress(done, total)))


def _tuned(trained: Trained) -> int:
    """Epochs of tuning that were begun."""
    return int(trained.memory.get("PerturbationSelection.tuned", torch.zeros(())))


def _order(trained: Trained, name: str, count: int) -> list[int]:
    """A random order, drawn once in a run."""
    key = f"PerturbationSelection.order.{name}"
    if key not in trained.memory:
        trained.memory[key] = torch.randperm(count, generator=trained.generator)
    return trained.memory[key].tolist()
