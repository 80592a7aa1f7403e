"""What is read is what was written, whenever one looks."""

import os
import random
from pathlib import Path

import pytest

from mixop.runs.tail import Tail

MOST = 1 << 20


def add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_only_what_was_added_is_read(tmp_path: Path):
    path = tmp_path / "lines"
    tail = Tail(path)
    assert tail.read(MOST).lines == ()
    add(path, "one\ntwo\n")
    assert tail.read(MOST).lines == (b"one", b"two")
    assert tail.read(MOST).lines == ()
    add(path, "three\n")
    assert tail.read(MOST).lines == (b"three",)


def test_a_line_that_is_half_written_waits_for_its_end(tmp_path: Path):
    path = tmp_path / "lines"
    tail = Tail(path)
    add(path, "one\ntw")
    assert tail.read(MOST).lines == (b"one",)
    assert tail.read(MOST).lines == ()
    add(path, "o\n")
    assert tail.read(MOST).lines == (b"two",)


def test_a_file_of_any_length_comes_in_pieces(tmp_path: Path):
    """Whatever the size of a piece, and wherever it cuts, the lines are those of the file."""
    path, draw = tmp_path / "lines", random.Random(0)
    lines = tuple(bytes(draw.choices(b"abc", k=draw.randrange(40))) for _ in range(200))
    path.write_bytes(b"\n".join(lines) + b"\n")
    for most in (1, 7, 100, MOST):
        tail, found, more = Tail(path), (), True
        while more:
            read = tail.read(most)
            found, more = found + read.lines, read.more
            assert not read.again
        assert found == lines


@pytest.mark.parametrize("after", ["one\nTWO\n", "one\n", "one\nTWO\nthree\nfour\n", "", None])
def test_a_file_that_was_cut_back_is_read_again(tmp_path: Path, after: str | None):
    """A resumed run writes other lines over those after its checkpoint: shorter, as long, longer, none, or no file at all."""
    path = tmp_path / "lines"
    path.write_text("one\ntwo\n")
    tail = Tail(path)
    assert tail.read(MOST).lines == (b"one", b"two")
    if after is None:
        path.unlink()
    else:
        path.write_text(after)
    read = tail.read(MOST)
    assert read.again
    assert read.lines == tuple((after or "").encode().splitlines())


def test_a_pipe_in_the_place_of_the_file_is_refused_at_once(tmp_path: Path):
    os.mkfifo(tmp_path / "lines")
    with pytest.raises(OSError, match="a named pipe"):
        Tail(tmp_path / "lines").read(MOST)
