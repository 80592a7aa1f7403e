"""Targets of any kind as tensors, and the task that they are for where nobody said it."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mixop.core.errors import DataError
from mixop.data.layouts import as_array
from mixop.tasks.base import Task
from mixop.tasks.infer import infer
from mixop.tasks.multilabel import MultiLabel


def targets(given: Any, where: str, task: Task | None = None) -> Tensor:
    """Targets as a tensor of the number type they have.

    Args:
        given: an array, a tensor, or lists of numbers.
        where: what it is called in messages.
        task: what the user said that they are for.

    Returns:
        A copy ``(N, ...)``. An axis of length 1 behind the first is dropped: ``(N, 1)`` is one number for each example, and
        ``(N, 1, H, W)`` or ``(N, H, W, 1)`` a mask.

    Raises:
        DataError: if it holds no numbers.
    """
    array = as_array(given, where)
    if array.dtype.kind not in "iufb":
        raise DataError(
            f"{where} must hold numbers as targets, or strings as class labels, got {array.dtype}: convert it first."
        )
    if array.ndim == 0:
        raise DataError(f"{where} must hold a target for each example, got a single number.")
    if array.ndim > 1 and array.shape[1] == 1 and not isinstance(task, MultiLabel):
        array = array[:, 0]
    elif array.ndim == 4 and array.shape[3] == 1:
        array = array[..., 0]
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:  # torch has few operations for these
        if array.size and int(array.max()) > np.iinfo(np.int64).max:
            raise DataError(f"{where} holds whole numbers too large for a target, got {array.max()}.")
        array = array.astype(np.int64)
    # A copy in this machine's byte order: later changes of the array do not reach the data.
    return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), order="C"))


def label_names(given: Any, classes: Sequence[str] | None, where: str) -> tuple[str, ...] | None:
    """The classes of labels that are texts: those that were named, else all of the training labels in alphabetical order.

    None for targets that are numbers.
    """
    array = as_array(given, where)
    if array.dtype.kind != "U":
        return None
    return tuple(np.unique(array).tolist()) if classes is None else tuple(str(name) for name in classes)


def label_numbers(given: Any, names: Sequence[str], where: str) -> np.ndarray:
    """Labels that are texts as class numbers.

    Args:
        given: the labels.
        names: of the classes, in the order of their numbers.
        where: what the labels are called in messages.

    Raises:
        DataError: if one of them is no class.
    """
    numbers = {name: number for number, name in enumerate(names)}
    array = as_array(given, where)
    strange = [label for label in np.unique(array).tolist() if label not in numbers]
    if strange:
        raise DataError(f"{where} has the label {strange[0]!r}, but the classes are {', '.join(names)}.")
    return np.vectorize(numbers.__getitem__, otypes=[np.int64])(array)


def task_of(found: Tensor, task: Task | None, classes: Sequence[str] | None, where: str) -> Task:
    """The task of training targets.

    Args:
        found: the targets, as `targets` gave them.
        task: what the user said; None to infer it.
        classes: names of classes or labels; None to keep those of the task.
        where: what the targets are called in messages.

    Raises:
        DataError: if the targets could mean several things, or names were given where there are no classes.
    """
    task = infer(found) if task is None else task
    if classes is None:
        return task
    if not any(field.name == "classes" and field.init for field in fields(task)):
        raise DataError(f"{where} is for {task.name}, which has no classes to name: leave out the names, or give another task.")
    return replace(task, classes=tuple(str(name) for name in classes))  # pyright: ignore[reportCallIssue] - a field, see above
