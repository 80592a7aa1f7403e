"""What tasks with one class number for every example or position share: names, checks, the cross-entropy of each."""

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy

from mixop.core.errors import DataError, RecipeError
from mixop.core.transfer import constant

NOTHING = -100
"""What torch's cross-entropy ignores by default; no target of ours, which are >= 0."""


def names(values: Sequence[str], kind: str, least: int = 1) -> tuple[str, ...]:
    """Names as a tuple, none for what is still open.

    Args:
        values: the names.
        kind: what they name, in the plural.
        least: how many there must be.

    Raises:
        RecipeError: if there are too few of them, one is no text or occurs twice.
    """
    if isinstance(values, str) or not all(isinstance(name, str) for name in values):
        raise RecipeError(f"{kind} must be a list of names, got {values!r}.")
    if values and len(values) < least:
        raise RecipeError(f"A task needs at least {least} {kind}, got {len(values)}: {', '.join(values)}.")
    # A vocabulary has thousands of names, too many to compare each with all.
    twice = sorted(name for name, times in Counter(values).items() if times > 1)
    if twice:
        raise RecipeError(f"The names of the {kind} must differ, got {twice[0]!r} twice.")
    return tuple(values)


def positive(values: Sequence[float], count: int, what: str) -> tuple[float, ...]:
    """Weights as a tuple of floats, none or one for each name.

    Args:
        values: the weights.
        count: how many there must be; 0 while that is open.
        what: the weights and what each belongs to, for messages: ``weights of the classes``.

    Raises:
        RecipeError: if their number is another, or one is not a finite number > 0.
    """
    weights = tuple(float(value) for value in values)
    if weights and count and len(weights) != count:
        raise RecipeError(f"There must be {count} {what}, got {len(weights)}.")
    if not all(0 < weight < float("inf") for weight in weights):
        raise RecipeError(f"The {what} must be finite and > 0, got {list(weights)}.")
    return weights


def share(value: float, what: str) -> None:
    """Raises a `RecipeError` unless the value lies in [0, 1)."""
    if not 0 <= value < 1:
        raise RecipeError(f"The {what} must lie in [0, 1), got {value}.")


def open_count(count: int, task: str, what: str) -> int:
    """The number of outputs, once it is known.

    Raises:
        RecipeError: while it is 0.
    """
    if not count:
        raise RecipeError(f"The task {task} does not know its {what} yet: give them, or `complete` it with training targets.")
    return count


def numbered(targets: Tensor, ignore: int | None = None) -> tuple[str, ...]:
    """Names for the classes of training targets: their numbers.

    Args:
        targets: class numbers, int64, not empty.
        ignore: a number that stands for no class.

    Raises:
        DataError: if there is one class only, a negative number, or one so large that most classes would have no example.
    """
    known = targets if ignore is None else targets[targets != ignore]
    if known.numel() == 0:
        raise DataError("The training targets hold no class: give at least one example of each.")
    low, high = int(known.min()), int(known.max())
    if low < 0:
        raise DataError(f"The training targets must be class numbers from 0, got {low}.")
    if high == 0:
        raise DataError("The training targets are all 0: a task needs examples of at least two classes.")
    if high >= known.numel():
        raise DataError(
            f"The training targets must number the classes 0, 1, 2 and so on, got {high} among {known.numel():,} targets."
        )
    return tuple(str(k) for k in range(high + 1))


def check_labels(targets: Tensor, count: int, where: str, unit: str, positions: bool, ignore: int | None = None) -> None:
    """Refuses what is not one class number for every example or position.

    Args:
        targets: of all examples.
        count: number of classes; 0 while that is open.
        where: what they are called in messages.
        unit: what has a class number: ``example``, ``position``.
        positions: whether every example has several.
        ignore: a number that stands for no class.

    Raises:
        DataError: with what was expected and what came.
    """
    if targets.dtype != torch.int64 or (targets.dim() < 2 if positions else targets.dim() != 1):
        raise DataError(
            f"The targets of {where} must be one int64 for every {unit}, got {targets.dtype} of shape {tuple(targets.shape)}."
        )
    if targets.numel() == 0:
        raise DataError(f"The targets of {where} are empty: give at least one example.")
    known = targets if ignore is None else targets[targets != ignore]
    if known.numel() == 0:
        raise DataError(f"The targets of {where} are all {ignore}, which is ignored: give examples with a class.")
    low, high = int(known.min()), int(known.max())
    if low < 0 or (count and high >= count):
        wrong = low if low < 0 else high
        last = f"to {count - 1}" if count else "up"
        raise DataError(f"The targets of {where} must be class numbers from 0 {last}, got {wrong}.")


def class_weights(weights: tuple[float, ...], outputs: Tensor) -> Tensor | None:
    """Weights of the classes ``(K,)`` as the cross-entropy wants them, or None."""
    return constant(weights, outputs) if weights else None


def answers(outputs: Tensor) -> Tensor:
    """The most probable class of every example or position, the first of equals, int64.

    Args:
        outputs: ``(B, K, *positions)``.
    """
    # Of several positions, the same as argmax in a ninth of the time on a CPU (torch 2.13).
    return outputs.argmax(1) if outputs.dim() == 2 else outputs.max(1).indices


def entropies(
    outputs: Tensor, targets: Tensor, *, weights: tuple[float, ...] = (), smoothing: float = 0.0, ignore: int | None = None
) -> Tensor:
    """The cross-entropy of every example or position in nats, in the shape of ``targets``, each times its class's weight.

    Args:
        outputs: ``(B, K, *positions)``.
        targets: ``(B, *positions)`` int64.
        weights: of the classes; empty for 1.
        smoothing: share of the target that is spread over all classes.
        ignore: the number whose positions count 0.
    """
    return cross_entropy(
        outputs,
        targets,
        class_weights(weights, outputs),
        ignore_index=NOTHING if ignore is None else ignore,
        label_smoothing=smoothing,
        reduction="none",
    )


def weighed(outputs: Tensor, targets: Tensor, weights: tuple[float, ...], known: Tensor | None = None) -> Tensor:
    """The weight of every example or position, in the shape of ``targets``, in the dtype of ``outputs``.

    Args:
        outputs: ``(B, K, *positions)``, for dtype and device.
        targets: ``(B, *positions)`` int64.
        weights: of the classes; not empty.
        known: which positions count, ``(B, *positions)`` bool; None for all.
    """
    if known is None:
        return constant(weights, outputs)[targets]
    return constant(weights, outputs)[targets.where(known, 0)] * known
