"""Cores that may be used."""

import os
import platform
import subprocess
import sys

import pytest

from mixop.core import machine


@pytest.mark.parametrize(
    ("text", "limit"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 1 << 30), ("", 1 << 30)]
)
def test_the_limit_of_a_container(tmp_path, text, limit):
    (tmp_path / "cpu.max").write_text(text)
    assert machine._limit(str(tmp_path)) == limit
    assert machine._limit(str(tmp_path / "nowhere")) == 1 << 30


def test_cores_are_those_that_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    monkeypatch.setattr(machine, "_limit", lambda: 1 << 30)
    assert machine.cores() == 3
    monkeypatch.setattr(machine, "_limit", lambda: 2)
    assert machine.cores() == 2


def test_a_machine_is_known_by_its_boot_else_by_its_network_card(monkeypatch):
    machine.machine.cache_clear()
    here = machine.machine()
    assert here == machine.machine()
    assert len(here) > 8
    monkeypatch.setattr(machine.Path, "read_text", lambda self, encoding: (_ for _ in ()).throw(FileNotFoundError()))
    machine.machine.cache_clear()
    assert machine.machine() == f"{machine.uuid.getnode():x}"
    machine.machine.cache_clear()


FAULTS = """
import resource
import sys
from mixop.core.machine import keep_freed_memory
if sys.argv[1] == "kept":
    keep_freed_memory()
import torch
def step():
    blocks = [torch.ones(40 << 20, dtype=torch.uint8) for _ in range(3)]
for _ in range(5):  # until the small blocks between the large ones have found their places
    step()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    step()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="options of glibc")
def test_freed_memory_is_kept_unless_the_user_has_tuned_it():
    """glibc gives blocks of 40 MiB back unless it is told not to. Where small blocks lie between them, a few are taken anew."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MALLOC_", "GLIBC_"))}

    def faults(how: str, **more: str) -> int:
        command = [sys.executable, "-c", FAULTS, how]
        done = subprocess.run(command, env={**environment, **more}, capture_output=True, text=True, check=True)
        return int(done.stdout)

    given_back = faults("given back")
    assert faults("kept") < given_back / 4
    assert faults("kept", MALLOC_MMAP_THRESHOLD_="65536") > given_back / 2
