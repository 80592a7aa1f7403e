"""Threads: no more than cores, and put back afterwards."""

import os

import pytest
import torch

from mixop.engine import threads


@pytest.mark.parametrize(
    ("text", "limit"), [("200000 100000", 2), ("150000 100000", 2), ("50000 100000", 1), ("max 100000", 1 << 30), ("", 1 << 30)]
)
def test_the_limit_of_a_container(tmp_path, text, limit):
    (tmp_path / "cpu.max").write_text(text)
    assert threads._limit(str(tmp_path)) == limit
    assert threads._limit(str(tmp_path / "nowhere")) == 1 << 30


def test_cores_are_those_that_may_be_used(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 2, 5}, raising=False)
    monkeypatch.setattr(threads, "_limit", lambda: 1 << 30)
    assert threads.cores() == 3
    monkeypatch.setattr(threads, "_limit", lambda: 2)
    assert threads.cores() == 2


def test_torch_takes_no_more_threads_than_there_are_cores(monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        monkeypatch.setattr(threads, "cores", lambda: 3)
        with threads.using(0):
            assert torch.get_num_threads() == 3
        with threads.using(2):
            assert torch.get_num_threads() == 2
        assert torch.get_num_threads() == 4
        with pytest.raises(ZeroDivisionError), threads.using(1):
            raise ZeroDivisionError
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
