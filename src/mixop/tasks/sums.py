"""Totals that are sums over examples and nothing else, and the tensors that they need."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor
from torch.utils._pytree import tree_map_only

from mixop.core.later import Later
from mixop.core.measure import Number
from mixop.core.transfer import double, download
from mixop.tasks.base import Task, Totals

Term = Tensor | int
T = TypeVar("T", bound=Task)


class Sums(Totals, Generic[T]):
    """Named sums. A subclass says what a batch adds to each, and what the sums mean.

    They stay on the device of the batches until somebody reads them, so that adding a batch does not wait for the device.

    Args:
        task: what the totals are of.
    """

    def __init__(self, task: T) -> None:
        self.task = task
        self.sums: dict[str, Term] = {}

    @abstractmethod
    def terms(self, outputs: Tensor, targets: Tensor) -> dict[str, Term]:
        """What a batch adds to each sum but the loss: counts as integers, everything else as float64.

        ``count`` and ``weight``, what the loss is a mean over, are among them.
        """

    @abstractmethod
    def losses(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of everything in a batch that it is a mean over, of any shape."""

    @abstractmethod
    def measured(self, sums: Mapping[str, Any]) -> dict[str, float]:
        """Every measure of the task but the loss.

        Args:
            sums: numbers and tensors on the CPU, of at least one example.
        """

    @torch.no_grad()
    def add(self, outputs: Tensor, targets: Tensor, loss: Tensor | None = None) -> None:
        """Adds a batch."""
        outputs = tree_map_only(Tensor, _measured, outputs)
        terms = self.terms(outputs, targets)
        terms["loss"] = total(self.losses(outputs, targets)) if loss is None else double(loss.detach()) * terms["weight"]
        for name, term in terms.items():
            kept = self.sums.get(name, 0)
            if isinstance(kept, Tensor) and isinstance(term, Tensor) and kept.device != term.device:  # after a checkpoint
                kept = kept.to(term.device)
            self.sums[name] = kept + term  # never in place: what `state_dict` gave stays as it was

    def value(self) -> dict[str, Number]:
        """Every measure by its name; None for all before the first example."""
        sums, names = self.read(), [measure.name for measure in self.task.measures]
        if not sums.get("count"):
            return dict.fromkeys(names)
        measured = {"loss": sums["loss"] / sums["weight"], **self.measured(sums)}
        return {name: measured[name] for name in names}

    def read(self) -> dict[str, Any]:
        """The sums on the CPU: a number each, or a tensor where a sum has several."""
        sums = _on_host(self.sums)
        return {name: total.item() if isinstance(total, Tensor) and total.dim() == 0 else total for name, total in sums.items()}

    def value_later(self) -> Mapping[str, Number]:
        """`value`, read from the device by the first who looks into it."""
        if all(not isinstance(total, Tensor) or total.device.type == "cpu" for total in self.sums.values()):
            return self.value()
        now = copy(self)
        now.sums = dict(self.sums)
        return Later(now.value)

    def state_dict(self) -> dict[str, Any]:
        """The sums, as numbers and tensors on the CPU."""
        return _on_host(self.sums)

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continues from where `state_dict` was taken."""
        self.sums = dict(state)


def values_of(totals: Sequence[Totals]) -> list[dict[str, Number]]:
    """The measures of several totals, read from a device together."""
    sums = [its for its in totals if isinstance(its, Sums)]
    here = _on_host({f"{number}/{name}": term for number, its in enumerate(sums) for name, term in its.sums.items()})
    for number, its in enumerate(sums):
        its.sums = {name: here[f"{number}/{name}"] for name in its.sums}
    return [its.value() for its in totals]


def _on_host(sums: Mapping[str, Term]) -> dict[str, Term]:
    return {**sums, **download({name: term for name, term in sums.items() if isinstance(term, Tensor)})}


def _measured(outputs: Tensor) -> Tensor:
    """Outputs as they are measured: 8 bits of a loss are no measurement."""
    return outputs.float() if outputs.dtype in (torch.bfloat16, torch.float16) else outputs


def total(values: Tensor, dim: int | None = None) -> Tensor:
    """The sum of values in float64; on the CPU where their device has no float64 (MPS)."""
    if values.device.type == "mps":
        return values.sum(dim).cpu().double()
    return values.sum(dim, dtype=torch.float64)


def table(rows: Tensor, columns: Tensor, size: int, known: Tensor | None = None) -> Tensor:
    """How often every pair of class numbers occurs, ``(size, size)`` int64.

    Args:
        rows: class numbers 0..size-1, of any shape.
        columns: as many class numbers.
        size: number of classes.
        known: which pairs count, bool; None for all. The others may hold any number.
    """
    at, end = rows * size + columns, size * size
    if known is not None:
        at = at.where(known, end)
    at = at.flatten()
    if at.device.type == "cuda":  # where bincount would wait for the device
        counts = torch.zeros(end + 1, dtype=torch.int64, device=at.device).scatter_add_(0, at, torch.ones_like(at))
    else:
        counts = torch.bincount(at.cpu(), minlength=end + 1)
    return counts[:end].view(size, size)
