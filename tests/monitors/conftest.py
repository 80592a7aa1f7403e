"""A search as monitors see it, made of what a test says it is."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from mixop.core.types import Mix, Params
from mixop.spaces import nasbench201
from mixop.spaces.core import Space


@dataclass
class FakeView:
    """A view whose validation loss is a bowl of curvature ``curvature(epoch)``, and whose cells and draws are given.

    Args:
        natives: the native architecture of each epoch.
        weights: the rows of every epoch's mixing weights, ``(O,)`` each; evenly mixed where there are none.
    """

    epochs: int = 50
    epoch: int = 0
    curvature: Callable[[int], float] = lambda epoch: 1.0
    natives: list[str] = field(default_factory=list)
    weights: list[list[float]] = field(default_factory=list)
    difference: float | None = None
    weight_decay: float = 3e-4
    learning_rate: float = 0.025
    added_skip: float = 0.0
    space: Space = field(default_factory=lambda: nasbench201(channels=4, cells=1))
    params: Params = field(default_factory=lambda: {"cell": torch.zeros(1, 2, dtype=torch.float64)})
    memory: dict[str, Tensor] = field(default_factory=dict)
    generator: torch.Generator = field(default_factory=torch.Generator)
    measured: int = 0
    drawable: list[str] = field(default_factory=lambda: ["native"])

    def mean(self) -> dict[str, Tensor]:
        row = self.weights[self.epoch] if self.weights else [0.2] * 5
        return {"cell": torch.tensor(row, dtype=torch.float64).repeat(6, 1)}

    def architecture(self) -> str:
        return self.history(self.epoch)

    def history(self, epoch: int) -> str:
        assert 0 <= epoch <= self.epoch, "only finished epochs have an architecture"
        return self.natives[epoch] if self.natives else f"native {epoch}"

    def valid_loss(self, params: Params, batches: int = 1) -> Tensor:
        self.measured += 1
        steps = range(batches)  # batch k of a split is a bowl of curvature(epoch) + k
        return sum((self.curvature(self.epoch) + k) / 2 * params["cell"].square().sum() for k in steps) / batches

    def mix_loss(self, mix: Mix, batches: int = 1) -> Tensor:
        self.measured += 1
        steps = range(batches)  # the same bowl, in the logarithms of the mixing weights
        return sum((self.curvature(self.epoch) + k) / 2 * mix["cell"].log().square().sum() for k in steps) / batches

    def draw(self) -> str:
        number = int(torch.randint(len(self.drawable), (1,), generator=self.generator))
        return self.drawable[number]

    def gap(self) -> float | None:
        return self.difference


@pytest.fixture
def view() -> type[FakeView]:
    return FakeView


@pytest.fixture
def cell() -> Callable[..., str]:
    """The native string of six operations: s(kip), n(one), c(onvolution 3x3), p(ool)."""
    names = {"s": "skip_connect", "n": "none", "c": "nor_conv_3x3", "p": "avg_pool_3x3"}

    def text(letters: str) -> str:
        ops = [names[letter] for letter in letters]
        return f"|{ops[0]}~0|+|{ops[1]}~0|{ops[2]}~1|+|{ops[3]}~0|{ops[4]}~1|{ops[5]}~2|"

    return text
