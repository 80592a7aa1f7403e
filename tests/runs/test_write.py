import errno
import os
import signal
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import mixop
from mixop.core.errors import RunError
from mixop.runs import write
from mixop.runs.write import previous, replacing, write_bytes, write_once

SRC = str(Path(mixop.__file__).parents[1])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_is_replaced_as_a_whole_and_the_one_before_is_kept(tmp_path):
    path = tmp_path / "state.pt"
    for content in (b"one", b"two", b"three"):
        write_bytes(path, content, keep_previous=True)
    assert (path.read_bytes(), previous(path).read_bytes()) == (b"three", b"two")
    assert names(tmp_path) == ["state.pt", "state.pt.previous"]


def test_of_several_that_write_once_one_succeeds_and_its_content_is_whole(tmp_path):
    path, contents = tmp_path / "pace.json", [bytes([number]) * 100_000 for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        wrote = list(pool.map(lambda content: write_once(path, content), contents))
    assert sum(wrote) == 1
    assert path.read_bytes() == contents[wrote.index(True)]
    assert names(tmp_path) == ["pace.json"]


def test_what_cannot_be_written_once_is_told_in_a_sentence(tmp_path):
    with pytest.raises(RunError, match=r"Cannot write .*pace\.json \(No such file or directory\): make room"):
        write_once(tmp_path / "nowhere" / "pace.json", b"")


def test_an_error_in_the_block_leaves_what_was_there(tmp_path):
    path = tmp_path / "x.table"
    write_bytes(path, b"old")

    def fail():
        with replacing(path) as file:
            file.write(b"half")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["x.table"]


def test_links_where_one_writes_are_not_followed(tmp_path):
    """Neither one with the name of the file nor those with any name that a scratch file had in earlier versions."""
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    run = tmp_path / "run"
    run.mkdir()
    for name in ("state.pt", "state.pt.partial", f".state.pt.{os.getpid()}.partial"):
        (run / name).symlink_to(outside)
    write_bytes(run / "state.pt", b"new", keep_previous=True)
    assert outside.read_bytes() == b"mine"
    assert not (run / "state.pt").is_symlink()
    assert (run / "state.pt").read_bytes() == b"new"


@pytest.mark.parametrize("kind", ["pipe", "directory", "device"])
def test_what_is_no_file_is_not_replaced(tmp_path, kind):
    path = tmp_path / "report.html"
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "directory":
        path.mkdir()
    else:
        path.symlink_to(os.devnull)
    with pytest.raises(RunError, match=r"Cannot write .*report\.html \((it is|Is a directory)"):
        write_bytes(path, b"new")
    assert names(tmp_path) == ["report.html"]
    assert not path.is_file()


def test_two_processes_may_write_one_file_at_a_time(tmp_path):
    """Each into a file of its own; the last one stays, whole."""
    path = tmp_path / "report.html"
    with replacing(path) as one, replacing(path) as other:
        assert one.name != other.name
        one.write(b"1" * 100)
        other.write(b"2" * 50)
    assert path.read_bytes() == b"1" * 100
    assert names(tmp_path) == ["report.html"]


def test_what_a_killed_process_left_is_removed_and_what_others_write_is_not(tmp_path):
    path = tmp_path / "state[1].pt"
    child = """
        import os, signal, sys
        from pathlib import Path
        from mixop.runs.write import replacing
        with replacing(Path(sys.argv[1])) as file:
            file.write(b"half")
            os.kill(os.getpid(), signal.SIGKILL)
    """
    environment = {**os.environ, "PYTHONPATH": SRC}
    command = [sys.executable, "-c", textwrap.dedent(child), str(path)]
    assert subprocess.run(command, env=environment, check=False).returncode == -signal.SIGKILL
    (left,) = names(tmp_path)
    assert left.startswith("state[1].pt.")
    assert left.endswith(".partial")
    alive, unrelated = tmp_path / f"state[1].pt.{os.getppid()}-0a.partial", tmp_path / "state1.pt.99999999-0a.partial"
    for file in (alive, unrelated):
        file.write_bytes(b"")
    write_bytes(path, b"new")
    assert names(tmp_path) == sorted(["state[1].pt", alive.name, unrelated.name])


def test_the_longest_name_leaves_room_for_a_scratch_file(tmp_path):
    path = tmp_path / ("x" * 255)
    write_bytes(path, b"new")
    assert path.read_bytes() == b"new"


def test_a_full_disk_is_named_and_the_old_file_stays(tmp_path, monkeypatch):
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "state.pt"
    write_bytes(path, b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"Cannot write .*state\.pt \(No space left on device\): make room"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["state.pt"]


def test_the_folder_is_forced_to_the_disk_after_the_file_has_its_name(tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def note(number: int) -> None:
        synced.append(("folder" if os.path.isdir(f"/proc/self/fd/{number}") else "file", names(tmp_path)))  # noqa: PTH112
        real(number)

    monkeypatch.setattr(os, "fsync", note)
    write_bytes(tmp_path / "state.pt", b"new")
    assert [what for what, _ in synced] == ["file", "folder"]
    assert synced[1][1] == ["state.pt"]


def test_on_windows_a_file_that_somebody_reads_is_replaced_when_they_are_done(tmp_path, monkeypatch):
    path, real, tries = tmp_path / "state.pt", Path.replace, []

    def open_elsewhere(self: Path, to: Path) -> Path:
        tries.append(to)
        if len(tries) < 3:
            raise PermissionError(errno.EACCES, "it is being used by another process")
        return real(self, to)

    monkeypatch.setattr(Path, "replace", open_elsewhere)
    monkeypatch.setattr(write, "WINDOWS", True)
    write_bytes(path, b"new")
    assert (path.read_bytes(), len(tries)) == (b"new", 3)
    monkeypatch.setattr(write, "PATIENCE", 0.0)
    tries.clear()
    with pytest.raises(RunError, match="being used by another process"):
        write_bytes(path, b"newer")
    assert path.read_bytes() == b"new"
    assert names(tmp_path) == ["state.pt"]
