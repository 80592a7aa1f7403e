"""A pickle gets numbers and containers, and nothing of what else it names is run."""

import bz2
import io
import os
import pickle
import subprocess
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixop.core.errors import DataError
from mixop.tables.unpickle import Packed


class Evil:
    """Names a function with arguments, as pickles may."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.what = function, arguments

    def __reduce__(self) -> Any:
        return self.what


def read(path: Path) -> Any:
    return Packed(path).read(lambda filled: False)


def wrapped(path: Path, content: bytes, kind: str) -> Path:
    if kind == "bz2":
        content = bz2.compress(content)
    if kind == "zip":
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("archive/data.pkl", content)
        content = packed.getvalue()
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("kind", ["plain", "bz2", "zip"])
@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_data_is_read(tmp_path: Path, kind: str, protocol: int):
    content = {
        "a": [1, -2, 3.5, None, True, 10**30, "ä" * 300, b"\x00\xff"],
        "b": OrderedDict([(0, 1.0), (1, (2, 3))]),
        ("c", 5): {7, 8},
        "numpy": [np.float64(1.5), np.float32(2.5), np.int64(-3), np.bool_(True)],
    }
    path = wrapped(tmp_path / "x.pickle", pickle.dumps(content, protocol=protocol), kind)
    assert read(path) == content
    assert [type(number) for number in read(path)["numpy"]] == [float, float, int, bool]


def test_numbers_of_either_byte_order(tmp_path: Path):
    path = tmp_path / "x.pickle"
    path.write_bytes(pickle.dumps([np.dtype(">f8").type(0), np.array([1.25], dtype=">f8")[0], np.float16(0.5)]))
    assert read(path) == [0.0, 1.25, 0.5]


def test_dictionaries_are_shown_when_they_are_filled(tmp_path: Path):
    path = tmp_path / "x.pickle"
    path.write_bytes(pickle.dumps({"inner": {"x": 1, "y": 2}, "outer": 3}, protocol=4))
    shown: list[dict[str, Any]] = []
    Packed(path).read(lambda filled: bool(shown.append(dict(filled))))
    assert shown == [{"x": 1, "y": 2}, {"inner": {"x": 1, "y": 2}, "outer": 3}]


@pytest.mark.parametrize("kind", ["plain", "bz2", "zip"])
@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize(
    ("function", "name"),
    [
        (os.system, "posix.system"),
        (eval, "builtins.eval"),
        (getattr, "builtins.getattr"),
        (subprocess.Popen, "subprocess.Popen"),
        (np.load, "numpy.load"),
        (io.open, "io.open"),
    ],
)
def test_what_a_file_names_is_not_run(tmp_path: Path, kind: str, protocol: int, function: Any, name: str):
    victim = tmp_path / "victim"
    content = pickle.dumps({"meta_archs": Evil(function, f"touch {victim}")}, protocol=protocol)
    path = wrapped(tmp_path / "evil.pickle", content, kind)
    with pytest.raises(DataError, match="so none of it was run") as told:
        read(path)
    last = name.rpartition(".")[2]
    assert last in str(told.value)
    assert not victim.exists()


def test_the_extensions_and_types_that_are_not_needed(tmp_path: Path):
    path = tmp_path / "x.pickle"
    for content, says in (
        (b"\x80\x02\x82\x01.", "extension 1"),
        (pickle.dumps(np.array([object()], dtype=object)), "_reconstruct"),
        (pickle.dumps(np.datetime64("2020-01-01")), "holds only numbers"),
        (b"\x80\x04]K\x01K\x02u.", "damaged"),  # entries for a list, without a mark
    ):
        path.write_bytes(content)
        with pytest.raises(DataError, match=says):
            read(path)


def test_damaged_and_foreign_files(tmp_path: Path):
    good = pickle.dumps({"a": list(range(1000)), "b": 2}, protocol=4)
    cases = {
        "cut.pickle": good[:500],
        "cut.pbz2": bz2.compress(good)[:-10],
        "flipped.pbz2": bz2.compress(good)[:-2] + b"xx",
        "empty": b"",
        "text": b"hello, I am no pickle\n",
        "zip": wrapped(tmp_path / "z", good, "zip").read_bytes()[:-30],
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("readme", "hello")
    cases["other zip"] = packed.getvalue()
    for name, content in cases.items():
        path = tmp_path / name
        path.write_bytes(content)
        with pytest.raises(DataError) as told:
            read(path)
        assert str(path) in str(told.value), name
        assert "\n" not in str(told.value)
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "absent")
