"""Splits: which examples train the weights, which the architecture, and which are kept for the last test.

A split is a value: shares and a seed, or a file of index lists. What it did is written down, with the class counts.
"""

import hashlib
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from mixop.core.errors import DataError, RecipeError
from mixop.core.files import read_file
from mixop.core.outside import MalformedError, parse_object, shortened

Indices = Sequence[int] | np.ndarray | Tensor
"""Whole numbers that each name an example, counted from 0."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """How a set is divided into a split for the weights, one for the architecture and, where it has none, a test set.

    A number between 0 and 1 is a share, a whole number of at least 1 is a number of examples: ``Split(valid=500, test=1000)``.
    Where every class is divided by the same share, a rare class still has at least one example in each part: three examples
    are one for each. The parts keep their sizes, so larger classes give way. Shares that are too small for one example of
    every class become larger, and the record says so.

    Args:
        valid: share or number of the training examples that the architecture learns from.
        train: share or number of the training examples that the weights learn from, none of those for the architecture; None
            for all the rest. ImageNet searches of the field: ``train=0.1, valid=0.025`` of every class.
        test: share or number of all examples that is kept for the test; only for sets that come without a test set.
        seed: seed of the division; same seed, same split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file ``{"train": [...], "valid": [...]}`` with the index of every example, counted from 0, instead
            of shares; a set that comes without a test set needs a list ``"test"`` too. The split files of NAS-Bench-201
            are read as they are.
    """

    asked: ClassVar[str] = "a split such as mixop.data.Split(valid=0.5)"

    valid: int | float = 0.5
    train: int | float | None = None
    test: int | float = 0.2
    seed: int = 0
    stratified: bool = True
    index_file: str | None = None

    def __post_init__(self) -> None:
        for name in ("valid", "train", "test"):
            share = getattr(self, name)
            if share is not None and not is_count(share) and not 0 < share < 1:
                raise RecipeError(
                    f"The {name} share of a split must be greater than 0 and less than 1, or a whole number of examples of at "
                    f"least 1, got {share}."
                )
        shares = [share for share in (self.train, self.valid) if share is not None and not is_count(share)]
        if len(shares) == 2 and sum(shares) > 1 + 1e-9:  # shares that add up to 1 but for rounding
            raise RecipeError(
                f"The train and valid shares of a split may add up to at most 1, got {self.train} and {self.valid}."
            )
        if not 0 <= self.seed < 2**63:
            raise RecipeError(f"The seed of a split must be a whole number >= 0, got {self.seed}.")


def is_count(share: float) -> bool:
    """Whether it is a number of examples, not a share; ``1.0`` is neither."""
    return isinstance(share, int) and not isinstance(share, bool) and share >= 1


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
        if missing := count - sum(map(len, parts.values())):
            record["examples_in_no_list"] = missing
        for name, part in parts.items():
            refuse_empty_class(part, strata, classes, name, "add its examples to the list")
    else:
        if strata is None and count < 2 * len(names):
            raise DataError(f"A set of {count} examples is too small to be divided into {' and '.join(names)}: give more.")
        parts, raised = _by_shares(count, strata, classes, split, own_test, own_valid)
        settings = {name: value for name, value in asdict(split).items() if name in names or name == "seed"}
        if split.train is None:
            settings.pop("train", None)
        record = {"method": "stratified" if split.stratified and strata is not None else "random", **settings}
        if own_valid:
            record["valid"] = "came with the set"
        if raised:
            record["classes_given_one_example"] = raised
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
    test = 0 if own_test else _total("test", split.test, count, count)
    rest = count - test
    valid = 0 if own_valid else _total("valid", split.valid, rest, rest)
    train = rest - valid if split.train is None else _total("train", split.train, rest, rest - valid)
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
) -> tuple[dict[str, Tensor], dict[str, int]]:
    """The parts of a seeded division: first the test, then the split for the architecture, then that for the weights.

    With them, by part, the number of classes that the share alone would have left without an example.
    """
    generator = torch.Generator().manual_seed(split.seed)
    stratified = split.stratified and strata is not None
    y = torch.zeros(count, dtype=torch.int64) if strata is None else strata  # without classes, all examples are of one
    names = [*([] if own_test else ["test"]), *([] if own_valid else ["valid"]), "train"]
    if stratified:
        _refuse_rare(y, classes, names)
    rest = torch.arange(count)
    parts: dict[str, Tensor] = {}
    raised: dict[str, int] = {}
    whole = rest
    for number, name in enumerate(names):
        if name != "train" or own_valid:  # the shares for weights and architecture are of the same examples
            whole = rest
        share = getattr(split, name)
        if share is not None:
            total = _total(name, share, len(whole), len(rest), classes if stratified else ())
            others = len(names) - 1 - number
            labels = y[whole] if stratified else None
            rest, parts[name], more = _take(rest, y, share, total, generator, whole=labels, others=others)
            if more:
                raised[name] = more
        else:
            parts[name] = rest
        if strata is not None:
            refuse_empty_class(parts[name], strata, classes, name, "take another share, more examples or stratified=True")
        elif len(parts[name]) == 0:
            raise DataError(
                f"The {name} share of the split leaves no example in that part: take another share, or more examples."
            )
    return parts, raised


def _refuse_rare(y: Tensor, classes: Sequence[str], parts: Sequence[str]) -> None:
    """Raises a `DataError` if a class has fewer examples than there are parts that need one."""
    counts = torch.bincount(y, minlength=len(classes))
    if len(counts) and int(counts.min()) < len(parts):
        rarest = int(counts.argmin())
        *first, last = sorted(parts, key=("train", "valid", "test").index)
        raise DataError(
            f"Class {classes[rarest]!r} has {_examples(int(counts[rarest]))}, but it needs at least {len(parts)}, one each "
            f"for {' and '.join([', '.join(first), last]) if first else last}: add examples, or leave the class out."
        )


def _total(name: str, share: float, whole: int, left: int, classes: Sequence[str] = ()) -> int:
    """How many examples a share of ``whole`` is, or the number that was asked for; no more than are ``left``.

    Raises:
        DataError: if a number of examples is larger than what is left, or too small for one of each of the classes.
    """
    if not is_count(share):
        return min(round(whole * share), left)
    if share > left:
        raise DataError(
            f"The split asks for {_examples(int(share))} in its {name} part, but {left} are left for it: ask for fewer, or add "
            "examples."
        )
    if share < len(classes):
        raise DataError(
            f"The split asks for {_examples(int(share))} in its {name} part, but there are {len(classes)} classes: ask for at "
            "least one of each, or take stratified=False."
        )
    return int(share)


def _examples(count: int) -> str:
    return "1 example" if count == 1 else f"{count} examples"


def _take(
    rest: Tensor, y: Tensor, share: float, total: int, generator: Generator, *, whole: Tensor | None, others: int
) -> tuple[Tensor, Tensor, int]:
    """Divides indices in two, ``(kept, taken)``, both sorted, and counts the classes that rounding would have left out.

    Args:
        rest: the indices.
        y: the labels of all examples.
        share: share or number of those with the labels ``whole``.
        total: how many that is.
        generator: decides which ones.
        whole: labels that every class's share is taken of; None to take whatever comes.
        others: parts that still need an example of every class after this one.
    """
    rest = rest[torch.randperm(len(rest), generator=generator)]
    if whole is None:
        return rest[total:].sort().values, rest[:total].sort().values, 0
    labels = y[rest]
    counts = torch.bincount(whole).tolist()
    exact = [count * total / len(whole) if is_count(share) else count * share for count in counts]
    take, raised = _of_each(exact, total, torch.bincount(labels, minlength=len(counts)).tolist(), others)
    taken = torch.cat([(labels == k).nonzero().flatten()[:number] for k, number in enumerate(take)])
    mask = torch.zeros(len(rest), dtype=torch.bool)
    mask[taken] = True
    return rest[~mask].sort().values, rest[mask].sort().values, raised


def _of_each(exact: Sequence[float], total: int, left: Sequence[int], others: int) -> tuple[list[int], int]:
    """How many examples of each class to take, and how many classes got their only one, or gave it up, against their share.

    Args:
        exact: each class's share, not rounded.
        total: how many to take together.
        left: examples of each class that are there, more than ``others``.
        others: examples of each class that have to stay.
    """
    take = [math.floor(number) for number in exact]
    # The examples that rounding down leaves over go to the classes that lost most by it (largest remainder).
    by_loss = sorted(range(len(exact)), key=lambda k: take[k] - exact[k])
    for k in by_loss[: total - sum(take)]:
        take[k] += 1
    take = [min(number, there) for number, there in zip(take, left, strict=True)]
    total = sum(take)
    bounded = [min(max(number, 1), there - others) for number, there in zip(take, left, strict=True)]
    moved = sum(old != new for old, new in zip(take, bounded, strict=True))
    # What rare classes got, others give, those first that are furthest above their share; and the other way round.
    surplus = sum(bounded) - total
    step = 1 if surplus < 0 else -1
    for _ in range(abs(surplus)):
        room = [k for k in range(len(exact)) if 1 <= bounded[k] + step <= left[k] - others]
        if not room:
            break
        best = min(room, key=lambda k: step * (bounded[k] - exact[k]))
        bounded[best] += step
    return bounded, moved


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
        content = read_file(path)
        data = parse_object(content)
    except OSError as error:
        raise DataError(f"Cannot read the index file {path!r}: {error.strerror or error}.") from error
    except MalformedError as error:
        raise DataError(f"The index file {path!r} must be JSON with index lists, but is not: {error}.") from error
    if not all(name in data for name in names):
        found = shortened(list(data)) if data else "nothing"
        raise DataError(f"The index file {path!r} must hold the lists {', '.join(map(repr, names))}, got {found}.")
    lists = {name: _unwrapped(data[name]) for name in names}
    for name, values in lists.items():
        if not isinstance(values, list) or any(type(value) is not int for value in values):
            raise DataError(f"The list {name!r} of the index file {path!r} must hold whole numbers only.")
    return lists, {
        "method": "index file",
        "file": Path(path).name,
        "md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        **({"lists_not_used": unused} if (unused := [name for name in data if name not in names]) else {}),
    }


def _unwrapped(values: Any) -> Any:
    """The list of a NAS-Bench-201 split file, ``["int", ["0", "5", ...]]``, as numbers; anything else as it is."""
    if isinstance(values, list) and len(values) == 2 and values[0] == "int" and isinstance(values[1], list):
        return [int(text) if isinstance(text, str) and text.isdecimal() else text for text in values[1]]
    return values
