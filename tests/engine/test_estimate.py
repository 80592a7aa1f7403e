"""Estimates: bytes against counts by hand, refusals with a proposal, words for people."""

import pytest
import torch

from mixop.core.errors import MemoryLimitError
from mixop.engine import estimate as module
from mixop.engine.estimate import Estimate, duration, enough_memory, estimate, free_bytes, gigabytes, saved_bytes

MIB = 2**20


def test_saved_bytes_are_those_of_the_graph_each_storage_once():
    x = torch.randn(64, 128, requires_grad=True)
    weight = torch.randn(128, 32, requires_grad=True)

    def run():
        hidden = (x @ weight).tanh()  # keeps x and weight for the product, its own output for tanh
        return (hidden * hidden).sum()  # keeps hidden twice, which is one storage

    assert saved_bytes(run) == 4 * (64 * 128 + 128 * 32 + 64 * 32)


def small(device: str = "cpu", **changes):
    weight = torch.randn(100, 100, requires_grad=True)
    steps = []

    def forward(images):
        return (torch.randn(images, 100) @ weight).tanh().sum()

    given = {"weights": 40_000, "batch_size": 10, "steps": 7, **changes}
    return estimate(forward=forward, step=lambda: steps.append(1), device=device, **given), steps


def test_bytes_for_an_image_are_what_grows_with_the_batch():
    found, _ = small()
    assert found.image_bytes == 4 * (100 + 100)  # the input of the product, the output of tanh
    assert found.fixed_bytes == 3 * 40_000
    assert found.peak_bytes == 120_000 + 10 * 800
    assert found.seconds >= 0


@pytest.mark.parametrize(("each", "taken"), [(3.0, 1), (0.1, 1), (0.04, 3), (0.001, 20)])
def test_short_steps_are_timed_until_their_time_says_something(monkeypatch, each, taken):
    clock = iter([0.0, *(each * (step + 1) for step in range(30))])
    monkeypatch.setattr(module.time, "perf_counter", lambda: next(clock))
    found, steps = small(steps=7)
    assert len(steps) == 1 + taken  # the first one is slower, and does not count
    assert found.seconds == pytest.approx(7 * each)


def test_a_batch_that_does_not_fit_is_refused_before_a_step_with_one_that_does(monkeypatch):
    monkeypatch.setattr(module, "free_bytes", lambda device: 120_000 + 5 * 800)
    with pytest.raises(MemoryLimitError, match=r"A batch of 10 needs about .* a batch size of 5 fits"):
        small()
    monkeypatch.setattr(module, "free_bytes", lambda device: 100)
    with pytest.raises(MemoryLimitError, match="take fewer channels or cells"):
        small()


def test_the_largest_batch_is_the_last_that_fits():
    found = Estimate(seconds=1.0, fixed_bytes=1000, image_bytes=10, batch_size=8)
    assert found.largest_batch(1000 + 95) == 9
    found.check(1080)
    with pytest.raises(MemoryLimitError):
        found.check(1079)


def test_free_memory_heeds_a_containers_limit(tmp_path):
    assert 0 < free_bytes("cpu") < 2**50
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("100\n")
    assert module._container_bytes(str(tmp_path)) == float("inf")
    (tmp_path / "memory.max").write_text("1000\n")
    assert module._container_bytes(str(tmp_path)) == 900
    (tmp_path / "memory.stat").write_text("anon 300\ninactive_file 50\nactive_file 10\n")
    assert module._container_bytes(str(tmp_path)) == 950
    (tmp_path / "memory.current").write_text("2000\n")
    assert module._container_bytes(str(tmp_path)) == 0


@pytest.mark.parametrize(
    "error",
    [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), RuntimeError("DefaultCPUAllocator: can't allocate memory")],
)
def test_running_out_of_memory_is_a_sentence(error):
    with pytest.raises(MemoryLimitError, match="try --batch-size 32"), enough_memory(64, "search"):
        raise error


def test_other_errors_pass():
    with pytest.raises(RuntimeError, match="shapes"), enough_memory(64, "search"):
        raise RuntimeError("shapes differ")


def test_words_for_people():
    assert [duration(s) for s in (40, 720, 12_000, 86_400 * 5 + 4 * 3600)] == ["40 s", "12 min", "3 h 20 min", "5 d 4 h"]
    assert [gigabytes(n) for n in (5 * MIB, 3 * 2**30)] == ["5 MiB", "3.0 GiB"]
    assert str(Estimate(seconds=120, fixed_bytes=MIB, image_bytes=MIB, batch_size=4)) == "about 2 min and 5 MiB of memory"
