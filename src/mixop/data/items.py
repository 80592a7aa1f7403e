"""Single examples of a data set that others wrote: ``(input, target)`` of whatever kind, as arrays."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from mixop.core.errors import DataError
from mixop.data.images.pixels import seen, too_deep
from mixop.data.layouts import FORMS, Layout, arranged, as_array, found, numbers

COLUMN_NAMES = (("image", "img", "audio", "input", "inputs", "x", "data"), ("label", "labels", "fine_label", "target", "y"))
"""What columns of inputs and of targets are often called; taken only if one of each is there."""


class Item(NamedTuple):
    """An example: its input and its target, each an array."""

    x: np.ndarray
    y: np.ndarray


class Items:
    """The examples of a map-style data set, as arrays of one shape.

    Args:
        dataset: has ``len`` and an index that gives ``(input, target)``, or, with ``columns``, a mapping of columns.
        columns: names of the columns of inputs and targets; None where examples are pairs.
        layout: order of the axes of all inputs; "auto" finds it in the first example.
        where: what the set is called in messages.

    Attributes:
        shape: of an input in mixop's order.
        dtype: of an input, uint8 or float32.
        layout: the order that was read.

    Raises:
        DataError: if it is no such set, empty, or gives another example when it is read again.
    """

    def __init__(self, dataset: Any, columns: tuple[str, str] | None, layout: Layout, where: str) -> None:
        self.dataset, self.where = dataset, where
        self.count = _length(dataset, where)
        self.columns = _columns(dataset, columns, where)
        first, is_image = self._raw(0)
        shape, is_bytes = (1, *first.x.shape), first.x.dtype == np.uint8
        # Pictures of Pillow say themselves which of their axes are the colours.
        of_image: Layout = "nhwc" if first.x.ndim == 3 else "nhw"
        self.layout: Layout = found(shape, is_bytes, of_image if is_image else layout, where)
        x = arranged(numbers(first.x[None], where), self.layout)[0]
        self.shape, self.dtype, self._target = x.shape, x.dtype, first.y.shape
        self._refuse_random()

    def __len__(self) -> int:
        return self.count

    def read(self, i: int) -> Item:
        """An example in mixop's order of axes.

        Raises:
            DataError: if it cannot be read, or is not like the first one.
        """
        raw, _ = self._raw(i)
        where = f"Example {i} of {self.where}"
        x = raw.x
        if x.ndim + 1 == FORMS[self.layout][1]:
            x = arranged(numbers(x[None], where), self.layout)[0]
        for what, got, wanted in (
            ("input", (x.shape, x.dtype), (self.shape, self.dtype)),
            ("target", (raw.y.shape, None), (self._target, None)),
        ):
            if got != wanted:
                had = f"{tuple(got[0])}" + (f" of {got[1]}" if got[1] else "")
                first = f"{tuple(wanted[0])}" + (f" of {wanted[1]}" if wanted[1] else "")
                raise DataError(
                    f"{where} has the {what} {had}, but the first one has {first}: convert all to one shape and "
                    "number type first."
                )
        return Item(np.ascontiguousarray(x), raw.y)

    @property
    def known_targets(self) -> np.ndarray | None:
        """The targets of all examples where the set gives them without reading the inputs; checked against a few examples."""
        values = _given_targets(self.dataset, self.columns)
        if values is None:
            return None
        try:
            array = as_array(values, self.where)
        except (DataError, TypeError, ValueError, RuntimeError):  # a list of pictures, say: then every example is read
            return None
        same = len(array) == self.count and all(np.array_equal(array[i], self.read(i).y) for i in self._some())
        return array if same and array.dtype.kind in "iufb" else None

    @property
    def columns_not_used(self) -> list[str]:
        """The names of the columns that are neither inputs nor targets."""
        if self.columns is None:
            return []
        names = getattr(self.dataset, "column_names", None)
        return [str(name) for name in (self.dataset[0] if names is None else names) if name not in self.columns]

    @property
    def classes(self) -> tuple[str, ...] | None:
        """The names of the classes, where the set has them."""
        if self.columns is not None:
            feature = getattr(self.dataset, "features", None) or {}
            names = getattr(feature.get(self.columns[1]), "names", None) if isinstance(feature, Mapping) else None
        else:
            names = getattr(_whole(self.dataset), "classes", None)
        if isinstance(names, list | tuple) and len(set(names)) == len(names) and all(isinstance(name, str) for name in names):
            return tuple(names)
        return None

    def _raw(self, i: int) -> tuple[Item, bool]:
        """An example as it comes, and whether its input is a picture of Pillow."""
        where = f"Example {i} of {self.where}"
        try:
            item = self.dataset[i]
        except Exception as error:  # whatever the code of others provokes
            raise DataError(f"{where} cannot be read ({type(error).__name__}: {error}): fix the data set.") from error
        if self.columns is not None:
            if not isinstance(item, Mapping) or any(name not in item for name in self.columns):
                raise DataError(f"{where} must have the columns {' and '.join(map(repr, self.columns))}, got {_kind(item)}.")
            x, y = (item[name] for name in self.columns)
        elif isinstance(item, tuple | list) and len(item) == 2:
            x, y = item
        else:
            hint = "name its columns, as columns=('image', 'label')" if isinstance(item, Mapping) else "give pairs"
            raise DataError(f"{where} must be an input and a target, got {_kind(item)}: {hint}.")
        of = f"example {i} of {self.where}"
        return Item(_array(x, f"The input of {of}"), _array(y, f"The target of {of}", target=True)), _is_picture(x)

    def _some(self) -> list[int]:
        return sorted({0, self.count // 2, self.count - 1})

    def _refuse_random(self) -> None:
        """Refuses a set that draws random numbers itself: a run that was resumed could not repeat them."""
        for i in self._some():
            first, *others = (self.read(i) for _ in range(3))
            for other in others:
                if not (np.array_equal(first.x, other.x, equal_nan=True) and np.array_equal(first.y, other.y)):
                    raise DataError(
                        f"Example {i} of {self.where} is different each time it is read: take random transforms out of the "
                        "data set, since a resumed run could not repeat them, and pass them as augment=."
                    )


def _length(dataset: Any, where: str) -> int:
    if isinstance(dataset, Mapping):
        raise DataError(
            f"{where} must be one data set, got a mapping of {', '.join(map(str, dataset))}: pass them one by one, as train=, "
            "valid= and test=."
        )
    try:
        count = len(dataset)
    except (TypeError, NotImplementedError) as error:
        raise DataError(
            f"{where} must be a data set with a length, whose examples can be read by index, got {type(dataset).__name__}: a "
            "stream of examples cannot be divided or resumed, so save its examples first."
        ) from error
    if not hasattr(dataset, "__getitem__"):
        raise DataError(f"{where} must be a data set whose examples can be read by index, got {type(dataset).__name__}.")
    if count == 0:
        raise DataError(f"{where} is empty: it must hold at least one example.")
    return count


def _columns(dataset: Any, columns: tuple[str, str] | None, where: str) -> tuple[str, str] | None:
    """The columns of inputs and targets; None where examples are pairs."""
    names = getattr(dataset, "column_names", None)
    if not isinstance(names, list | tuple):
        return columns
    if columns is None:
        matches = [[name for name in names if name in usual] for usual in COLUMN_NAMES]
        if any(len(match) != 1 for match in matches):
            raise DataError(
                f"{where} has the columns {', '.join(names)}: say which are inputs and targets, as columns=('image', 'label')."
            )
        return matches[0][0], matches[1][0]
    for name in columns:
        if name not in names:
            raise DataError(f"{where} has no column {name!r}: choose from {', '.join(names)}.")
    return columns


def _given_targets(dataset: Any, columns: tuple[str, str] | None) -> Any:
    """What a data set says of its targets, without an example being read."""
    if columns is not None:
        return list(dataset[columns[1]]) if hasattr(dataset, "column_names") else None
    indices, inner = getattr(dataset, "indices", None), getattr(dataset, "dataset", None)
    if indices is not None and inner is not None:  # torch's Subset
        values = _given_targets(inner, None)
        return None if values is None else [values[i] for i in indices]
    for name in ("targets", "labels"):
        values = getattr(dataset, name, None)
        if isinstance(values, list | tuple | np.ndarray | Tensor):
            return values
    return None


def _whole(dataset: Any) -> Any:
    """The set that a torch ``Subset`` is a part of."""
    while hasattr(dataset, "indices") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset
    return dataset


def _array(value: Any, where: str, target: bool = False) -> np.ndarray:
    if _is_picture(value):
        if (deep := too_deep(value)) is not None:
            raise DataError(f"{where} must have 8 bits for each channel, got {deep}: convert it first.")
        plain = value.mode in ("L", "RGB") or (target and value.mode == "P")  # a mask's palette numbers are its classes
        return np.asarray(value if plain else seen(value, "RGB", upright=False).image)
    if isinstance(value, str | bytes) or value is None or isinstance(value, Mapping):
        raise DataError(f"{where} must be numbers, a tensor, an array or a picture, got {_kind(value)}: convert it first.")
    array = as_array(value, where)
    if array.dtype.kind not in "iufb":
        raise DataError(f"{where} must be numbers, a tensor, an array or a picture, got {_kind(value)}: convert it first.")
    return array


def _is_picture(value: Any) -> bool:
    return all(hasattr(value, name) for name in ("mode", "size", "convert", "getbands"))


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"a mapping of {', '.join(map(str, value))}"
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return f"{type(value).__name__} of {len(value)}"
    return type(value).__name__
