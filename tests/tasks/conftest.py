"""The same examples added in batches of every kind."""

import io
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Generator, Tensor

from mixop.tasks.base import Task, Totals


@pytest.fixture
def draw() -> Generator:
    """A seeded generator for outputs and targets."""
    return Generator().manual_seed(0)


@pytest.fixture
def divided() -> Callable[..., Iterator[Totals]]:
    """Totals of the same examples in 36 random orders and divisions, an empty batch among them.

    Each is told twice, once through a file in the middle, and both must measure the very same.
    """

    def totals_of(task: Task, outputs: Tensor, targets: Tensor, *, details: bool = False) -> Iterator[Totals]:
        for seed in range(36):
            generator = Generator().manual_seed(seed)
            order = torch.randperm(len(outputs), generator=generator)
            cuts = torch.randint(0, len(outputs) + 1, (int(torch.randint(0, 9, (), generator=generator)),), generator=generator)
            totals, torn = task.totals(details=details), task.totals(details=details)
            pieces = torch.tensor_split(order, cuts.sort().values)
            for number, piece in enumerate(pieces):
                totals.add(outputs[piece], targets[piece])
                torn.add(outputs[piece], targets[piece])
                if number == len(pieces) // 2:
                    file = io.BytesIO()
                    torch.save(torn.state_dict(), file)
                    file.seek(0)
                    torn = task.totals(details=details)
                    torn.load_state_dict(torch.load(file, weights_only=True))
            assert torn.value() == totals.value()
            assert torn.details() == totals.details()
            yield totals

    return totals_of
