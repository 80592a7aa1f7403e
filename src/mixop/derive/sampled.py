"""The best of several architectures, compared with the shared weights."""

import heapq
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
from torch import Tensor

from mixop.core.errors import RecipeError, unknown
from mixop.core.types import DROPPED
from mixop.derive.base import Derivation, Norm, Trained, architecture_from, best_options, check_norm, derived
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Architecture, Group, Space


def most_probable(rows: Sequence[Sequence[float]], count: int) -> list[tuple[int, ...]]:
    """The most probable combinations of independent choices, most probable first.

    Exact, without enumerating the others: every combination is reached from one that is at least as probable by taking
    the next best option of one row, so a queue of ``count * len(rows)`` combinations is enough.

    Args:
        rows: for each choice the probabilities of its options, or numbers proportional to them, >= 0.
        count: how many combinations, >= 1; all of them if there are fewer.

    Returns:
        Option indices, one for each row; ties between options go to the first one.
    """
    logs = [[math.log(p) if p > 0 else -math.inf for p in row] for row in rows]
    orders = [sorted(range(len(row)), key=lambda o, row=row: (-row[o], o)) for row in logs]

    def cost(ranks: tuple[int, ...]) -> float:
        return -math.fsum(row[order[rank]] for row, order, rank in zip(logs, orders, ranks, strict=True))

    start = (0,) * len(rows)
    # Rows are only raised from the last raised one on, so that every combination comes up once.
    queue: list[tuple[float, tuple[int, ...], int]] = [(cost(start), start, 0)]
    found: list[tuple[int, ...]] = []
    while queue and len(found) < count:
        _, ranks, raised = heapq.heappop(queue)
        found.append(tuple(order[rank] for order, rank in zip(orders, ranks, strict=True)))
        for r in range(raised, len(rows)):
            if ranks[r] + 1 < len(orders[r]):
                following = (*ranks[:r], ranks[r] + 1, *ranks[r + 1 :])
                heapq.heappush(queue, (cost(following), following, r))
    return found


@dataclass(frozen=True, kw_only=True)
class BestSampled(Derivation):
    """The architecture that is best on the validation part under the shared weights, out of several; lower loss breaks ties.

    All are scored on the same examples: the authors' code takes another batch for each, which adds noise to the comparison.
    Epochs before the end are shown by the argmax of their mean mixing weights.

    Args:
        samples: architectures that are compared, >= 1.
        batches: validation batches for each, of the recipe's size, >= 1; None for the whole split.
        norm: what batch norm uses: ``batch`` statistics, ``running`` ones of the search (which mix all paths), or those
            ``recalibrated`` on training images for each architecture.
        by: ``draw`` samples from the relaxation (random search with weight sharing, ENAS); ``probability`` takes the
            architectures of highest product of mean mixing weights (SETN); decisions that take several options have those of
            largest weight in all of them.

    Source: Li & Talwalkar 2019 (arXiv:1902.07638), section 3.2; Pham et al. 2018 (arXiv:1802.03268), section 2.2; Dong & Yang
        2019 (arXiv:1910.05733), section 3.3; 100 samples as in the code of NAS-Bench-201.
    """

    scores: ClassVar[bool] = True

    samples: int = 100
    batches: int | None = 1
    norm: Norm = "batch"
    by: Literal["draw", "probability"] = "draw"

    def __post_init__(self) -> None:
        for name, value in (("samples", self.samples), ("batches", 1 if self.batches is None else self.batches)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 1:
                raise RecipeError(f"{name} of BestSampled must be a whole number of at least 1, got {value!r}.")
        check_norm("BestSampled", self.norm)
        if self.by not in ("draw", "probability"):
            raise RecipeError(unknown("way to sample architectures", self.by, ("draw", "probability")))

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        return derived(space, mean, lambda rows, group: best_options(rows, group, none=True))

    def final(self, trained: Trained) -> Architecture:
        memory, space = trained.memory, trained.space
        if "BestSampled.candidates" not in memory:
            candidates = list(dict.fromkeys(self._candidates(trained)))
            memory["BestSampled.candidates"] = torch.tensor(candidates)
            memory["BestSampled.scores"] = torch.empty(0, 2, dtype=torch.float64)
        candidates = [_architecture(space, row) for row in memory["BestSampled.candidates"].tolist()]
        for candidate in candidates[len(memory["BestSampled.scores"]) :]:
            new = torch.tensor([trained.worth(candidate, self.batches, self.norm)], dtype=torch.float64)
            memory["BestSampled.scores"] = torch.cat([memory["BestSampled.scores"], new])
        scores = [tuple(score) for score in memory["BestSampled.scores"].tolist()]
        return candidates[max(range(len(scores)), key=lambda i: (scores[i], -i))]

    def check(self, space: Space, norm: BatchNorm) -> None:
        check_norm("BestSampled", self.norm, norm)

    def _candidates(self, trained: Trained) -> list[tuple[int, ...]]:
        """Option indices of all decisions, group by group."""
        if self.by == "probability":
            mean, space = trained.mean(), trained.space
            rows = [row for g in space.groups if g.take == 1 for row in _allowed(mean[g.name].tolist(), g)]
            return [_strongest(space, mean, options) for options in most_probable(rows, self.samples)]
        return [_indices(trained.space, trained.draw()) for _ in range(self.samples)]


def _indices(space: Space, architecture: Architecture) -> tuple[int, ...]:
    """The option of every decision, group by group; `DROPPED` where there is none.

    Of O options, two of one decision are the number ``(first + 1) + (O + 1) * (second + 1) - 1``, which no single one has.
    """
    indices = []
    for group in space.groups:
        chosen = [0] * len(group.decisions)
        for choice in reversed(architecture.of(group.name)):
            option = group.decisions[choice.decision].options.index(choice.option)
            chosen[choice.decision] = (group.shape[1] + 1) * chosen[choice.decision] + option + 1
        indices += [number - 1 if number else DROPPED for number in chosen]
    return tuple(indices)


def _architecture(space: Space, indices: Sequence[int]) -> Architecture:
    rest = iter(indices)
    pairs = {}
    for group in space.groups:
        taken = [(e, option) for e in range(len(group.decisions)) for option in _options_in(next(rest), group.shape[1])]
        pairs[group.name] = taken
    return architecture_from(space, pairs)


def _options_in(number: int, options: int) -> Iterator[int]:
    """The options of one decision that a number of `_indices` stands for."""
    rest = number + 1  # 0 where it is dropped
    while rest:
        yield rest % (options + 1) - 1
        rest //= options + 1


def _allowed(rows: Sequence[Sequence[float]], group: Group) -> list[list[float]]:
    """The weights of the options, 0 for those that an architecture cannot have."""
    return [
        [weight if name in group.eligible(e) else 0.0 for name, weight in zip(d.options, row, strict=True)]
        for e, (d, row) in enumerate(zip(group.decisions, rows, strict=True))
    ]


def _strongest(space: Space, mean: Mapping[str, Tensor], options: Sequence[int]) -> tuple[int, ...]:
    """The same options on the edges that are kept for their weight."""
    rest = iter(options)
    return _indices(space, derived(space, mean, lambda rows, group: [next(rest) for _ in rows]))
