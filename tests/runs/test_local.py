"""Tasks in workers or in this process: what they tell, why they fail, and how they stop."""

import os
import signal
import socket
import subprocess
import sys
import warnings
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from mixop.core.errors import RunError
from mixop.runs import local
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.runs.local import Local, check_workers
from mixop.runs.runner import Assignment


def told(*, observe, threads):
    observe({"event": "epoch", "epoch": 1, "mix": {"cell": ()}})
    if torch.get_num_threads() != threads:
        raise RunError(f"There are {torch.get_num_threads()} threads.")


def refused(*, observe):
    raise RunError("It does not fit.")


def broken(*, observe):
    raise ZeroDivisionError("by nothing")


def starved(*, observe):
    raise MemoryError


def stopped(*, observe):
    os.kill(os.getpid(), signal.SIGTERM)
    with listening() as stop:  # as a driver that begins after the signal
        if stop.signum is not None:
            raise InterruptedRunError("Stopped.", stop.signum)


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    """Workers leave their logs in the folder ``workers`` of an empty directory."""
    monkeypatch.chdir(tmp_path)


def run(tasks, jobs, threads=1, device="cpu"):
    events, failures = [], {}
    with suppress(InterruptedRunError), listening() as stop:
        failures = Local(cores=threads).work(
            [Assignment(name, task, arguments) for name, task, arguments in tasks],
            folder=Path("workers"),
            device=device,
            jobs=jobs,
            tell=lambda name, record: events.append((name, dict(record))),
            stop=stop,
        )
        if stop.signum is not None:  # as a comparison does: a signal that nobody heeds ends the process
            raise InterruptedRunError("Stopped.", stop.signum)
    return failures, events, stop.signum


@pytest.mark.parametrize("jobs", [1, 2])
def test_workers_and_this_process_tell_the_same(jobs):
    before = torch.get_num_threads()
    tasks = [("a", told, {"threads": 1}), ("b", refused, {}), ("c", broken, {}), ("d", starved, {})]
    failures, events, _ = run(tasks, jobs)
    assert torch.get_num_threads() == before
    assert failures["b"] == "It does not fit."
    assert failures["c"].startswith("ZeroDivisionError in c: by nothing (")
    assert failures["d"] == "There is not enough memory for d: try again with fewer --jobs."
    assert [record for name, record in events if name == "a"] == [
        {"event": "begun"},
        {"event": "epoch", "epoch": 1},
        {"event": "done"},
    ]
    assert [record["event"] for name, record in events if name == "b"] == ["begun", "failed"]


def test_in_this_process_a_signal_to_a_task_stops_those_after_it():
    failures, events, signum = run([("a", stopped, {}), ("b", told, {"threads": 1})], 1)
    assert (failures, signum) == ({}, signal.SIGTERM)
    assert events == [("a", {"event": "begun"})]


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_the_callers_own_function_is_the_callers(jobs):
    def tell(name, record):
        if record["event"] == "epoch":
            raise ZeroDivisionError("mine")

    given = {"folder": Path("workers"), "device": "cpu", "jobs": jobs}
    with listening() as stop, pytest.raises(ZeroDivisionError, match="mine"):
        Local(cores=1).work([Assignment("a", told, {"threads": 1})], tell=tell, stop=stop, **given)


@pytest.mark.parametrize(("jobs", "own", "threads"), [(1, 8, 8), (2, 8, 4), (1, 3, 3), (16, 8, 1)])
def test_threads_are_what_there_is_room_for_and_never_more_than_the_user_gave_torch(monkeypatch, jobs, own, threads):
    monkeypatch.setattr(local, "cores", lambda: 8)
    monkeypatch.setattr(torch, "get_num_threads", lambda: own)
    assert Local().threads(jobs) == threads
    assert Local(cores=5).threads(jobs) == 5


def chatting(*, observe):
    print("on standard output")  # noqa: T201
    warnings.warn("of a library", UserWarning, stacklevel=1)
    os.write(2, b"of no Python\n")
    raise ZeroDivisionError("by nothing")


def test_what_a_worker_prints_is_in_its_log_and_not_on_the_screen(tmp_path, capfd):
    for times in (1, 2):
        assert set(run([("a", chatting, {}), ("b", refused, {})], 2)[0]) == {"a", "b"}
        log = (tmp_path / "workers" / "a.log").read_text()
        for line in (
            "on standard output",
            "UserWarning: of a library",
            "of no Python",
            'raise ZeroDivisionError("by nothing")',
        ):
            assert log.count(line) == times, "each try is added"
        assert log.count(f"{socket.gethostname()}, process ") == times
    assert "Traceback" not in (tmp_path / "workers" / "b.log").read_text(), "no bug, and its sentence is told"
    assert capfd.readouterr() == ("", "")


def seeing(*, observe):
    observe({"event": "epoch", "sees": os.environ.get("CUDA_VISIBLE_DEVICES")})


def test_each_worker_sees_a_gpu_of_its_own(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    tasks = [(name, seeing, {}) for name in "abcd"]
    _, events, _ = run(tasks, 2, device="cuda")
    seen = {name: record["sees"] for name, record in events if record["event"] == "epoch"}
    assert (seen["a"], seen["b"]) == ("4", "7")
    assert set(seen.values()) == {"4", "7"}
    # At no moment do two workers have the same one.
    held: dict[str, str] = {}
    for name, record in events:
        if record["event"] == "begun":
            assert seen[name] not in held.values()
            held[name] = seen[name]
        elif record["event"] == "done":
            del held[name]


def test_a_gpu_that_the_caller_named_stays_the_one(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert (local._gpus("cuda"), local._gpus("cuda:1"), local._gpus("cpu")) == (["4", "7"], [], [])
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 3)
    assert local._gpus("cuda") == ["0", "1", "2"]


@pytest.mark.parametrize(
    ("gpus", "place", "each", "sees"),
    [
        (["0", "1", "2", "3"], 1, 2, "2,3"),
        (["0", "1", "2"], 1, 2, "2,0"),  # more runs than there are GPUs for share them
        (["0", "1"], 5, 1, "1"),
        (["0", "1"], 0, 8, "0,1"),
        ([], 0, 1, None),
    ],
)
def test_gpus_of_a_place(gpus, place, each, sees):
    assert local._share(gpus, place, each) == sees


def test_there_is_room_for_as_many_runs_as_gpus(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3")
    monkeypatch.setattr(local, "cores", lambda: 16)
    assert [Local(gpus=gpus)._jobs("cuda", None) for gpus in (1, 2, 3, 8)] == [4, 2, 1, 1]
    assert (Local()._jobs("cuda:2", None), Local()._jobs("cpu", None), Local()._jobs("cuda", 3)) == (1, 16, 3)
    assert Local().leaves("cuda", None)
    assert not Local().leaves("cuda:2", None)


def test_what_cannot_be_sent_is_refused_before_anything_is_begun():
    with pytest.raises(RunError, match=r"cannot be sent to workers .*lambda.*: define it at the top .* with jobs=1"):
        check_workers({"recipe": lambda: 1})
    check_workers({"recipe": Path("fine")})


SCRIPT = """
from dataclasses import dataclass, replace
import sys
import mixop
from mixop.comparison.evaluators import Optimum
from mixop.relax.softmax import Softmax

@dataclass(frozen=True)
class Mine(Softmax):
    pass

def go(jobs, relaxation):
    recipe = replace(mixop.recipes.darts(epochs=1), relaxation=relaxation, batch_size=16)
    short = Optimum(protocol=replace(Optimum().protocol, epochs=1, batch_size=16))
    given = {"seeds": [0], "jobs": jobs, "evaluate": short, "budget_seconds": 0.001}
    try:
        result = mixop.compare({"mine": recipe}, mixop.spaces.toy(), mixop.data.toy_set(n=64), "c", **given)
        print("n", result.row("mine").n)
    except mixop.MixopError as error:
        print(error)
"""


GUARDLESS = """
try:
    go(2, Softmax())
except mixop.MixopError as error:
    if __name__ != "__main__":
        raise
    print(error)
"""


def python(tmp_path, *arguments, stdin=None):
    done = subprocess.run(
        [sys.executable, *arguments], cwd=tmp_path, input=stdin, capture_output=True, text=True, timeout=300, check=True
    )
    return done.stdout.strip()


def test_a_part_of_a_notebook_is_refused_by_its_name_where_there_are_workers_and_runs_in_this_process(tmp_path):
    text = python(tmp_path, "-c", f"{SCRIPT}go(2, Mine())\nfrom pathlib import Path\nprint(Path('c').exists())\ngo(1, Mine())")
    refused, exists, done = text.splitlines()
    assert "is defined in a notebook or on the command line (its module is __main__)" in refused
    assert (exists, done) == ("False", "n 1")


@pytest.mark.slow
def test_a_script_from_standard_input_is_refused_by_its_name_where_there_are_workers(tmp_path):
    text = python(tmp_path, stdin=SCRIPT + "go(2, Softmax())\n")
    assert "came from standard input: save it as a file, or run everything in this process with jobs=1" in text
    assert not (tmp_path / "c").exists()


@pytest.mark.slow
def test_a_script_without_a_guard_is_told_where_to_put_it(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT.replace("mixop.MixopError", "ZeroDivisionError") + GUARDLESS)
    text = python(tmp_path, "script.py")
    assert "while it read the script that began it" in text
    assert 'put the call under `if __name__ == "__main__":`' in text


@pytest.mark.slow
def test_parts_of_a_guarded_script_reach_workers(tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT + 'if __name__ == "__main__":\n    go(2, Mine())\n')
    assert python(tmp_path, "script.py") == "n 1"


def test_a_worker_that_ended_is_noticed_where_its_pipe_is_held_open():
    """As on Windows, where a pipe that was never read by the worker does not end with it."""
    ours, theirs = local._CONTEXT.Pipe()
    process = local._CONTEXT.Process(target=int, daemon=True)
    process.start()
    process.join()
    theirs.send({"event": "epoch"})
    heard = []
    worker = local._Worker(Assignment("a", told, {}), process, ours, 0)
    assert not local._listen(worker, lambda name, record: heard.append((name, record)))
    assert heard == [("a", {"event": "epoch"})]
    assert ours.closed
    theirs.close()
