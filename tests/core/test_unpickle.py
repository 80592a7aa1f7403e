"""Malicious pickles, written by hand and by `pickle`: refused in one sentence, and nothing of them runs."""

import builtins
import io
import os
import pickle
import pickletools
import shutil
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest

from mixop.core.errors import DataError
from mixop.core.unpickle import DEEPEST, text_as_bytes, unpickle


class Note:
    """What a caller may list: it keeps what it is given."""

    def __init__(self, *arguments: Any) -> None:
        self.arguments, self.state = arguments, None

    def __setstate__(self, state: Any) -> None:
        self.state = state


def listed(*arguments: Any) -> tuple[Any, ...]:
    return arguments


NAMES = {
    ("mine", "Note"): Note,
    ("mine", "listed"): listed,
    ("builtins", "set"): set,
    ("__builtin__", "set"): set,  # how Python 3 writes it for Python 2
    ("collections", "OrderedDict"): OrderedDict,
    ("_codecs", "encode"): text_as_bytes,
}


def load(content: bytes, **options: Any) -> Any:
    return unpickle(io.BytesIO(content), NAMES, where="'x'", kind="test file", **options)


def refused(content: bytes, says: str, **options: Any) -> None:
    with pytest.raises(DataError, match=says) as told:
        load(content, **options)
    assert str(told.value).startswith("'x' is damaged, or not a test file: ")
    assert "\n" not in str(told.value)


class Calls:
    """Pickled as a call of a function, as every exploit begins."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.what = function, arguments

    def __reduce__(self) -> Any:
        return self.what


@pytest.mark.parametrize("protocol", range(6))
def test_data_comes_back_as_it_was(protocol: int):
    content = {
        "plain": [1, -(2**70), 1.5, None, True, "ä" * 300, b"\x00\xff", bytearray(b"ab")][: 7 if protocol < 5 else 8],
        "nested": {("a", (1, (2,))): {3, 4}, "ordered": OrderedDict(a=[{}])},
    }
    assert load(pickle.dumps(content, protocol)) == content


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    "function",
    [os.system, builtins.eval, builtins.exec, builtins.__import__, getattr, setattr, open, subprocess.Popen, shutil.rmtree],
    ids=lambda function: function.__name__,
)
def test_functions_of_any_module_are_named_and_not_called(protocol: int, function: Any, tmp_path: Path):
    mark = tmp_path / "ran"
    payload = Calls(function, f"touch {mark}" if function in (os.system, subprocess.Popen) else str(mark))
    refused(pickle.dumps({"good": 1, "bad": payload}, protocol), r"it names [\w.]+, which no test file needs, so none of it")
    assert not mark.exists()


def test_a_chain_of_attributes_is_one_name_that_is_not_listed():
    """Protocol 4 lets a name have dots: ``Note.__init__.__globals__`` would lead anywhere."""
    chain = b"\x80\x04\x8c\x04mine\x8c\x19Note.__init__.__globals__\x93."
    refused(chain, "it names mine.Note.__init__.__globals__")
    nested = Calls(getattr, Calls(getattr, "", "__class__"), "__base__")
    refused(pickle.dumps(nested, 4), "it names builtins.getattr")
    refused(b"\x80\x04]\x8c\x04Note\x93.", "STACK_GLOBAL requires str")  # a list for a module's name


@pytest.mark.parametrize(
    ("content", "how"),
    [
        (b"(S'true'\nios\nsystem\n.", "INST"),
        (b"(cmine\nNote\nS'a'\no.", "OBJ"),
        (b"\x80\x02cmine\nNote\n)\x81.", "NEWOBJ"),
        (b"\x80\x04cmine\nNote\n)}\x92.", "NEWOBJ_EX"),
        (b"\x80\x04(K\x01\x91.", "FROZENSET"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_objects_are_made_by_calls_of_listed_names_alone(content: bytes, how: str):
    assert how in [opcode.name for opcode, *_ in pickletools.genops(content)]
    refused(content, r"makes an object in a way that no test file needs|it names os.system")


def test_only_instances_of_listed_classes_take_a_state():
    note = load(b"cmine\nNote\n(I5\ntRI7\nb.")
    assert (note.arguments, note.state) == ((5,), 7)
    assert load(b"ccollections\nOrderedDict\n)R}S'a'\nI1\nsb.") == OrderedDict()  # what torch hangs on it is dropped
    before = dict(vars(Note)), dict(vars(listed))
    for target in (b"cmine\nNote\n", b"cmine\nlisted\n", b"c_codecs\nencode\n", b"cbuiltins\nset\n"):
        refused(target + b"(N}S'__init__'\ncmine\nlisted\nst" + b"b.", "sets the state of a (type|function)")
    refused(b"]}S'append'\nI1\nsb.", "sets the state of a list")
    assert (dict(vars(Note)), dict(vars(listed))) == before


def test_what_lies_outside_of_the_file_is_not_asked_for():
    for pointer in (b"Pabc\n.", b"\x80\x02K\x01Q."):
        refused(pointer, "refers to something outside the file")
        assert load(pointer, pointers=True) is None
    for extension in (b"\x80\x02\x82\x01.", b"\x80\x02\x83\x01\x00.", b"\x80\x02\x84\x01\x00\x00\x00."):
        refused(extension, "it uses the extension 1")
    refused(b"\x80\x05\x97.", "(?i)buffer")


def test_encodings_are_not_looked_up():
    assert load(b"c_codecs\nencode\n(V\xff\nVlatin1\ntR.") == b"\xff"
    for encoding in (b"rot13", b"idna", b"unicode_escape"):
        refused(b"c_codecs\nencode\n(Va\nV" + encoding + b"\ntR.", "not text in Latin-1")
    refused(b"c_codecs\nencode\n(I1\ntR.", "encodes a int")


def test_deep_nesting_neither_recurses_nor_ends_the_process():
    """Lists are no matter: nothing looks into them. To hash tuples within tuples without end is what kills Python."""
    lists = load(b"]" * 200_000 + b"a" * 199_999 + b".")
    for _ in range(1000):
        (lists,) = lists
    fits = load(b")" + b"\x85" * (DEEPEST - 1) + b"0}(K\x01K\x02u.")
    assert fits == {1: 2}
    key = b"}(" + b")" + b"\x85" * 500_000 + b"K\x01u."
    script = (
        "import io, sys; from mixop.core.unpickle import unpickle; from mixop.core.errors import DataError\n"
        "try: unpickle(io.BytesIO(sys.stdin.buffer.read()), {('builtins', 'set'): set}, where='x', kind='y')\n"
        "except DataError as error: print(error)"
    )
    for content in (key, b"cbuiltins\nset\n(](" + b")" + b"\x85" * 500_000 + b"etR."):
        told = subprocess.run([sys.executable, "-c", script], input=content, capture_output=True)
        assert told.returncode == 0, "Python hashed a tuple of half a million levels"
        assert told.stdout.decode().strip() == f"x is damaged, or not a y: it nests tuples more than {DEEPEST} deep."


@pytest.mark.parametrize(
    "content",
    [b"", b".", b"\x80\x63.", b"hello", b"\x80\x04" + b"(" * 10, b"t.", b"I1\nI2\nu.", b"g5\n.", b"I" + b"9" * 10_000 + b"\n.",
     b"\x8e" + b"\xff" * 8, b"K\x01K\x02s."],
    ids=range(11),
)  # fmt: skip
def test_damage_of_any_kind_is_one_sentence(content: bytes):
    refused(content, r"\.$")


def test_a_file_cut_anywhere_is_refused():
    whole = pickle.dumps({"a": [1, 2.5, "x" * 50, (1, 2)], "b": b"0123456789"}, 4)
    assert load(whole)["a"][1] == 2.5
    for length in range(len(whole)):
        with pytest.raises(DataError):
            load(whole[:length])


def test_errors_of_the_disk_stay_what_they_are():
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(OSError, match="Input/output"):
        unpickle(Broken(), {}, where="x", kind="y")


def test_dictionaries_are_shown_inner_ones_first():
    shown: list[dict[str, Any]] = []
    load(pickle.dumps({"a": {"x": 1, "y": 2}, "b": 3}, 4), filled=lambda target: shown.append(dict(target)))
    assert shown == [{"x": 1, "y": 2}, {"a": {"x": 1, "y": 2}, "b": 3}]
