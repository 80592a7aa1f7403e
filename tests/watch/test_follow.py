"""The follower knows what the files say, neither more nor later than it looked."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from made_runs import lines_of, write_lines

from mixop.core.errors import RunError
from mixop.runs.read import read_run
from mixop.watch import follow
from mixop.watch.follow import Follower


def names(follower: Follower) -> list[str]:
    return [run.name for run in follower.runs]


def add(run: Path, line: object) -> None:
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps(line) + "\n")


def test_what_was_followed_is_what_is_read_at_once(run_at):
    """Epoch by epoch, and with lines that break off, the curves become those that a reader of the whole file sees."""
    run = run_at(epochs=6, upto="search")
    lines = lines_of(run)
    write_lines(run, [])
    follower = Follower(run)
    for number, line in enumerate(lines, start=1):
        text = json.dumps(line) + "\n"
        with (run / "metrics.jsonl").open("a") as file:
            file.write(text[:30])
        follower.look()
        with (run / "metrics.jsonl").open("a") as file:
            file.write(text[30:])
        assert follower.look()
        (followed,) = follower.runs
        assert followed.contents is not None
        assert followed.contents.search is not None
        assert followed.contents.search.epochs == tuple(range(1, number + 1))
    (followed,) = follower.runs
    whole = read_run(run)
    assert followed.contents is not None
    assert followed.contents.search is not None
    assert whole.search is not None
    assert np.array_equal(followed.contents.search.mix["cell"], whole.search.mix["cell"])
    assert followed.contents.search.valid["accuracy"].tolist() == whole.search.valid["accuracy"].tolist()


def test_nothing_new_is_no_change(run_at):
    follower = Follower(run_at(epochs=3))
    assert follower.look()
    assert not follower.look()


def test_runs_come_and_go(run_at, tmp_path: Path):
    (tmp_path / "runs").mkdir()
    follower = Follower(tmp_path / "runs")
    follower.look()
    assert names(follower) == []
    second = run_at("b", epochs=2, upto="search")
    assert follower.look()
    number = follower.runs[0].number
    run_at("a", epochs=2, upto="search")
    assert follower.look()
    assert names(follower) == ["a", "b"]
    assert [run.number for run in follower.runs][1] == number  # a page that shows it goes on showing it
    shutil.rmtree(second)
    assert follower.look()
    assert names(follower) == ["a"]
    assert follower.run(number) is None


def test_runs_are_found_below_comparisons_and_trials_stand_in_order(run_at, tmp_path: Path):
    for name in ("compare/darts-0", "tune/trial-9", "tune/trial-10", "deep/a/b/c/d/run"):
        run_at(name, epochs=2, upto="search")
    (tmp_path / "runs" / "link").symlink_to(tmp_path / "runs" / "compare")
    follower = Follower(tmp_path / "runs")
    follower.look()
    assert names(follower) == ["compare/darts-0", "tune/trial-9", "tune/trial-10"]


def test_a_run_that_was_resumed_says_what_its_file_says_now(run_at):
    run = run_at(epochs=5, upto="search")
    follower = Follower(run)
    follower.look()
    lines = lines_of(run)
    lines[4]["valid"]["accuracy"] = 0.125
    write_lines(run, lines[:3])
    follower.look()
    assert len(follower.runs[0].records) == 3
    write_lines(run, lines)
    assert follower.look()
    contents = follower.runs[0].contents
    assert contents is not None
    assert contents.search is not None
    assert contents.search.valid["accuracy"][-1] == 0.125


def test_a_damaged_line_is_named_and_the_others_stay(run_at):
    run = run_at(epochs=3, upto="search")
    follower = Follower(run)
    follower.look()
    add(run, {"phase": "something"})
    assert follower.look()
    (followed,) = follower.runs
    assert followed.error.startswith("Line 4 of")
    assert followed.contents is not None
    assert len(followed.records) == 3


def test_a_torn_file_is_an_error_of_that_run_alone(run_at, tmp_path: Path):
    run_at("good", epochs=2, upto="search")
    run = run_at("torn", epochs=2, upto="search")
    (run / "data.json").write_text("{")
    follower = Follower(tmp_path / "runs")
    follower.look()
    good, torn = follower.runs
    assert good.error == ""
    assert good.contents is not None
    assert "data.json is torn or damaged" in torn.error
    assert torn.contents is None


def test_a_long_file_comes_in_several_looks_and_keeps_no_other_waiting(run_at, tmp_path: Path):
    run_at("a-long", epochs=40, upto="search")
    short = run_at("short", epochs=1, upto="search")
    follower = Follower(tmp_path / "runs")
    follower.look(most=8000)
    assert follower.more
    line = lines_of(short)[0] | {"epoch": 2}
    add(short, line)
    follower.look(most=8000)
    assert follower.more
    assert len(follower.runs[1].records) == 2
    looks = 0
    while follower.more:
        follower.look(most=8000)
        looks += 1
    assert looks > 1
    assert len(follower.runs[0].records) == 40


def test_no_more_runs_are_followed_than_the_most(run_at, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(follow, "MOST_RUNS", 2)
    for number in range(3):
        run_at(f"r{number}", epochs=1, upto="start")
    follower = Follower(tmp_path / "runs")
    follower.look()
    assert names(follower) == ["r0", "r1"]


def test_a_directory_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(RunError, match=r"There is no directory .*nothing: give the --out"):
        Follower(tmp_path / "nothing")
