"""A data set: examples by index, three parts, what it is for, and how all of it came about.

`Source` is a value that says where a set comes from; ``load`` makes the `Data`. A run keeps the source and the set's
fingerprint, so that resuming loads the same examples or says that they are no longer the same.
"""

import hashlib
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Generator, Tensor

from mixop.core.errors import DataError
from mixop.core.surroundings import undisturbed
from mixop.core.types import Batch
from mixop.core.values import to_plain
from mixop.data.examples import AHEAD, Examples, joined
from mixop.data.images.augment import Augment
from mixop.data.notes import warn
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Indices, Split, check_parts, divide, divide_by_indices, divide_in_order
from mixop.data.stream import Stream
from mixop.data.variation import without_variation
from mixop.data.windows import Windows
from mixop.tasks.base import Task

Part = Literal["train", "valid", "test"]
"""A part of a set: for the weights, for the architecture, for the last test."""

PARTS: tuple[Part, ...] = ("train", "valid", "test")

MEASURED = 1000
"""Examples that mean and standard deviation are measured on where reading takes time."""


@dataclass(frozen=True)
class Source(ABC):
    """Where a set comes from, as a value that survives JSON; subclasses are frozen dataclasses too.

    Args:
        split: how the examples are divided.
        augment: what is done to training batches; an empty ``mean`` and ``std`` are measured on the training examples.
    """

    asked: ClassVar[str] = "a source such as mixop.data.Digits()"

    name: ClassVar[str]
    """The word for it on the command line."""

    split: Split = field(default=Split(), kw_only=True)
    augment: Preparation = field(default=Preparation(), kw_only=True)

    paths: ClassVar[tuple[str, ...]] = ("path",)
    """Names of the fields that are paths of files or folders, where it has them."""

    @abstractmethod
    def load(self) -> "Data":
        """The set as tensors on the CPU; the same value gives the same tensors as long as the files are the same.

        Raises:
            DataError: if a file is missing or not what it should be, or a class is left without an example.
        """

    def absolute(self) -> Self:
        """The same source with absolute paths, which mean the same in every working directory."""
        index_file = self.split.index_file
        split = self.split if index_file is None else replace(self.split, index_file=_absolute(index_file))
        given = {name: getattr(self, name, None) for name in self.paths}
        return replace(self, split=split, **{name: _absolute(path) for name, path in given.items() if isinstance(path, str)})

    def at(self, path: str | os.PathLike[str] | None = None, index_file: str | os.PathLike[str] | None = None) -> Self:
        """The same source where its files lie in another place.

        Args:
            path: where the files or the folder are now; None where they were.
            index_file: where the file of index lists is now; None where it was.

        Raises:
            DataError: if the source reads no such thing.
        """
        moved = self
        if path is not None:
            if not hasattr(self, "path"):
                raise DataError(
                    f"The data of {self.name} come from no path, so they cannot lie in another place: leave it out."
                )
            moved = replace(moved, path=_absolute(path))  # pyright: ignore[reportCallIssue] - a field of the subclass
        if index_file is not None:
            if self.split.index_file is None:
                raise DataError("The split was made by shares, not by a file of index lists: leave that file out.")
            moved = replace(moved, split=replace(self.split, index_file=_absolute(index_file)))
        return moved


@dataclass(frozen=True, eq=False, kw_only=True)
class Data:
    """Examples, divided for a search. `assemble` makes one with a seeded split.

    Args:
        name: what it is called in reports.
        task: what a network is to do with the examples.
        examples: all of them, in one pool; the parts are indices into it.
        train: indices of the examples that the weights learn from, int64.
        valid: indices of those that the architecture learns from; none of ``train``.
        test: indices of those that are kept for the last test; none of the others.
        augment: what is done to training batches, and the normalisation of all batches.
        source: how to load it again, with absolute paths; None for what was given in Python.
        record: how the parts were made, checksums of the files: JSON data.

    Raises:
        DataError: if one of these promises is broken, or a class has no example in ``train`` or ``valid``.
    """

    asked: ClassVar[str] = "a data set such as mixop.data.from_arrays(x, y)"

    name: str
    task: Task
    examples: Examples
    train: Tensor
    valid: Tensor
    test: Tensor
    augment: Preparation = Preparation()
    source: Source | None = None
    record: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.examples.check(self.name)
        self.task.check(self.examples.targets, self.name)
        for part in PARTS:
            self.examples.check_part(self.at(part), part)
        check_parts({part: self.at(part) for part in PARTS}, len(self.examples), self.strata, self.task.classes, self.name)
        self.augment.check(self.shape)
        if self.source is not None:
            object.__setattr__(self, "source", self.source.absolute())

    @property
    def x(self) -> Tensor:
        """The inputs of all examples as they are stored, ``(N, ...)``, uint8 or float32; the token at every position, ``(N,)``.

        A part of them is ``data.x[data.train]``.

        Raises:
            DataError: if they are read while they are trained on, and are not in memory.
        """
        inputs = self.examples.inputs
        if inputs is None:
            raise DataError(
                f"The inputs of {self.name} stay where they are until they are asked for: read some with "
                "data.batch(data.train[:32]).x, or as they are stored with data.examples.read(data.train[:32]).x."
            )
        return inputs

    @property
    def y(self) -> Tensor:
        """The targets of all examples, ``(N, ...)``; those of a part are ``data.y[data.train]``."""
        return self.examples.targets

    @property
    def test_x(self) -> Tensor:
        """The inputs of the test as they are stored, ``(n, ...)``.

        Raises:
            DataError: as `x`.
        """
        return self.x[self.test]

    @property
    def test_y(self) -> Tensor:
        """The targets of the test, ``(n, ...)``."""
        return self.targets("test")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input: ``(C, H, W)``, ``(C, L)``, ``(F,)``; of tokens vocabulary and window, ``(V, T)``."""
        return self.examples.shape

    @property
    def outputs(self) -> int:
        """Numbers that a network gives for every example, or every position."""
        return self.task.outputs

    @property
    def dense(self) -> bool:
        """Whether a network gives its numbers at every position of the input."""
        return self.task.dense

    @property
    def tokens(self) -> bool:
        """Whether inputs are token numbers, whose windows follow each other."""
        return self.examples.tokens

    @property
    def device(self) -> torch.device:
        """Where batches are."""
        return self.examples.device

    def at(self, *parts: Part) -> Tensor:
        """The indices of one part, or of several, one behind the other, ``(n,)`` int64."""
        found: list[Tensor] = [getattr(self, part) for part in parts]
        return found[0] if len(found) == 1 else torch.cat(found)

    def targets(self, *parts: Part) -> Tensor:
        """The targets of one part, or of several, ``(n, ...)``."""
        targets = self.examples.targets
        return targets[self.at(*parts).to(targets.device)]

    @cached_property
    def strata(self) -> Tensor | None:
        """A number for every example that splits keep in proportion, ``(N,)`` int64: its class, where it has one."""
        found = self.task.strata(self.examples.targets)
        return None if found is None else found.cpu()

    @cached_property
    def fingerprint(self) -> str:
        """SHA-256 over every input, target and index, in hexadecimal: equal for equal sets, on whatever device.

        For examples that stay in their files, names and sizes of the files stand for the numbers.
        """
        digest = hashlib.sha256(self.examples.digest)
        for part in PARTS:
            digest.update(f"{part} {len(self.at(part))};".encode())
            digest.update(self.at(part).cpu().contiguous().numpy().data)
        return digest.hexdigest()

    def batch(self, at: Tensor, *, then: Tensor | None = None) -> Batch:
        """Some examples, normalised and nothing else.

        Args:
            at: indices into the pool, ``(B,)`` int64, on whatever device.
            then: indices that will be asked for after these, where that is known: slow examples are read meanwhile.

        Raises:
            DataError: if an example cannot be read.
        """
        batch = self.examples.read(at, then=then)
        return batch._replace(x=self.augment.plain(batch.x))

    def augmented(
        self, at: Tensor, generator: Generator, augment: Preparation | None = None, *, then: Tensor | None = None
    ) -> Batch:
        """Some examples, augmented and normalised.

        Args:
            at: indices into the pool, ``(B,)`` int64, on whatever device.
            generator: source of randomness, on the CPU.
            augment: what is done; None for the set's own.
            then: indices that will be asked for after these, where that is known.

        Raises:
            DataError: if an example cannot be read.
        """
        return (self.augment if augment is None else augment).read(self.examples, at, generator, then=then)

    def windows_in(self, part: Part) -> int:
        """Examples of a part as steps count them: of a text its windows, of which a batch has one in each of its columns."""
        return len(self.at(part)) // (self.shape[1] if self.tokens else 1)

    def stream(self, parts: Sequence[Part], batch_size: int, generator: Generator, windows: Windows | None = None) -> Stream:
        """Endless training batches of some parts.

        Args:
            parts: which ones; the whole training set is ``("train", "valid")``.
            batch_size: examples in a batch.
            generator: source of the order, on the CPU.
            windows: how a text is cut; None for the data's own way.

        Raises:
            DataError: if they are empty or smaller than a batch, or there are windows and the examples are no tokens.
        """
        names = {"train": "weight", "valid": "validation", "test": "test"}
        what = names[parts[0]] if len(parts) == 1 else "training"
        return self.examples.stream(self.at(*parts).cpu(), batch_size, generator, what, windows)

    def sweep(self, part: Part, batch_size: int, batches: int | None = None) -> Iterator[Batch]:
        """A part once, in order, normalised and nothing else.

        Args:
            part: which one.
            batch_size: examples in a batch.
            batches: the first few batches only; None for all.
        """
        pieces = self.examples.sweep(self.at(part), batch_size)
        pieces = pieces[:batches]
        for number, at in enumerate(pieces):
            ahead = pieces[number + 1 : number + 1 + AHEAD]
            yield self.batch(at, then=torch.cat([piece.flatten() for piece in ahead]) if ahead else None)

    def describe(self) -> dict[str, Any]:
        """What a run directory keeps of the set: JSON data."""
        strata = self.strata
        counts = {part: len(self.at(part)) for part in PARTS}
        described: dict[str, Any] = {
            "name": self.name,
            "task": to_plain(self.task),
            "measures": [measure.to_json() for measure in self.task.measures],
            "shape": list(self.shape),
            "dtype": str(self.examples.dtype).removeprefix("torch."),
            "tokens": self.tokens,
            "counts": counts,
        }
        if strata is not None:
            described["class_counts"] = {
                part: torch.bincount(strata[self.at(part).cpu()], minlength=len(self.task.classes)).tolist() for part in PARTS
            }
        return {
            **described,
            "fingerprint": self.fingerprint,
            "augment": to_plain(self.augment),
            "source": None if self.source is None else to_plain(self.source),
            "record": dict(self.record),
        }

    def with_split(self, split: Split) -> "Data":
        """The set with another division: what its source gives with that split.

        What was given in Python keeps its test examples, and only the others are divided again.

        Raises:
            DataError: if the split leaves a class without an example in a part.
        """
        if self.source is not None:
            return replace(self.source, split=split).load().to(self.device)
        rest = self._not_test()
        if self.tokens:
            rest = rest[~torch.isin(rest + 1, self.test.cpu())]  # its target would be the first token of the test
            parts = divide_in_order(len(rest), split, own_test=True)
        else:
            strata = None if self.strata is None else self.strata[rest]
            parts = divide(len(rest), strata, self.task.classes, split, own_test=True)
        assert parts.valid is not None
        return self._divided(rest[parts.train], rest[parts.valid], parts.record)

    def with_indices(self, train: Indices, valid: Indices) -> "Data":
        """The set divided by two lists of indices into its examples; the test stays as it is.

        The result has no source: lists that live in Python only cannot be loaded again. A run that should be able to load
        its data by itself takes `Split` with an ``index_file``.

        Args:
            train: indices for the weights, each once.
            valid: indices for the architecture, none of them in ``train``.

        Raises:
            DataError: if an index is out of range, given twice or one of the test, or a class has no example in one of the
                lists.
        """
        parts = divide_by_indices(len(self.examples), self.strata, self.task.classes, train, valid)
        return replace(self._divided(parts.train, parts.valid, parts.record), source=None)

    def with_augment(self, augment: "Preparation | AugmentFunction") -> "Data":
        """The set with another preparation, or a function of the user's own; an empty ``mean`` and ``std`` stay as they are."""
        augment = preparation(augment)
        source = None if self.source is None else replace(self.source, augment=augment)
        full = _fitting(augment, self.shape, self.task)
        if not augment.mean and self.augment.mean:
            full = replace(full, mean=self.augment.mean, std=self.augment.std)
        return replace(self, augment=full, source=source)

    def to(self, device: torch.device | str) -> Self:
        """The set with its batches on a device."""
        parts = {part: self.at(part).to(device) for part in PARTS}
        return replace(self, examples=self.examples.to(device), **parts)

    def _not_test(self) -> Tensor:
        return _without(self.test.cpu(), len(self.examples)).nonzero()[:, 0]

    def _divided(self, train: Tensor, valid: Tensor, split: dict[str, Any]) -> "Data":
        device = self.train.device
        return replace(self, train=train.to(device), valid=valid.to(device), record={**self.record, "split": split})


@undisturbed()
def assemble(
    name: str,
    training: Examples,
    *,
    test: Examples | None,
    task: Task,
    split: Split,
    augment: Preparation,
    source: Source | None,
    record: Mapping[str, Any],
    valid: Examples | None = None,
) -> Data:
    """Divides a set and makes it a `Data`: the last step of every source.

    Args:
        name: what it is called in reports.
        training: the examples to divide.
        test: the examples of a test set that came with it; None to keep a share of ``training`` for it.
        task: what a network is to do; what it leaves open is taken from the training targets.
        split: how to divide.
        augment: an empty ``mean`` and ``std`` are measured on the training examples, or on some of them where reading takes
            time.
        source: how to load it again, or None.
        record: further facts about where it came from; the division is added under ``"split"``.
        valid: the examples of a validation set that came with it; then ``training`` is not divided for one.

    Raises:
        DataError: if examples are not what they should be, or a class has no example in a part.
    """
    training.check(name)
    targets = training.targets
    whole = task.complete(targets)
    whole.check(targets, name)
    strata = whole.strata(targets)
    strata = None if strata is None else strata.cpu()
    parts = divide(len(training), strata, whole.classes, split, own_test=test is not None, own_valid=valid is not None)
    # Classes are counted over all examples; what is measured, the scale of values, is not to know of the test.
    task = whole if whole.classes or parts.test is None else task.complete(targets[_without(parts.test, len(targets))])
    pool, first = training, len(training)
    found: dict[str, Tensor] = {"train": parts.train}
    for part, given, taken in (("valid", valid, parts.valid), ("test", test, parts.test)):
        if given is None:
            assert taken is not None
            found[part] = taken
            continue
        given.check(f"{name} ({part})")
        task.check(given.targets, f"{name} ({part})")
        found[part] = torch.arange(first, first + len(given))
        pool, first = joined(pool, given), first + len(given)
    record = {**record, "split": parts.record, **without_variation(training)}
    warn(name, record)
    return Data(
        name=name,
        task=task,
        examples=pool,
        train=found["train"],
        valid=found["valid"],
        test=found["test"],
        augment=_measured(_fitting(augment, training.shape, task), training, parts.test),
        source=source,
        record=record,
    )


def _fitting(augment: Preparation, shape: tuple[int, ...], task: Task) -> Preparation:
    """The preparation as one of images, where inputs are images: protocols may then ask for cutout, and masks move."""
    if len(shape) != 3:
        return augment
    if type(augment) is Preparation:
        augment = Augment(mean=augment.mean, std=augment.std, function=augment.function)
    if isinstance(augment, Augment) and augment.mask_fill is None:
        augment = replace(augment, mask_fill=getattr(task, "ignore", None))
    return augment


def _measured(augment: Preparation, training: Examples, test: Tensor | None) -> Preparation:
    """The preparation with the moments of the training examples, those of a test share left out."""
    if augment.mean or training.tokens:
        return augment
    x = training.inputs
    if x is not None:
        return augment.measured(x if test is None else x[_without(test, len(x))])
    at = torch.arange(len(training)) if test is None else _without(test, len(training)).nonzero()[:, 0]
    some = torch.linspace(0, len(at) - 1, min(MEASURED, len(at)), dtype=torch.float64).round().long()
    return augment.measured(training.read(at[some]).x)


def _absolute(path: str | os.PathLike[str]) -> str:
    """Links stay: what they lead to may change its place too."""
    return str(Path(path).absolute())


def _without(test: Tensor, count: int) -> Tensor:
    """Which of ``count`` examples are not of the test, bool."""
    kept = torch.ones(count, dtype=torch.bool)
    kept[test] = False
    return kept
