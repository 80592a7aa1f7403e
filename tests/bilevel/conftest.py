"""A problem whose losses are a table: every expectation over architectures is a sum over 16 of them."""

import itertools
from collections.abc import Callable, Mapping, Sequence

import pytest
import torch
from torch import Generator, Tensor

from mixop.core.types import Batch, Draw
from mixop.relax.base import Relaxation
from mixop.spaces.toy import Toy

EXAMPLES = 8


class Tabular:
    """Two decisions between four options; loss and right answers of every architecture are given numbers."""

    def __init__(self, relaxation: Relaxation, seed: int = 0) -> None:
        generator = Generator().manual_seed(seed)
        self.relaxation, self.space = relaxation, Toy(blocks=2)
        self.group = self.space.groups[0]
        self.losses = torch.rand(4, 4, generator=generator, dtype=torch.float64)
        self.right = torch.randint(EXAMPLES + 1, (4, 4), generator=generator)
        self.params = {"cell": relaxation.init(self.group, generator).double()}
        if self.params["cell"].shape == (2, 4):
            self.params = {"cell": torch.randn(2, 4, generator=generator, dtype=torch.float64)}
        self.batch = Batch(torch.zeros(EXAMPLES), torch.zeros(EXAMPLES, dtype=torch.int64))
        self.weights: dict[str, Tensor] = {"w": torch.zeros(1, requires_grad=True)}
        self.memory: dict[str, Tensor] = {}
        self.generator = generator
        self.drawn: list[tuple[int, int]] = []
        self.extra: Callable[[dict[str, Tensor]], Tensor] = lambda params: torch.zeros(())

    def draw(self, params: dict[str, Tensor]) -> dict[str, Draw]:
        draw = self.relaxation.draw(params["cell"], self.group, 0.0, self.generator)
        assert draw.active is not None
        self.drawn.append((draw.active[0][0], draw.active[1][0]))
        return {"cell": draw}

    def draw_loss(self, weights: Mapping[str, Tensor] | None, draws: Mapping[str, Draw], batch: Batch) -> Tensor:
        active = draws["cell"].active
        assert active is not None
        (one,), (other,) = active
        self.last = one, other
        return self.losses[one, other]

    def measured(self) -> tuple[int, int]:
        return self.last

    def rewards(self, measured: Sequence[tuple[int, int]]) -> list[float]:
        return [self.right[pair].item() / EXAMPLES for pair in measured]

    def penalty(self, params: dict[str, Tensor]) -> Tensor:
        return self.extra(params)

    def log_prob(self, params: Tensor, choices: tuple[int, int]) -> Tensor:
        """Of an architecture, by the chain rule of the relaxation itself."""
        if hasattr(self.relaxation, "log_prob_and_entropy"):
            return self.relaxation.log_prob_and_entropy(params, self.group, choices)[0]  # type: ignore[attr-defined]
        return params.log_softmax(-1)[[0, 1], list(choices)].sum()

    def expectation(self, params: Tensor, values: Tensor) -> Tensor:
        """``sum_A p(A) values[A]``."""
        pairs = itertools.product(range(4), repeat=2)
        return torch.stack([self.log_prob(params, pair).exp() * values[pair] for pair in pairs]).sum()

    def entropy(self, params: Tensor) -> Tensor:
        """``-sum_A p(A) log p(A)``."""
        terms = [self.log_prob(params, pair) for pair in itertools.product(range(4), repeat=2)]
        return -torch.stack([term.exp() * term for term in terms]).sum()


@pytest.fixture
def tabular() -> type[Tabular]:
    return Tabular
