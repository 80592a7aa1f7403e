"""Reads the pickles of the official benchmark files without running anything that they name.

A pickle may name any object. Here it gets `collections.OrderedDict`, NumPy's numbers and stand-ins for torch's tensors; any
other name stops the reading. Tensors, the weights of archives, are dropped. The caller sees each dictionary as soon as it is
filled, so it can take a record out of a file of gigabytes before the next one is read.
"""

import bz2
import io
import pickle
import sys
import zipfile
from array import array
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, ClassVar

import numpy as np

from mixop.core.errors import DataError, MixopError

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
            with self.path.open("rb") as raw:
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
                        return self._finished(_Unpickler(buffered, see).load(), buffered)
                if start == b"PK\x03\x04":
                    with zipfile.ZipFile(raw) as archive:
                        (name,) = [name for name in archive.namelist() if name.endswith("/data.pkl")] or [""]
                        if not name:
                            raise DataError(f"{where} is a zip file, but torch did not write it: it has no data.pkl.")
                        with archive.open(name) as member:
                            return _Unpickler(member, see).load()
                first = _Unpickler(raw, see).load()
                if first != _TORCH_MAGIC:
                    return first
                for _ in ("protocol version", "description of the machine"):
                    _Unpickler(raw, see).load()
                return _Unpickler(raw, see).load()
        except (MixopError, ForgottenError):
            raise
        except OSError as error:
            reason = error.strerror or str(error)
            raise DataError(f"Cannot read {where}: {reason}.") from error
        except Exception as error:  # a damaged pickle provokes nearly every kind of error
            said = str(error) if not isinstance(error, LookupError) else ""
            reason = said or f"reading it ends with {type(error).__name__}"
            raise DataError(f"{where} is damaged, or not a benchmark file: {reason}.") from error

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

_INERT: dict[tuple[str, str], Callable[..., Any]] = {
    ("collections", "OrderedDict"): OrderedDict,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # how Python 3 writes it for Python 2
    ("numpy", "dtype"): _Type,
    ("numpy.core.multiarray", "scalar"): _scalar,
    ("numpy._core.multiarray", "scalar"): _scalar,
    ("_codecs", "encode"): str.encode,  # how protocol 2 writes bytes; it knows text encodings only
    ("torch._utils", "_rebuild_tensor"): _dropped,
    ("torch._utils", "_rebuild_tensor_v2"): _dropped,
    ("torch._utils", "_rebuild_parameter"): _dropped,
    ("torch.storage", "_load_from_bytes"): _dropped,
    **{("torch", f"{kind}Storage"): _dropped for kind in _KINDS},
}
"""Everything that a benchmark file may name."""


class ForgottenError(Exception):
    """A pickle refers to an object of a record that was taken before."""


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


# The standard library's unpickler in Python: the one in C shows nothing before the end of the file.
_Machine: Any = pickle._Unpickler  # type: ignore[attr-defined]


class _Unpickler(_Machine):
    dispatch: ClassVar[dict[int, Any]] = dict(_Machine.dispatch)

    def __init__(self, stream: BinaryIO | Any, filled: Filled) -> None:
        super().__init__(stream, encoding="latin1")
        self.memo = _Memo()
        self.filled = filled

    def find_class(self, module: str, name: str, /) -> Any:
        try:
            return _INERT[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it names {module}.{name}, which no benchmark file needs, so nothing of it was run"
            ) from None

    def persistent_load(self, pid: Any) -> None:
        """Drops the contents of a tensor, which torch's files refer to here."""

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError(f"it uses the extension {code}, which no benchmark file needs")

    def load_short_binunicode(self) -> None:
        # The same few thousand keys come again and again.
        length = self.read(1)[0]
        self.append(sys.intern(str(self.read(length), "utf-8", "surrogatepass")))

    dispatch[pickle.SHORT_BINUNICODE[0]] = load_short_binunicode

    def load_binunicode(self) -> None:
        length = int.from_bytes(self.read(4), "little")
        text = str(self.read(length), "utf-8", "surrogatepass")
        self.append(sys.intern(text) if length < 256 else text)

    dispatch[pickle.BINUNICODE[0]] = load_binunicode

    def load_setitems(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise pickle.UnpicklingError(f"it puts entries into a {type(target).__name__}")
        target.update(zip(items[::2], items[1::2], strict=True))
        if self.filled(target):
            self.memo.forget()

    dispatch[pickle.SETITEMS[0]] = load_setitems
