"""The progress view: the same records as plain lines and as a live panel."""

import io
import math
from typing import Any

import pytest
from rich.console import Console

from mixop.cli.progress import ProgressView, most_entropy, trace
from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.report.progress import Clock, duration

MEASURES = (ACCURACY, LOSS)
EPOCH: dict[str, Any] = {
    "phase": "search",
    "epoch": 3,
    "epochs": 10,
    "seconds": 75.0,
    "train": {"accuracy": 0.5, "loss": 1.25},
    "valid": {"accuracy": 0.4375, "loss": 1.5},
    "entropy": 1.25,
    "skip_share": 0.2,
    "mix": {"cell": [[0.2] * 5] * 6},
    "architecture": "|skip_connect~0|",
}


def step(number: int, **changes: Any) -> dict[str, Any]:
    record = {"event": "step", "phase": "search", "epoch": 4, "epochs": 10, "step": number, "steps": 20, "seconds": 80.0}
    return {**record, "train": {"accuracy": 0.625, "loss": 1.125}, **changes}


def console(*, terminal: bool, width: int = 80) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=width, highlight=False, color_system=None)


def written(target: Console) -> str:
    assert isinstance(target.file, io.StringIO)
    return target.file.getvalue()


def rendered(progress: ProgressView, width: int = 80) -> str:
    target = console(terminal=False, width=width)
    target.print(progress.panel())
    return written(target)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [0.0]
    monkeypatch.setattr("mixop.report.progress.time.monotonic", lambda: now[0])
    return now


def test_elsewhere_an_epoch_is_a_plain_line(clock: list[float]):
    target = console(terminal=False)
    with ProgressView("Searching", MEASURES, console=target) as progress:
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
    record = {**{k: EPOCH[k] for k in ("epoch", "epochs", "train")}, "label": "random 1"}
    with ProgressView("Training", MEASURES, ["found", "random 1"], console=target) as progress:
        progress(record)
    assert written(target).splitlines()[1] == "random 1    epoch  3/10  train loss 1.250, accuracy 50.0 %"


def test_quiet_shows_nothing():
    for terminal in (False, True):
        target = console(terminal=terminal)
        with ProgressView("Searching", MEASURES, quiet=True, console=target) as progress:
            progress(step(1))
            progress(EPOCH)
        assert written(target) == ""


def test_the_panel_shows_everything_that_is_known(clock: list[float]):
    progress = ProgressView("Searching", MEASURES, console=console(terminal=True))
    progress(step(1, epoch=1))
    progress(EPOCH)
    progress({**EPOCH, "entropy": 1.125, "valid": {"accuracy": 0.5, "loss": 1.5}})
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


def test_a_task_without_accuracy_shows_what_ranks_beside_the_loss(clock: list[float]):
    rmse, r2, loss = Measure("rmse", "lower", "mm"), Measure("r2", "higher"), Measure("loss", "lower")
    record = {
        "epoch": 1,
        "epochs": 2,
        "train": {"rmse": 3.0, "r2": 0.5, "loss": 1.25},
        "valid": {"rmse": 3.5, "r2": 0.25, "loss": 2},
    }
    progress = ProgressView("Searching", (rmse, r2, loss), console=console(terminal=True))
    progress(record)
    assert progress.line() == "epoch 1/2  train loss 1.250, rmse 3.000  valid loss 2.000, rmse 3.500"
    progress({**step(1), "train": record["train"]})
    shown = rendered(progress)
    assert "train 3.000   valid 3.500" in shown
    assert "accuracy" not in shown
    assert "r2" not in shown


def test_a_task_of_the_loss_alone_has_one_line_of_it():
    progress = ProgressView("Searching", (LOSS,), console=console(terminal=True))
    progress({**EPOCH, "train": {"loss": 1.25}, "valid": {"loss": 1.5}})
    assert progress.line().startswith("epoch  3/10  train loss 1.250  valid loss 1.500  entropy")
    assert rendered(progress).count("loss") == 1


def test_a_warning_is_shown_where_a_monitor_watches():
    progress = ProgressView("Searching", MEASURES, console=console(terminal=True))
    progress({**EPOCH, "columns": {"warning": None}})
    assert "warning" in rendered(progress)
    assert "WARNING" not in progress.line()
    progress({**EPOCH, "columns": {"warning": "50 % are skips."}})
    assert "50 % are skips." in rendered(progress)
    assert progress.line().endswith("WARNING: 50 % are skips.")


def test_before_the_first_step_the_panel_waits():
    shown = rendered(ProgressView("Searching", MEASURES, console=console(terminal=True)))
    assert "starting" in shown
    assert "entropy" in shown


@pytest.mark.parametrize("width", [30, 50, 80, 200])
def test_the_panel_keeps_its_height_and_the_width_of_the_terminal(width: int):
    target = console(terminal=True, width=width)
    progress = ProgressView("Searching nasbench201 with drnas", MEASURES, console=target)
    heights = set()
    for record in (
        step(1),
        EPOCH,
        {**EPOCH, "architecture": "|nor_conv_3x3~0|" * 20, "skip_share": None, "valid": {}},
        step(9),
    ):
        progress(record)
        lines = rendered(progress, width).splitlines()
        heights.add(len(lines))
        assert max(map(len, lines)) <= width
    assert len(heights) == 1


def test_the_live_panel_is_gone_when_it_is_over():
    target = console(terminal=True)
    with ProgressView("Searching", MEASURES, console=target) as progress:
        progress(step(1))
        progress(EPOCH)
    assert "Searching" in written(target)
    assert not progress.live or not progress.live.is_started


def test_each_network_is_a_part_of_the_whole(clock: list[float]):
    progress = ProgressView("Training", MEASURES, ["found", "random 1"], console=console(terminal=True))
    first = step(20, epoch=10, label="found")
    progress(first)
    clock[0] = 50.0
    progress(step(10, epoch=5, label="random 1"))
    assert progress.left == pytest.approx(50.0 / 90 * 110)
    assert "random 1 (2 of 2)" in rendered(progress)
    assert "entropy" not in rendered(progress)


def test_a_trace_is_that_of_one_network():
    progress = ProgressView("Training", MEASURES, ["found", "random 1"], console=console(terminal=True))
    for label, losses in (("found", (3.0, 2.0)), ("random 1", (1.5, 1.0))):
        for epoch, loss in enumerate(losses, 1):
            progress(step(20, epoch=epoch, label=label))
            progress({**EPOCH, "label": label, "epoch": epoch, "valid": {"accuracy": 0.5, "loss": loss}})
    assert progress.traces["loss"] == [1.5, 1.0]


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
