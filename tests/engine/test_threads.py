"""Threads: no more than cores, and put back afterwards."""

import pytest
import torch

from mixop.engine import threads


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
