"""What bare targets mean, where nobody said which task they belong to."""

from torch import Tensor

from mixop.core.errors import DataError
from mixop.tasks.base import Task
from mixop.tasks.classification import Classification
from mixop.tasks.multilabel import MultiLabel
from mixop.tasks.regression import Regression
from mixop.tasks.segmentation import Segmentation


def infer(targets: Tensor) -> Task:
    """The task that targets are most probably for, with everything else open.

    One whole number for each example is a class; a row of zeros and ones as whole numbers or bools, several labels; two or
    more dimensions of whole numbers, masks; numbers with a fraction, a regression.

    Args:
        targets: of all examples, ``(N, ...)``, as they came.

    Raises:
        DataError: if they could mean several things, or nothing; it says which task to give.
    """
    shape, matrix = tuple(targets.shape), targets.dim() == 2
    if targets.numel() == 0 or targets.is_complex():
        raise DataError(f"The targets must be numbers, one or more for each example, got {targets.dtype} of shape {shape}.")
    binary = bool(((targets == 0) | (targets == 1)).all())
    if targets.is_floating_point():
        if targets.dim() > 2:
            raise DataError(
                f"Targets of shape {shape} with fractions fit no task that mixop knows: "
                f"give class numbers as integers for Segmentation(), or your own task=own(...)."
            )
        if binary:
            other = "MultiLabel()" if matrix else "Classification() and integers"
            raise DataError(f"The targets are all 0.0 or 1.0: give task={other} for labels, or task=Regression() for numbers.")
        return Regression()
    if targets.dim() == 1:
        return Classification()
    if not matrix:
        return Segmentation()
    if shape[1] == 1:
        raise DataError(f"The targets have the shape {shape}: give one number for each example, of shape ({shape[0]},).")
    if binary:
        return MultiLabel()
    raise DataError(
        f"Whole numbers of shape {shape} can mean several things: give task=Segmentation() for a class at every position, "
        f"task=LanguageModel() for tokens, or task=Regression() for {shape[1]} numbers."
    )
