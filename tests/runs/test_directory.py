import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import mixop
from mixop.core.errors import RunError
from mixop.runs.directory import RunDirectory
from mixop.runs.identity import difference
from mixop.runs.records import RetrainingRecord, to_record

IDENTITY = {"recipe.json": {"name": "darts", "optimiser": {"lr": 0.025}}, "space.json": {"cells": [1, 2]}}


def record(epoch: int) -> RetrainingRecord:
    return RetrainingRecord(
        label="found", epoch=epoch, epochs=9, seconds=1 / 3, train={"loss": 1 / (epoch + 3)}, learning_rate=0.1
    )


@pytest.fixture
def run(tmp_path):
    return RunDirectory(tmp_path / "runs" / "x")


def claim(run: RunDirectory, identity: dict, markers: tuple[str, ...] = ("recipe.json",)) -> bool:
    with run.locked():
        return run.claim(identity, markers)


def begin(run: RunDirectory, identity: dict = IDENTITY) -> None:
    """A run that has reached its first checkpoint."""
    claim(run, identity)
    (run / "state.pt").touch()


def test_a_new_directory_is_claimed_and_known_once_it_has_a_checkpoint(run):
    assert claim(run, IDENTITY) is False
    assert claim(run, IDENTITY) is False
    (run / "state.pt").touch()
    assert claim(run, IDENTITY) is True
    assert {name: json.loads((run / name).read_text()) for name in IDENTITY} == IDENTITY
    assert json.loads((run / "run.json").read_text()) == {"format": 3}


def test_what_is_there_is_known(run):
    assert not run.has("recipe.json")
    claim(run, IDENTITY)
    assert run.has("recipe.json", "space.json")
    assert not run.has("recipe.json", "score.json")


def test_a_run_killed_at_its_start_is_claimed_again(run):
    run.path.mkdir(parents=True)
    for name in ("run.json", "run.lock", "recipe.json.partial"):
        (run / name).write_text('{"format": 3}')
    assert claim(run, IDENTITY) is False


@pytest.mark.parametrize("name", ["recipe.json", "retrain.json", "comparison.json"])
def test_a_directory_from_before_there_were_versions_is_refused(run, name):
    run.path.mkdir(parents=True)
    (run / name).write_text("{}")
    with pytest.raises(RunError, match=r"was written by mixop 0\.1 before runs had a version"):
        claim(run, IDENTITY)
    if name != "comparison.json":
        with pytest.raises(RunError, match=r"was written by mixop 0\.1 before runs had a version"):
            run.require()


def test_a_directory_of_a_later_version_is_refused(run):
    claim(run, IDENTITY)
    run.write_json("run.json", {"format": 4})
    for ask in (run.require, lambda: claim(run, IDENTITY)):
        with pytest.raises(RunError, match="has format 4, and this version of mixop reads 3"):
            ask()


def test_an_empty_directory_may_be_used(run):
    run.path.mkdir(parents=True)
    assert claim(run, IDENTITY) is False


def test_tuples_equal_the_lists_that_json_makes_of_them(run):
    begin(run, {"recipe.json": {"betas": (0.5, 0.999)}})
    assert claim(run, {"recipe.json": {"betas": (0.5, 0.999)}}) is True


def test_a_claim_that_was_killed_halfway_is_completed(run):
    begin(run, {"recipe.json": IDENTITY["recipe.json"]})
    assert claim(run, IDENTITY) is False
    assert claim(run, IDENTITY) is True


def test_a_run_that_never_made_a_checkpoint_leaves_its_directory_free(run):
    claim(run, IDENTITY)
    run.write_json("environment.json", {"seed": 0})
    other = {"recipe.json": {"name": "gdas"}, "data.json": {"fingerprint": "f"}}
    assert claim(run, other) is False
    assert sorted(path.name for path in run.path.iterdir()) == ["data.json", "recipe.json", "run.json", "run.lock"]
    assert run.read_json("recipe.json") == {"name": "gdas"}


@pytest.mark.parametrize("name", ["state.pt", "state.pt.previous", "metrics.jsonl", "architecture.json", "notes.txt"])
def test_whatever_is_worth_keeping_keeps_the_directory(run, name):
    claim(run, IDENTITY)
    (run / name).touch()
    with pytest.raises(RunError, match="holds another run"):
        claim(run, {**IDENTITY, "space.json": {}})
    assert run.read_json("space.json") == IDENTITY["space.json"]


def test_files_of_the_same_names_are_someone_elses_without_a_format(run):
    run.path.mkdir(parents=True)
    for name in ("data.json", "settings.json"):
        (run / name).write_text("{}")
    with pytest.raises(RunError, match=r"is not empty and is not a run \(it holds data\.json\)"):
        claim(run, IDENTITY)
    assert sorted(path.name for path in run.path.iterdir()) == ["data.json", "settings.json"]


def test_the_same_data_from_another_place_is_the_same_run(run):
    data = {"fingerprint": "f", "task": {"type": "Classification"}, "shape": [1, 8, 8], "source": {"path": "/here"}}
    begin(run, {**IDENTITY, "data.json": data})
    assert claim(run, {**IDENTITY, "data.json": {**data, "source": {"path": "/there"}}}) is True
    with pytest.raises(RunError, match=r'data\.fingerprint is "f" there and "g" now'):
        claim(run, {**IDENTITY, "data.json": {**data, "fingerprint": "g"}})


def test_a_refusal_leaves_no_directory_behind(run):
    with pytest.raises(RunError, match="on purpose"), run.locked():
        raise RunError("on purpose")
    assert not run.path.exists()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"recipe.json": {"name": "drnas", "optimiser": {"lr": 0.025}}}, r'recipe\.name is "darts" there and "drnas" now'),
        ({"recipe.json": {"name": "darts", "optimiser": {"lr": 0.1}}}, r"recipe\.optimiser\.lr is 0\.025 there and 0\.1 now"),
        ({"recipe.json": {"name": "darts"}}, r'recipe\.optimiser is \{"lr": 0\.025\} there and missing now'),
        ({"recipe.json": {**IDENTITY["recipe.json"], "windows": None}}, r"recipe\.windows is missing there and null now"),
        ({"space.json": {"cells": [1, 3]}}, r"space\.cells\[1\] is 2 there and 3 now"),
        ({"space.json": {"cells": [1]}}, r"space\.cells is \[1, 2\] there and \[1\] now"),
    ],
)
def test_another_run_is_refused_with_the_difference(run, change, sentence):
    begin(run, IDENTITY)
    with pytest.raises(RunError, match=rf"holds another run: {sentence}; choose another --out"):
        claim(run, {**IDENTITY, **change})
    assert claim(run, IDENTITY) is True  # nothing was written


def test_a_long_value_is_cut():
    text = difference({"a": "x" * 500}, {"a": "y"}, "recipe.json")
    assert text.startswith('recipe.a is "xxx')
    assert len(text) < 200


def test_a_directory_with_something_else_in_it_is_refused_and_left_alone(run):
    run.path.mkdir(parents=True)
    (run / "thesis.tex").write_text("years of work")
    with pytest.raises(RunError, match=r"is not empty and is not a run \(it holds thesis\.tex\)"):
        claim(run, IDENTITY)
    assert [p.name for p in run.path.iterdir()] == ["thesis.tex"]


def test_a_marker_of_ones_own_makes_a_directory_a_run(run):
    claim(run, {"retrain.json": {"seed": 0}}, markers=("recipe.json", "retrain.json"))
    (run / "retrain.pt").touch()
    assert claim(run, {"retrain.json": {"seed": 0}}, markers=("recipe.json", "retrain.json")) is True
    with pytest.raises(RunError, match="is not a run"):
        claim(run, IDENTITY)


def test_a_file_in_the_way_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(RunError, match="cannot be a run directory"):
            claim(RunDirectory(path), IDENTITY)


def test_a_directory_without_permission_to_write_is_refused(run, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(RunError, match="is not writable: choose another --out"):
        claim(run, IDENTITY)


def test_a_parent_without_permission_to_write_is_refused(run, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(RunError, match=r"Cannot create .* \(Permission denied\)"):
        claim(run, IDENTITY)


def test_what_is_no_run_is_refused(run, tmp_path):
    with pytest.raises(RunError, match="There is no run directory"):
        run.require()
    with pytest.raises(RunError, match="is not a run directory"):
        RunDirectory(tmp_path).require()
    claim(run, IDENTITY)
    run.require()


def test_a_torn_or_missing_file_is_named(run):
    begin(run, IDENTITY)
    (run / "recipe.json").write_text('{"name": "da')
    with pytest.raises(RunError, match=r"recipe\.json is torn or damaged"):
        claim(run, IDENTITY)
    with pytest.raises(RunError, match=r"has no architecture\.json"):
        run.read_json("architecture.json")


def test_a_number_that_json_has_not_is_never_written(run):
    claim(run, IDENTITY)
    with pytest.raises(ValueError, match="JSON compliant"):
        run.write_json("score.json", {"loss": float("nan")})
    assert not (run / "score.json").exists()


LOCK = """
import sys
from mixop.runs.directory import RunDirectory
with RunDirectory(sys.argv[1]).locked():
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_two_processes_never_work_in_one_directory(run):
    claim(run, IDENTITY)
    environment = {**os.environ, "PYTHONPATH": str(Path(mixop.__file__).parents[1])}
    command = [sys.executable, "-c", LOCK, str(run.path)]
    child = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    with child:
        assert child.stdout is not None
        assert child.stdout.readline() == b"locked\n"
        with pytest.raises(RunError, match="Another process is working in"), run.locked():
            pass
        child.kill()  # a lock goes with its process, however that ends
        child.wait()
        with run.locked():
            pass


def test_a_lock_that_cannot_be_written_is_one_sentence(run):
    (run / "run.lock").mkdir(parents=True)
    with pytest.raises(RunError, match="is not writable"), run.locked():
        pass


def test_records_come_back_in_order_and_a_torn_last_line_is_left_out(run):
    claim(run, IDENTITY)
    assert run.records() == []
    written = [record(epoch) for epoch in (1, 2, 3)]
    for each in written:
        run.append(to_record(each))
    with run.metrics.open("ab") as file:
        file.write(b'{"epoch": 3, "lo')
    assert run.records() == written
    assert run.retrained() == written
    assert run.searched() == []


def test_what_is_not_finished_has_no_score_and_no_measures(run):
    claim(run, IDENTITY)
    with pytest.raises(RunError, match=r"has no score\.json: no network was trained"):
        run.score()
    with pytest.raises(RunError, match=r"has no data\.json"):
        run.measures()


def test_the_measures_are_those_of_the_data(run):
    claim(run, {**IDENTITY, "data.json": {"measures": [{"name": "rmse", "better": "lower", "unit": "mm", "style": "number"}]}})
    (measure,) = run.measures()
    assert measure.written(3.25) == "3.250 mm"


def test_metrics_are_cut_back_to_a_position_but_never_invented(run):
    claim(run, IDENTITY)
    assert run.position() == 0
    run.truncate(0)
    run.append(to_record(record(1)))
    position = run.position()
    run.append(to_record(record(2)))
    run.truncate(position)
    assert run.records() == [record(1)]
    with pytest.raises(RunError, match=r"has lost lines since the checkpoint"):
        run.truncate(position + 1)


def test_a_full_disk_while_writing_metrics_says_how_to_go_on(run, monkeypatch):
    claim(run, IDENTITY)

    def full(fd):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(
        RunError, match=r"Cannot write .*metrics\.jsonl \(No space left on device\): make room, then `mixop resume"
    ):
        run.append({"epoch": 1})
    with pytest.raises(RunError, match=r"Cannot write .*score\.json \(No space left on device\)"):
        run.write_json("score.json", {})
