"""Reads pickles as data: the only unpickler of the house, which runs nothing that a file names.

A pickle is a program that may name functions of any module and call them. Here a name stands for what the caller lists, and
any other name ends the reading before it is called. Objects are made only by calling listed names, only instances of listed
classes take a state, and nothing outside the file is looked up.
"""

import pickle
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any, BinaryIO, ClassVar

from mixop.core.errors import DataError, MixopError

Names = Mapping[tuple[str, str], Callable[..., Any]]
"""Module and name as a pickle writes them -> what stands for it: harmless, whatever it is called with."""

DEEPEST = 32
"""Levels of tuples within tuples. Python hashes them by unguarded recursion: half a million levels crash the process."""


def unpickle(
    stream: BinaryIO | Any,
    names: Names,
    *,
    where: str,
    kind: str,
    encoding: str = "latin1",
    pointers: bool = False,
    filled: Callable[[dict[Any, Any]], None] | None = None,
    memo: MutableMapping[int, Any] | Any = None,
) -> Any:
    """The object in a pickle.

    Args:
        stream: where it is read from, up to its end; what follows it is left.
        names: all that it may name.
        where: what errors call the file.
        kind: what it should be ("CIFAR file").
        encoding: of Python 2's texts; "bytes" leaves them as they are.
        pointers: whether it may point to something outside, as torch's files do to tensors. None stands for each.
        filled: is shown every dictionary with several entries when they have been put in, inner ones first.
        memo: holds the objects that it may refer to, by number from 0; by default all of them.

    Raises:
        DataError: if it is damaged, or names or does something else.
        OSError: if the stream cannot be read.
    """
    try:
        return _Machine(stream, names, kind, encoding, pointers, filled, memo).load()
    except (MixopError, OSError):
        raise
    except Exception as error:  # a damaged pickle provokes nearly every kind of error
        said = "" if isinstance(error, LookupError) else str(error)
        reason = said or f"reading it ends with {type(error).__name__}"
        raise DataError(f"{where} is damaged, or not a {kind}: {reason}.") from error


def text_as_bytes(text: Any, encoding: Any = "latin1") -> bytes:
    """Stands for ``_codecs.encode``, by which old protocols write bytes: as text in Latin-1, and in no other encoding."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it encodes a {type(text).__name__}, not text in Latin-1")
    return text.encode("latin1")


# The standard library's machine in Python, not the one in C: that one cannot show a dictionary before the end of the file,
# and its opcodes cannot be replaced.
_Standard: Any = pickle._Unpickler  # type: ignore[attr-defined]


class _Machine(_Standard):
    dispatch: ClassVar[dict[int, Any]] = dict(_Standard.dispatch)

    def __init__(
        self, stream: Any, names: Names, kind: str, encoding: str, pointers: bool, filled: Callable | None, memo: Any
    ) -> None:
        super().__init__(stream, encoding=encoding)
        self.names, self.kind, self.pointers, self.filled = names, kind, pointers, filled
        self.classes = tuple(value for value in names.values() if isinstance(value, type) and hasattr(value, "__setstate__"))
        self.memo = {} if memo is None else memo

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) not in self.names:
            raise pickle.UnpicklingError(f"it names {module}.{name}, which no {self.kind} needs, so none of it was run")
        return self.names[module, name]

    def persistent_load(self, pid: Any) -> None:
        if not self.pointers:
            raise pickle.UnpicklingError(f"it refers to something outside the file, which no {self.kind} does")

    def get_extension(self, code: int) -> None:
        raise pickle.UnpicklingError(f"it uses the extension {code}, which no {self.kind} needs")

    def refuse(self) -> None:
        raise pickle.UnpicklingError(f"it makes an object in a way that no {self.kind} needs, so none of it was run")

    for _code in (pickle.INST, pickle.OBJ, pickle.NEWOBJ, pickle.NEWOBJ_EX, pickle.FROZENSET):
        dispatch[_code[0]] = refuse

    def load_build(self) -> None:
        # The standard machine sets attributes of anything on its stack, of functions and classes too.
        state, instance = self.stack.pop(), self.stack[-1]
        if isinstance(instance, self.classes):
            instance.__setstate__(state)
        elif not isinstance(instance, OrderedDict):  # torch hangs notes on these, which nobody reads
            raise pickle.UnpicklingError(f"it sets the state of a {type(instance).__name__}, which no {self.kind} does")

    dispatch[pickle.BUILD[0]] = load_build

    def load_tuple(self, number: int | None = None) -> None:
        items = self.pop_mark() if number is None else self.stack[-number:]
        if number is not None:
            del self.stack[-number:]
        _check_depth(items, DEEPEST)
        self.append(tuple(items))

    dispatch[pickle.TUPLE[0]] = load_tuple
    dispatch[pickle.TUPLE1[0]] = lambda self: self.load_tuple(1)
    dispatch[pickle.TUPLE2[0]] = lambda self: self.load_tuple(2)
    dispatch[pickle.TUPLE3[0]] = lambda self: self.load_tuple(3)

    def load_text(self, bytes_of_length: int) -> None:
        length = int.from_bytes(self.read(bytes_of_length), "little")
        text = str(self.read(length), "utf-8", "surrogatepass")
        self.append(sys.intern(text) if length < 256 else text)  # the same few thousand keys come again and again

    dispatch[pickle.SHORT_BINUNICODE[0]] = lambda self: self.load_text(1)
    dispatch[pickle.BINUNICODE[0]] = lambda self: self.load_text(4)

    def load_setitems(self) -> None:
        items = self.pop_mark()
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise pickle.UnpicklingError(f"it puts entries into a {type(target).__name__}")
        target.update(zip(items[::2], items[1::2], strict=True))
        if self.filled is not None:
            self.filled(target)

    dispatch[pickle.SETITEMS[0]] = load_setitems


def _check_depth(items: Any, left: int) -> None:
    if left == 0:
        raise pickle.UnpicklingError(f"it nests tuples more than {DEEPEST} deep")
    for item in items:
        if type(item) is tuple:
            _check_depth(item, left - 1)
