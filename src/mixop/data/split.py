"""Splits: which examples train the weights, which the architecture, and which are kept for the last test.

A split is a value: shares and a seed, or a file of index lists. What it did is written down, with the class counts.
"""

import hashlib
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from mixop.core.errors import DataError, RecipeError

Indices = Sequence[int] | np.ndarray | Tensor
"""Whole numbers that each name an example, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """How a set is divided into a split for the weights, one for the architecture and, where it has none, a test set.

    Args:
        valid: share of the training examples that the architecture learns from.
        train: share of the training examples that the weights learn from, none of those for the architecture; None for all
            the rest. ImageNet searches of the field: ``train=0.1, valid=0.025`` of every class.
        test: share of all examples that is kept for the test; only for sets that come without a test set.
        seed: seed of the division; same seed, same split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file ``{"train": [...], "valid": [...]}`` with the index of every example, counted from 0, instead
            of shares; a set that comes without a test set needs a list ``"test"`` too. The split files of NAS-Bench-201
            are read as they are.
    """

    asked: ClassVar[str] = "a split such as mixop.data.Split(valid=0.5)"

    valid: float = 0.5
    train: float | None = None
    test: float = 0.2
    seed: int = 0
    stratified: bool = True
    index_file: str | None = None

    def __post_init__(self) -> None:
        for name in ("valid", "train", "test"):
            share = getattr(self, name)
            if share is not None and not 0 < share < 1:
                raise RecipeError(f"The {name} share of a split must be greater than 0 and less than 1, got {share}.")
        if self.train is not None and self.train + self.valid > 1 + 1e-9:  # shares that add up to 1 but for rounding
            raise RecipeError(
                f"The train and valid shares of a split may add up to at most 1, got {self.train} and {self.valid}."
            )
        if not 0 <= self.seed < 2**63:
            raise RecipeError(f"The seed of a split must be a whole number >= 0, got {self.seed}.")


class Divided(NamedTuple):
    """A divided set: sorted index tensors, and what was done as JSON data; None for a part that the set came with."""

    train: Tensor
    valid: Tensor | None
    test: Tensor | None
    record: dict[str, Any]


class DividedInTwo(NamedTuple):
    """Sorted indices of the parts for weights and architecture, and what was done as JSON data."""

    train: Tensor
    valid: Tensor
    record: dict[str, Any]


def divide(
    count: int, strata: Tensor | None, classes: Sequence[str], split: Split, *, own_test: bool, own_valid: bool = False
) -> Divided:
    """Divides a set as a `Split` says.

    Args:
        count: number of examples N.
        strata: the class of every example ``(N,)``, int64; None where there are no classes, and shares are drawn at random.
        classes: names of the classes, for messages.
        split: the shares, or the file of index lists.
        own_test: whether the set comes with a test set, so that no share of these examples is kept for it.
        own_valid: whether it comes with a validation set.

    Raises:
        DataError: if a class would be left without an example in a part, or an index list is not usable.
    """
    names = ["train", *(["valid"] if not own_valid else []), *(["test"] if not own_test else [])]
    if split.index_file is not None:
        lists, record = _read_index_file(split.index_file, names)
        parts = _checked(lists, count)
        for name, part in parts.items():
            refuse_empty_class(part, strata, classes, name, "add its examples to the list")
    else:
        if strata is None and count < 2 * len(names):
            raise DataError(f"A set of {count} examples is too small to be divided into {' and '.join(names)}: give more.")
        parts = _by_shares(count, strata, classes, split, own_test, own_valid)
        settings = {name: value for name, value in asdict(split).items() if name in names or name == "seed"}
        if split.train is None:
            settings.pop("train", None)
        record = {"method": "stratified" if split.stratified and strata is not None else "random", **settings}
        if own_valid:
            record["valid"] = "came with the set"
    return Divided(parts["train"], parts.get("valid"), parts.get("test"), record)


def divide_in_order(count: int, split: Split, *, own_test: bool, own_valid: bool = False) -> Divided:
    """Divides a sequence where order counts, a text, by the shares of a `Split`: first train, then valid, then test.

    Args:
        count: number of positions.
        split: the shares; seed and strata do not count.
        own_test: whether the sequence comes with a test part.
        own_valid: whether it comes with a validation part.

    Raises:
        DataError: if a part would have less than two positions, or the split has a file of index lists.
    """
    if split.index_file is not None:
        raise DataError("A text is divided in order, by shares, not by a file of index lists: leave it out.")
    test = 0 if own_test else round(count * split.test)
    valid = 0 if own_valid else round((count - test) * split.valid)
    train = count - test - valid if split.train is None else min(round((count - test) * split.train), count - test - valid)
    record: dict[str, Any] = {"method": "in order", "valid": "came with the set" if own_valid else split.valid}
    if split.train is not None:
        record["train"] = split.train
    if not own_test:
        record["test"] = split.test
    sizes = {"train": train, **({} if own_valid else {"valid": valid}), **({} if own_test else {"test": test})}
    for name, size in sizes.items():
        if size < 2:
            raise DataError(
                f"The split leaves {size} tokens in its {name} part, which is too few: take another share, or more tokens."
            )
    everything = torch.arange(count)
    return Divided(
        everything[:train],
        None if own_valid else everything[count - test - valid : count - test],
        None if own_test else everything[count - test :],
        record,
    )


def divide_by_indices(
    count: int, strata: Tensor | None, classes: Sequence[str], train: Indices, valid: Indices
) -> DividedInTwo:
    """Divides a set by two lists of indices.

    Args:
        count: number of examples N.
        strata: the class of every example ``(N,)``, int64; None where there are no classes.
        classes: names of the classes, for messages.
        train: indices of the examples that the weights learn from, in 0..N-1, each once.
        valid: indices of those that the architecture learns from; none of them in ``train``.

    Raises:
        DataError: if an index is out of range or given twice, or a class has no example in one of the lists.
    """
    parts = _checked({"train": train, "valid": valid}, count)
    for name, part in parts.items():
        refuse_empty_class(part, strata, classes, name, "add its examples to the list")
    return DividedInTwo(parts["train"], parts["valid"], {"method": "indices"})


def check_parts(parts: Mapping[str, Tensor], count: int, strata: Tensor | None, classes: Sequence[str], where: str) -> None:
    """Refuses parts that no search could use.

    Args:
        parts: the indices of each part.
        count: number of examples N.
        strata: the class of every example; None where there are no classes.
        classes: names of the classes, for messages.
        where: the set's name, for messages.

    Raises:
        DataError: if an index is not int64, out of range or given twice, a part is empty, or a class has no example in the
            parts that are trained on.
    """
    for name, part in parts.items():
        if part.dtype != torch.int64:  # torch reads uint8 and bool tensors as masks
            raise DataError(f"The indices {name} of {where} must be int64, got {part.dtype}.")
        if part.dim() != 1 or len(part) == 0:
            raise DataError(f"The indices {name} of {where} must be a plain list with at least one example.")
    _checked({name: part.cpu() for name, part in parts.items()}, count)
    for name in ("train", "valid"):
        refuse_empty_class(parts[name].cpu(), strata, classes, name, "add its examples to the list")


def refuse_empty_class(part: Tensor, y: Tensor | None, classes: Sequence[str], name: str, hint: str) -> None:
    """Raises a `DataError` if a class has no example in a part of the set."""
    if y is None:
        return
    counts = torch.bincount(y[part], minlength=len(classes))
    if not counts.all():
        empty = classes[int(counts.argmin())]
        raise DataError(f"The split leaves class {empty!r} without an example in its {name} part: {hint}.")


def _by_shares(
    count: int, strata: Tensor | None, classes: Sequence[str], split: Split, own_test: bool, own_valid: bool
) -> dict[str, Tensor]:
    """The parts of a seeded division: first the test, then the split for the architecture, then that for the weights."""
    generator = torch.Generator().manual_seed(split.seed)
    stratified = split.stratified and strata is not None
    y = torch.zeros(count, dtype=torch.int64) if strata is None else strata  # without classes, all examples are of one

    def refuse(name: str, share: float | None, part: Tensor, whole: Tensor) -> None:
        if strata is not None:
            _refuse_share(name, share, part, whole, y, classes, split)
        elif len(part) == 0:
            raise DataError(
                f"The {name} share of the split leaves no example in that part: take another share, or more examples."
            )

    rest = torch.arange(count)
    parts = {}
    if not own_test:
        rest, parts["test"] = _take(rest, y, split.test, stratified, generator)
        refuse("test", split.test, parts["test"], y)
    whole = y[rest]
    if not own_valid:
        rest, parts["valid"] = _take(rest, y, split.valid, stratified, generator)
        refuse("valid", split.valid, parts["valid"], whole)
    if split.train is not None:
        _, rest = _take(rest, y, split.train, stratified, generator, of=whole)
    parts["train"] = rest
    refuse("train", split.train, rest, whole)
    return parts


def _refuse_share(
    name: str, share: float | None, part: Tensor, whole: Tensor, y: Tensor, classes: Sequence[str], split: Split
) -> None:
    """Raises a `DataError` if a class has no example in a part, with the nearest share that leaves it some.

    The smallest of the classes to be divided decides: a share of at least ``1/n`` takes one of its ``n`` examples whatever
    the rounding, and one of at most ``1 - 1/n`` leaves one.
    """
    hint = "take another share, more examples or stratified=True"
    if split.stratified:
        smallest = int(torch.bincount(whole, minlength=len(classes)).min())
        parts = 3 if name == "test" else 2  # that still need an example of it
        if smallest < parts:
            hint = f"it needs at least {parts} examples to be divided, but the smallest class has {smallest}"
        elif share is None:
            hint = f"take a valid share of at most {_rounded(1 - 1 / smallest, math.floor)}"
        else:
            hint = f"take a {name} share of at least {_rounded(1 / smallest, math.ceil)}"
    refuse_empty_class(part, y, classes, name, hint)


def _rounded(share: float, towards: Callable[[float], int]) -> float:
    """A share with four digits behind its leading zeros, rounded to the safe side."""
    scale = 10 ** (4 - math.ceil(math.log10(share)))
    return towards(share * scale) / scale


def _take(
    rest: Tensor, y: Tensor, share: float, stratified: bool, generator: Generator, of: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Divides indices in two, ``(kept, taken)``, both sorted.

    `taken` has the nearest whole number to ``share`` of the examples with labels ``of`` (default: of ``rest``), or all that
    are left.
    """
    whole = y[rest] if of is None else of
    rest = rest[torch.randperm(len(rest), generator=generator)]
    total = min(round(len(whole) * share), len(rest))
    if not stratified:
        return rest[total:].sort().values, rest[:total].sort().values
    labels = y[rest]
    exact = [count * share for count in torch.bincount(whole).tolist()]
    take = [math.floor(number) for number in exact]
    # The examples that rounding down leaves over go to the classes that lost most by it (largest remainder).
    by_loss = sorted(range(len(exact)), key=lambda k: take[k] - exact[k])
    for k in by_loss[: total - sum(take)]:
        take[k] += 1
    taken = torch.cat([(labels == k).nonzero().flatten()[:number] for k, number in enumerate(take)])
    mask = torch.zeros(len(rest), dtype=torch.bool)
    mask[taken] = True
    return rest[~mask].sort().values, rest[mask].sort().values


def _checked(lists: dict[str, Any], count: int) -> dict[str, Tensor]:
    """Index lists as sorted tensors, refused if they are not whole numbers in range, each used once over all lists."""
    parts: dict[str, Tensor] = {}
    for name, given in lists.items():
        try:
            array = np.asarray(given)
        except ValueError:  # lists of different lengths in the list
            array = np.empty((0, 0))
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise DataError(f"The index list {name!r} must be a plain list of whole numbers that is not empty.")
        outside = array[(array < 0) | (array >= count)]
        if len(outside):
            raise DataError(
                f"The index list {name!r} holds {outside[0]}, but the set has {count} examples, numbered 0 to {count - 1}."
            )
        parts[name] = torch.from_numpy(np.sort(array.astype(np.int64)))
        values, times = parts[name].unique(return_counts=True)
        if (times > 1).any():
            raise DataError(
                f"The index list {name!r} holds {int(values[times > 1][0])} more than once: list every example once."
            )
    values, times = torch.cat(list(parts.values())).unique(return_counts=True)
    if (times > 1).any():
        where = [name for name, part in parts.items() if int(values[times > 1][0]) in part]
        raise DataError(
            f"The index lists {where[0]!r} and {where[1]!r} overlap (both hold {int(values[times > 1][0])}): "
            "put every example into one part only."
        )
    return parts


def _read_index_file(path: str, names: list[str]) -> tuple[dict[str, Any], dict[str, Any]]:
    try:
        content = Path(path).read_bytes()
        data = json.loads(content)
    except OSError as error:
        raise DataError(f"Cannot read the index file {path!r}: {error.strerror or error}.") from error
    except (ValueError, RecursionError) as error:  # malformed JSON, not UTF-8, nested without end
        raise DataError(f"The index file {path!r} must be JSON with index lists, but is not: {error}.") from error
    if not isinstance(data, dict) or not all(name in data for name in names):
        found = ", ".join(map(repr, data)) if isinstance(data, dict) else type(data).__name__
        raise DataError(f"The index file {path!r} must hold the lists {', '.join(map(repr, names))}, got {found or 'nothing'}.")
    lists = {name: _unwrapped(data[name]) for name in names}
    for name, values in lists.items():
        if not isinstance(values, list) or any(type(value) is not int for value in values):
            raise DataError(f"The list {name!r} of the index file {path!r} must hold whole numbers only.")
    return lists, {
        "method": "index file",
        "file": Path(path).name,
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
    }


def _unwrapped(values: Any) -> Any:
    """The list of a NAS-Bench-201 split file, ``["int", ["0", "5", ...]]``, as numbers; anything else as it is."""
    if isinstance(values, list) and len(values) == 2 and values[0] == "int" and isinstance(values[1], list):
        return [int(text) if isinstance(text, str) and text.isdecimal() else text for text in values[1]]
    return values
