import errno
import os
import resource
import signal
from pathlib import Path

import pytest
import torch
from killed import result_of

from mixop.core.errors import RunError
from mixop.runs import checkpoint


@pytest.fixture
def path(tmp_path):
    return tmp_path / "state.pt"


def state(number):
    return {"weights": torch.full((3, 2), float(number), dtype=torch.float64), "epoch": number, "names": ["a", None]}


def test_what_is_saved_is_loaded_bit_for_bit(path):
    generator = torch.Generator().manual_seed(3)
    given = {"x": torch.randn(50, generator=generator), "rng": generator.get_state(), "n": 1 / 3, "nested": [{"a": (1, "b")}]}
    checkpoint.save(path, given)
    loaded = checkpoint.load(path)
    assert torch.equal(loaded["x"], given["x"])
    assert torch.equal(loaded["rng"], given["rng"])
    assert (loaded["n"], loaded["nested"]) == (given["n"], given["nested"])


def test_the_previous_checkpoint_is_kept_and_no_scratch_file_stays(path):
    checkpoint.save(path, state(1))
    checkpoint.save(path, state(2))
    checkpoint.save(path, state(3))
    assert checkpoint.load(path)["epoch"] == 3
    assert checkpoint.load(checkpoint.previous(path))["epoch"] == 2
    assert sorted(p.name for p in path.parent.iterdir()) == ["state.pt", "state.pt.previous"]


@pytest.mark.parametrize("length", [0, 5, 80, 81, 500, -1])
def test_a_torn_file_is_refused_with_the_way_out(path, length):
    checkpoint.save(path, state(1))
    checkpoint.save(path, state(2))
    path.write_bytes(path.read_bytes()[:length])
    with pytest.raises(RunError, match=r"state\.pt is torn or was changed.*state\.pt\.previous: move it over state\.pt"):
        checkpoint.load(path)
    path.with_name("state.pt.previous").replace(path)
    assert checkpoint.load(path)["epoch"] == 1


def test_without_an_older_one_a_torn_file_means_starting_again(path):
    checkpoint.save(path, state(1))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(RunError, match="start the run again"):
        checkpoint.load(path)


def test_every_single_changed_byte_is_noticed(path):
    checkpoint.save(path, state(1))
    content = path.read_bytes()
    for at in range(0, len(content), 7):
        path.write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        with pytest.raises(RunError, match="torn or was changed"):
            checkpoint.load(path)


def test_a_kill_between_the_two_renames_loses_nothing(path):
    checkpoint.save(path, state(1))
    path.replace(checkpoint.previous(path))  # the first of the two
    assert checkpoint.exists(path)
    assert checkpoint.load(path)["epoch"] == 1


def test_a_missing_checkpoint_is_said_to_be_missing(path):
    assert not checkpoint.exists(path)
    with pytest.raises(RunError, match=r"There is no checkpoint .*state\.pt"):
        checkpoint.load(path)


def test_an_unreadable_checkpoint_is_named(path):
    path.mkdir()
    with pytest.raises(RunError, match=r"Cannot read .*state\.pt"):
        checkpoint.load(path)


def test_a_checkpoint_cannot_run_code(path, tmp_path):
    class Attack:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "attacked"),)

    checkpoint.save(path, {"attack": Attack()})  # its checksum is right: only loading without code helps
    with pytest.raises(RunError, match="cannot be loaded"):
        checkpoint.load(path)
    assert not (tmp_path / "attacked").exists()


def full(fd):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_is_an_error_and_the_old_state_stays(path, monkeypatch):
    checkpoint.save(path, state(1))
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(RunError, match=r"Cannot write .*state\.pt \(No space left on device\): make room"):
        checkpoint.save(path, state(2))
    assert checkpoint.load(path)["epoch"] == 1
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]


def saved_in_little_room(path: Path) -> str:
    """What a child does."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
    try:
        checkpoint.save(path, {"weights": torch.zeros(100_000)})
    except RunError as error:
        return str(error)
    return "saved"


def test_a_file_that_the_system_cuts_off_is_an_error_and_the_old_state_stays(path):
    checkpoint.save(path, state(1))
    assert "File too large" in result_of(saved_in_little_room, path)
    assert checkpoint.load(path)["epoch"] == 1
    assert [p.name for p in path.parent.iterdir()] == ["state.pt"]


def test_a_directory_that_is_not_there_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    for path in (tmp_path / "missing" / "state.pt", tmp_path / "file" / "state.pt"):
        with pytest.raises(RunError, match="Cannot write"):
            checkpoint.save(path, state(1))
