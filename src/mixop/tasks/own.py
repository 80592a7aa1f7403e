"""A task of a user's own: a loss and a measure, each a function of outputs and targets."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from mixop.core.errors import DataError, RecipeError
from mixop.core.measure import Measure
from mixop.core.names import load, name_of
from mixop.tasks.base import Task
from mixop.tasks.sums import Sums, Term, total

Scorer = Callable[[Tensor, Tensor], Tensor]
"""Outputs ``(B, K)`` or ``(B, K, *positions)`` and targets to one number for each example ``(B,)``, or to their mean."""


@dataclass(frozen=True, kw_only=True)
class Own(Task):
    """A task by two functions, named so that a file can hold them. `own` makes one from the functions themselves.

    Both functions take outputs ``(B, K)``, or ``(B, K, *positions)`` of a dense task, and the targets of the batch as the data
    holds them. They give one number for each example, ``(B,)``, or a single one, the mean over the batch; means over many
    batches are exact either way. Of a model that gives several tensors (in a tuple, or by name) both functions get them as
    the model gives them. Beware of targets ``(B,)`` beside outputs ``(B, 1)``: torch subtracts them to ``(B, B)``.

    Args:
        loss_function: ``package.module:name`` of the loss, which is differentiable; lower is better.
        measure_function: ``package.module:name`` of the measure that ranks; empty to rank by the loss.
        output_count: numbers that a network gives for each example, or each position: K >= 1.
        measure_name: the measure's word in tables; empty for the function's name.
        better: which of two values of the measure is better.
        unit: the measure's unit, or the loss's where there is no measure; empty for none.
        style: ``percent`` for a measure in [0, 1] that people read as percent.
        dense: whether there is an output at every position of the input.
        predict_function: ``package.module:name`` of a function from outputs to predictions; empty for the outputs themselves.

    Raises:
        RecipeError: for a name that is none, or settings that do not fit together.
    """

    name: ClassVar[str] = "own"

    loss_function: str
    measure_function: str = ""
    output_count: int
    measure_name: str = ""
    better: Literal["higher", "lower"] = "lower"
    unit: str = ""
    style: Literal["percent", "number"] = "number"
    dense: bool = False
    predict_function: str = ""

    def __post_init__(self) -> None:
        for what in ("loss_function", "measure_function", "predict_function"):
            name = getattr(self, what)
            module, _, path = name.partition(":")
            if (name or what == "loss_function") and not (module and path):
                raise RecipeError(f"{what} must be package.module:name of a function, got {name!r}.")
        if self.output_count < 1:
            raise RecipeError(f"A network gives at least 1 output, got output_count={self.output_count}.")
        if not self.measure_function and (self.measure_name or self.better == "higher" or self.style == "percent"):
            raise RecipeError("Without a measure_function the loss ranks: leave out measure_name, better and style.")
        if self.measures[0].name == "loss" and self.measure_function:
            raise RecipeError("The measure needs another name than loss: give a measure_name.")

    @property
    def draws(self) -> bool:
        return True

    @property
    def names_used(self) -> tuple[str, ...]:
        """The functions that it names."""
        return tuple(filter(None, (self.loss_function, self.measure_function, self.predict_function)))

    @property
    def measures(self) -> tuple[Measure, ...]:
        """The measure, if there is one, and the loss."""
        if not self.measure_function:
            return (Measure("loss", "lower", self.unit),)
        name = self.measure_name or self.measure_function.partition(":")[2].rpartition(".")[2]
        return Measure(name, self.better, self.unit, self.style), Measure("loss", "lower")

    @property
    def outputs(self) -> int:
        """Numbers that a network gives."""
        return self.output_count

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Mean of the loss function.

        Raises:
            RecipeError: if it cannot be loaded, or gives something else than numbers with a gradient.
        """
        value = self.score("loss_function", outputs, targets).mean()
        if torch.is_grad_enabled() and not value.requires_grad and any(map(_learns, tree_leaves(outputs))):
            raise RecipeError(f"{self.loss_function} gives a loss without a gradient: compute it with torch, without detach().")
        return value

    def score(self, which: str, outputs: Tensor, targets: Tensor) -> Tensor:
        """What one of the functions gives for a batch: ``(B,)``, or a scalar mean.

        Raises:
            RecipeError: if it cannot be loaded, or gives something else.
        """
        name = getattr(self, which)
        given = load(name, f"the {which} of the task", "function")(outputs, targets)
        value = torch.tensor(given, dtype=torch.float64) if isinstance(given, int | float) else given
        if not isinstance(value, Tensor) or (value.dim() and value.shape != targets.shape[:1]):
            got = f"the shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
            raise RecipeError(f"{name} must give one number for each of the {len(targets)} examples, or their mean, got {got}.")
        return value

    def totals(self, *, details: bool = False) -> "OwnTotals":
        """Empty sums."""
        return OwnTotals(self)

    def predict(self, outputs: Tensor) -> Tensor:
        """What the predict function gives, or the outputs themselves."""
        if not self.predict_function:
            return outputs
        return load(self.predict_function, "the predict_function of the task", "function")(outputs)

    def check(self, targets: Tensor, where: str) -> None:
        """Refuses targets that are empty or not finite; what they mean is up to the functions."""
        if targets.dim() == 0 or targets.numel() == 0:
            raise DataError(f"The targets of {where} must be one or more numbers for each example, got {tuple(targets.shape)}.")
        if not targets.isfinite().all():
            raise DataError(f"The targets of {where} must be finite, but some are NaN or infinite: leave those examples out.")


class OwnTotals(Sums[Own]):
    """Sums of the loss and the measure over examples."""

    def terms(self, outputs: Tensor, targets: Tensor) -> dict[str, Term]:
        """Of a batch."""
        terms: dict[str, Term] = {"count": len(targets), "weight": len(targets)}
        if self.task.measure_function:
            terms["measure"] = total(self._each("measure_function", outputs, targets))
        return terms

    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Of every example."""
        return self._each("loss_function", outputs, targets)

    def _each(self, which: str, outputs: Tensor, targets: Tensor) -> Tensor:
        """The number of every example, or their mean in its place."""
        return self.task.score(which, outputs, targets).expand(len(targets))

    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor | None = None) -> None:
        """Adds a batch."""
        if len(targets):  # of nothing there is no mean
            super().add(outputs, targets, loss)

    def measured(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """The measure, if there is one."""
        return {self.task.first.name: sums["measure"] / sums["count"]} if self.task.measure_function else {}


def _learns(value: object) -> bool:
    return isinstance(value, Tensor) and value.requires_grad


def own(
    loss: Scorer,
    measure: Scorer | None = None,
    *,
    outputs: int,
    name: str = "",
    better: Literal["higher", "lower"] = "lower",
    unit: str = "",
    style: Literal["percent", "number"] = "number",
    dense: bool = False,
    predict: Callable[[Tensor], Tensor] | None = None,
) -> Own:
    """A task by a loss and a measure of your own.

    The task holds the names of the functions, so that a run can find them again: they stand at the top of a module. Those of
    a script or a notebook will do for what runs in the same process; `mixop resume` needs a module.

    Args:
        loss: from outputs ``(B, K)`` or ``(B, K, *positions)`` and targets to one number for each example ``(B,)``, or to
            their mean; differentiable, lower is better.
        measure: the same for the measure that ranks; None to rank by the loss.
        outputs: numbers that a network gives for each example, or each position: K.
        name: the measure's word in tables; empty for the function's name.
        better: which of two values of the measure is better.
        unit: the measure's unit, or the loss's where there is no measure.
        style: ``percent`` for a measure in [0, 1] that people read as percent.
        dense: whether there is an output at every position of the input.
        predict: from outputs to what a person or program reads; None for the outputs themselves.

    Raises:
        RecipeError: for a lambda or a function inside a function, which no file can name, and as `Own`.

    Example:
        >>> from torch.nn.functional import l1_loss, mse_loss
        >>> task = own(mse_loss, l1_loss, outputs=1, name="mae")
        >>> task.loss_function, [measure.name for measure in task.measures]
        ('torch.nn.functional:mse_loss', ['mae', 'loss'])
    """
    return Own(
        loss_function=name_of(loss, "The loss"),
        measure_function="" if measure is None else name_of(measure, "The measure"),
        output_count=outputs,
        measure_name=name,
        better=better,
        unit=unit,
        style=style,
        dense=dense,
        predict_function="" if predict is None else name_of(predict, "The function that predicts"),
    )
