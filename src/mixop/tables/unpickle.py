"""Reads the official benchmark files: how they are packed, what their pickles may name, and how to read gigabytes of them.

A pickle gets `collections.OrderedDict`, NumPy's numbers and stand-ins for torch's tensors from `mixop.core.unpickle`, and
nothing else. Tensors, the weights of archives, are dropped. Dictionaries are shown to the caller as soon as they are filled,
so that a record can be taken out of a file before the next one is read.
"""

import bz2
import io
import pickle
import zipfile
from array import array
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from mixop.core.errors import DataError, MixopError
from mixop.core.files import open_file
from mixop.core.unpickle import Names, text_as_bytes, unpickle

Filled = Callable[[dict[Any, Any]], bool]
"""Looks at a filled dictionary; returns whether it took a record, so that the objects before it can be forgotten."""

_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
"""Files of torch before 1.6 begin with three pickles, the first of which is this number; then comes the object."""

_NUMBERS = ("b1", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8")


class Packed:
    """An official file: packed with bz2, a zip file of torch, or not packed.

    Args:
        path: the file.
        observe: called after each record with the bytes read of the file and its size.
    """

    def __init__(self, path: Path, observe: Callable[[int, int], None] | None = None) -> None:
        self.path, self.observe = path, observe

    def read(self, filled: Filled) -> Any:
        """The object in the file.

        Args:
            filled: called with every dictionary of more than one entry once its entries are in, inner ones first; what it
                takes out is not kept.

        Raises:
            ForgottenError: if the file refers to an object of a record that was taken before.
            DataError: if the file is missing, damaged, cut short, or names something that no benchmark file needs.
        """
        where = repr(str(self.path))
        try:
            with open_file(self.path) as raw:
                size = self.path.stat().st_size

                def see(target: dict[Any, Any]) -> bool:
                    taken = filled(target)
                    if taken and self.observe is not None:
                        self.observe(raw.tell(), size)
                    return taken

                start = raw.read(4)
                raw.seek(0)
                if start[:3] == b"BZh":
                    with bz2.BZ2File(raw) as stream, io.BufferedReader(stream, 2**20) as buffered:
                        return self._finished(_unpickle(buffered, see, where), buffered)
                if start == b"PK\x03\x04":
                    with zipfile.ZipFile(raw) as archive:
                        (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")] or [""]
                        if not name:
                            raise DataError(f"{where} is a zip file, but torch did not write it: it has no data.pkl.")
                        with archive.open(name) as member:
                            return _unpickle(member, see, where)
                first = _unpickle(raw, see, where)
                if first != _TORCH_MAGIC:
                    return first
                for _ in ("protocol version", "description of the machine"):
                    _unpickle(raw, see, where)
                return _unpickle(raw, see, where)
        except MixopError:
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"Cannot read {where}: {reason}.") from error
        except Exception as error:  # of whatever it is packed in: bz2 and zip have many kinds
            raise DataError(f"{where} is damaged, or not a benchmark file: {str(error) or type(error).__name__}.") from error

    @staticmethod
    def _finished(content: Any, stream: BinaryIO | Any) -> Any:
        """Reads to the end, where bz2 keeps its checksum."""
        while stream.read(2**20):
            pass
        return content


class _Type:
    """What a pickle says about a NumPy dtype: its name and byte order."""

    def __init__(self, kind: Any, *_: Any) -> None:
        self.name = str(kind).lstrip("<>|=")
        if self.name not in _NUMBERS:
            raise pickle.UnpicklingError(f"it holds NumPy's type {kind!r}, but a benchmark file holds only numbers")
        self.order = "<"

    def __setstate__(self, state: Any) -> None:
        self.order = ">" if state[1] == ">" else "<"


def _scalar(kind: Any, raw: Any) -> Any:
    if not isinstance(kind, _Type) or not isinstance(raw, bytes | str):
        raise pickle.UnpicklingError("it holds a broken NumPy number")
    content = raw.encode("latin1") if isinstance(raw, str) else raw
    return np.frombuffer(content, dtype=kind.order + kind.name, count=1)[0].item()


def _dropped(*_: Any, **__: Any) -> None:
    """Replaces everything that makes a tensor."""


_KINDS = ("Float", "Double", "Half", "BFloat16", "Long", "Int", "Short", "Char", "Byte", "Bool")

_NAMES: Names = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # how Python 3 writes it for Python 2
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): text_as_bytes,
    ("torch._utils", "_rebuild_tensor"): _dropped,
    ("torch._utils", "_rebuild_tensor_v2"): _dropped,
    ("torch._utils", "_rebuild_parameter"): _dropped,
    ("torch.storage", "_load_from_bytes"): _dropped,
    **{("torch", f"{kind}Storage"): _dropped for kind in _KINDS},
}
"""Everything that a benchmark file may name."""


class ForgottenError(MixopError):
    """A pickle refers to an object of a record that was taken before: it has to be held in memory as a whole."""


class _Memo:
    """The objects that a pickle may refer to by number, counting up from 0.

    In a file of gigabytes most of them are no longer needed. After `forget` texts and functions remain, each once; of
    everything else only the number remains.
    """

    def __init__(self) -> None:
        self.recent: list[Any] = []
        self.codes = array("I")
        self.kept: list[Any] = [None]
        self.code_of: dict[Any, int] = {}

    def __len__(self) -> int:
        return len(self.codes) + len(self.recent)

    def __getitem__(self, at: int) -> Any:
        if at >= len(self.codes):
            return self.recent[at - len(self.codes)]
        if self.codes[at] == 0:
            raise ForgottenError
        return self.kept[self.codes[at]]

    def __setitem__(self, at: int, value: Any) -> None:
        if at == len(self):
            self.recent.append(value)
        else:
            self.recent[at - len(self.codes)] = value

    def forget(self) -> None:
        """Drops everything so far that no later record needs."""
        for value in self.recent:
            if not (isinstance(value, str | _Type) or callable(value)):
                self.codes.append(0)
                continue
            code = self.code_of.setdefault(value, len(self.kept))
            if code == len(self.kept):
                self.kept.append(value)
            self.codes.append(code)
        self.recent.clear()


def _unpickle(stream: BinaryIO | Any, filled: Filled, where: str) -> Any:
    memo = _Memo()

    def see(target: dict[Any, Any]) -> None:
        if filled(target):
            memo.forget()

    return unpickle(stream, _NAMES, where=where, kind="benchmark file", pointers=True, filled=see, memo=memo)
