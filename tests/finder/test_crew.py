"""`find` through a runner: the trainings of this process, more of them in the same minutes, lost workers, and resuming."""

import json
import os
import re
import signal
import socket
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import torch

from mixop.core.errors import DivergedError, RecipeError, RunError
from mixop.data import from_arrays
from mixop.data.core import Data
from mixop.evaluate.protocol import Protocol
from mixop.finder import tasks
from mixop.finder.contender import Contender, Entry
from mixop.finder.costs import Limits
from mixop.finder.crew import Crew
from mixop.finder.find import find
from mixop.finder.page import write_found
from mixop.finder.portfolio import portfolio
from mixop.finder.run import Finder
from mixop.finder.trainer import Trainer
from mixop.finder.training import protocol_for
from mixop.runs.directory import RunDirectory
from mixop.runs.interrupt import InterruptedRunError
from mixop.runs.local import Local
from mixop.runs.ray import Ray
from mixop.runs.runner import Runner
from mixop.runs.task import done

MINUTES, EPOCH = 10, 15.0
"""With an epoch of 15 seconds on any machine: 90 seconds for a round, so that two trainings of three epochs fit into it."""

_MEASURED = Trainer._measured

AGAIN: Any = {"minutes": MINUTES, "threads": 1}


@dataclass(frozen=True, kw_only=True)
class Here(Runner):
    """Does its tasks in this process, one by one, and notes them; some are lost at first.

    Args:
        asked_for: the number of jobs and the names of the tasks of each call.
        lost: names of tasks that are lost at their first try.
        near: whether its workers share this machine.
    """

    words: ClassVar[str] = "somebody"

    asked_for: list[Any]
    lost: tuple[str, ...] = ()
    near: bool = True

    @property
    def one_machine(self) -> bool:
        return self.near

    def leaves(self, device: str, jobs: int | None) -> bool:
        return True

    def work(self, tasks, *, folder, device, jobs, tell, stop) -> dict[str, str]:
        tried = [name for _, names in self.asked_for for name in names]
        self.asked_for.append((jobs, [task.name for task in tasks]))
        failures = {}
        folder.mkdir(exist_ok=True)
        for task in tasks:
            if stop:
                break
            tell(task.name, {"event": "begun"})
            try:
                sentence = done(task, partial(tell, task.name))
            except InterruptedRunError:
                break
            if task.name in self.lost and task.name not in tried:
                failures[task.name] = "It was killed."
                task.arguments["note"].unlink()
            elif sentence is not None:
                failures[task.name] = sentence
            else:
                tell(task.name, {"event": "done"})
        return failures


def small_batches(data: Data, epochs: int) -> Protocol:
    """Few examples are several steps."""
    return replace(protocol_for(data, epochs), batch_size=16)


@pytest.fixture(autouse=True, scope="module")
def pace():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "mixop.finder.trainer.protocol_for", lambda data, epochs: replace(protocol_for(data, epochs), batch_size=16)
        )
        patch.setattr(Trainer, "seconds_per_epoch", lambda self, contender: EPOCH)
        patch.setattr(Trainer, "_measured", lambda self, contender, beside: EPOCH)
        patch.setattr(Finder, "_seconds_per_search_epoch", lambda self, method, space: 60.0)
        patch.setattr(Finder, "_pays", lambda self, first, last, seconds: True)
        patch.setattr("mixop.finder.run.FEWEST_SEARCH_EPOCHS", 2)
        patch.setattr("mixop.finder.trainer.LONGEST_EPOCHS", 3)
        patch.setattr("mixop.finder.plan.ENOUGH_EPOCHS", 1)
        patch.setattr("mixop.finder.run.ENOUGH_EPOCHS", 1)
        patch.setattr("mixop.finder.run.by_heart", lambda *_: False)
        yield


@pytest.fixture(scope="module")
def signals() -> Data:
    """Synthetic: two classes of short signals that differ in their frequency."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 2
    phase = torch.rand(60, 1, 1, generator=generator) * 6
    x = torch.sin(torch.arange(16.0) * (0.6 + 0.6 * y[:, None, None]) + phase)
    return from_arrays(x.numpy(), y.numpy(), valid=0.4, test_share=0.2)


def measures(result, number):
    return {trial.label: (trial.epochs, trial.measures) for trial in result.trials if trial.round == number}


def names_of(asked_for):
    return [name for _, names in asked_for for name in names]


@pytest.fixture(scope="module")
def alone(signals, tmp_path_factory):
    """By this process, one training at a time."""
    return find(signals, tmp_path_factory.mktemp("alone") / "out", **AGAIN)


@pytest.fixture(scope="module")
def crew(signals, tmp_path_factory):
    """By workers on this machine, two trainings at a time; one of them is lost once."""
    asked_for: list[Any] = []
    out = tmp_path_factory.mktemp("crew") / "out"
    return find(signals, out, **AGAIN, runner=Here(asked_for=asked_for, lost=("1-ResNet-16",)), jobs=2), asked_for


def test_workers_train_as_this_process_does_and_more_networks_in_the_same_time(alone, crew):
    result, asked_for = crew
    first, more = measures(alone, 1), measures(result, 1)
    assert (len(first), len(more)) == (2, 4), "as many turns, each of two"
    assert {label: more[label] for label in first} == first, "bit for bit"
    assert [len(names) for _, names in asked_for[:2]] == [4, 1]
    assert asked_for[1][1] == ["1-ResNet-16"], "the lost one again, and no other"
    assert {jobs for jobs, _ in asked_for} == {2}
    assert "2 trainings at a time, by somebody." in result.sentences
    assert not any("at a time" in sentence for sentence in alone.sentences)


def test_as_many_searches_are_made_as_there_are_at_a_time(crew):
    result, asked_for = crew
    assert ["search", "search-2"] in [names for _, names in asked_for]
    assert (result.out / "search-2" / "architecture.json").exists()


def test_the_winner_is_trained_here_where_workers_share_this_machine(crew):
    result, asked_for = crew
    assert "final" not in names_of(asked_for)
    assert not (result.final / "worker.json").exists()


def test_the_page_says_what_ran_where(crew):
    result, _ = crew
    page = write_found(result.out).read_text()
    assert page.count(f"<td>{socket.gethostname()}</td>") == len(result.trials)
    assert page.count("Computed on") == 2


def test_a_finished_run_is_read_back_by_any_number_of_jobs(signals, crew):
    result, asked_for = crew
    before = len(asked_for)
    for how in ({"runner": Here(asked_for=asked_for), "jobs": 3}, {}):
        again = find(signals, result.out, **AGAIN, **how)
        assert (again.trials, again.score) == (result.trials, result.score)
    assert len(asked_for) == before


def test_other_machines_compute_the_same_and_go_on_where_they_were_stopped(signals, alone, tmp_path):
    """One at a time, the plan is that of this process; they train the winner too."""
    asked_for: list[Any] = []
    runner = Here(asked_for=asked_for, near=False)

    def stop(record):
        if record["run"].startswith("2-") and record.get("event") == "step":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match="the same command continues"):
        find(signals, tmp_path / "out", **AGAIN, runner=runner, observe=stop)
    decided = json.loads((tmp_path / "out" / "decisions.json").read_text())["decisions"]
    assert len([name for name in decided if name.startswith("trial 1 ")]) == 2
    assert not any("at a time" in name for name in decided), "each has a machine for itself"
    result = find(signals, tmp_path / "out", **AGAIN, runner=runner)
    assert names_of(asked_for)[-1] == "final"
    for number in (1, 2):
        assert measures(result, number) == measures(alone, number)
    assert (result.winner, result.score.networks[0].measures) == (alone.winner, alone.score.networks[0].measures)
    assert f"winner trained on</b> {socket.gethostname()}" in write_found(result.out).read_text()


def test_a_network_that_diverges_at_a_worker_is_left_out(signals, tmp_path, monkeypatch):
    honest = tasks.retrain

    def diverging(architecture, space, data, folder, **given):
        if folder.name == "1-ResNet-16":
            raise DivergedError("The loss is not finite.")
        return honest(architecture, space, data, folder, **given)

    monkeypatch.setattr(tasks, "retrain", diverging)
    monkeypatch.setattr("mixop.finder.run.where_to_search", lambda members: None)
    asked_for: list[Any] = []
    result = find(signals, tmp_path / "out", **AGAIN, runner=Here(asked_for=asked_for), jobs=2)
    assert "ResNet 16 diverged and is left out." in result.sentences
    assert names_of(asked_for).count("1-ResNet-16") == 1, "it is not tried again"


def test_what_no_worker_can_do_is_said(signals, tmp_path, monkeypatch):
    monkeypatch.setattr("mixop.finder.crew.TRIES", 1)
    with pytest.raises(RunError) as error:
        find(signals, tmp_path / "out", **AGAIN, runner=Here(asked_for=[], lost=("1-ResNet-16",)), jobs=2)
    assert str(error.value) == "1-ResNet-16 could not be finished: It was killed; the same command tries it again."


def test_a_number_of_jobs_that_is_none_is_refused(signals, tmp_path):
    with pytest.raises(RecipeError, match="number of jobs must be"):
        find(signals, tmp_path / "out", jobs=0)


def contender(data: Data, label: str) -> Contender:
    found, _ = Entry(data, Limits()).member(portfolio(data)[0])
    assert found is not None
    return replace(found, label=label)


def test_as_many_are_timed_at_a_time_as_are_trained_and_each_once(signals, tmp_path):
    asked_for: list[Any] = []
    given: dict[str, Any] = {"seed": 0, "device": "cpu", "threads": 1, "observe": None, "progress": False}
    crew = Crew(RunDirectory(tmp_path), signals, Here(asked_for=asked_for), 2, **given, ended=lambda: None)
    three, protocol = [contender(signals, label) for label in "abc"], protocol_for(signals, 1)
    paces = crew.paces(three, protocol)
    assert set(paces) == {"a", "b", "c"}
    assert all(0 < seconds < 60 for seconds in paces.values())
    assert asked_for == [(2, ["pace-0", "pace-1"])]
    assert crew.paces(three[:2], protocol) == {label: paces[label] for label in "ab"}
    assert len(asked_for) == 1, "with as many at a time they are known"
    crew.paces(three[:1], protocol)
    assert asked_for[1:] == [(2, ["pace-0"])], "alone it takes another time"


def test_a_training_is_a_measure_of_those_with_as_many_beside_them(alone):
    trial = replace(alone.trials[0], label="a", epochs=4, seconds=8.0, round=1)
    beside = {"at a time 1 a": 2}
    finder = SimpleNamespace(trials=[trial, replace(trial, label="b")], ledger=SimpleNamespace(known=beside.get))
    a, b = (SimpleNamespace(label=label) for label in "ab")
    assert [_MEASURED(finder, a, count) for count in (1, 2, 3)] == [None, pytest.approx(1.04 * 2.0), None]
    assert [_MEASURED(finder, b, count) for count in (1, 2)] == [pytest.approx(1.04 * 2.0), None]


@pytest.mark.slow
def test_two_processes_of_which_one_is_killed_and_the_run_is_stopped_and_goes_on(signals, crew, tmp_path):
    result, _ = crew
    killed: list[int] = []
    stopped: list[str] = []

    def kill(record):
        log = tmp_path / "out" / "workers" / f"{record['run']}.log"
        if record.get("event") == "step" and not killed:
            killed.append(int(re.findall(r"process (\d+)", log.read_text())[-1]))
            os.kill(killed[0], signal.SIGKILL)
        elif record.get("event") == "step" and record["run"].startswith("search") and not stopped:
            stopped.append(record["run"])
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match="the same command continues"):
        find(signals, tmp_path / "out", **AGAIN, runner=Local(cores=1), jobs=2, observe=kill)
    assert killed
    assert stopped
    again = find(signals, tmp_path / "out", **AGAIN, runner=Local(cores=1), jobs=2)
    for number in (1, 2):
        assert measures(again, number) == measures(result, number)
    assert again.score.networks[0].measures == result.score.networks[0].measures


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Ray's own files and processes, which it leaves to the garbage collector
def test_tasks_of_ray_find_what_this_process_finds(signals, alone, tmp_path: Path, monkeypatch):
    pytest.importorskip("ray", reason="needs the extra ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    result = find(signals, tmp_path / "out", **AGAIN, runner=Ray(address="local"))
    for number in (1, 2):
        assert measures(result, number) == measures(alone, number)
    assert result.score.networks[0].measures == alone.score.networks[0].measures
    assert (tmp_path / "out" / "workers" / "final.log").exists()
