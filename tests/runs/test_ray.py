"""Tasks of a Ray cluster: a comparison on two nodes, one of which is killed, and work that is stopped and goes on."""

import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import errands
import pytest

from mixop import recipes
from mixop.comparison.compare import compare
from mixop.comparison.evaluators import Optimum
from mixop.core.errors import MissingExtraError, RunError
from mixop.data.toy import toy_set
from mixop.runs.directory import RunDirectory
from mixop.runs.interrupt import SIGNALS, InterruptedRunError, listening
from mixop.runs.ray import Ray
from mixop.runs.runner import Assignment
from mixop.spaces.toy import Toy

SHORT = Optimum(protocol=replace(Optimum().protocol, epochs=1, batch_size=16))
STORE = 80 * 2**20
"""Bytes of shared memory of a node, the least that Ray takes."""


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A cluster of one node with one core."""
    pytest.importorskip("ray", reason="needs the extra ray")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    from ray.cluster_utils import Cluster

    made = Cluster(
        initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE}
    )
    try:
        yield made
    finally:
        made.shutdown()


def parent_of(process: str) -> int:
    """The number of the process that started another one."""
    return int(Path("/proc", process, "stat").read_text().rpartition(")")[2].split()[1])


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # of Ray's own files and processes, which it leaves to the garbage collector
def test_a_comparison_on_two_nodes_of_which_one_is_killed_is_equal_row_by_row(cluster: Any, tmp_path: Path):
    second = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    methods = {name: replace(make(epochs=30), batch_size=16) for name, make in (("a", recipes.darts), ("b", recipes.gaea))}
    given: dict[str, Any] = {"seeds": range(2), "evaluate": SHORT, "budget_seconds": 0.01}
    killed: list[str] = []

    raylet = second.all_processes["raylet"][0].process.pid

    def kill(name: str, record: Any) -> None:
        """Kills the second node when a search that it computes has got somewhere."""
        if record.get("phase") == "search" and not killed:
            (worker,) = re.findall(r"process (\d+)", (tmp_path / "there" / "workers" / f"{name}.log").read_text())
            if parent_of(worker) == raylet:
                killed.append(name)
                cluster.remove_node(second, allow_graceful=False)

    data = toy_set(Toy(), n=96)
    there = compare(
        methods,
        Toy(),
        data,
        tmp_path / "there",
        runner=Ray(address=cluster.address),
        observe=kill,
        checkpoint_seconds=0.0,
        **given,
    )
    logs = sorted((tmp_path / "there" / "workers").glob("*.log"))
    begun = {log.stem: log.read_text().count("process") for log in logs}
    assert len(begun) == there.planned == 6
    assert sum(begun.values()) == 7, "the run on the node that was killed, and no other, has begun twice"
    (again,) = killed
    assert begun[again] == 2
    here = compare(methods, Toy(), data, tmp_path / "here", jobs=1, **given)
    for name in methods:
        pairs = [[(run.seed, run.architecture, run.score) for run in made.row(name).runs] for made in (here, there)]
        assert pairs[0] == pairs[1]
    for name in ("a-0", "a-1", "b-0", "b-1"):
        mine, theirs = (RunDirectory(tmp_path / place / name).records() for place in ("here", "there"))
        assert [replace(record, seconds=0.0) for record in mine] == [replace(record, seconds=0.0) for record in theirs]
    assert RunDirectory(tmp_path / "there" / again).has("trial.json")
    assert (tmp_path / "there" / "pace.json").exists()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_asked_to_stop_a_task_saves_and_the_same_call_goes_on(cluster: Any, tmp_path: Path):
    def run(steps: int, tell: Any) -> dict[str, str]:
        arguments = {"folder": tmp_path / "a", "steps": steps, "pause": 0.01}
        given: dict[str, Any] = {"folder": tmp_path / "workers", "device": "cpu", "jobs": None}
        handlers = [signal.getsignal(number) for number in SIGNALS]
        failures: dict[str, str] = {}
        with suppress(InterruptedRunError), listening() as stop:
            task = Assignment("a", errands.count, arguments)
            failures = Ray(address=cluster.address).work([task], tell=tell, stop=stop, **given)
            if stop.signum is not None:
                raise InterruptedRunError("Stopped.", stop.signum)
        assert [signal.getsignal(number) for number in SIGNALS] == handlers
        return failures

    stopped: list[bool] = []

    def stop(name: str, record: Any) -> None:
        assert record["event"] != "done"
        if record["event"] == "step" and not stopped:
            stopped.append(True)
            os.kill(os.getpid(), signal.SIGTERM)

    assert run(1000, stop) == {}
    done = errands.counted(tmp_path / "a")
    assert 0 < done < 1000
    told: list[str] = []
    assert run(done + 3, lambda name, record: told.append(record["event"])) == {}
    assert told[-1] == "done"
    lines = (tmp_path / "a" / "count").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, done + 4))  # nothing twice, nothing left out


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_where_there_is_no_cluster_it_says_so(tmp_path: Path):
    pytest.importorskip("ray", reason="needs the extra ray")
    with listening() as stop, pytest.raises(RunError, match=r"There is no Ray cluster at 'auto' .*: start one with"):
        work(tmp_path, stop)


def test_without_ray_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with listening() as stop, pytest.raises(MissingExtraError, match=r"--runner ray needs ray, .* pip install 'mixop\[ray\]'"):
        work(tmp_path, stop)


def work(folder: Path, stop: Any) -> None:
    given: dict[str, Any] = {"folder": folder, "device": "cpu", "jobs": None}
    Ray().work([Assignment("a", errands.count, {})], tell=lambda name, record: None, stop=stop, **given)
