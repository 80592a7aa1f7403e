"""Tasks: what a network is for. Its loss, what it is measured by, how many numbers it gives."""

from collections.abc import Mapping
from typing import Any

from mixop.core.errors import RecipeError
from mixop.core.measure import Measure
from mixop.core.values import from_plain
from mixop.tasks.base import Task, Totals
from mixop.tasks.classification import Classification
from mixop.tasks.infer import infer
from mixop.tasks.language import LanguageModel
from mixop.tasks.multilabel import MultiLabel
from mixop.tasks.own import Own, own
from mixop.tasks.regression import Regression
from mixop.tasks.segmentation import Segmentation

TASKS: dict[str, type[Task]] = {
    "classification": Classification,
    "multilabel": MultiLabel,
    "regression": Regression,
    "segmentation": Segmentation,
    "language": LanguageModel,
    "own": Own,
}
"""Every task by its name on the command line."""

PARTS: Mapping[str, type] = {cls.__name__: cls for cls in TASKS.values()}
"""Every task by the name it has in a file."""


def task_from_json(data: Any) -> Task:
    """The task that `mixop.core.values.to_plain` wrote.

    Raises:
        RecipeError: with the path to what is unknown, missing or of the wrong type.
    """
    if not isinstance(data, Mapping) or "type" not in data:
        raise RecipeError(f'A task is an object with its "type", one of {", ".join(PARTS)}, got {data!r}.')
    return from_plain(data, Task, PARTS, "task")


__all__ = [
    "PARTS",
    "TASKS",
    "Classification",
    "LanguageModel",
    "Measure",
    "MultiLabel",
    "Own",
    "Regression",
    "Segmentation",
    "Task",
    "Totals",
    "infer",
    "own",
    "task_from_json",
]
