"""The lock follows the file that it was taken on, and not a name that someone may give to another file."""

import errno
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from windows_locks import msvcrt

import mixop
from mixop.core.errors import RunError
from mixop.core.machine import machine
from mixop.runs import held, lock
from mixop.runs.directory import RunDirectory
from mixop.runs.lock import Lock, LockedError


def test_it_is_given_back(tmp_path: Path):
    first = Lock(tmp_path)
    with pytest.raises(RunError, match="Another process is working in"):
        Lock(tmp_path)
    first.release()
    Lock(tmp_path).release(remove=True)
    assert list(tmp_path.iterdir()) == []


def test_on_windows_it_is_given_back_and_its_file_goes_once_it_is_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(held, "fcntl", None)
    monkeypatch.setattr(held, "msvcrt", msvcrt, raising=False)
    monkeypatch.setattr(lock, "WINDOWS", True)
    monkeypatch.setattr(os, "kill", lambda process, signum: pytest.fail("signal 0 is Ctrl-C on Windows"))
    first = Lock(tmp_path)
    with pytest.raises(LockedError, match="Another process is working in"):
        Lock(tmp_path)
    first.check()
    gone = []
    unlink = Path.unlink
    monkeypatch.setattr(Path, "unlink", lambda path: (gone.append(first._file.closed), unlink(path)))
    first.release(remove=True)
    assert gone == [True]
    signed(tmp_path / "run.lock", machine=machine(), process=os.getpid())  # of one that ended without a word
    Lock(tmp_path).release()
    assert lock.owner_of(tmp_path / "run.lock") is None


@pytest.mark.parametrize("what", ["the file", "the directory"])
def test_who_lost_the_lock_writes_nothing_more(tmp_path: Path, what: str):
    run, other = RunDirectory(tmp_path / "x"), RunDirectory(tmp_path / "x")
    with run.locked():
        run.claim({"recipe.json": {"seed": 0}})
        if what == "the file":
            (run / "run.lock").unlink()
        else:
            shutil.rmtree(run.path)
        with other.locked():
            other.write_json("recipe.json", {"seed": 1})
            writers = (
                lambda: run.write_json("recipe.json", {}),
                lambda: run.append({}),
                lambda: run.save("a", b""),
                lambda: run.truncate(0),
            )
            for write in writers:
                with pytest.raises(RunError, match=r"run\.lock was removed while this run was working"):
                    write()
    assert run.read_json("recipe.json") == {"seed": 1}
    assert (run / "run.lock").exists(), "the lock of the other one stays"


def test_a_removed_directory_is_noticed_without_another_process(tmp_path: Path):
    run = RunDirectory(tmp_path / "x")
    with run.locked():
        run.claim({"recipe.json": {}})
        shutil.rmtree(run.path)
        with pytest.raises(RunError, match="was removed while this run was working"):
            run.append({})
    assert not run.path.exists()


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path: Path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "run.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(RunError, match="is not writable"):
        Lock(tmp_path / "x")
    assert not (tmp_path / "elsewhere").exists()


def test_a_pipe_in_its_place_does_not_hang(tmp_path: Path):
    os.mkfifo(tmp_path / "run.lock")
    Lock(tmp_path).release()  # a pipe can be locked like any file


def signed(path: Path, **changes: object) -> None:
    """The file of a lock that a process elsewhere holds, or held."""
    owner = {"machine": "elsewhere", "host": "node7", "process": 12, "token": "t", **changes}
    path.write_text(json.dumps(owner))


def aged(path: Path, seconds: float) -> None:
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))


def test_another_machines_lock_holds_as_long_as_it_is_touched(tmp_path: Path):
    """Where the disk's own locks are each machine's alone, flock gives us what another machine holds."""
    signed(tmp_path / "run.lock")
    aged(tmp_path / "run.lock", lock.STALE - 10)
    with pytest.raises(LockedError, match=r"working in .* \(node7, process 12\): wait for it"):
        Lock(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["run.lock"]
    aged(tmp_path / "run.lock", 20)
    taken = Lock(tmp_path)
    taken.check()
    taken.release()
    assert lock.owner_of(tmp_path / "run.lock") is None
    Lock(tmp_path).release(remove=True)  # what was given back is free at once, on every machine


def test_the_clock_is_the_file_servers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    signed(tmp_path / "run.lock")
    monkeypatch.setattr(time, "time", lambda: 0.0)  # this machine's own clock says nothing
    with pytest.raises(LockedError):
        Lock(tmp_path)


def test_a_dead_process_of_this_machine_is_known_at_once(tmp_path: Path):
    signed(tmp_path / "run.lock", machine=machine(), process=2**22 + 1)
    Lock(tmp_path).release()


def test_who_was_taken_for_dead_writes_nothing_more_and_leaves_the_lock(tmp_path: Path):
    held = Lock(tmp_path)
    signed(tmp_path / "run.lock")
    with pytest.raises(RunError, match=r"taken over by node7, process 12, .* this one stops and writes nothing more"):
        held.check()
    held.release(remove=True)
    assert (tmp_path / "run.lock").exists()


@pytest.mark.parametrize(("error", "alive"), [(errno.ENOLCK, True), (errno.EOPNOTSUPP, True), (errno.ENOSYS, False)])
def test_a_disk_without_locks_goes_by_the_owners_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: int, alive: bool):
    def refused(file: object, how: int) -> None:
        raise OSError(error, "no locks here")

    monkeypatch.setattr(held.fcntl, "flock", refused)
    signed(tmp_path / "run.lock", machine=machine(), process=os.getpid() if alive else 2**22 + 1)
    if alive:
        with pytest.raises(LockedError, match="Another process is working"):
            Lock(tmp_path)
        (tmp_path / "run.lock").unlink()
    first = Lock(tmp_path)
    with pytest.raises(LockedError):
        Lock(tmp_path)
    first.release()
    Lock(tmp_path).release()


def test_who_lives_touches_its_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(lock, "BEAT", 0.01)
    held = Lock(tmp_path)
    aged(tmp_path / "run.lock", 1000)
    before = (tmp_path / "run.lock").stat().st_mtime
    until = time.monotonic() + 10
    while (tmp_path / "run.lock").stat().st_mtime < before + 900 and time.monotonic() < until:
        time.sleep(0.01)
    assert (tmp_path / "run.lock").stat().st_mtime > before + 900
    held.release()


CLAIM = """
import sys
from mixop.core.errors import RunError
from mixop.runs.directory import RunDirectory
run = RunDirectory(sys.argv[1])
sys.stdin.readline()
try:
    with run.locked():
        run.claim({"recipe.json": {}, "settings.json": {"seed": int(sys.argv[2])}})
        (run / "state.pt").touch()
        print("won", flush=True)
        sys.stdin.readline()
except RunError:
    print("lost", flush=True)
"""


def test_of_two_that_start_together_the_winners_settings_stay(tmp_path: Path):
    environment = {**os.environ, "PYTHONPATH": str(Path(mixop.__file__).parents[1])}
    for attempt in range(5):
        folder = tmp_path / str(attempt)
        children = [
            subprocess.Popen(
                [sys.executable, "-c", CLAIM, str(folder), str(seed)],
                env=environment,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                bufsize=1,
            )
            for seed in (0, 1)
        ]
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
        said = [child.stdout.readline().strip() for child in children if child.stdout is not None]
        for child in children:
            child.communicate("end\n")
        assert sorted(said) == ["lost", "won"]
        assert RunDirectory(folder).read_json("settings.json") == {"seed": said.index("won")}


def test_locks_of_other_names_are_others_and_one_may_wait(tmp_path: Path):
    held = Lock(tmp_path, "a.lock")
    Lock(tmp_path, "b.lock").release(remove=True)
    with pytest.raises(LockedError, match="Another process is working"):
        Lock(tmp_path, "a.lock")
    with ThreadPoolExecutor(1) as pool:  # the kernel's locks belong to open files, so a thread will do
        waiting = pool.submit(Lock, tmp_path, "a.lock", wait=True)
        time.sleep(0.05)
        assert not waiting.done()
        held.release(remove=True)  # as the last one of a directory does: whoever waited makes a new file
        waiting.result(timeout=60).check()
        waiting.result().release(remove=True)
    assert not list(tmp_path.iterdir())
