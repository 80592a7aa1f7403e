"""What can be measured on a network: the task's measures on a part of the data, its size and its work."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator, Tensor, nn

from mixop.core.measure import Number
from mixop.core.rng import draws_unseen, fenced
from mixop.data.core import Data, Part
from mixop.nets import counting
from mixop.nets.training import without_auxiliary

EVALUATION_BATCH = 256
"""Examples in a forward pass, unless something else is asked for."""


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What a network scored.

    Args:
        measures: the task's measures by name.
        details: what a report shows besides, as JSON data: ``confusion`` where there are classes.
        part: which examples were scored.
        examples: how many.
    """

    measures: Mapping[str, Number]
    details: Mapping[str, Any]
    part: Part
    examples: int


@torch.no_grad()
def evaluate_network(
    net: nn.Module, data: Data, part: Part = "test", batch_size: int = EVALUATION_BATCH, *, columns: int | None = None
) -> Evaluated:
    """Scores a network on a part of the data, without augmentation.

    Args:
        net: gives outputs ``(B, K)``, or ``(B, K, *positions)`` for dense tasks; it is in evaluation mode afterwards. A
            network that carries a state gives outputs and state when it is called with both.
        data: on the network's device.
        part: which part is scored.
        batch_size: examples in a forward pass, >= 1; changes the result by rounding only.
        columns: of a text, how many pieces of it are read beside each other, each from a state of zeros; None for the usual
            number. One column reads all of it in order.
    """
    net.eval()
    totals, state = data.task.totals(details=True), ()
    carries = bool(getattr(net, "carries", False))
    with fenced(Generator().manual_seed(0), watch=draws_unseen(net)):  # an operation may draw noise
        for batch in data.sweep(part, batch_size if columns is None or not data.tokens else columns):
            if carries:
                outputs, state = net(batch.x, state)
            else:
                outputs = net(batch.x)
            totals.add(outputs, batch.y)
    return Evaluated(measures=totals.value(), details=totals.details(), part=part, examples=len(data.at(part)))


def parameters(net: nn.Module) -> int:
    """Number of trained parameters, those of an auxiliary head aside: only training needs it."""
    trained = without_auxiliary(net)
    return sum(p.numel() for name, p in net.named_parameters() if name in trained)


def multiply_adds(net: nn.Module, example: Tensor) -> int:
    """Multiply-adds of one forward pass of one example, in evaluation mode.

    What counts says `mixop.nets.counting.multiply_adds`.

    Args:
        net: the network; its mode is left as it is.
        example: one input ``(1, ...)`` on the network's device.
    """
    training = net.training
    net.eval()
    found = counting.multiply_adds(net, example)
    net.train(training)
    return int(found)
