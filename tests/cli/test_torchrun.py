"""Commands that torchrun starts on several processes: the result of one, and what is refused."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from mixop.cli import main

SEARCH = "search --recipe darts --space toy --data toy --seed 3 --checkpoint-seconds 0"


def start(words: str, folder: Path, processes: int = 2) -> subprocess.Popen[str]:
    launcher = ["-m", "torch.distributed.run", "--nproc-per-node", str(processes)] if processes > 1 else []
    command = [sys.executable, *launcher, "-m", "mixop", *words.split()]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=environment, stdout=-1, stderr=-1, text=True)


def run(words: str, folder: Path, processes: int = 2) -> tuple[int, str, str]:
    process = start(words, folder, processes)
    out, err = process.communicate(timeout=200)
    return process.returncode, out, err


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


@pytest.mark.slow
def test_a_search_and_a_training_on_two_processes_give_what_one_gives(tmp_path):
    for out, processes in (("one", 1), ("two", 2)):
        code, said, error = run(f"{SEARCH} --epochs 3 --json --out {out}", tmp_path, processes)
        assert code == 0, error
        assert json.loads(said)["run"] == out, "one process alone speaks"
        code, said, error = run(f"retrain {out} --epochs 2 --random 1 --known 0 --json", tmp_path, processes)
        assert code == 0, error
    one, two = records(tmp_path / "one"), records(tmp_path / "two")
    for a, b in zip(one, two, strict=True):
        assert a["train"]["loss"] == pytest.approx(b["train"]["loss"], rel=1e-4)  # float32, sums in another order
    for name in ("architecture.json", "recipe.json"):
        assert json.loads((tmp_path / "one" / name).read_text()) == json.loads((tmp_path / "two" / name).read_text())
    assert json.loads((tmp_path / "two" / "environment.json").read_text())["processes"] == 2


@pytest.mark.slow
def test_a_signal_to_torchrun_saves_and_is_answered_once(tmp_path):
    process = start(f"{SEARCH} --epochs 100000 --quiet --out run", tmp_path)
    began = time.monotonic()
    while not (tmp_path / "run" / "metrics.jsonl").exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() - began < 100
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=100)
    assert error.count("with all progress saved: mixop resume run") == 1, error
    assert records(tmp_path / "run"), "what was done is kept"
    assert (tmp_path / "run" / "state.pt").exists()


@pytest.mark.slow
def test_refusals_are_said_once(tmp_path):
    code, _, error = run(f"{SEARCH} --epochs 1 --executor fused --out run", tmp_path)
    assert code != 0
    assert error.count("[process") == 1
    assert not (tmp_path / "run").exists()


@pytest.fixture
def launched(monkeypatch):
    for name, value in (("RANK", "0"), ("LOCAL_RANK", "0"), ("WORLD_SIZE", "2"), ("MASTER_ADDR", "localhost")):
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("compare --recipes darts", "mixop compare runs in one process, but torchrun started 2"),
        (f"{SEARCH} --minutes 1", "--minutes is for one process, but torchrun started 2"),
        (f"{SEARCH} --seeds 2", "--seeds is for one process"),
        (f"{SEARCH} --batch-size auto", "--batch-size is for one process"),
        ("retrain runs/x --known 1", "--known is for one process"),
    ],
)
def test_what_one_process_does_alone_is_refused(launched, capsys, words, sentence):
    assert main(words.split()) == 2
    assert sentence in capsys.readouterr().err
