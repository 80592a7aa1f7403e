"""Tasks of an experiment: done once, continued after a failure, and in a directory of their own."""

import os
import signal

import pytest

from mixop.core.errors import DataError, RunError
from mixop.core.measure import Measure
from mixop.experiments.base import Request
from mixop.experiments.workers import in_workers
from mixop.runs.interrupt import InterruptedRunError
from mixop.runs.runner import Assignment

ACCURACY = Measure("accuracy", "higher")


def write(*, text, folder, observe):
    folder.mkdir(parents=True, exist_ok=True)
    if text == "fails" and not (folder / "again").exists():
        (folder / "again").touch()
        raise DataError("It failed.")
    with (folder / "done.txt").open("a") as file:
        file.write(text)


def do(tmp_path, texts, told=None, plan="a"):
    request = Request(scale="tiny", out=tmp_path / "out", jobs=1, observe=told and (lambda *what: told.append(what)))
    tasks = [Assignment(f"task-{text}", write, {"text": text}) for text in texts]
    in_workers(request, {"experiment": plan}, tasks, done="done.txt", measure=ACCURACY)
    return {path.parent.name: path.read_text() for path in (tmp_path / "out").glob("*/done.txt")}


def test_what_is_done_is_not_done_again(tmp_path):
    assert do(tmp_path, ["a", "b"]) == {"task-a": "a", "task-b": "b"}
    told = [None]
    assert do(tmp_path, ["a", "b", "c"], told) == {"task-a": "a", "task-b": "b", "task-c": "c"}
    assert told[1] == ("", {"event": "plan", "total": 3, "done": 2, "measure": ACCURACY.to_json()})
    assert [(name, record["event"]) for name, record in told[2:]] == [("task-c", "begun"), ("task-c", "done")]


def test_a_failure_is_told_after_the_others_and_tried_again(tmp_path):
    with pytest.raises(RunError, match="1 of 3 tasks could not be finished, for example task-fails: It failed; the same"):
        do(tmp_path, ["a", "fails", "b"])
    assert do(tmp_path, ["a", "fails", "b"]) == {"task-a": "a", "task-fails": "fails", "task-b": "b"}


def test_another_experiment_is_refused(tmp_path):
    do(tmp_path, ["a"])
    with pytest.raises(RunError, match="holds another run"):
        do(tmp_path, ["a"], plan="b")
    (tmp_path / "out" / "planned.json").unlink()
    with pytest.raises(RunError, match="choose another --out"):
        do(tmp_path, ["a"])


def interrupted(*, folder, observe):
    os.kill(os.getpid(), signal.SIGINT)


def test_a_signal_ends_it_between_tasks_and_the_same_call_continues(tmp_path):
    request = Request(scale="tiny", out=tmp_path / "out", jobs=1)
    tasks = [
        Assignment("task-a", write, {"text": "a"}),
        Assignment("task-stop", interrupted, {}),
        Assignment("task-b", write, {"text": "b"}),
    ]
    with pytest.raises(InterruptedRunError, match="the same command continues from there"):
        in_workers(request, {"experiment": "a"}, tasks, done="done.txt", measure=ACCURACY)
    assert do(tmp_path, ["a"]) == {"task-a": "a"}
    assert do(tmp_path, ["a", "b"]) == {"task-a": "a", "task-b": "b"}
