"""A trained supernet whose scores are what a test says."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch
from torch import Tensor

from mixop.engine.problem import fix_rows
from mixop.relax.softmax import Softmax
from mixop.spaces.core import Architecture, Space
from mixop.spaces.toy import Toy


@dataclass
class FakeTrained:
    """Scores are a function of mixing weights or architecture; what is done to it is written down."""

    scored: Callable[..., tuple[float, float]]
    weights: Tensor
    space: Space = field(default_factory=Toy)
    params: dict = field(default_factory=dict)
    relaxation: Softmax = field(default_factory=Softmax)
    memory: dict = field(default_factory=dict)
    generator: torch.Generator = field(default_factory=lambda: torch.Generator().manual_seed(0))
    epochs: int = 5
    fixed: dict = field(default_factory=dict)
    calls: list = field(default_factory=list)
    stop_after: int | None = None

    def mean(self):
        return {"cell": fix_rows(self.weights, self.fixed.get("cell", {}))}

    def draw(self) -> Architecture:
        edges, options = self.weights.shape
        return self.space.architecture([torch.randint(options, (edges,), generator=self.generator).tolist()])

    def worth(self, what, batches=None, norm="batch"):
        self.calls.append(("score", batches, norm))
        if self.stop_after is not None and len(self.calls) > self.stop_after:
            raise KeyboardInterrupt
        measure, loss = self.scored(what)
        return measure, -loss

    def fix(self, group, decision, option):
        self.calls.append(("fix", decision, option))
        self.fixed.setdefault(group, {})[decision] = option

    def tune(self, epochs, weight_rate):
        self.calls.append(("tune", epochs, weight_rate))

    def save(self):
        self.calls.append(("save",))


@pytest.fixture
def trained() -> type[FakeTrained]:
    return FakeTrained
