"""Several labels for every example, each of which applies or does not."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from mixop.core.errors import DataError
from mixop.core.measure import Measure
from mixop.core.transfer import constant
from mixop.tasks.base import Task
from mixop.tasks.labels import names, open_count, positive
from mixop.tasks.sums import Sums, Term


@dataclass(frozen=True)
class MultiLabel(Task):
    """Several labels for every example: outputs ``(B, K)`` are logits, targets ``(B, K)`` are 1 where a label applies, else 0.

    The loss is the binary cross-entropy of every label, its mean over examples and labels, in nats. A label is predicted
    where its probability is above 0.5. Measured: F1 over all labels together (micro average), which ranks; the share of
    examples with every label right; the loss.

    Args:
        classes: names of the K labels; empty to number the columns of the training targets.
        weights: for every label, the weight in the loss of the examples that have it, > 0; empty for 1.

    Raises:
        RecipeError: for a name that occurs twice, or weights out of range.

    Example:
        >>> import torch
        >>> totals = MultiLabel(("sun", "sea")).totals()
        >>> totals.add(torch.tensor([[3.0, 3.0], [-3.0, -3.0]]), torch.tensor([[1, 1], [1, 0]]))
        >>> round(totals.value()["f1"], 3), totals.value()["exact"]  # 2 found, 1 missed
        (0.8, 0.5)
    """

    name: ClassVar[str] = "multilabel"
    gives: ClassVar[str] = "probabilities"

    classes: tuple[str, ...] = ()
    weights: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "classes", names(self.classes, "labels"))
        object.__setattr__(self, "weights", positive(self.weights, len(self.classes), "weights of the labels"))

    @property
    def measures(self) -> tuple[Measure, ...]:
        """F1, share of exact answers, loss."""
        return (
            Measure("f1", "higher", style="percent"),
            Measure("exact", "higher", style="percent"),
            Measure("loss", "lower", "nats a label"),
        )

    @property
    def outputs(self) -> int:
        """The number of labels."""
        return open_count(len(self.classes), self.name, "labels")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean binary cross-entropy in nats a label."""
        return self.entropies(outputs, targets, "mean")

    def entropies(self, outputs: Tensor, targets: Tensor, reduction: str) -> Tensor:
        """The binary cross-entropy of every label of every example, reduced as torch does."""
        weights = constant(self.weights, outputs) if self.weights else None
        return binary_cross_entropy_with_logits(outputs, targets.to(outputs.dtype), pos_weight=weights, reduction=reduction)

    def totals(self, *, details: bool = False) -> "MultiLabelTotals":
        """Empty sums."""
        return MultiLabelTotals(self)

    def predict(self, outputs: Tensor) -> Tensor:
        """Which labels apply, ``(B, K)`` bool."""
        return outputs > 0  # a probability above 0.5

    def readable(self, outputs: Tensor) -> Tensor:
        """The probability of each label, ``(B, K)``."""
        return outputs.sigmoid()

    def stored(self, targets: Tensor, where: str = "the data") -> Tensor:
        """Targets of any dtype as float32."""
        return targets.float()

    def check(self, targets: Tensor, where: str) -> None:
        """Refuses what is not a 0 or a 1 for every label of every example."""
        count = len(self.classes)
        if targets.dim() != 2 or 0 in targets.shape or (count and targets.shape[1] != count):
            raise DataError(f"The targets of {where} must have the shape (N, {count or 'labels'}), got {tuple(targets.shape)}.")
        wrong = targets[(targets != 0) & (targets != 1)]
        if len(wrong):
            raise DataError(f"The targets of {where} must be 0 or 1 for every label, got {wrong[0].item()}.")

    def complete(self, targets: Tensor) -> Self:
        """The task with labels named by their numbers, if it has no names."""
        if self.classes:
            return self
        self.check(targets, "training")
        return replace(self, classes=tuple(str(k) for k in range(targets.shape[1])))


class MultiLabelTotals(Sums[MultiLabel]):
    """Labels that are found, given and right in truth; examples with every label right; losses."""

    def terms(self, outputs: Tensor, targets: Tensor) -> dict[str, Term]:
        """Of a batch."""
        given, true = self.task.predict(outputs), targets != 0
        return {
            "count": len(targets),
            "weight": targets.numel(),
            "found": (given & true).count_nonzero(),
            "given": given.count_nonzero(),
            "true": true.count_nonzero(),
            "exact": (given == true).all(1).count_nonzero(),
        }

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of every label."""
        return self.task.entropies(outputs, targets, "none")

    def measured(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """F1 (1 where there is no label to find and none is given), share of exact answers."""
        either = sums["given"] + sums["true"]
        return {
            "f1": 2 * sums["found"] / either if either else 1.0,
            "exact": sums["exact"] / sums["count"],
        }
