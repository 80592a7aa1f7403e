"""Sets from arrays in Python: any ``(x, y)``, or a few of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from numpy.typing import ArrayLike
from torch import Tensor

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.layouts import FORMS, Layout, inputs
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.data.targets import label_names, label_numbers, targets, task_of
from mixop.tasks.base import Task

Pair = tuple[ArrayLike | Tensor, ArrayLike | Tensor]
"""Inputs and targets."""


@door(DataError)
def from_arrays(
    x: ArrayLike | Tensor,
    y: ArrayLike | Tensor,
    *,
    task: Task | None = None,
    test: Pair | None = None,
    valid: float | Pair = 0.5,
    test_share: float = 0.2,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    classes: Sequence[str] | None = None,
    name: str = "arrays",
    layout: Layout = "auto",
    augment: Preparation | AugmentFunction | None = None,
) -> Data:
    """Makes a set from arrays or tensors.

    Two axes are read as features ``(N, F)``. Three are signals ``(N, C, L)``; of uint8, or with two equal sides, they are grey
    images ``(N, H, W)``; more channels than steps are refused. Four are images, ``(N, C, H, W)`` or ``(N, H, W, C)``, whichever
    is square, or has fewer channels than height and width. Where a guess could be wrong, say it with ``layout``; the set's
    record holds under ``"read_as"`` what was read.

    Args:
        x: inputs; uint8 counts as 0 to 1 (divided by 255), all else becomes float32 and keeps its scale.
        y: targets: a whole number 0..K-1 or a text for each example (classes), zeros and ones in several columns (labels),
            floats (a regression), or masks ``(N, H, W)`` of whole numbers (segmentation); ``(N, 1)`` is read as ``(N,)``.
        task: what a network is to do; None to take it from the targets.
        test: inputs and targets of the test; None to keep a share of ``x`` for it.
        valid: share or number of the training examples that the architecture learns from, or inputs and targets for it.
        test_share: share or number of ``x`` that is kept for the test, if ``test`` is None.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file with index lists instead of shares, see `Split`.
        classes: names of the K classes; None for those of the task, for texts in ``y`` in alphabetical order, or "0", "1" and
            so on.
        name: what the set is called in reports.
        layout: order of the axes of ``x``, see `Layout`; "auto" finds it.
        augment: what is done to training batches, or a function of your own; None for normalisation only, measured.

    Raises:
        DataError: if these are no inputs and targets, could be read in several ways, or a class has no example in a part.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).random((60, 3, 100))
        >>> data = from_arrays(x, np.arange(60) % 3, valid=0.25)
        >>> data.shape, data.task.name, data.record["read_as"], len(data.train), len(data.valid), len(data.test)
        ((3, 100), 'classification', 'signals (N, C, L)', 36, 12, 12)
    """
    share, given = (valid, None) if isinstance(valid, int | float) else (0.5, valid)
    return assemble_arrays(
        {"train": (x, y), "valid": given, "test": test},
        names={"train": ("x", "y"), "valid": ("x (valid)", "y (valid)"), "test": ("x (test)", "y (test)")},
        task=task,
        classes=classes,
        layout=layout,
        name=name,
        split=Split(valid=share, test=test_share, seed=seed, stratified=stratified, index_file=index_file),
        augment=preparation(augment),
        source=None,
        record={},
    )


def assemble_arrays(
    given: Mapping[str, tuple[Any, Any] | None],
    *,
    names: Mapping[str, tuple[str, str]],
    task: Task | None,
    classes: Sequence[str] | None,
    layout: Layout,
    name: str,
    split: Split,
    augment: Preparation,
    source: Source | None,
    record: dict[str, Any],
) -> Data:
    """A set from the arrays of its parts.

    Args:
        given: inputs and targets of "train", and of "valid" and "test" where they come with the set, else None.
        names: what the two are called in messages, by part.
        task: what a network is to do; None to take it from the training targets.
        classes: names of the classes; None for those of the task.
        layout: order of the axes; what "auto" finds in the training inputs holds for all.
        name: what the set is called in reports.
        split: how to divide.
        augment: what is done to training batches.
        source: how to load it again, or None.
        record: further facts about where it came from.

    Raises:
        DataError: as `from_arrays`.
    """
    examples: dict[str, Arrays | None] = {"valid": None, "test": None}
    texts = None
    for part in ("train", "valid", "test"):
        pair = given[part]
        if pair is None:
            continue
        x_name, y_name = names[part]
        x, layout = inputs(pair[0], layout, x_name)
        if part == "train" and (texts := label_names(pair[1], classes, y_name)) is not None:
            classes = texts
        y = targets(pair[1] if texts is None else label_numbers(pair[1], texts, y_name), y_name, task)
        if part == "train":
            task = task_of(y, task, classes, y_name)
        assert task is not None
        examples[part] = Arrays(x, task.stored(y, y_name))
    assert task is not None
    training = examples["train"]
    assert training is not None
    return assemble(
        name,
        training,
        valid=examples["valid"],
        test=examples["test"],
        task=task,
        split=split,
        augment=augment,
        source=source,
        record={**record, "read_as": FORMS[layout][0]},
    )
