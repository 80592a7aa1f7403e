"""What a derivation is: from a trained supernet to the discrete architecture."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar, Literal, Protocol

from torch import Generator, Tensor

from mixop.errors import RecipeError, unknown
from mixop.ops import BatchNorm
from mixop.relax.base import Relaxation
from mixop.spaces.core import Architecture, Group, Space
from mixop.types import Mix, Params

Norm = Literal["batch", "running", "recalibrated"]
"""What batch norm uses while shared weights are scored.

``batch``: each batch's own statistics; ``running``: those of the search; ``recalibrated``: running statistics estimated
anew on training images for just that path. None of them changes the supernet.
"""

NORMS = ("batch", "running", "recalibrated")


class Trained(Protocol):
    """A supernet after its last epoch, as a derivation may measure it and train it on.

    Attributes:
        space: the search space.
        params: architecture parameters by group.
        relaxation: from parameters to mixing weights.
        memory: what parts carry, by ``ClassName.what``; part of the checkpoint. A derivation that draws keeps the draws
            here, because the run may be saved and left in every `accuracy` and `tune`, and `final` is then called anew.
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
        """An architecture sampled from the relaxation: of a draw, the option of largest weight in every decision."""
        ...

    def accuracy(self, what: Mix | Architecture, batches: int | None = None, norm: Norm = "batch") -> tuple[float, float]:
        """Accuracy in [0, 1] and mean cross-entropy (nats) on the validation split, with the shared weights.

        Args:
            what: mixing weights, or an architecture, of which one path runs.
            batches: the first so many batches of the split, of the recipe's size and the same in every call; None for all.
            norm: what batch norm uses.
        """
        ...

    def fix(self, group: str, decision: int, option: int) -> None:
        """From now on that decision is one-hot in every draw and mean, and its parameters stay as they are."""
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
            trained: the supernet; called once after the last epoch, and anew when a run was left in the middle of it.
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
        none: whether ``none`` may be chosen.
    """
    best = []
    for decision, row in zip(group.decisions, rows, strict=True):
        allowed = [o for o, option in enumerate(decision.options) if none or option != "none"]
        best.append(max(allowed, key=lambda o: (row[o], -o)))
    return best


def architecture_of(space: Space, options: Mapping[str, Sequence[int]]) -> Architecture:
    """The architecture with the given option in every decision.

    Args:
        space: the search space.
        options: for each group E option indices.
    """
    return space.architecture(options[group.name] for group in space.groups)


def drop_weak(rows: Tensor, best: list[int], group: Group, threshold: float) -> list[int]:
    """``none`` in place of options that weigh less than a threshold, on decisions that offer it.

    Args:
        rows: weights ``(E, O)``.
        best: option of every decision.
        group: the decisions they belong to.
        threshold: least weight.
    """
    kept = []
    for e, (decision, o) in enumerate(zip(group.decisions, best, strict=True)):
        weak = float(rows[e, o]) < threshold and "none" in decision.options
        kept.append(decision.options.index("none") if weak else o)
    return kept


def check_not_only_none(rule: str, space: Space) -> None:
    """Refuses a space with a decision that offers nothing but ``none``.

    Raises:
        RecipeError: naming the rule and the space.
    """
    for group in space.groups:
        if any(decision.options == ("none",) for decision in group.decisions):
            raise RecipeError(f"{rule} has nothing to choose on an edge of {space.name} that offers only none.")


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
