"""Weights & Biases without a network, its files read back; and Trackio, its database read back."""

import struct
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from made_runs import lines_of, write_lines

from mixop.core.errors import MissingExtraError, RunError
from mixop.runs.trackers.live import track

pytestmark = pytest.mark.filterwarnings("default")  # those of the packages


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    found = pytest.importorskip("wandb", reason="the extra wandb is not installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    return found


@pytest.fixture
def trackio(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    found = pytest.importorskip("trackio", reason="the extra trackio is not installed")
    from trackio import sqlite_storage, utils

    for module in (utils, sqlite_storage):
        monkeypatch.setattr(module, "TRACKIO_DIR", tmp_path / "trackio")
    return found


def records(file: Path) -> Iterator[Any]:
    """The records in a file of Weights & Biases: a log of LevelDB, in blocks of 32 KiB, with protobuf messages in it."""
    from wandb.proto import wandb_internal_pb2 as messages

    content, at, whole = file.read_bytes(), 7, b""  # a header of 7 bytes
    while at + 7 <= len(content):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack_from("<IHB", content, at)
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last piece
            record = messages.Record()
            record.ParseFromString(whole)
            yield record
            whole = b""


def offline(run: Path) -> list[Any]:
    """The records of a run that was closed; its service writes the last of them a moment later."""
    (file,) = (run / "wandb").glob("offline-run-*/*.wandb")
    until = time.monotonic() + 10
    while True:
        found = list(records(file))
        if any(record.WhichOneof("record_type") == "exit" for record in found):
            return found
        assert time.monotonic() < until, "nothing says that the run was closed"
        time.sleep(0.01)


def history(found: list[Any]) -> list[dict[str, str]]:
    rows = [record.history for record in found if record.WhichOneof("record_type") == "history"]
    return [{"/".join(item.nested_key) or item.key: item.value_json for item in row.item} for row in rows]


def test_offline_a_run_is_there_with_everything(run_at, wandb):
    run = run_at(epochs=3, rivals=(0.9,))
    (run / "report.html").write_text("the page")
    (place,) = track([run], "wandb", group="all")["wandb"]
    assert place.startswith(f"wandb sync {run / 'wandb'}")
    found = offline(run)
    (begun,) = [record.run for record in found if record.WhichOneof("record_type") == "run"]
    assert (begun.project, begun.display_name, begun.run_group) == ("mixop", "all/digits", "all")
    assert "recipe" in {item.key for item in begun.config.update}
    rows, lines = history(found), lines_of(run)
    assert len(rows) == len(lines) + 2  # and two scores
    assert [float(row["search/loss/train"]) for row in rows[:3]] == [line["train"]["loss"] for line in lines[:3]]
    assert [int(row["search/epoch"]) for row in rows[:3]] == [1, 2, 3]
    assert [int(row["_step"]) for row in rows] == list(range(1, len(rows) + 1))
    assert float(rows[-1]["random-1/accuracy/test"]) == 0.9
    axes = {r.metric.glob_name: r.metric.step_metric for r in found if r.WhichOneof("record_type") == "metric"}
    assert axes["search/*"] == "search/epoch"
    kinds = {record.WhichOneof("record_type") for record in found} | {
        record.request.WhichOneof("request_type") for record in found if record.WhichOneof("record_type") == "request"
    }
    assert kinds & {"artifact", "log_artifact"}
    (ended,) = [record.exit for record in found if record.WhichOneof("record_type") == "exit"]
    assert ended.exit_code == 0


def test_offline_a_run_that_is_sent_again_has_no_point_twice(run_at, wandb):
    run = run_at(epochs=4, upto="search")
    lines = lines_of(run)
    write_lines(run, lines[:2])
    track([run], "wandb")
    write_lines(run, lines)
    track([run], "wandb")
    assert [int(row["search/epoch"]) for row in history(offline(run))] == [1, 2, 3, 4]


def test_who_is_not_logged_in_is_told_before_anything_begins(run_at, wandb, monkeypatch):
    monkeypatch.setattr(wandb, "login", lambda prompt: False)

    class Setup:
        settings = type("Settings", (), {"mode": "online"})

    monkeypatch.setattr(wandb, "setup", Setup)
    with pytest.raises(RunError, match=r"run `wandb login` first, or set WANDB_MODE=offline"):
        track([run_at(epochs=1)], "wandb")


@pytest.mark.parametrize("name", ["wandb", "trackio", "mlflow"])
def test_without_the_package_the_extra_is_named(run_at, name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'mixop\[{name}\]'"):
        track([], name)


def test_trackio_has_a_run_in_its_database(run_at, trackio, capsys):
    run = run_at(epochs=3, rivals=(0.9,))
    lines = lines_of(run)
    score = (run / "score.json").rename(run / "kept")
    write_lines(run, lines[:2])
    track([run], "trackio")
    write_lines(run, lines)
    score.rename(run / "score.json")
    track([run], "trackio")
    assert capsys.readouterr().out == ""  # what it prints would stand in the midst of a result
    (seen,) = trackio.Api().runs("mixop")
    rows = trackio.sqlite_storage.SQLiteStorage.get_logs("mixop", seen.name)
    assert [row["step"] for row in rows] == list(range(1, len(lines) + 3))
    assert [row["search/loss/train"] for row in rows[:3]] == [line["train"]["loss"] for line in lines[:3]]
    assert rows[-1]["random-1/accuracy/test"] == 0.9
    assert seen.config["recipe"]["epochs"] == 3


def test_trackio_has_several_runs_open_at_a_time(run_at, trackio):
    from mixop.runs.trackers.view import View
    from mixop.runs.trackers.wandb import Trackio

    one, two = (View(run_at(name, epochs=2, upto="search"), Trackio) for name in ("one", "two"))
    one.send()
    two.send()
    one.close()
    two.close()
    assert [run.name.split()[0] for run in trackio.Api().runs("mixop")] == ["one", "two"]
