"""One class for every position: pixels of an image, samples of a signal."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mixop.core.errors import DataError
from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.tasks.base import Task
from mixop.tasks.labels import (
    answers,
    check_labels,
    class_weights,
    entropies,
    names,
    numbered,
    open_count,
    positive,
    share,
    weighed,
)
from mixop.tasks.sums import Sums, Term, table, total

VOID = 255
"""The label by which masks of 8 bits commonly mark what has no class."""


@dataclass(frozen=True)
class Segmentation(Task):
    """One class for every position: outputs ``(B, K, *positions)`` are logits, targets ``(B, *positions)`` int64.

    The loss is torch's cross-entropy in nats, its mean over all positions that are not ignored; 0, with a gradient of 0,
    where all are. Measured: the mean intersection over union, which ranks; the share of positions that are right; the loss.
    For each class, the intersection over union is the number of positions that have it and were given it, divided by the
    number that have it or were given it; the mean is over the classes that occur in either. Ignored positions count nowhere.

    Args:
        classes: names of the K >= 2 classes; empty to number those of the training targets.
        ignore: a label that stands for no class, inside 0..K-1 or not; None for none.
        weights: weight of every class in the loss, > 0; empty for 1. The loss is the weighted mean.
        smoothing: share of every target that the loss spreads over all classes, in [0, 1).

    Raises:
        RecipeError: for a single class, a name that occurs twice, or numbers out of range.

    Example:
        >>> totals = Segmentation(("sky", "ground")).totals()
        >>> totals.add(torch.tensor([[[2.0, 0.0, 2.0], [0.0, 2.0, 0.0]]]), torch.tensor([[0, 1, 1]]))  # answers 0, 1, 0
        >>> totals.value()["miou"]
        0.5
    """

    name: ClassVar[str] = "segmentation"
    gives: ClassVar[str] = "probabilities"

    dense: bool = field(default=True, init=False, repr=False, compare=False)
    classes: tuple[str, ...] = ()
    ignore: int | None = None
    weights: tuple[float, ...] = ()
    smoothing: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", names(self.classes, "classes", least=2))
        object.__setattr__(self, "weights", positive(self.weights, len(self.classes), "weights of the classes"))
        share(self.smoothing, "label smoothing")

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Mean intersection over union, accuracy, loss."""
        return Measure("miou", "higher", style="percent"), ACCURACY, LOSS

    @property
    def ignored(self) -> int | None:
        """The label that stands for no class."""
        return self.ignore

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return open_count(len(self.classes), self.name, "classes")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats over the positions that are not ignored."""
        if self.ignore is None:
            return cross_entropy(outputs, targets, class_weights(self.weights, outputs), label_smoothing=self.smoothing)
        weight = self.weight(outputs, targets).sum()
        # torch's own mean is 0 / 0 where all positions are ignored, and so is its gradient.
        return self.entropies(outputs, targets).sum() / weight.where(weight > 0, 1)

    def entropies(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The weighted cross-entropy of every position, 0 where it is ignored."""
        return entropies(outputs, targets, weights=self.weights, smoothing=self.smoothing, ignore=self.ignore)

    def weight(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The weight of every position in the dtype of the outputs, 0 where it is ignored."""
        known = self.known(targets)
        if self.weights:
            return weighed(outputs, targets, self.weights, known)
        return (torch.ones_like(targets) if known is None else known).to(outputs.dtype)

    def known(self, targets: Tensor) -> Tensor | None:
        """Which positions are not ignored, bool; None for all."""
        return None if self.ignore is None else targets != self.ignore

    def totals(self, *, details: bool = False) -> "SegmentationTotals":
        """Empty sums; their details hold the confusion of classes."""
        return SegmentationTotals(self)

    def predict(self, outputs: Tensor) -> Tensor:
        """Class numbers ``(B, *positions)``, int64."""
        return answers(outputs)

    def readable(self, outputs: Tensor) -> Tensor:
        """Probabilities of the classes at every position, ``(B, K, *positions)``."""
        return outputs.softmax(1)

    def stored(self, targets: Tensor, where: str = "the data") -> Tensor:
        """Class numbers of any integer type as int64."""
        return targets if targets.is_floating_point() or targets.is_complex() else targets.long()

    def check(self, targets: Tensor, where: str) -> None:
        """Refuses what is not one class number for every position of every example."""
        check_labels(targets, len(self.classes), where, "position", positions=True, ignore=self.ignore)

    def complete(self, targets: Tensor) -> Self:
        """The task with classes named by their numbers, if it has no names.

        Raises:
            DataError: if the targets are no class numbers, or hold 255, which seems to mark what has no class.
        """
        if self.classes:
            return self
        self.check(targets, "training")
        if self.ignore != VOID and (targets == VOID).any() and not (targets == VOID - 1).any():
            raise DataError(f"The training targets hold {VOID} but not {VOID - 1}: give ignore={VOID}, or name all classes.")
        return replace(self, classes=numbered(targets, self.ignore))

    def smoothed(self, amount: float) -> Self:
        """The task with another label smoothing, for training only; 0 changes nothing."""
        return replace(self, smoothing=amount) if amount else self


class SegmentationTotals(Sums[Segmentation]):
    """The confusion of classes, from which both measures follow, and losses."""

    def terms(self, outputs: Tensor, targets: Tensor) -> dict[str, Term]:
        """Of a batch."""
        task, known = self.task, self.task.known(targets)
        count = targets.numel() if known is None else known.count_nonzero()
        return {
            "count": count,
            "weight": total(task.weight(outputs, targets)) if task.weights else count,
            "confusion": table(targets, answers(outputs), task.outputs, known),
        }

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of every position, 0 where it is ignored."""
        return self.task.entropies(outputs, targets)

    def measured(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Mean intersection over union, accuracy."""
        confusion = sums["confusion"].double()
        right = confusion.diagonal()
        either = confusion.sum(0) + confusion.sum(1) - right
        return {
            "miou": (right / either)[either > 0].mean().item(),
            "accuracy": (right.sum() / sums["count"]).item(),
        }

    def details(self) -> dict[str, Any]:
        """The confusion: for each true class (row) how many positions were given each class (column)."""
        size = self.task.outputs
        return {"confusion": self.read().get("confusion", torch.zeros(size, size, dtype=torch.int64)).tolist()}
