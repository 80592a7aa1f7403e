"""TensorBoard shows what ``metrics.jsonl`` says."""

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from mixop.api import retrain, search
from mixop.core.errors import MissingExtraError, RunError
from mixop.data import toy_set
from mixop.recipes import drnas
from mixop.runs.tensorboard import write_tensorboard
from mixop.spaces import Toy

tensorboard = pytest.importorskip("tensorboard", reason="the extra trackers is not installed")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("runs") / "x"
    data = toy_set(n=256)
    result = search(drnas(epochs=2), Toy(), data, out)
    retrain(result.architecture, Toy(), data, out, epochs=2, random=1)
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return shutil.copytree(finished, tmp_path / "x")


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def records(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def test_every_number_is_where_the_metrics_have_it(run: Path):
    folder = write_tensorboard(run)
    assert folder == run / "tensorboard"
    assert sorted(path.name for path in folder.iterdir()) == ["found", "random-1", "search"]
    seen = scalars(folder / "search")
    searched = [record for record in records(run) if record["phase"] == "search"]
    assert [step for step, _ in seen["loss/train"]] == [1, 2]
    for tag, key in (("loss/train", "train_loss"), ("accuracy/valid", "valid_accuracy"), ("mixing weights/entropy", "entropy")):
        assert [value for _, value in seen[tag]] == pytest.approx([record[key] for record in searched])
    # Decision 2 of the toy space maps its third block: node 2 to node 5; option 3 is the sine.
    assert [value for _, value in seen["cell 2-5/sine"]] == pytest.approx([record["mix"]["cell"][2][3] for record in searched])


def test_the_test_accuracy_is_a_point_at_the_last_epoch(run: Path):
    folder = write_tensorboard(run)
    networks = json.loads((run / "score.json").read_text())["networks"]
    for network, name in zip(networks, ("found", "random-1"), strict=True):
        assert scalars(folder / name)["accuracy/test"] == [(2, pytest.approx(network["test_accuracy"]))]


def test_written_again_it_is_replaced(run: Path):
    write_tensorboard(run)
    mine = run / "tensorboard" / "notes.txt"
    mine.write_text("not an event file")
    lines = (run / "metrics.jsonl").read_text().splitlines()
    (run / "metrics.jsonl").write_text(lines[0] + "\n")
    folder = write_tensorboard(run)
    assert [step for step, _ in scalars(folder / "search")["loss/train"]] == [1]
    assert len(list(folder.glob("*/events.out.tfevents.*"))) == 1
    assert mine.exists()


def test_only_the_folder_of_the_event_files_is_written(run: Path):
    before = {path: path.read_bytes() for path in run.iterdir()}
    write_tensorboard(run)
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_without_tensorboard_the_extra_is_named(run: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.setattr("mixop.runs.tensorboard.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"pip install 'mixop\[trackers\]'"):
        write_tensorboard(run)
    assert not (run / "tensorboard").exists()


def test_what_is_no_run_or_damaged_is_refused(run: Path, tmp_path: Path):
    with pytest.raises(RunError, match="no run directory"):
        write_tensorboard(tmp_path / "nowhere")
    (run / "metrics.jsonl").write_text('{"epoch": 1}\n')
    with pytest.raises(RunError, match="damaged"):
        write_tensorboard(run)


def test_a_folder_in_the_way_is_told(run: Path):
    (run / "tensorboard").write_text("in the way")
    with pytest.raises(RunError, match="Cannot write"):
        write_tensorboard(run)
