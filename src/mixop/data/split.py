"""Splits: which examples train the weights, which the architecture, and which are kept for the last test.

A split is a value: shares and a seed, or a file of index lists. What it did is written down, with the class counts.
"""

import hashlib
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, NamedTuple

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
                raise RecipeError(f"The {name} share of a split must lie between 0 and 1 and be neither, got {share}.")
        if self.train is not None and self.train + self.valid > 1 + 1e-9:  # shares that add up to 1 but for rounding
            raise RecipeError(f"The train and valid shares of a split may add up to 1, got {self.train} and {self.valid}.")
        if not 0 <= self.seed < 2**63:
            raise RecipeError(f"The seed of a split must be a whole number >= 0, got {self.seed}.")


class Divided(NamedTuple):
    """A divided set: sorted index tensors, and what was done as JSON data; ``test`` is None where the set has its own."""

    train: Tensor
    valid: Tensor
    test: Tensor | None
    record: dict[str, Any]


def divide(y: Tensor, classes: Sequence[str], split: Split, *, own_test: bool) -> Divided:
    """Divides a set as a `Split` says.

    Args:
        y: labels ``(N,)``, int64, in 0..K-1.
        classes: names of the K classes, for messages.
        split: the shares, or the file of index lists.
        own_test: whether the set comes with a test set, so that ``y`` is divided in two instead of three.

    Raises:
        DataError: if a class would be left without an example in a part, or an index list is not usable.
    """
    names = ["train", "valid"] if own_test else ["train", "valid", "test"]
    if split.index_file is not None:
        lists, record = _read_index_file(split.index_file, names)
        parts = _checked(lists, len(y))
        for name, part in parts.items():
            refuse_empty_class(part, y, classes, name, "add its examples to the list")
    else:
        parts = _by_shares(y, classes, split, own_test)
        settings = {name: value for name, value in asdict(split).items() if name in ("valid", "seed")}
        if split.train is not None:
            settings["train"] = split.train
        if not own_test:
            settings["test"] = split.test
        record = {"method": "stratified" if split.stratified else "random", **settings}
    return Divided(parts["train"], parts["valid"], parts.get("test"), record)


def divide_by_indices(y: Tensor, classes: Sequence[str], train: Indices, valid: Indices) -> Divided:
    """Divides a set by two lists of indices.

    Args:
        y: labels ``(N,)``, int64, in 0..K-1.
        classes: names of the K classes, for messages.
        train: indices of the examples that the weights learn from, in 0..N-1, each once.
        valid: indices of those that the architecture learns from; none of them in ``train``.

    Raises:
        DataError: if an index is out of range or given twice, or a class has no example in one of the lists.
    """
    parts = _checked({"train": train, "valid": valid}, len(y))
    for name, part in parts.items():
        refuse_empty_class(part, y, classes, name, "add its examples to the list")
    return Divided(parts["train"], parts["valid"], None, {"method": "indices"})


def refuse_empty_class(part: Tensor, y: Tensor, classes: Sequence[str], name: str, hint: str) -> None:
    """Raises a `DataError` if a class has no example in a part of the set."""
    counts = torch.bincount(y[part], minlength=len(classes))
    if not counts.all():
        empty = classes[int(counts.argmin())]
        raise DataError(f"The split leaves class {empty!r} without an example in its {name} part: {hint}.")


def _by_shares(y: Tensor, classes: Sequence[str], split: Split, own_test: bool) -> dict[str, Tensor]:
    """The parts of a seeded division: first the test, then the split for the architecture, then that for the weights."""
    generator = torch.Generator().manual_seed(split.seed)
    rest = torch.arange(len(y))
    parts = {}
    if not own_test:
        rest, parts["test"] = _take(rest, y, split.test, split.stratified, generator)
        _refuse_share("test", split.test, parts["test"], y, y, classes, split)
    whole = y[rest]
    rest, parts["valid"] = _take(rest, y, split.valid, split.stratified, generator)
    _refuse_share("valid", split.valid, parts["valid"], whole, y, classes, split)
    if split.train is not None:
        _, rest = _take(rest, y, split.train, split.stratified, generator, of=whole)
    parts["train"] = rest
    _refuse_share("train", split.train, rest, whole, y, classes, split)
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
            raise DataError(f"The index list {name!r} must be a plain list of whole numbers, at least one, but is not.")
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
            f"The index lists {where[0]!r} and {where[1]!r} overlap, both hold {int(values[times > 1][0])}: "
            "an example belongs to one part only."
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
