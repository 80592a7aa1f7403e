"""CIFAR-10 and CIFAR-100 from the official archives, Python or binary, packed or unpacked.

The Python archives hold pickles. `mixop.core.unpickle` reads them; of the names that they may use there are only those by
which NumPy describes an array, and each stands for an inert note: no code of the file, and none of NumPy's own
reconstruction, runs. Archives are read in memory; nothing is written to disk.
"""

import hashlib
import io
import os
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from mixop.core.door import door
from mixop.core.errors import DataError
from mixop.core.unpickle import Names, text_as_bytes, unpickle
from mixop.data.core import Data, Source, assemble
from mixop.data.examples import Arrays
from mixop.data.images.augment import CIFAR10_DARTS, CIFAR100_DARTS
from mixop.data.notes import left_out
from mixop.data.preparation import AugmentFunction, Preparation, preparation
from mixop.data.split import Split
from mixop.tasks.classification import Classification

README = "readme.html"
"""A page about the set, in every official archive."""

PIXELS = 3 * 32 * 32
"""Bytes of an image: the red plane, the green, the blue, each row by row."""

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
        labels: for pickles, the key of the labels; for binary files None.
        names_key: for pickles, the key of the class names.
        prefix: for binary files, the bytes before an image; the last of them is the label.
    """

    archive: str
    folder: str
    train: tuple[str, ...]
    test: str
    names: str
    labels: str | None = None
    names_key: str = ""
    prefix: int = 0

    @property
    def files(self) -> tuple[str, ...]:
        """Every file that is read."""
        return (*self.train, self.test, self.names)

    def batch(self, content: bytes, where: str) -> tuple[np.ndarray, np.ndarray]:
        """Images ``(N, 3072)`` uint8 and labels ``(N,)`` int64 of one file."""
        if self.labels is not None:
            return _python_batch(content, self.labels, where)
        return _binary_batch(content, self.prefix, where)

    def class_names(self, content: bytes, where: str) -> list[str]:
        """The class names in the order of the labels."""
        if self.labels is None:
            return content.decode("ascii", errors="replace").split()
        names = _unpickle(content, where).get(self.names_key)
        if not isinstance(names, list):
            raise DataError(f"{where} must hold the class names under {self.names_key!r}, but does not.")
        return [_text(name) for name in names]


_BATCHES = tuple(f"data_batch_{number}" for number in range(1, 6))

CIFAR10_FORMS = (
    Form(
        archive="cifar-10-python.tar.gz",
        folder="cifar-10-batches-py",
        train=_BATCHES,
        test="test_batch",
        names="batches.meta",
        labels="labels",
        names_key="label_names",
    ),
    Form(
        archive="cifar-10-binary.tar.gz",
        folder="cifar-10-batches-bin",
        train=tuple(f"{name}.bin" for name in _BATCHES),
        test="test_batch.bin",
        names="batches.meta.txt",
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
        labels="fine_labels",
        names_key="fine_label_names",
    ),
    Form(
        archive="cifar-100-binary.tar.gz",
        folder="cifar-100-binary",
        train=("train.bin",),
        test="test.bin",
        names="fine_label_names.txt",
        prefix=2,
    ),
)


@dataclass(frozen=True)
class _Cifar(Source):
    forms: ClassVar[tuple[Form, ...]]
    classes: ClassVar[int]

    path: str

    def load(self) -> Data:
        """The set as tensors ``(N, 3, 32, 32)``, uint8, in the official order.

        Raises:
            DataError: if a file is missing, cut short, or holds something else than images and labels.
        """
        form, contents, record = _read(Path(self.path), self.name, self.forms)
        names = form.class_names(contents[form.names], f"{form.names} of {self.path}")
        if len(names) != self.classes:
            raise DataError(f"{form.names} of {self.path} must name {self.classes} classes, got {len(names)}.")
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
            if labels.min() < 0 or labels.max() >= self.classes:
                wrong = labels.min() if labels.min() < 0 else labels.max()
                raise DataError(f"The labels of {where} must run from 0 to {self.classes - 1}, got {wrong}: is it {self.name}?")
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
    forms: ClassVar[tuple[Form, ...]] = CIFAR10_FORMS
    classes: ClassVar[int] = 10

    augment: Preparation = field(default=CIFAR10_DARTS, kw_only=True)


@dataclass(frozen=True)
class Cifar100(_Cifar):
    """CIFAR-100 with its 100 fine labels: 50,000 training and 10,000 test images, 32x32.

    Args:
        path: an official archive (cifar-100-python.tar.gz or cifar-100-binary.tar.gz), its unpacked folder, or a folder that
            holds either.
        split: how the training examples are divided; ``test`` does not count, the set has its own.
        augment: what is done to training batches.

    Source: A. Krizhevsky, "Learning Multiple Layers of Features from Tiny Images", 2009; cs.toronto.edu/~kriz/cifar.html.
    """

    name: ClassVar[str] = "cifar100"
    forms: ClassVar[tuple[Form, ...]] = CIFAR100_FORMS
    classes: ClassVar[int] = 100

    augment: Preparation = field(default=CIFAR100_DARTS, kw_only=True)


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
    valid: float = 0.5,
    seed: int = 0,
    stratified: bool = True,
    index_file: str | None = None,
    augment: Preparation | AugmentFunction = CIFAR100_DARTS,
) -> Data:
    """Loads CIFAR-100 with its fine labels from an official archive.

    Args:
        path: cifar-100-python.tar.gz or cifar-100-binary.tar.gz, its unpacked folder, or a folder that holds either.
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
    return Cifar100(os.fspath(path), split=split, augment=preparation(augment)).load()


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


def _binary_batch(content: bytes, prefix: int, where: str) -> tuple[np.ndarray, np.ndarray]:
    record = prefix + PIXELS
    if len(content) % record:
        raise DataError(
            f"{where} must be a whole number of records of {record} bytes, got {len(content)} bytes: it is cut short."
        )
    records = np.frombuffer(content, dtype=np.uint8).reshape(-1, record)
    return records[:, prefix:], records[:, prefix - 1].astype(np.int64)


def _python_batch(content: bytes, labels_key: str, where: str) -> tuple[np.ndarray, np.ndarray]:
    batch = _unpickle(content, where)
    data, labels = batch.get("data"), batch.get(labels_key)
    if not isinstance(data, _Array) or not isinstance(labels, list):
        raise DataError(f"{where} must hold an array under 'data' and a list under {labels_key!r}, but does not.")
    if any(type(label) is not int or not 0 <= label < 256 for label in labels):
        raise DataError(f"The labels of {where} must be whole numbers from 0, one byte each, but are not.")
    images = data.pixels(where)
    if len(images) != len(labels):
        raise DataError(f"{where} must have one label for each image, got {len(labels)} labels and {len(images)} images.")
    return images, np.array(labels, dtype=np.int64)


class _Array:
    """What a pickle says of a NumPy array, kept as a note: its shape, type and bytes."""

    def __init__(self, *args: Any) -> None:
        if len(args) == 4:  # protocol 5 gives all at once: buffer, type, shape, order
            raw, dtype, shape, order = args
            self.__setstate__((1, shape, dtype, order == "F", raw))

    def __setstate__(self, state: Any) -> None:
        _, self.shape, self.dtype, self.fortran, self.raw = state

    def pixels(self, where: str) -> np.ndarray:
        """The array as images ``(N, 3072)``, uint8."""
        shape, dtype, raw = (getattr(self, name, None) for name in ("shape", "dtype", "raw"))
        kind = getattr(dtype, "kind", None)
        if kind not in ("u1", "|u1", "uint8") or not isinstance(raw, bytes | bytearray):
            raise DataError(f"The images of {where} must be uint8, got {kind}.")
        if not (isinstance(shape, tuple) and len(shape) == 2 and type(shape[0]) is int and shape[1] == PIXELS):
            got = shape if isinstance(shape, tuple) and all(type(n) is int for n in shape) else type(shape).__name__
            raise DataError(f"The images of {where} must have the shape (N, {PIXELS}), got {got}.")
        if shape[0] * PIXELS != len(raw):
            raise DataError(
                f"The images of {where} are cut short: expected {shape[0]} of {PIXELS} bytes, got {len(raw)} bytes."
            )
        return np.frombuffer(raw, dtype=np.uint8).reshape(shape, order="F" if self.fortran else "C")


class _Type:
    """What a pickle says of a NumPy dtype: its name."""

    def __init__(self, kind: Any, *_: Any) -> None:
        self.kind = _text(kind)

    def __setstate__(self, state: Any) -> None:
        pass  # byte order and field names, which single bytes do not have


_NAMES: Names = {
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy.core.numeric", "_frombuffer"): _Array,
    ("numpy._core.numeric", "_frombuffer"): _Array,
    ("_codecs", "encode"): text_as_bytes,
}
"""Everything that a batch may name."""


def _unpickle(content: bytes, where: str) -> dict[str, Any]:
    """A pickled dict with its keys as text."""
    batch = unpickle(io.BytesIO(content), _NAMES, where=where, kind="CIFAR file", encoding="bytes")
    if not isinstance(batch, dict):
        raise DataError(f"{where} must hold a dict, got {type(batch).__name__}: this is not a CIFAR file.")
    return {_text(key): value for key, value in batch.items()}


def _text(value: Any) -> str:
    """Texts of Python 2 arrive as bytes."""
    if isinstance(value, bytes):
        return value.decode("ascii", errors="replace")
    return value if isinstance(value, str) else type(value).__name__
