"""Equal seconds on unequal machines: what a run takes counts by how much slower its machine is, by a measured step."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixop.comparison import pace as pacing
from mixop.comparison import tasks
from mixop.comparison.evaluators import Optimum, Retrain
from mixop.comparison.pace import Pace, step_seconds
from mixop.core.errors import RunError
from mixop.data.core import Data
from mixop.data.portable import Portable
from mixop.data.toy import toy_set
from mixop.recipes import darts
from mixop.runs.files import SCORE, TRIAL, TRIALS
from mixop.runs.load import read_object, read_score
from mixop.searchers.driver import read_rows
from mixop.searchers.evolution import Evolution
from mixop.spaces.toy import Toy

SHORT = Optimum(protocol=replace(Optimum().protocol, epochs=1, batch_size=16))


@pytest.fixture(scope="module")
def data() -> Data:
    return toy_set(Toy(), n=96)


def measuring(monkeypatch: pytest.MonkeyPatch, *seconds: float) -> None:
    """Steps take so long, one after the other."""
    left = list(seconds)
    monkeypatch.setattr(pacing, "step_seconds", lambda space, data, device: left.pop(0))


def test_the_first_machine_that_measures_is_the_clock(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    measuring(monkeypatch, 0.02, 0.05, 0.01, 0.02)
    here = Pace(tmp_path, Toy())
    assert [here.here(data, "cpu") for _ in range(4)] == [1.0, 2.5, 0.5, 1.0]
    assert json.loads((tmp_path / "pace.json").read_text()) == {"step_seconds": 0.02}


@pytest.mark.parametrize("content", ['{"step_seconds": 0}', '{"step_seconds": "long"}', "{}"])
def test_a_damaged_clock_is_refused(content: str, data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    measuring(monkeypatch, 0.02)
    (tmp_path / "pace.json").write_text(content)
    with pytest.raises(RunError, match=r"pace\.json does not say how long a step took"):
        Pace(tmp_path, Toy()).here(data, "cpu")


def test_a_step_is_the_median_of_those_after_the_warm_up(data: Data, monkeypatch: pytest.MonkeyPatch):
    times = iter([9, 9, 1, 5, 2, 4, 3])  # of the steps in turn, in seconds
    clock = iter([t for time in times for t in (0.0, float(time))])
    monkeypatch.setattr(pacing.time, "perf_counter", lambda: next(clock))
    assert step_seconds(Toy(), data, "cpu") == 3.0


def options(data: Data, folder: Path, monkeypatch: pytest.MonkeyPatch, slower: float) -> dict[str, Any]:
    measuring(monkeypatch, 1.0, slower)
    pace = Pace(folder, Toy())
    pace.here(data, "cpu")
    shared = {"space": Toy(), "data": Portable.of(data), "seed": 0, "device": "cpu", "checkpoint_seconds": 30.0, "pace": pace}
    return {**shared, "evaluator": SHORT, "observe": lambda record: None}


def test_a_search_counts_in_seconds_of_the_first_machine(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given = options(data, tmp_path, monkeypatch, 4.0)
    recipe = replace(darts(epochs=1), batch_size=16)
    retrain = Retrain(protocol=SHORT.protocol)
    tasks.search(name="a", recipe=recipe, folder=tmp_path / "a", executor="nodewise", **{**given, "evaluator": retrain})
    trial = read_object(tmp_path / "a" / TRIAL)
    last = json.loads((tmp_path / "a" / "metrics.jsonl").read_text().splitlines()[-1])
    assert trial["search_seconds"] == pytest.approx(last["seconds"] / 4)
    score = read_score(tmp_path / "a" / "trained" / SCORE)
    assert score is not None
    assert trial["scoring_seconds"] == pytest.approx(score.networks[0].seconds / 4)


def test_trials_cost_what_they_would_on_the_first_machine(data: Data, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    given = options(data, tmp_path, monkeypatch, 1000.0)
    tasks.random_search(folder=tmp_path / "r", budgets={"median": 1e-9}, **given)
    candidates = read_object(tmp_path / "r" / TRIAL)["candidates"]
    assert len(candidates) == 1  # the first one counts in any case
    (run,) = [path for path in (tmp_path / "r").iterdir() if path.is_dir()]
    score = read_score(run / SCORE)
    assert score is not None
    assert candidates[0]["seconds"] == pytest.approx(score.networks[0].seconds / 1000)
    given = options(data, tmp_path, monkeypatch, 1000.0)
    tasks.black_box(name="e", searcher=Evolution(), folder=tmp_path / "e", budgets={"median": 1e-9}, **given)
    taken = [read_score(run / SCORE) for run in (tmp_path / "e" / "trained").iterdir()]
    real = [score.networks[0].seconds for score in taken if score is not None]
    assert any(read_rows(tmp_path / "e" / TRIALS)[0].spent == pytest.approx(seconds / 1000) for seconds in real)
