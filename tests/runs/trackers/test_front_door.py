"""Searches, retrainings and comparisons that are followed by a tracker, by TensorBoard as it needs no server."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mixop import api
from mixop.comparison.compare import compare
from mixop.comparison.evaluators import Optimum
from mixop.core.errors import RecipeError
from mixop.data.toy import toy_set
from mixop.recipes import darts
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces.toy import Toy

accumulator = pytest.importorskip(
    "tensorboard.backend.event_processing.event_accumulator", reason="the extra tensorboard is not installed"
)

DATA = toy_set(Toy(), n=96)
RECIPE = replace(darts(), epochs=3, batch_size=16)


def epochs(folder: Path) -> list[int]:
    events = accumulator.EventAccumulator(str(folder))
    events.Reload()
    return [event.step for event in events.Scalars("loss/train")]


def test_a_search_that_is_stopped_and_resumed_and_its_retraining(tmp_path: Path):
    out, files = tmp_path / "run", tmp_path / "run" / "tensorboard"

    def stop(record: Any) -> None:
        if record.get("epoch") == 2 and record.get("event") == "step":
            raise InterruptedRunError("enough", 2)

    with pytest.raises(InterruptedRunError):
        api.search(RECIPE, Toy(), DATA, out, checkpoint_seconds=0, track="tensorboard", observe=stop)
    assert epochs(files / "search") == [1]
    found = api.resume(out, DATA, track=["tensorboard"])
    assert isinstance(found, api.SearchResult)
    assert epochs(files / "search") == [1, 2, 3]
    assert (out / "report.html").exists()
    api.retrain(found.architecture, found.space, DATA, out, epochs=2, track="tensorboard")
    assert epochs(files / "search") == [1, 2, 3]
    assert epochs(files / "found") == [1, 2]


def test_tracking_changes_nothing_of_a_search(tmp_path: Path):
    plain, followed = (
        api.search(RECIPE, Toy(), DATA, tmp_path / name, track=names)
        for name, names in (("plain", ()), ("followed", "tensorboard"))
    )
    assert [replace(r, seconds=0.0) for r in plain.history] == [replace(r, seconds=0.0) for r in followed.history]


def test_the_searches_of_a_comparison_are_followed(tmp_path: Path):
    data = toy_set(Toy(), n=160)
    compare({"darts": RECIPE}, Toy(), data, tmp_path / "all", seeds=[0, 1], jobs=1, evaluate=Optimum(), track="tensorboard")
    for seed in (0, 1):
        assert epochs(tmp_path / "all" / f"darts-{seed}" / "tensorboard" / "search") == [1, 2, 3]


def test_another_word_is_refused_before_anything_is_written(tmp_path: Path):
    with pytest.raises(RecipeError, match="There is no tracker 'tensorbord'"):
        api.search(RECIPE, Toy(), DATA, tmp_path / "run", track="tensorbord")
    assert not (tmp_path / "run").exists()
