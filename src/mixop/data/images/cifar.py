"""CIFAR-10 and CIFAR-100 from the official archives, Python or binary, packed or unpacked.

The Python archives hold pickles, of which no code is run, see `mixop.data.images.batches`. Archives are read in memory; nothing
is written to disk.
"""

import hashlib
import os
import tarfile
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.images.augment import CIFAR10_DARTS, CIFAR100_DARTS
from mixop.data.images.batches import entries, read_batch, text
from mixop.data.notes import left_out
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.tasks.classification import Classification

README = "readme.html"
"""A page about the set, in every official archive."""

PIXELS = 3 * 32 * 32
"""Bytes of an image: the red plane, the green, the blue, each row by row."""

KIND = "CIFAR file"

OFFICIAL_MD5 = {
    "cifar-10-python.tar.gz": "c58f30108f718f92721af3b95e74349a",
    "cifar-10-binary.tar.gz": "c32a1d4ab5d03f1284b67883e8d87530",
    "cifar-100-python.tar.gz": "eb9058c3a382ffc7106e4002c42a8d85",
    "cifar-100-binary.tar.gz": "03b5dce01913d631647c71ecec9e9cb8",
    "cifar-10-batches-py/data_batch_1": "c99cafc152244af753f735de768cd75f",
    "cifar-10-batches-py/data_batch_2": "d4bba439e000b95fd0a9bffe97cbabec",
    "cifar-10-batches-py/data_batch_3": "54ebc095f3ab1f0389bbae665268c751",
    "cifar-10-batches-py/data_batch_4": "634d18415352ddfa80567beed471001a",
    "cifar-10-batches-py/data_batch_5": "482c414d41f54cd18b22e5b47cb7c3cb",
    "cifar-10-batches-py/test_batch": "40351d587109b95175f43aff81a1287e",
    "cifar-10-batches-py/batches.meta": "5ff9c542aee3614f3951f8cda6e48888",
    "cifar-100-python/train": "16019d7e3df5f24257cddd939b257f8d",
    "cifar-100-python/test": "f0ef6b0ae62326f3e7ffdfab6717acfc",
    "cifar-100-python/meta": "7973b15100ade9c7d40fb424638fde48",
}
"""MD5 of the official archives and of the files in the Python ones; for the files in the binary ones none is published."""


@dataclass(frozen=True)
class Form:
    """One of the official forms of a set.

    Args:
        archive: name of the packed file.
        folder: name of the folder in it.
        train: files of the training set, in order.
        test: file of the test set.
        names: file with the class names.
        classes: how many there are.
        labels: for pickles, the key of the labels; for binary files None.
        names_key: for pickles, the key of the class names.
        prefix: for binary files, the bytes before an image.
        byte: for binary files, which of these bytes is the label.
    """

    archive: str
    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    classes: int
    labels: str | None = None
    names_key: str = ""
    prefix: int = 0
    byte: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read."""
        return (*self.train, self.test, self.names)

    def batch(self, content: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Images ``(N, 3072)`` uint8 and labels ``(N,)`` int64 of one file."""
        if self.labels is not None:
            return read_batch(content, where, KIND, labels=self.labels, bounds=(0, 255), pixels=PIXELS)
        return _binary_batch(content, self.prefix, self.byte, where)

    def class_names(self, content: bytes, where: str) -> list[str]:
        """The class names in the order of the labels."""
        if self.labels is None:
            return content.decode("ascii", errors="replace").split()
        names = entries(content, where, KIND).get(self.names_key)
        if not isinstance(names, list):
            raise DataError(f"{where} must hold the class names under {self.names_key!r}, but does not.")
        return [text(name) for name in names]


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))

CIFAR10_FORMS = (
    Form(
        archive="cifar-10-python.tar.gz",
        folder="cifar-10-batches-py",
        train=_BATCHES,
        test="test_batch",
        names="batches.meta",
        classes=10,
        labels="labels",
        names_key="label_names",
    ),
    Form(
        archive="cifar-10-binary.tar.gz",
        folder="cifar-10-batches-bin",
        train=tuple(f"{name}.bin" for name in _BATCHES),
        test="test_batch.bin",
        names="batches.meta.txt",
        classes=10,
        prefix=1,
    ),
)
CIFAR100_FORMS = (
    Form(
        archive="cifar-100-python.tar.gz",
        folder="cifar-100-python",
        train=("train",),
        test="test",
        names="meta",
        classes=100,
        labels="fine_labels",
        names_key="fine_label_names",
    ),
    Form(
        archive="cifar-100-binary.tar.gz",
        folder="cifar-100-binary",
        train=("train.bin",),
        test="test.bin",
        names="fine_label_names.txt",
        classes=100,
        prefix=2,
        byte=1,
    ),
)
_PYTHON, _BINARY = CIFAR100_FORMS
CIFAR100_COARSE_FORMS = (
    replace(_PYTHON, classes=20, labels="coarse_labels", names_key="coarse_label_names"),
    replace(_BINARY, classes=20, names="coarse_label_names.txt", byte=0),
)
"""The same with the 20 coarse labels."""


@dataclass(frozen=True)
class _Cifar(Source):
    path: str

    @property
    @abstractmethod
    def forms(self) -> tuple[Form, ...]:
        """The official forms."""

    def load(self) -> Data:
        """The set as tensors ``(N, 3, 32, 32)``, uint8, in the official order.

        Raises:
            DataError: if a file is missing, cut short, or holds something else than images and labels.
        """
        form, contents, record = _read(Path(self.path), self.name, self.forms)
        names = form.class_names(contents[form.names], f"{form.names} of {self.path}")
        if len(names) != form.classes:
            raise DataError(f"{form.names} of {self.path} must name {form.classes} classes, got {len(names)}.")
        x, y = self._tensors(form, contents, form.train)
        return assemble(
            self.name,
            Arrays(x, y),
            test=Arrays(*self._tensors(form, contents, (form.test,))),
            task=Classification(classes=tuple(names)),
            split=self.split,
            augment=self.augment,
            source=self,
            record=record,
        )

    def _tensors(self, form: Form, contents: dict[str, bytes], files: Sequence[str]) -> tuple[Tensor, Tensor]:
        batches = []
        for file in files:
            where = f"{file} of {self.path}"
            images, labels = form.batch(contents[file], where)
            if len(images) == 0:
                raise DataError(f"{where} is empty: it must hold at least one image.")
            if labels.min() < 0 or labels.max() >= form.classes:
                wrong = labels.min() if labels.min() < 0 else labels.max()
                raise DataError(f"The labels of {where} must run from 0 to {form.classes - 1}, got {wrong}: is it {self.name}?")
            batches.append((images, labels))
        images, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
        return torch.from_numpy(images).view(-1, 3, 32, 32), torch.from_numpy(labels)


@dataclass(frozen=True)
class Cifar10(_Cifar):
    """CIFAR-10: 50,000 training and 10,000 test images, 32x32, ten classes.

    Args:
        path: an official archive (cifar-10-python.tar.gz or cifar-10-binary.tar.gz), its unpacked folder, or a folder that
            holds either.
        split: how the training examples are divided; ``test`` does not count, the set has its own.
        augment: what is done to training batches.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; cs.toronto.edu/~kriz/cifar.html.
    """

    name: ClassVar[str] = "cifar10"

    augment: Preparation = field(default=CIFAR10_DARTS, kw_only=True)

    @property
    def forms(self) -> tuple[Form, ...]:
        return CIFAR10_FORMS


@dataclass(frozen=True)
class Cifar100(_Cifar):
    """CIFAR-100: 50,000 training and 10,000 test images, 32x32, 100 classes.

    Args:
        path: an official archive (cifar-100-python.tar.gz or cifar-100-binary.tar.gz), its unpacked folder, or a folder that
            holds either.
        coarse: whether labels are the 20 coarse ones in place of the 100 fine ones.
        split: how the training examples are divided; ``test`` does not count, the set has its own.
        augment: what is done to training batches.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; cs.toronto.edu/~kriz/cifar.html.
    """

    name: ClassVar[str] = "cifar100"

    coarse: bool = False
    augment: Preparation = field(default=CIFAR100_DARTS, kw_only=True)

    @property
    def forms(self) -> tuple[Form, ...]:
        return CIFAR100_COARSE_FORMS if self.coarse else CIFAR100_FORMS


@door(DataError)
def cifar10(
    path: str | os.PathLike[str],
    *,
    valid: float = 0.5,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    augment: Preparation | AugmentFunction = CIFAR10_DARTS,
) -> Data:
    """Loads CIFAR-10 from an official archive.

    Args:
        path: cifar-10-python.tar.gz or cifar-10-binary.tar.gz, its unpacked folder, or a folder that holds either.
        valid: share or number of the training examples that the architecture learns from.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file with index lists instead of shares, see `Split`.
        augment: what is done to training batches, or a function of your own; `CIFAR10_NASBENCH201` has the benchmark's
            normalisation.

    Raises:
        DataError: if a file is missing or damaged, or a class is left without an example.
    """
    split = Split(valid=valid, seed=seed, stratified=stratified, index_file=index_file)
    return Cifar10(os.fspath(path), split=split, augment=preparation(augment)).load()


@door(DataError)
def cifar100(
    path: str | os.PathLike[str],
    *,
    coarse: bool = False,
    valid: float = 0.5,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    augment: Preparation | AugmentFunction = CIFAR100_DARTS,
) -> Data:
    """Loads CIFAR-100 from an official archive.

    Args:
        path: cifar-100-python.tar.gz or cifar-100-binary.tar.gz, its unpacked folder, or a folder that holds either.
        coarse: whether labels are the 20 coarse ones in place of the 100 fine ones.
        valid: share or number of the training examples that the architecture learns from.
        seed: seed of the split.
        stratified: whether every class is divided by the same share.
        index_file: JSON file with index lists instead of shares, see `Split`.
        augment: what is done to training batches, or a function of your own; `CIFAR100_NASBENCH201` has the benchmark's
            normalisation.

    Raises:
        DataError: if a file is missing or damaged, or a class is left without an example.
    """
    split = Split(valid=valid, seed=seed, stratified=stratified, index_file=index_file)
    return Cifar100(os.fspath(path), coarse, split=split, augment=preparation(augment)).load()


def _read(path: Path, name: str, forms: Sequence[Form]) -> tuple[Form, dict[str, bytes], dict[str, Any]]:
    """The form that lies at a path, its files by name, and what their checksums say."""
    try:
        for folder in (path, *(path / form.folder for form in forms)):
            for form in forms:
                if (folder / form.train[0]).is_file():
                    contents = {file: (folder / file).read_bytes() for file in form.files if (folder / file).is_file()}
                    others = sorted(file.name for file in folder.glob("*batch*") if file.name not in form.files)
                    record = {**_checksums(form, contents), **left_out("files of other names", others)}
                    return form, _complete(contents, form, folder), record
        for archive in (path, *(path / form.archive for form in forms)):
            if archive.is_file():
                return _read_archive(archive, name, forms)
    except OSError as error:
        raise DataError(f"Cannot read {name} at {str(path)!r}: {error.strerror or error}.") from error
    expected = " or ".join(f"{form.archive} (or its folder {form.folder})" for form in forms)
    what = "holds neither" if path.exists() else "does not exist"
    raise DataError(f"{name} needs {expected}, but {str(path)!r} {what}: get the archive from cs.toronto.edu/~kriz/cifar.html.")


def _read_archive(path: Path, name: str, forms: Sequence[Form]) -> tuple[Form, dict[str, bytes], dict[str, Any]]:
    members: dict[str, bytes] = {}
    others: list[str] = []
    wanted = {f"{form.folder}/{file}" for form in forms for file in form.files}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                inside = str(PurePosixPath(member.name))
                if inside in wanted and member.isreg():
                    stream = archive.extractfile(member)
                    members[inside] = stream.read() if stream is not None else b""
                elif not member.isdir() and PurePosixPath(inside).name != README:
                    others.append(inside)
            while archive.fileobj is not None and archive.fileobj.read(2**20):
                pass  # to the end, where a packed file has its checksum
    except Exception as error:  # a damaged archive provokes tar, zip and system errors alike
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(":.")
        raise DataError(f"The archive {str(path)!r} is damaged or cut short, get it again: {reason}.") from error
    for form in forms:
        contents = {file: members[f"{form.folder}/{file}"] for file in form.files if f"{form.folder}/{file}" in members}
        if contents:
            with path.open("rb") as file:
                md5 = hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()
            record = {**_checksums(form, contents, archive_md5=md5), **left_out("files of other names", others)}
            return form, _complete(contents, form, path), record
    folders = " or ".join(form.folder for form in forms)
    raise DataError(f"The archive {str(path)!r} must hold the folder {folders} of {name}, but does not.")


def _complete(contents: dict[str, bytes], form: Form, path: Path) -> dict[str, bytes]:
    missing = [file for file in form.files if file not in contents]
    if missing:
        raise DataError(f"{str(path)!r} is incomplete, {', '.join(missing)} is missing: unpack or get {form.archive} again.")
    return contents


def _checksums(form: Form, contents: dict[str, bytes], archive_md5: str | None = None) -> dict[str, Any]:
    """MD5 of what was read; ``official`` is True or False, or None where no official sum is known."""
    sums = {
        f"{form.folder}/{file}": hashlib.md5(content, usedforsecurity=False).hexdigest() for file, content in contents.items()
    }
    if archive_md5 is not None:
        sums[form.archive] = archive_md5
    files = {
        file: {"md5": md5, "official": md5 == OFFICIAL_MD5[file] if file in OFFICIAL_MD5 else None}
        for file, md5 in sums.items()
    }
    verdicts = [files[f"{form.folder}/{file}"]["official"] for file in contents]
    if archive_md5 is not None and files[form.archive]["official"]:
        official = True
    elif None in verdicts:
        official = None if archive_md5 is None else False
    else:
        official = all(verdicts)
    return {"official": official, "files": files}


def _binary_batch(content: bytes, prefix: int, byte: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    record = prefix + PIXELS
    if len(content) % record:
        raise DataError(
            f"{where} must be a whole number of records of {record} bytes, got {len(content)} bytes: it is cut short."
        )
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    return records[:, prefix:], records[:, byte].astype(np.int64)
