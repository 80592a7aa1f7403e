"""What a derivation is: from a trained supernet to the discrete architecture."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar, Literal, Protocol

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError, unknown
from mixop.core.types import Mix, Params
from mixop.nets.ops import BatchNorm
from mixop.relax.base import Relaxation
from mixop.spaces.core import Architecture, Choice, Group, Space

Norm = Literal["batch", "running", "recalibrated"]
"""What batch norm uses while shared weights are scored.

``batch``: each batch's own statistics; ``running``: those of the search; ``recalibrated``: running statistics estimated
again on training images for that path only. None of them changes the supernet.
"""

NORMS = ("batch", "running", "recalibrated")


class Trained(Protocol):
    """A supernet after its last epoch, as a derivation may measure it and train it on.

    Attributes:
        space: the search space.
        params: architecture parameters by group.
        relaxation: from parameters to mixing weights.
        memory: what parts carry, by ``ClassName.what``; part of the checkpoint. A derivation that draws keeps the draws
            here, because the run may be saved and stopped in every `worth` and `tune`, and `final` is then called again.
        generator: CPU source of randomness, part of the checkpoint.
        epochs: epochs of the search.
        fixed: for each group the option of every fixed decision.
    """

    @property
    def space(self) -> Space: ...
    @property
    def params(self) -> Params: ...
    @property
    def relaxation(self) -> Relaxation: ...
    @property
    def memory(self) -> dict[str, Tensor]: ...
    @property
    def generator(self) -> Generator: ...
    @property
    def epochs(self) -> int: ...
    @property
    def fixed(self) -> Mapping[str, Mapping[int, int]]: ...

    def mean(self) -> Mapping[str, Tensor]:
        """Mean mixing weights ``(E, O)`` of every group, without gradient."""
        ...

    def draw(self) -> Architecture:
        """An architecture sampled from the relaxation: of a draw, the option of largest weight in every decision.

        Of a group that keeps some edges of every node, those that run, or as many drawn uniformly if all do.
        """
        ...

    def worth(self, what: Mix | Architecture, batches: int | None = None, norm: Norm = "batch") -> tuple[float, float]:
        """What it is worth on the validation part with the shared weights: two numbers, larger is better for both.

        The first is the task's first measure, the second, for ties, minus the loss.

        Args:
            what: mixing weights, or an architecture, of which one path runs.
            batches: how many batches of the split, from the first; of the recipe's size, the same in every call. None for all.
            norm: what batch norm uses.
        """
        ...

    def fix(self, group: str, decision: int, option: int) -> None:
        """From now on that decision is one-hot in every draw and mean, or absent if the option is `mixop.core.types.DROPPED`.

        Its parameters stay as they are.
        """
        ...

    def tune(self, epochs: int, weight_rate: float) -> None:
        """Trains weights and undecided architecture parameters on, as in the search at its end.

        The first call forgets the weight optimiser's momentum.

        Args:
            epochs: passes over the training split, >= 1.
            weight_rate: learning rate of the weights, > 0.
        """
        ...

    def save(self) -> None:
        """Writes the checkpoint."""
        ...


class Derivation(ABC):
    """Base of the derivation rules; subclasses are frozen dataclasses.

    Attributes:
        scores: whether the rule compares architectures on examples that training has not seen.
        needs: names of the monitors and regularisers whose memory it reads.
    """

    scores: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()

    @abstractmethod
    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        """The architecture that the mean mixing weights stand for: what every epoch's record shows.

        Args:
            mean: for each group the mean mixing weights ``(E, O)``.
            space: the search space.
        """

    def final(self, trained: Trained) -> Architecture:
        """The architecture that a finished search returns; by default that of the mean mixing weights.

        Args:
            trained: the supernet; called once after the last epoch, and again if the run was stopped in the middle of it.
        """
        return self(trained.mean(), trained.space)

    def check(self, space: Space, norm: BatchNorm) -> None:
        """Refuses spaces and batch norms that the rule does not fit.

        Args:
            space: the search space.
            norm: batch norm in the supernet.

        Raises:
            RecipeError: naming both.
        """
        return


def best_options(rows: Sequence[Sequence[float]], group: Group, *, none: bool) -> list[int]:
    """For each decision the option of largest weight, the first one on ties.

    Args:
        rows: weights ``(E, O)``.
        group: the decisions they belong to.
        none: whether an absent option may be chosen; never in a group whose architectures drop edges instead.
    """
    best = []
    for decision, row in zip(group.decisions, rows, strict=True):
        allowed = [o for o, option in enumerate(decision.options) if (none and not group.keep) or not group.is_absent(option)]
        best.append(max(allowed, key=lambda o: (row[o], -o)))
    return best


def several(rows: Sequence[Sequence[float]], group: Group) -> list[tuple[int, int]]:
    """Of a group whose decisions take several options, the decisions with their options of largest weight, by index.

    Args:
        rows: weights ``(E, O)``.
        group: the decisions they belong to. Ties go to the first option.

    Source: Zela et al. 2020 (arXiv:2001.10422), section 3.2: a node's inputs of largest weight, as many as it has parents.
    """
    best = [sorted(range(len(row)), key=lambda o, row=row: (-row[o], o))[: group.take] for row in rows]
    return [(e, o) for e, options in enumerate(best) for o in sorted(options)]


def check_takes_one(rule: str, space: Space) -> None:
    """Refuses a space where a decision takes several options, for rules that choose one by one.

    Raises:
        RecipeError: naming the rule and the space.
    """
    for group in space.groups:
        if group.take > 1:
            raise RecipeError(
                f"{rule} chooses one option of a decision, but {group.name} of {space.name} takes {group.take}: use Argmax or "
                "BestSampled."
            )


Choose = Callable[[Sequence[Sequence[float]], Group], Sequence[int]]
"""From the mixing weights ``(E, O)`` of a group to the option of every decision."""


def derived(space: Space, mean: Mapping[str, Tensor], choose: Choose) -> Architecture:
    """The architecture that takes a chosen option in every decision; of a group that keeps some edges, the strongest ones.

    The strength of an edge is the weight of its option, times that of the edge itself where edges are weighed. Ties go to the
    smaller source.

    Args:
        space: the search space.
        mean: mean mixing weights ``(E, O)`` by group, and of the groups of node inputs if there are any.
        choose: from the weights of a group to the option of every decision.

    Source: Liu et al. 2019 (arXiv:1806.09055), section 2.4; edge weights: Xu et al. 2020 (arXiv:1907.05737), section 3.3.
    """
    pairs = {}
    for group in space.groups:
        rows = mean[group.name].tolist()
        if group.take > 1:
            pairs[group.name] = several(rows, group)
            continue
        options = choose(rows, group)
        strengths = [row[o] * weight for row, o, weight in zip(rows, options, edge_weights(mean, group), strict=True)]
        pairs[group.name] = [(e, options[e]) for e in strongest(group, strengths)]
    return architecture_from(space, pairs)


def edge_weights(mean: Mapping[str, Tensor], group: Group) -> list[float]:
    """The weight of every edge of a group: 1, unless the mixing weights have one for the inputs of each node."""
    weighed = [inputs.name for inputs in group.input_groups if inputs.name in mean]
    return torch.cat([mean[name].flatten() for name in weighed]).tolist() if weighed else [1.0] * len(group.decisions)


def strongest(group: Group, strengths: Sequence[float]) -> list[int]:
    """The decisions that an architecture keeps, in order: all, or for each node the strongest ones."""
    if not group.keep:
        return list(range(len(group.decisions)))
    kept: list[int] = []
    for target in group.targets:
        kept += sorted(group.into(target), key=lambda e: (-strengths[e], e))[: group.keep]
    return sorted(kept)


def architecture_from(space: Space, pairs: Mapping[str, Sequence[tuple[int, int]]]) -> Architecture:
    """The architecture of given decisions and options.

    Args:
        space: the search space.
        pairs: for each group its kept decisions and their options, by index.
    """
    choices = [
        (group.name, tuple(Choice(e, group.decisions[e].options[o]) for e, o in sorted(pairs[group.name])))
        for group in space.groups
    ]
    architecture = space.settled(Architecture(space.name, tuple(choices)))
    space.check(architecture)
    return architecture


def drop_weak(rows: Sequence[Sequence[float]], best: list[int], group: Group, threshold: float) -> list[int]:
    """An absent option in place of those that weigh less than a threshold, on decisions that offer one.

    A group that keeps some edges of each node is left alone: dropping weak edges and filling up by rank gives the same edges.

    Args:
        rows: weights ``(E, O)``.
        best: option of every decision.
        group: the decisions they belong to.
        threshold: least weight.
    """
    kept = []
    for e, (decision, o) in enumerate(zip(group.decisions, best, strict=True)):
        absent = [a for a, option in enumerate(decision.options) if group.is_absent(option)]
        weak = rows[e][o] < threshold and absent and not group.keep
        kept.append(absent[0] if weak else o)
    return kept


def check_not_only_none(rule: str, space: Space) -> None:
    """Refuses a space with a decision that offers nothing but absent options.

    Raises:
        RecipeError: naming the rule and the space.
    """
    for group in space.groups:
        for decision in group.decisions:
            if all(group.is_absent(option) for option in decision.options):
                only = " and ".join(decision.options)
                raise RecipeError(f"{rule} has nothing to choose on an edge of {space.name} that offers only {only}.")


def check_norm(rule: str, norm: str, of: BatchNorm | None = None) -> None:
    """Refuses an unknown policy of batch norm, and one that the supernet's batch norm cannot follow.

    Raises:
        RecipeError: with the way out.
    """
    if norm not in NORMS:
        raise RecipeError(unknown(f"batch norm of {rule}", norm, NORMS))
    if of is not None and norm != "batch" and not of.track:
        raise RecipeError(
            f"{rule} wants {norm} statistics of batch norm, but the supernet keeps none: use norm='batch', or track=true."
        )
