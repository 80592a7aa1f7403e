import os
import socket
from pathlib import Path

import pytest

from mixop.core.files import append_to, check_replaceable, open_file, read_file


def odd(kind: str, path: Path) -> None:
    """Makes something that is no regular file."""
    if kind == "a named pipe":
        os.mkfifo(path)
    elif kind == "a socket":
        with socket.socket(socket.AF_UNIX) as server:
            before = Path.cwd()
            os.chdir(path.parent)  # the whole path may be too long for a socket
            try:
                server.bind(path.name)
            finally:
                os.chdir(before)
    elif kind == "a device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()


KINDS = ("a named pipe", "a socket", "a device", "directory")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("use", [open_file, read_file, append_to, check_replaceable])
def test_what_is_no_file_is_refused_and_nothing_hangs(use, kind, tmp_path):
    path = tmp_path / "x"
    odd(kind, path)
    # The system refuses to open a socket, and a device is at the end of a link, which lines are never added to.
    words = f"{kind}|No such device or address|symbolic link"
    with pytest.raises(OSError, match=words if kind != "directory" else "(?i)is a directory"):
        use(path)


def test_a_file_and_a_link_to_one_are_read(tmp_path):
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert read_file(tmp_path / "file") == read_file(str(tmp_path / "link")) == b"content"
    with pytest.raises(FileNotFoundError):
        read_file(tmp_path / "absent")


def test_lines_are_added_to_the_file_itself_only(tmp_path):
    for line in (b"one\n", b"two\n"):
        with append_to(tmp_path / "file") as file:
            file.write(line)
    assert (tmp_path / "file").read_bytes() == b"one\ntwo\n"
    (tmp_path / "link").symlink_to(tmp_path / "file")
    with pytest.raises(OSError, match="it is a symbolic link, not a file"):
        append_to(tmp_path / "link")
