"""Data that nothing can be learnt from: inputs or targets that are the same for every example."""

from typing import Any

from torch import Tensor

from mixop.data.examples import Examples

PIECE = 1024
"""Examples that are compared at once: those of a usual set differ in the first piece."""


def without_variation(examples: Examples) -> dict[str, Any]:
    """What never changes, for a set's record: ``{"no_variation": [sentence, ...]}``, or nothing.

    Such a set is read all the same, since it may be a test of something else; inputs that stay in their files are not read.

    Args:
        examples: the ones to learn from.
    """
    found = []
    if examples.inputs is not None and is_constant(examples.inputs):
        found.append("the inputs of all training examples are the same")
    if is_constant(examples.targets):
        found.append("the targets of all training examples are the same")
    return {"no_variation": found} if found else {}


def is_constant(values: Tensor) -> bool:
    """Whether all rows of ``(N, ...)`` are equal; a single row is not called so."""
    if len(values) < 2:
        return False
    return all(bool((values[start : start + PIECE] == values[:1]).all()) for start in range(0, len(values), PIECE))
