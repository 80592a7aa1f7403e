"""How the networks of a table are trained."""

from dataclasses import dataclass, field
from typing import ClassVar

from mixop.core.errors import RecipeError
from mixop.core.optim import SGD
from mixop.core.schedules import Cosine, check_range
from mixop.nets.ops import BatchNorm


@dataclass(frozen=True, kw_only=True)
class Tabulation:
    """How every network is trained.

    Args:
        epochs: passes over the training split, >= 1.
        batch_size: examples in a batch, >= 2.
        seeds: runs of every architecture, with seeds 0, 1, 2 and so on: initial weights, data order, augmentation.
        keep: the epochs after which the network is scored, counted from 1; empty for the last one.
        optimiser: of the weights.
        norm: batch norm settings.
    """

    asked: ClassVar[str] = "mixop.tabulate.Tabulation()"

    epochs: int = 12
    batch_size: int = 64
    seeds: int = 3
    keep: tuple[int, ...] = ()
    optimiser: SGD = field(default_factory=lambda: SGD(lr=Cosine(0.1, 0.0), momentum=0.9, nesterov=True, weight_decay=5e-4))
    norm: BatchNorm = field(default_factory=BatchNorm)

    def __post_init__(self) -> None:
        check_range("epochs", self.epochs, at_least=1)
        check_range("batch size", self.batch_size, at_least=2)
        check_range("number of seeds", self.seeds, at_least=1)
        if any(not 1 <= epoch <= self.epochs for epoch in self.keep) or list(self.keep) != sorted(set(self.keep)):
            raise RecipeError(f"The epochs to keep must ascend from 1 to {self.epochs}, got {list(self.keep)}.")

    @property
    def kept(self) -> tuple[int, ...]:
        """The epochs after which networks are scored."""
        return self.keep or (self.epochs,)
