"""One class for every example."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

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


@dataclass(frozen=True)
class Classification(Task):
    """One class for every example: outputs ``(B, K)`` are logits, targets ``(B,)`` class numbers 0..K-1 in int64.

    The loss is torch's cross-entropy, in nats. Measured: accuracy, the share of right answers, which ranks; and the loss.

    Args:
        classes: names of the K >= 2 classes; empty to number those of the training targets.
        smoothing: share of every target that the loss spreads over all classes, in [0, 1).
        weights: weight of every class in the loss, > 0; empty for 1. The loss is the weighted mean.

    Raises:
        RecipeError: for a single class, a name that occurs twice, or numbers out of range.

    Source: label smoothing by Szegedy et al. 2016 (arXiv:1512.00567), section 7.

    Example:
        >>> task = Classification(("cat", "dog"))
        >>> totals = task.totals()
        >>> totals.add(torch.tensor([[2.0, 0.0], [0.0, 2.0]]), torch.tensor([0, 0]))
        >>> totals.value()["accuracy"]
        0.5
    """

    name: ClassVar[str] = "classification"
    gives: ClassVar[str] = "probabilities"

    classes: tuple[str, ...] = ()
    smoothing: float = 0.0
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", names(self.classes, "classes", least=2))
        object.__setattr__(self, "weights", positive(self.weights, len(self.classes), "weights of the classes"))
        share(self.smoothing, "label smoothing")

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Accuracy and loss."""
        return ACCURACY, LOSS

    @property
    def outputs(self) -> int:
        """The number of classes."""
        return open_count(len(self.classes), self.name, "classes")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy in nats."""
        return cross_entropy(outputs, targets, class_weights(self.weights, outputs), label_smoothing=self.smoothing)

    def totals(self, *, details: bool = False) -> "ClassificationTotals":
        """Empty sums; with ``details`` also the confusion of classes."""
        return ClassificationTotals(self, details)

    def predict(self, outputs: Tensor) -> Tensor:
        """Class numbers ``(B,)``, int64."""
        return answers(outputs)

    def readable(self, outputs: Tensor) -> Tensor:
        """Probabilities of the classes, ``(B, K)``."""
        return outputs.softmax(1)

    def stored(self, targets: Tensor, where: str = "the data") -> Tensor:
        """Class numbers of any integer type as int64."""
        return targets if targets.is_floating_point() or targets.is_complex() else targets.long()

    def check(self, targets: Tensor, where: str) -> None:
        """Refuses what is not one class number for every example."""
        check_labels(targets, len(self.classes), where, "example", positions=False)

    def complete(self, targets: Tensor) -> Self:
        """The task with classes named by their numbers, if it has no names."""
        if self.classes:
            return self
        self.check(targets, "training")
        return replace(self, classes=numbered(targets))

    def smoothed(self, amount: float) -> Self:
        """The task with another label smoothing, for training only; 0 changes nothing."""
        return replace(self, smoothing=amount) if amount else self

    def strata(self, targets: Tensor) -> Tensor | None:
        """The class numbers: splits keep every class's share."""
        return targets


class ClassificationTotals(Sums[Classification]):
    """Right answers, and losses and weights that add up to the weighted mean.

    Args:
        task: the task.
        details: whether to count the confusion.
    """

    def __init__(self, task: Classification, details: bool) -> None:
        super().__init__(task)
        self.confusion = details

    def terms(self, outputs: Tensor, targets: Tensor) -> dict[str, Term]:
        """Of a batch."""
        task, given = self.task, answers(outputs)
        terms: dict[str, Term] = {
            "count": len(targets),
            "weight": total(weighed(outputs, targets, task.weights)) if task.weights else len(targets),
            "right": (given == targets).count_nonzero(),
        }
        if self.confusion:
            terms["confusion"] = table(targets, given, task.outputs)
        return terms

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of every example."""
        return entropies(outputs, targets, weights=self.task.weights, smoothing=self.task.smoothing)

    def measured(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Accuracy."""
        return {"accuracy": sums["right"] / sums["count"]}

    def details(self) -> dict[str, Any]:
        """The confusion: for each true class (row) how many examples were given each class (column)."""
        if not self.confusion:
            return {}
        size = self.task.outputs
        return {"confusion": self.read().get("confusion", torch.zeros(size, size, dtype=torch.int64)).tolist()}
