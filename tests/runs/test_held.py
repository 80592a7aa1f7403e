"""The system's lock of an open file, by flock and as on Windows."""

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from windows_locks import msvcrt

from mixop.runs import held
from mixop.runs.held import HELD, hold


@pytest.fixture(params=["flock", "Windows"])
def _locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch):
    if request.param == "Windows":
        monkeypatch.setattr(held, "fcntl", None)
        monkeypatch.setattr(held, "msvcrt", msvcrt, raising=False)


@pytest.mark.usefixtures("_locks")
def test_one_holds_it_and_what_it_says_can_be_read(tmp_path: Path):
    path = tmp_path / "x"
    path.write_bytes(b"before")
    with path.open("r+b", buffering=0) as first, path.open("r+b", buffering=0) as second:
        hold(first, wait=False)
        first.write(b"owner")  # at the beginning, wherever the locked byte is
        assert path.read_bytes() == b"ownere"
        with pytest.raises(OSError, match=r"denied|unavailable") as caught:
            hold(second, wait=False)
        assert caught.value.errno in HELD
    with path.open("r+b", buffering=0) as third:
        hold(third, wait=False)  # closed is free


@pytest.mark.usefixtures("_locks")
def test_one_may_wait(tmp_path: Path):
    first, second = ((tmp_path / "x").open("ab", buffering=0) for _ in range(2))
    hold(first, wait=False)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(hold, second, wait=True)
        time.sleep(0.05)
        assert not waiting.done()
        first.close()
        waiting.result(timeout=60)
    second.close()
