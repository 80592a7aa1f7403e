"""Tasks elsewhere: what workers tell and print comes back by a shared disk, and a lost worker's task is sent again."""

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.reduction import ForkingPickler
from pathlib import Path
from typing import Any

import pytest
from errands import count, counted

from mixop.core.errors import RecipeError
from mixop.core.later import Later
from mixop.runs import remote
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.runs.lock import Lock
from mixop.runs.remote import Ended, Errand, LostError, Remote
from mixop.runs.runner import Assignment


class Place:
    """Where an errand is: done at once, unless something else happens to it there."""

    def __init__(self, errand: Errand, happens: str, cancelled: list[str]) -> None:
        self.errand, self.happens, self.cancelled = errand, happens, cancelled
        self.returned: Ended | None = None

    def ended(self) -> bool:
        if not self.happens and self.returned is None:
            self.returned = ForkingPickler.loads(ForkingPickler.dumps(self.errand))()
        return self.happens != "hangs" or self.errand.task.name in self.cancelled

    def result(self) -> Ended:
        if self.happens == "lost":
            raise LostError("its node went away")
        if self.happens in ("stopped", "hangs"):
            return Ended(stopped=True)
        assert self.returned is not None
        return self.returned

    def cancel(self) -> None:
        self.cancelled.append(self.errand.task.name)


@dataclass(frozen=True, kw_only=True)
class Elsewhere(Remote):
    """A system of machines that does what a test says.

    Args:
        happens: to the errands of a name, one after the other; afterwards they are done.
    """

    happens: dict[str, list[str]] = field(default_factory=dict)
    sent: list[str] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    asked_for: list[Any] = field(default_factory=list)

    @contextmanager
    def sending(self, folder: Path, gpus: int, jobs: int | None) -> Iterator[Callable[[Sequence[Errand]], list[Place]]]:
        self.asked_for.append((folder, gpus, jobs))

        def send(errands: Sequence[Errand]) -> list[Place]:
            places = []
            for errand in errands:
                name = errand.task.name
                self.sent.append(name)
                left = self.happens.get(name, [])
                places.append(Place(errand, left.pop(0) if left else "", self.cancelled))
            return places

        yield send


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "PAUSE", 0.001)
    monkeypatch.setattr(remote, "STEP", 0.0)


def counting(folder: Path, name: str, sentence: str = "", steps: int = 2) -> Assignment:
    return Assignment(name, count, {"folder": folder / name, "steps": steps, "pause": 0.0, "sentence": sentence})


def run(
    runner: Remote, tasks: Sequence[Assignment], folder: Path, jobs: int | None = None, device: str = "cpu", tell: Any = None
):
    events: list[tuple[str, dict[str, Any]]] = []
    failures: dict[str, str] = {}
    with suppress(InterruptedRunError), listening() as stop:

        def told(name: str, record: Any) -> None:
            events.append((name, dict(record)))
            if tell is not None:
                tell(name, record)

        failures = runner.work(tasks, folder=folder, device=device, jobs=jobs, tell=told, stop=stop)
        if stop.signum is not None:
            raise InterruptedRunError("Stopped.", stop.signum)
    return failures, events


def test_what_workers_tell_print_and_return_comes_back(tmp_path: Path):
    runner = Elsewhere(gpus=2)
    tasks = [counting(tmp_path, "a"), counting(tmp_path, "b", "It does not fit.")]
    failures, events = run(runner, tasks, tmp_path / "workers", device="cuda", jobs=5)
    assert failures == {"b": "It does not fit."}
    steps = [{"event": "step", "step": k, "steps": 2} for k in (1, 2)]
    assert [record for name, record in events if name == "a"] == [{"event": "begun"}, *steps, {"event": "done"}]
    assert [record for name, record in events if name == "b"][-1] == {"event": "failed", "sentence": "It does not fit."}
    log = (tmp_path / "workers" / "a.log").read_text()
    assert f"process {os.getpid()}\n" in log
    assert log.endswith("counting in a\n")
    assert runner.asked_for == [((tmp_path / "workers").resolve(), 2, 5)]
    assert run(Elsewhere(), [], tmp_path / "none") == ({}, [])
    assert not (tmp_path / "none").exists()


def test_what_is_told_of_an_earlier_call_is_not_told_again(tmp_path: Path):
    run(Elsewhere(), [counting(tmp_path, "a")], tmp_path)
    _, events = run(Elsewhere(), [counting(tmp_path, "a", steps=3)], tmp_path)
    assert [record["step"] for _, record in events if record["event"] == "step"] == [3]


def test_a_lost_or_stopped_worker_is_sent_again_but_not_for_ever(tmp_path: Path):
    runner = Elsewhere(retries=2, happens={"a": ["lost", "stopped"], "b": ["lost"] * 3})
    failures, events = run(runner, [counting(tmp_path, "a"), counting(tmp_path, "b")], tmp_path)
    assert sorted(runner.sent) == ["a"] * 3 + ["b"] * 3
    assert failures.keys() == {"b"}
    assert failures["b"].startswith("The worker of b was lost 3 times (its node went away): see ")
    assert [record["event"] for name, record in events if name == "b"] == ["begun", "failed"]
    assert [record["event"] for name, record in events if name == "a"][-1] == "done"


def test_no_more_than_the_jobs_are_away_at_a_time(tmp_path: Path):
    runner = Elsewhere()
    away: list[str] = []

    def tell(name: str, record: Any) -> None:
        if record["event"] == "begun":
            away.append(name)
            assert len(set(runner.sent) - set(away[:-1])) <= 2

    names = "abcde"
    run(runner, [counting(tmp_path, name) for name in names], tmp_path, jobs=2, tell=tell)
    assert runner.sent == list(names)


def test_asked_to_stop_it_asks_its_workers_to_and_none_has_failed(tmp_path: Path):
    runner = Elsewhere(happens={"b": ["hangs"]})

    def stop(name: str, record: Any) -> None:
        if record["event"] == "done":
            os.kill(os.getpid(), signal.SIGINT)

    failures, events = run(runner, [counting(tmp_path, name) for name in "abc"], tmp_path, jobs=2, tell=stop)
    assert failures == {}
    assert runner.sent == ["a", "b"]
    assert "b" in runner.cancelled
    assert [name for name, record in events if record["event"] in ("done", "failed")] == ["a"]


def test_an_error_of_the_callers_own_function_takes_the_workers_back(tmp_path: Path):
    runner = Elsewhere(happens={"b": ["hangs"]})

    def tell(name: str, record: Any) -> None:
        raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine"):
        run(runner, [counting(tmp_path, "a"), counting(tmp_path, "b")], tmp_path, tell=tell)
    assert "b" in runner.cancelled


def test_a_worker_waits_for_the_directory_that_another_one_works_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "LOCKED", 0.01)
    (tmp_path / "a").mkdir()
    held = Lock(tmp_path / "a")
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(remote._patient(count), **counting(tmp_path, "a").arguments, observe=lambda record: None)
        time.sleep(0.05)
        assert (running.done(), counted(tmp_path / "a")) == (False, 0)
        held.release()
        running.result(timeout=60)
    assert counted(tmp_path / "a") == 2


def test_paths_are_relative_to_where_the_command_was_given(tmp_path: Path):
    task = Assignment("a", count, {"folder": Path("a"), "steps": 1, "pause": 0.0})
    before = Path.cwd()
    assert Errand(remote._Granted(remote.grant(), []), task, tmp_path, tmp_path, 1)() == Ended()
    assert (Path.cwd(), counted(tmp_path / "a")) == (before, 1)


def telling_later(*, observe: Callable[[Any], None]) -> None:
    observe({"event": "step", "train": Later(lambda: {"loss": 0.5})})


def test_what_is_computed_when_it_is_read_is_told_as_numbers(tmp_path: Path):
    task = Assignment("a", telling_later, {})
    assert Errand(remote._Granted(remote.grant(), []), task, tmp_path, tmp_path, 1)() == Ended()
    lines = [json.loads(line) for line in remote.told_of(tmp_path, "a").read_text().splitlines()]
    assert {"event": "step", "train": {"loss": 0.5}} in lines


def _noted(what: str) -> Any:
    ORDER.append(what)
    return what


class Noting:
    def __reduce__(self) -> Any:
        return _noted, ("task",)


ORDER: list[str] = []


def test_what_may_be_named_is_read_before_the_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(remote, "receive", lambda given: ORDER.append("granted"))
    errand = Errand(
        remote._Granted(remote.grant(), ["", "somewhere"]), Assignment("a", count, {"part": Noting()}), tmp_path, tmp_path, 1
    )
    ORDER.clear()
    before = list(sys.path)
    monkeypatch.setattr(sys, "path", list(before))
    ForkingPickler.loads(ForkingPickler.dumps(errand))
    assert ORDER == ["granted", "task"]
    assert sys.path == [*before, "somewhere"]


@pytest.mark.parametrize("given", [{"retries": -1}, {"cores": 0}, {"gpus": 0}])
def test_numbers_out_of_range_are_refused(given: Any):
    with pytest.raises(RecipeError, match="must be"):
        Elsewhere(**given)
