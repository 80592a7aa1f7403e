"""Texts for language models: words or characters as token numbers, in the form of the Penn Treebank."""

import hashlib
import lzma
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from mixop.core.door import door
from mixop.core.errors import DataError, unknown
from mixop.core.files import read_file
from mixop.data.core import Data, Part, Source
from mixop.data.layouts import as_array
from mixop.data.notes import left_out, warn
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split, divide_in_order
from mixop.data.tokens import Tokens
from mixop.data.variation import without_variation
from mixop.tasks.language import LanguageModel

END, UNKNOWN = "<eos>", "<unk>"
"""The word behind every line, and the one for words that the training text does not have."""

WINDOW = 35
"""Tokens that are read at once. Source: Zaremba et al. 2014 (arXiv:1409.2329), and the recurrent searches since."""

Unit = Literal["words", "characters"]
"""What a token of a text is."""

WORDS = {"train": ("train",), "valid": ("valid", "val", "validation"), "test": ("test",)}
SUFFIXES = (".txt", ".tokens")


@dataclass(frozen=True)
class Text(Source):
    """Words of text files: a folder with ``NAME.train.txt``, ``NAME.valid.txt`` and ``NAME.test.txt``, as the Penn Treebank has
    them, or a single file, which is divided in order.

    Words are what white space divides, and every line ends with ``<eos>``, an empty one too; the record counts these. The
    vocabulary is that of the training text, in the order of its first appearance; other words of the other parts become
    ``<unk>``, if the training text has it, and are counted in the record, else they are refused. Files may end in ``.tokens``
    for ``.txt``, and be packed by xz: ``ptb.train.txt.xz``. With ``unit`` "characters" every character of a line is a token, a
    space too. Of several names that fit, the one with the fewest dots is read,
    ``ptb.train.txt`` and not ``ptb.char.train.txt``; the record names the others under ``"left_out"``.

    Args:
        path: the folder or the file.
        window: words that are read at once in training.
        random_lengths: whether windows of training vary in length, see `TokenStream`.
        unit: what a token is: one of the ``words``, or of the ``characters``.
        split: of a folder without a validation or test file, and of a single file, the shares ``valid`` and ``test``.
        augment: a function of your own for training batches, if any.

    Source: Marcus et al. 1993 (aclanthology.org/J93-2004), in the form of Mikolov et al. 2010.
    """

    name: ClassVar[str] = "text"

    path: str
    window: int = WINDOW
    random_lengths: bool = False
    unit: Literal["words", "characters"] = "words"

    def load(self) -> Data:
        """The text as token numbers.

        Raises:
            DataError: if a file is missing or damaged, no UTF-8, or holds a word that the vocabulary does not.
        """
        if self.unit not in get_args(Unit):
            raise DataError(unknown("unit of a text", str(self.unit), get_args(Unit)))
        root = Path(self.path)
        files = _files(root) if root.is_dir() else {"train": root}
        used = {file.name for file in files.values()}
        others = [file.name for file in _texts(root) if file.name not in used] if root.is_dir() else []
        texts, record = {}, {}
        for part, file in files.items():
            texts[part], md5 = _read(file)
            record[file.name] = {"md5": md5}
        return _assemble_words(
            texts,
            unit=self.unit,
            name=self._called(root),
            settings={"window": self.window, "random_lengths": self.random_lengths},
            split=self.split,
            augment=self.augment,
            source=self,
            record={"files": record, **left_out("other texts", others)},
        )

    def _called(self, root: Path) -> str:
        """The name of the set in reports."""
        return root.resolve().name.split(".")[0]


class Corpus(Text):
    """A text that everybody knows, whose files must be the usual ones.

    Attributes:
        tokens: of every part, with the ends of lines.
        vocabulary: different ones.
    """

    tokens: ClassVar[Mapping[Part, int]]
    vocabulary: ClassVar[int]

    def load(self) -> Data:
        """The text as token numbers.

        Raises:
            DataError: as `Text`, and if its parts have other numbers of words than the known text.
        """
        data = super().load()
        words = data if self.unit == "words" else replace(self, unit="words").load()
        found = {part: len(words.at(part)) + 1 for part in self.tokens}
        if found != self.tokens or words.shape[0] != self.vocabulary:
            wanted, got = (
                f"{', '.join(f'{count:,}' for count in counts.values())} tokens and {different:,} different ones"
                for counts, different in ((self.tokens, self.vocabulary), (found, words.shape[0]))
            )
            raise DataError(
                f"The train, valid and test texts of {self.name} have {wanted}, but those in {self.path!r} have {got}: "
                "give the usual files, or read them as another text with --data text."
            )
        return data

    def _called(self, root: Path) -> str:
        return self.name


@dataclass(frozen=True)
class Ptb(Corpus):
    """The Penn Treebank in Mikolov's form, 10,000 words: a folder with ``ptb.train.txt``, ``ptb.valid.txt``, ``ptb.test.txt``.

    They may be packed by xz, or called ``train.txt`` and so on; see `Text` for the arguments. Other texts are refused.

    Source: Marcus et al. 1993 (aclanthology.org/J93-2004), in the form of Mikolov et al. 2010.
    """

    name: ClassVar[str] = "ptb"
    tokens: ClassVar[Mapping[Part, int]] = {"train": 929_589, "valid": 73_760, "test": 82_430}
    vocabulary: ClassVar[int] = 10_000


@dataclass(frozen=True)
class WikiText2(Corpus):
    """WikiText-2, 33,278 words: a folder with ``wiki.train.tokens``, ``wiki.valid.tokens`` and ``wiki.test.tokens``.

    They may be packed by xz, or end in ``.txt``; see `Text` for the arguments. Other texts are refused.

    Source: Merity et al. 2017 (arXiv:1609.07843), table 1.
    """

    name: ClassVar[str] = "wikitext2"
    tokens: ClassVar[Mapping[Part, int]] = {"train": 2_088_628, "valid": 217_646, "test": 245_569}
    vocabulary: ClassVar[int] = 33_278


@door(DataError)
def from_text(
    path: str | os.PathLike[str] | None = None,
    *,
    train: str | None = None,
    valid: str | None = None,
    test: str | None = None,
    window: int = WINDOW,
    random_lengths: bool = False,
    unit: Literal["words", "characters"] = "words",
    valid_share: float = 0.1,
    test_share: float = 0.1,
    name: str = "text",
    augment: Preparation | AugmentFunction | None = None,
) -> Data:
    """Loads words of text files, or of texts in Python, see `Text`.

    Args:
        path: folder or file; None to pass the texts themselves.
        train: the training text.
        valid: the text for the architecture; None to take the last share of the training text.
        test: the text of the test; None to keep the last share.
        window: words that are read at once in training.
        random_lengths: whether windows of training vary in length, see `TokenStream`.
        unit: what a token is: one of the ``words``, or of the ``characters``.
        valid_share: share or number of the training text that the architecture learns from, where it has no text of its own.
        test_share: share or number of the whole text that is kept for the test, where it has no text of its own.
        name: what the set is called in reports; of files it is taken from the path.
        augment: a function of your own for training batches, if any.

    Raises:
        DataError: if a file is missing or damaged, or a text holds a word that the vocabulary does not.

    Example:
        >>> data = from_text(train="the cat sat\\non the mat\\n", valid="the cat\\n", test="on the mat\\n", window=3)
        >>> data.shape, data.task.vocabulary
        ((6, 3), ('the', 'cat', 'sat', '<eos>', 'on', 'mat'))
    """
    split = Split(valid=valid_share, test=test_share)
    if (path is None) == (train is None):
        raise DataError("A text comes from a path or from train=: give one of the two.")
    if path is not None:
        if valid is not None or test is not None:
            raise DataError("A path has the texts of all parts: leave out valid= and test=, or pass all texts and no path.")
        prepared = preparation(augment)
        settings = {"window": window, "random_lengths": random_lengths, "unit": unit}
        return Text(os.fspath(path), **settings, split=split, augment=prepared).load()
    if unit not in get_args(Unit):
        raise DataError(unknown("unit of a text", str(unit), get_args(Unit)))
    given = {"train": train, "valid": valid, "test": test}
    return _assemble_words(
        {part: text for part, text in given.items() if text is not None},
        unit=unit,
        name=name,
        settings={"window": window, "random_lengths": random_lengths},
        split=split,
        augment=preparation(augment),
        source=None,
        record={},
    )


@door(DataError)
def from_tokens(
    train: ArrayLike | Tensor,
    valid: ArrayLike | Tensor | None = None,
    test: ArrayLike | Tensor | None = None,
    vocabulary: Sequence[str] | int | None = None,
    *,
    window: int = WINDOW,
    random_lengths: bool = False,
    valid_share: float = 0.1,
    test_share: float = 0.1,
    name: str = "tokens",
    augment: Preparation | AugmentFunction | None = None,
) -> Data:
    """Makes a set for language models from token numbers in the order of a text.

    Args:
        train: tokens of the training text, ``(n,)`` whole numbers in 0..V-1.
        valid: those of the text for the architecture; None to take the last share of the training text.
        test: those of the test; None to keep the last share.
        vocabulary: the V tokens as texts, or their number; None for the largest number of the training text and 1.
        window: tokens T that are read at once in training.
        random_lengths: whether windows of training vary in length, see `TokenStream`.
        valid_share: share or number of the training text that the architecture learns from, where it has no text of its own.
        test_share: share or number of the whole text that is kept for the test, where it has no text of its own.
        name: what the set is called in reports.
        augment: a function of your own for training batches, if any.

    Raises:
        DataError: if these are no token numbers, or a part has fewer than two.

    Example:
        >>> data = from_tokens([0, 1, 2, 1] * 50, window=5)
        >>> data.shape, data.dense, len(data.train), len(data.valid), len(data.test)
        ((3, 5), True, 160, 17, 20)
    """
    if train is None:
        raise DataError("train must be token numbers (n,), got None.")
    given = {"train": train, "valid": valid, "test": test}
    return _assemble_tokens(
        {part: _numbers(tokens, part) for part, tokens in given.items() if tokens is not None},
        LanguageModel()
        if vocabulary is None
        else LanguageModel(vocabulary if isinstance(vocabulary, int) else tuple(vocabulary)),
        name=name,
        settings={"window": window, "random_lengths": random_lengths},
        split=Split(valid=valid_share, test=test_share),
        augment=preparation(augment),
        source=None,
        record={},
    )


def _assemble_words(texts: Mapping[str, str], *, unit: Unit, record: dict[str, Any], **options: Any) -> Data:
    """A set from the texts of its parts."""
    words = {part: list(_UNITS[unit](text)) for part, text in texts.items()}
    one = unit.removesuffix("s")
    numbers = {word: number for number, word in enumerate(dict.fromkeys(words["train"]))}
    tokens, strangers = {}, {}
    instead = {"words": f"write {UNKNOWN} for rare words in all texts", "characters": "leave it out, or add it to that text"}
    for part, given in words.items():
        strange = [word for word in given if word not in numbers]
        if strange and UNKNOWN not in numbers:
            raise DataError(
                f"The {part} text has the {one} {strange[0]!r}, but the training text has neither it nor {UNKNOWN!r} "
                f"to take its place: {instead[unit]}."
            )
        tokens[part] = torch.tensor([numbers[word if word in numbers else UNKNOWN] for word in given], dtype=torch.int64)
        strangers[part] = len(strange)
    if len(numbers) < 2:
        raise DataError(f"The training text must hold at least two different {unit}, got {len(numbers)}.")
    empty = {part: sum(not line.strip() for line in _lines(text)) for part, text in texts.items()}
    record = {**record, f"{unit}_read_as_unknown": strangers, "empty_lines": empty}
    return _assemble_tokens(tokens, LanguageModel(tuple(numbers)), record=record, **options)


def _assemble_tokens(
    tokens: Mapping[str, Tensor],
    task: LanguageModel,
    *,
    name: str,
    settings: Mapping[str, Any],
    split: Split,
    augment: Preparation,
    source: Source | None,
    record: Mapping[str, Any],
) -> Data:
    """A set from the token numbers of its parts: one text behind the other in one row, the parts as ranges of positions."""
    for part, text in tokens.items():
        if len(text) < 2:
            raise DataError(f"The {part} text of {name} must hold at least two tokens, got {len(text)}.")
    task = task.complete(tokens["train"])
    examples = Tokens(torch.cat(list(tokens.values())), task.outputs, **settings)
    examples.check(name)
    parts: dict[str, Tensor] = {}
    begin = 0
    for part, text in tokens.items():
        parts[part] = torch.arange(begin, begin + len(text) - 1)  # the last token of a text has none behind it
        begin += len(text)
    divided = divide_in_order(len(parts["train"]), split, own_test="test" in parts, own_valid="valid" in parts)
    cut = {"train": divided.train, "valid": divided.valid, "test": divided.test}
    pieces = {part: piece for part, piece in cut.items() if piece is not None}
    for part, piece in pieces.items():
        # Where a text is cut, the last token of a piece is a target only, as at the end of a text.
        parts[part] = piece[:-1] if int(piece[-1]) != len(tokens["train"]) - 2 else piece
    record = {**record, **without_variation(examples)}
    warn(name, record)
    return Data(
        name=name,
        task=task,
        examples=examples,
        train=parts["train"],
        valid=parts["valid"],
        test=parts["test"],
        augment=augment,
        source=source,
        record={**record, "split": divided.record},
    )


def _words(text: str) -> Iterable[str]:
    for line in _lines(text):
        yield from line.split()
        yield END


def _characters(text: str) -> Iterable[str]:
    for line in _lines(text):
        yield from line
        yield END


_UNITS: Mapping[str, Callable[[str], Iterable[str]]] = {"words": _words, "characters": _characters}
"""The tokens of a text, by what a token is."""


def _lines(text: str) -> list[str]:
    lines = text.split("\n")
    return lines if lines[-1] else lines[:-1]


def _numbers(given: ArrayLike | Tensor, part: str) -> Tensor:
    array = as_array(given, f"The {part} tokens")
    if array.ndim != 1 or array.dtype.kind not in "iu":
        raise DataError(f"The {part} tokens must be one row of whole numbers, got {array.dtype} of shape {array.shape}.")
    return torch.from_numpy(array.astype(np.int64))


def _files(root: Path) -> dict[str, Path]:
    """The file of each part in a folder; the training file must be there."""
    found: dict[str, Path] = {}
    for part, words in WORDS.items():
        fitting: dict[tuple[int, bool], list[Path]] = {}
        for file in _texts(root):
            pieces = _unpacked(file).stem.lower().split(".")
            if file.is_file() and any(word in pieces for word in words):
                fitting.setdefault((len(pieces), file.suffix == ".xz"), []).append(file)
        if not fitting:
            continue
        best = fitting[min(fitting)]
        if len(best) > 1:
            raise DataError(f"{str(root)!r} holds {best[0].name!r} and {best[1].name!r}: keep the files of one text there.")
        found[part] = best[0]
    if "train" not in found:
        raise DataError(f"{str(root)!r} must hold a training text like 'ptb.train.txt' or 'train.txt', but holds none.")
    return found


def _texts(root: Path) -> list[Path]:
    """Everything in a folder that is a text by its name, packed or not, links that point nowhere among it."""
    return sorted(file for file in root.iterdir() if _unpacked(file).suffix in SUFFIXES)


def _unpacked(file: Path) -> Path:
    return file.with_suffix("") if file.suffix == ".xz" else file


def _read(path: Path) -> tuple[str, str]:
    """A text and the MD5 of its file."""
    try:
        content = read_file(path)
    except OSError as error:
        raise DataError(f"Cannot read the text {str(path)!r}: {error.strerror or error}.") from error
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    try:
        plain = lzma.decompress(content) if path.suffix == ".xz" else content
        return plain.decode("utf-8-sig"), md5  # without the mark that some editors write at the start
    except (lzma.LZMAError, EOFError) as error:
        raise DataError(f"The text {str(path)!r} is damaged, or not compressed by xz: {error}.") from error
    except UnicodeDecodeError as error:
        raise DataError(f"The text {str(path)!r} must be UTF-8, but is not: {error}.") from error
