"""Numbers for every example."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor
from torch.nn.functional import huber_loss, l1_loss, mse_loss

from mixop.core.errors import DataError, RecipeError
from mixop.core.measure import Measure
from mixop.core.transfer import constant, double
from mixop.tasks.base import Task
from mixop.tasks.labels import names, open_count
from mixop.tasks.sums import Sums, Term, total

LOSSES = {"squared": mse_loss, "absolute": l1_loss, "huber": huber_loss}
"""The losses by their names: squared error, absolute error, and the Huber loss, quadratic up to one standard deviation."""

ROUNDING = 1e-3
"""Largest error that storing a target in float32 may make, in standard deviations of the targets."""


@dataclass(frozen=True)
class Regression(Task):
    """K numbers for every example: targets ``(B, K)`` in their own unit, or ``(B,)`` for a single one.

    A network learns standardised targets: its outputs ``(B, K)`` are standard deviations from the mean of the training
    targets, so that a learning rate suits any unit. The loss is of standardised values, its mean over examples and values.
    Measured, in the unit of the targets: the root of the mean squared error, the mean absolute error, and R squared, the share
    of the variance that is explained (1 is perfect, the mean as an answer gets 0); of several values, the mean over them. The
    root of the mean squared error ranks, the mean absolute error where the loss is absolute.

    Args:
        values: names of the K values; empty to number the columns of the training targets.
        mean: mean of every value in the training targets; empty to measure it.
        std: standard deviation of every value in them, > 0; empty to measure it. 1 for a value that never changes.
        kind: the loss: squared error, absolute error, or Huber's, which is squared up to 1 standard deviation.
        unit: the unit of the targets, for people.

    Raises:
        RecipeError: for names or numbers that do not fit together.

    Source: Huber 1964 (doi:10.1214/aoms/1177703732); R squared of a constant target as in scikit-learn.

    Example:
        >>> task = Regression(unit="km").complete(torch.tensor([10.0, 30.0]))
        >>> task.mean, task.std, task.predict(torch.tensor([[-1.0], [0.5]])).tolist()
        ((20.0,), (10.0,), [[10.0], [25.0]])
    """

    name: ClassVar[str] = "regression"
    gives: ClassVar[str] = "values"

    values: tuple[str, ...] = ()
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    kind: Literal["squared", "absolute", "huber"] = "squared"
    unit: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", names(self.values, "values"))
        for name in ("mean", "std"):
            object.__setattr__(self, name, tuple(float(number) for number in getattr(self, name)))
        if len(self.mean) != len(self.std) or (self.mean and self.values and len(self.mean) != len(self.values)):
            raise RecipeError(
                f"A regression needs a mean and a std for each value or none at all, got {len(self.mean)} and {len(self.std)}"
                f" for {len(self.values)} values."
            )
        if not all(math.isfinite(number) for number in self.mean) or not all(0 < number < math.inf for number in self.std):
            raise RecipeError(f"The mean must be finite and the std finite and > 0, got {self.mean} and {self.std}.")
        if self.kind not in LOSSES:
            raise RecipeError(f"The kind of loss must be one of {', '.join(LOSSES)}, got {self.kind!r}.")

    @property
    def measures(self) -> tuple[Measure, ...]:
        """Errors, R squared and loss; the error that the loss is about comes first."""
        errors = Measure("rmse", "lower", self.unit), Measure("mae", "lower", self.unit)
        return (*(errors[::-1] if self.kind == "absolute" else errors), Measure("r2", "higher"), Measure("loss", "lower"))

    @property
    def outputs(self) -> int:
        """The number of values."""
        return open_count(len(self.values or self.mean), self.name, "values")

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean loss of the standardised values."""
        return LOSSES[self.kind](outputs, self.standardised(targets).to(outputs.dtype))

    def standardised(self, targets: Tensor) -> Tensor:
        """Targets as standard deviations from the mean, ``(B, K)``, in float64 where the device has it.

        Raises:
            RecipeError: if mean and deviation are still open.
        """
        open_count(len(self.mean), self.name, "mean and std")
        values = _columns(targets)
        values = values.float() if values.device.type == "mps" else values.double()
        return (values - constant(self.mean, values)) / constant(self.std, values)

    def totals(self, *, details: bool = False) -> "RegressionTotals":
        """Empty sums."""
        return RegressionTotals(self)

    def predict(self, outputs: Tensor) -> Tensor:
        """Values ``(B, K)`` in the unit of the targets."""
        open_count(len(self.mean), self.name, "mean and std")
        return outputs * constant(self.std, outputs) + constant(self.mean, outputs)

    def readable(self, outputs: Tensor) -> Tensor:
        """Values in the unit of the targets, ``(B, K)``."""
        return self.predict(outputs)

    def stored(self, targets: Tensor, where: str = "the data") -> Tensor:
        """Targets of any dtype as float32.

        Raises:
            DataError: if their differences drown in the rounding of float32.
        """
        stored = targets.float()
        exact = targets.double()
        if exact.isfinite().all() and targets.dtype != torch.float32 and len(targets):
            spread = exact.std(0, correction=0)
            worst = (stored.double() - exact).abs().amax(0)
            if ((exact.amax(0) > exact.amin(0)) & (worst > ROUNDING * spread)).any():
                raise DataError(
                    f"The targets of {where} differ by less than float32 can hold next to their offset of "
                    f"{exact.flatten()[0].item():g}: subtract the offset first."
                )
        return stored

    def check(self, targets: Tensor, where: str) -> None:
        """Refuses what is not a finite number for every value of every example."""
        count = len(self.values or self.mean)
        if targets.dim() not in (1, 2) or 0 in targets.shape or (count and _columns(targets).shape[1] != count):
            wanted = f"(N, {count or 'values'})" + (" or (N,)" if count < 2 else "")
            raise DataError(f"The targets of {where} must have the shape {wanted}, got {tuple(targets.shape)}.")
        if not targets.is_floating_point():
            raise DataError(f"The targets of {where} must be floating-point numbers, got {targets.dtype}.")
        bad = (~_columns(targets).isfinite()).any(1)
        if bad.any():
            first = int(bad.nonzero()[0])
            raise DataError(f"The targets of {where} must be finite, but example {first} has NaN or infinity: leave it out.")

    def complete(self, targets: Tensor) -> Self:
        """The task with names, mean and standard deviation of the values, as far as it has none."""
        self.check(targets, "training")
        values = _columns(targets).double().cpu()
        task = self
        if not task.values:
            size = values.shape[1]
            task = replace(task, values=tuple(f"value {k}" for k in range(size)) if size > 1 else ("value",))
        if not task.mean:
            low, high = values.amin(0), values.amax(0)
            still = low == high  # a value that never changes; its rounded mean may differ from it
            std, mean = torch.std_mean(values, 0, correction=0)
            task = replace(
                task, mean=tuple(low.where(still, mean).tolist()), std=tuple(torch.ones_like(std).where(still, std).tolist())
            )
        return task


def _columns(targets: Tensor) -> Tensor:
    """Targets as ``(B, K)``."""
    return targets.unsqueeze(1) if targets.dim() == 1 else targets


class RegressionTotals(Sums[Regression]):
    """Sums of errors and of shifted targets, for every value.

    The variance of the targets comes from sums of their distances to the first example: as close as any target is to the
    others, so that a large offset costs no digits.
    """

    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor | None = None) -> None:
        """Adds a batch."""
        if len(targets):
            if "first" not in self.sums:
                self.sums["first"] = double(self.task.standardised(targets[:1]))[0]
            super().add(outputs, targets, loss)

    def terms(self, outputs: Tensor, targets: Tensor) -> dict[str, Term]:
        """Of a batch."""
        z, first = double(self.task.standardised(targets)), self.sums["first"]
        assert isinstance(first, Tensor)
        error, distance = double(outputs) - z, z - first.to(z.device)
        return {
            "count": len(targets),
            "weight": z.numel(),
            "absolute": total(error.abs(), 0),
            "squared": total(error.square(), 0),
            "distance": total(distance, 0),
            "distance_squared": total(distance.square(), 0),
        }

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of every value."""
        return LOSSES[self.task.kind](outputs, self.task.standardised(targets).to(outputs), reduction="none")

    def measured(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Errors in the unit of the targets, R squared."""
        count, std = sums["count"], torch.tensor(self.task.std, dtype=torch.float64)
        spread = sums["distance_squared"] - sums["distance"].square() / count
        explained = 1 - sums["squared"] / spread
        constant_target = (sums["squared"] == 0).double()  # nothing to explain: 1 if all of it is right, else 0
        return {
            "rmse": ((sums["squared"] / count).sqrt() * std).mean().item(),
            "mae": (sums["absolute"] / count * std).mean().item(),
            "r2": explained.where(spread > 0, constant_target).mean().item(),
        }
