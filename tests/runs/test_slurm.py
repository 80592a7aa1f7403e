"""Jobs of Slurm, by submitit's executor of this machine: what they do, how they are lost and taken back, and a whole table."""

import os
import shutil
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import errands
import numpy as np
import pytest
import torch

import mixop
from mixop.core.errors import MissingExtraError, RecipeError, RunError
from mixop.data import from_arrays
from mixop.runs.interrupt import InterruptedRunError, listening
from mixop.runs.runner import Assignment
from mixop.runs.slurm import Slurm
from mixop.spaces import nasbench201
from mixop.tabulate.build import tabulate
from mixop.tabulate.how import Tabulation

SPACE = nasbench201(channels=2, cells=1, stages=1, operations=("skip_connect", "nor_conv_1x1"))
HOW = Tabulation(epochs=1, batch_size=16, seeds=1)


@pytest.fixture
def workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers find mixop, and then what this process finds."""
    pytest.importorskip("submitit", reason="needs the extra slurm")
    own = [str(Path(mixop.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, own)))


def run(runner: Slurm, tasks: list[Assignment], folder: Path, jobs: int | None = None, tell: Any = None) -> Any:
    events: list[tuple[str, dict[str, Any]]] = []
    failures: dict[str, str] = {}
    with suppress(InterruptedRunError), listening() as stop:

        def told(name: str, record: Any) -> None:
            events.append((name, dict(record)))
            if tell is not None:
                tell(name, record)

        failures = runner.work(tasks, folder=folder, device="cpu", jobs=jobs, tell=told, stop=stop)
        if stop.signum is not None:
            raise InterruptedRunError("Stopped.", stop.signum)
    return failures, events


def counting(folder: Path, name: str, sentence: str = "", steps: int = 2, pause: float = 0.0) -> Assignment:
    given = {"folder": folder / name, "steps": steps, "pause": pause, "sentence": sentence}
    return Assignment(name, errands.count, given)


@pytest.mark.slow
def test_jobs_do_their_tasks_and_a_lost_one_is_sent_again(workers: None, tmp_path: Path):
    died = Assignment("c", errands.dies, {"folder": tmp_path / "c", "times": 1})
    tasks = [counting(tmp_path, "a"), counting(tmp_path, "b", "It does not fit."), died]
    failures, events = run(Slurm(cluster="local"), tasks, tmp_path / "workers")
    assert failures == {"b": "It does not fit."}
    assert {name: record["event"] for name, record in events} == {"a": "done", "b": "failed", "c": "done"}  # the last of each
    assert [errands.counted(tmp_path / name) for name in "abc"] == [2, 2, 1]
    assert "counting in a" in (tmp_path / "workers" / "a.log").read_text()
    assert (tmp_path / "workers" / "c.log").read_text().count("process") == 2


@pytest.mark.slow
def test_asked_to_stop_jobs_save_and_the_same_call_goes_on(workers: None, tmp_path: Path):
    tasks = [counting(tmp_path, "a", steps=400, pause=0.01)]

    def stop(name: str, record: Any) -> None:
        if record["event"] == "step" and not stopped:
            stopped.append(True)
            os.kill(os.getpid(), signal.SIGTERM)

    stopped: list[bool] = []
    failures, events = run(Slurm(cluster="local"), tasks, tmp_path / "workers", tell=stop)
    done = errands.counted(tmp_path / "a")
    assert (failures, 0 < done < 400) == ({}, True)
    assert "done" not in [record["event"] for _, record in events]
    run(Slurm(cluster="local"), [counting(tmp_path, "a", steps=done + 3)], tmp_path / "workers")
    lines = (tmp_path / "a" / "count").read_text().splitlines()
    assert [int(line.split()[0]) for line in lines] == list(range(1, done + 4))  # nothing twice, nothing left out
    assert len({line.split()[1] for line in lines}) == 2


@pytest.mark.slow
def test_a_table_is_equal_row_by_row_to_the_one_made_here(workers: None, tmp_path: Path):
    x = torch.randint(0, 256, (60, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    data = from_arrays(x, torch.arange(60) % 3, valid=0.5, test_share=0.2, layout="nchw")
    told: list[float] = []
    kept: dict[str, Any] = {"group": 16, "limit": 48}
    here = tabulate(SPACE, data, HOW, tmp_path / "here.npz", **kept)
    there = tabulate(
        SPACE,
        data,
        HOW,
        tmp_path / "there.npz",
        runner=Slurm(cluster="local"),
        jobs=2,
        tell=lambda done, _: told.append(done),
        **kept,
    )
    with np.load(here, allow_pickle=False) as first, np.load(there, allow_pickle=False) as second:
        assert set(first.files) == set(second.files)
        for name in set(first.files) - {"seconds", "settings"}:
            np.testing.assert_array_equal(first[name], second[name])
        assert len(first["arch"]) == 48
    assert (told[0], told[-1]) == (0, 48)
    assert not list((tmp_path / "there.npz.parts").glob("*.pt*"))
    assert not list((tmp_path / "there.npz.parts").glob("0*.lock"))
    shutil.rmtree(tmp_path / "there.npz.parts" / "workers")
    tabulate(SPACE, data, HOW, tmp_path / "there.npz", **kept)  # what others made is this process's too


def test_where_there_is_no_slurm_it_says_so(workers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RunError, match=r"Slurm cannot be used here .*: give the command on a machine that has sbatch"):
        run(Slurm(), [counting(tmp_path, "a")], tmp_path)


def test_without_submitit_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "submitit", None)
    with pytest.raises(MissingExtraError, match=r"--runner slurm needs submitit, .* pip install 'mixop\[slurm\]'"):
        run(Slurm(), [counting(tmp_path, "a")], tmp_path)


def test_what_a_run_needs_is_asked_of_slurm(workers: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """By the script that submitit would hand to sbatch."""
    asked: list[dict[str, Any]] = []
    submitit = pytest.importorskip("submitit")
    monkeypatch.setattr(submitit.AutoExecutor, "update_parameters", lambda self, **given: asked.append(given))
    runner = Slurm(cluster="local", cores=6, partition="long", account="lab", memory_gb=20, hours=1.5)
    with runner.sending(tmp_path, 2, 40):
        pass
    assert asked == [
        {
            "name": "mixop",
            "timeout_min": 90,
            "cpus_per_task": 6,
            "gpus_per_node": 2,
            "mem_gb": 20,
            "slurm_partition": "long",
            "slurm_account": "lab",
            "slurm_array_parallelism": 40,
        }
    ]


@pytest.mark.parametrize("given", [{"hours": 0}, {"memory_gb": -1.0}])
def test_numbers_out_of_range_are_refused(given: Any):
    with pytest.raises(RecipeError, match="must be"):
        Slurm(**given)
