"""Cores that may be used."""

import os

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
