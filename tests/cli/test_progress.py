"""The progress view: the same records as plain lines and as a live panel."""

import io
import math
from typing import Any

import pytest
from rich.console import Console

from mixop.cli.progress import Clock, Progress, duration, most_entropy, trace

EPOCH = {
    "phase": "search",
    "epoch": 3,
    "epochs": 10,
    "seconds": 75.0,
    "train_loss": 1.25,
    "train_accuracy": 0.5,
    "valid_loss": 1.5,
    "valid_accuracy": 0.4375,
    "entropy": 1.25,
    "skip_share": 0.2,
    "mix": {"cell": [[0.2] * 5] * 6},
    "architecture": "|skip_connect~0|",
}


def step(number: int, **changes: Any) -> dict[str, Any]:
    record = {"event": "step", "phase": "search", "epoch": 4, "epochs": 10, "step": number, "steps": 20, "seconds": 80.0}
    return {**record, "train_loss": 1.125, "train_accuracy": 0.625, **changes}


def console(*, terminal: bool, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, highlight=False, color_system=None)


def written(target: Console) -> str:
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue()


def rendered(progress: Progress, width: int = 80) -> str:
    target = console(terminal=False, width=width)
    target.print(progress.panel())
    return written(target)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("mixop.cli.progress.time.monotonic", lambda: now[0])
    return now


def test_elsewhere_an_epoch_is_a_plain_line(clock: list[float]):
    target = console(terminal=False)
    with Progress("Searching", console=target) as progress:
        progress(step(1, epoch=1))
        clock[0] = 10.0
        progress(step(20, epoch=3))
        progress(EPOCH)
    title, line = written(target).splitlines()
    assert title == "Searching."
    assert line == (
        "epoch  3/10  train loss 1.250, accuracy 50.0 %  valid loss 1.500, accuracy 43.8 %  entropy 1.250  skip 20.0 %  "
        "24 s left"  # 59 steps took 10 s, 140 are left
    )


def test_a_retraining_says_which_network():
    target = console(terminal=False)
    record = {**{k: EPOCH[k] for k in ("epoch", "epochs", "train_loss", "train_accuracy")}, "label": "random 1"}
    with Progress("Training", ["found", "random 1"], console=target) as progress:
        progress(record)
    assert written(target).splitlines()[1] == "random 1    epoch  3/10  train loss 1.250, accuracy 50.0 %"


def test_quiet_shows_nothing():
    for terminal in (False, True):
        target = console(terminal=terminal)
        with Progress("Searching", quiet=True, console=target) as progress:
            progress(step(1))
            progress(EPOCH)
        assert written(target) == ""


def test_the_panel_shows_everything_that_is_known(clock: list[float]):
    progress = Progress("Searching", console=console(terminal=True))
    progress(step(1, epoch=1))
    progress(EPOCH)
    progress({**EPOCH, "entropy": 1.125, "valid_accuracy": 0.5})
    clock[0] = 100.0
    progress(step(10))
    shown = rendered(progress)
    for text in (
        "Searching",
        "4 of 10, step 10 of 20",
        "train 1.125   valid 1.500",
        "train 62.5 %   valid 50.0 %   ▁█",
        f"1.125 of at most {math.log(5):.3f} nats   █▁",
        "20.0 %",
        "|skip_connect~0|",
        "1:20 min done",
        "left",
    ):
        assert text in shown, shown


def test_before_the_first_step_the_panel_waits():
    shown = rendered(Progress("Searching", console=console(terminal=True)))
    assert "starting" in shown
    assert "entropy" in shown


@pytest.mark.parametrize("width", [30, 50, 80, 200])
def test_the_panel_keeps_its_height_and_the_width_of_the_terminal(width: int):
    target = console(terminal=True, width=width)
    progress = Progress("Searching nasbench201 with drnas", console=target)
    heights = set()
    for record in (
        step(1),
        EPOCH,
        {**EPOCH, "architecture": "|nor_conv_3x3~0|" * 20, "skip_share": None, "valid_loss": None},
        step(9),
    ):
        progress(record)
        lines = rendered(progress, width).splitlines()
        heights.add(len(lines))
        assert max(map(len, lines)) <= width
    assert len(heights) == 1


def test_the_live_panel_is_gone_when_it_is_over():
    target = console(terminal=True)
    with Progress("Searching", console=target) as progress:
        progress(step(1))
        progress(EPOCH)
    assert "Searching" in written(target)
    assert not progress.live or not progress.live.is_started


def test_each_network_is_a_part_of_the_whole(clock: list[float]):
    progress = Progress("Training", ["found", "random 1"], console=console(terminal=True))
    first = step(20, epoch=10, label="found")
    progress(first)
    clock[0] = 50.0
    progress(step(10, epoch=5, label="random 1"))
    assert progress.left == pytest.approx(50.0 / 90 * 110)
    assert "random 1 (2 of 2)" in rendered(progress)
    assert "entropy" not in rendered(progress)


def test_the_clock_counts_this_process_only(clock: list[float]):
    judge = Clock()
    assert judge.left(50, 100) is None  # resumed at the fiftieth step
    clock[0] = 10.0
    assert judge.left(60, 100) == pytest.approx(40.0)
    assert judge.left(100, 100) == 0.0


def test_traces():
    assert trace([1.0]) == ""
    assert trace([0.0, 0.5, 1.0]) == "▁▅█"
    assert trace([2.0, 2.0]) == "▁▁"


def test_most_entropy_is_that_of_uniform_weights():
    assert most_entropy({"a": [[0.5, 0.5]], "b": [[1.0, 0, 0, 0]]}) == pytest.approx((math.log(2) + math.log(4)) / 2)
    assert most_entropy({}) == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (59.4, "59 s"), (59.6, "1:00 min"), (185, "3:05 min"), (7380, "2:03 h")]
)
def test_durations(seconds: float, text: str):
    assert duration(seconds) == text
