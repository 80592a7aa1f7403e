"""TensorBoard shows what the metrics say."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from made_runs import lines_of, write_lines

from mixop.core.errors import MissingExtraError, RunError
from mixop.runs.trackers.live import track

tensorboard = pytest.importorskip("tensorboard", reason="the extra tensorboard is not installed")


def events_of(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def write_tensorboard(run: Path) -> Path:
    (place,) = track([run], "tensorboard")["tensorboard"]
    assert place == f"tensorboard --logdir {run / 'tensorboard'}"
    return run / "tensorboard"


def scalars(folder: Path) -> dict[str, list[tuple[int, float]]]:
    events = events_of(folder)
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def test_every_number_is_where_the_metrics_have_it(run_at):
    run = run_at(epochs=2, rivals=(0.9,))
    folder = write_tensorboard(run)
    assert folder == run / "tensorboard"
    assert sorted(path.name for path in folder.iterdir()) == ["found", "random-1", "search"]
    seen = scalars(folder / "search")
    searched = [record for record in lines_of(run) if record["phase"] == "search"]
    assert [step for step, _ in seen["loss/train"]] == [1, 2]
    for tag, values in (
        ("loss/train", [record["train"]["loss"] for record in searched]),
        ("accuracy/valid", [record["valid"]["accuracy"] for record in searched]),
        ("mixing weights/entropy", [record["entropy"] for record in searched]),
        ("learning rate/architecture", [record["architecture_rate"] for record in searched]),
        # Decision 2 of the cell is its edge from node 1 to node 2; option 3 is the 3x3 convolution.
        ("cell 1-2/nor_conv_3x3", [record["mix"]["cell"][2][3] for record in searched]),
    ):
        assert [value for _, value in seen[tag]] == pytest.approx(values), tag


def test_measures_are_those_of_the_task(run_at):
    run = run_at(epochs=1, task="heights")
    folder = write_tensorboard(run)
    assert {"rmse/train", "rmse/valid", "r2/train", "loss/valid"} <= scalars(folder / "search").keys()
    assert scalars(folder / "found")["rmse/test"] == [(20, 3.25)]
    assert not any("accuracy" in tag for tag in scalars(folder / "search"))


@pytest.mark.parametrize(("part", "word"), [("test", "test"), ("valid", "validation")])
def test_a_score_is_a_point_at_the_last_epoch_named_by_what_was_scored(run_at, part, word):
    run = run_at(epochs=1, rivals=(0.9,), scored_on=part)
    folder = write_tensorboard(run)
    networks = json.loads((run / "score.json").read_text())["networks"]
    for network, name in zip(networks, ("found", "random-1"), strict=True):
        seen = scalars(folder / name)
        assert seen[f"accuracy/{word}"] == [(20, pytest.approx(network["measures"]["accuracy"]))]
        measured = {"accuracy/train", "loss/train", f"accuracy/{word}", f"loss/{word}"}
        assert measured | {"learning rate/weights", "seconds", "parameters", "multiply-adds"} == seen.keys()


def test_a_monitors_own_columns_reach_the_event_files(run_at):
    """Nothing in mixop knows these columns."""
    columns = {1: {"novelty_score": 3.0, "mood": "calm"}, 2: {"novelty_score": None, "mood": None}, 3: {"novelty_score": 1.5}}
    run = run_at(epochs=3, upto="search", columns=columns.get)
    events = events_of(write_tensorboard(run) / "search")
    assert [(event.step, event.value) for event in events.Scalars("monitors/novelty_score")] == [(1, 3.0), (3, 1.5)]
    (text,) = events.Tensors("monitors/mood/text_summary")
    assert (text.step, text.tensor_proto.string_val[0]) == (1, b"calm")


def test_written_again_it_is_replaced(run_at):
    run = run_at(epochs=2)
    write_tensorboard(run)
    mine = run / "tensorboard" / "notes.txt"
    mine.write_text("not an event file")
    write_lines(run, lines_of(run)[:1])
    folder = write_tensorboard(run)
    assert [step for step, _ in scalars(folder / "search")["loss/train"]] == [1]
    assert len(list(folder.glob("search/events.out.tfevents.*"))) == 1
    assert mine.exists()


def test_only_the_folder_of_the_event_files_is_written(run_at):
    run = run_at(epochs=1)
    before = {path: path.read_bytes() for path in run.iterdir()}
    write_tensorboard(run)
    assert {path: path.read_bytes() for path in run.iterdir() if path.is_file()} == before


def test_without_tensorboard_the_extra_is_named(run_at, monkeypatch: pytest.MonkeyPatch):
    run = run_at(epochs=1)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(MissingExtraError, match=r"Tracking with TensorBoard needs .* pip install 'mixop\[tensorboard\]'"):
        write_tensorboard(run)
    assert not (run / "tensorboard").exists()


def test_what_is_no_run_or_damaged_is_refused(run_at, tmp_path: Path):
    with pytest.raises(RunError, match=r"must hold an environment\.json"):
        write_tensorboard(tmp_path / "nowhere")
    run = run_at(epochs=1)
    lines = lines_of(run)
    write_lines(run, [{"epoch": 1}])
    with pytest.raises(RunError, match=r"Line 1 of .*metrics\.jsonl"):
        write_tensorboard(run)
    lines[0]["mix"] = {"cell": [[1.0]]}
    write_lines(run, lines)
    with pytest.raises(RunError, match=r"Epoch 1 in .* must hold the mixing weights of its space"):
        write_tensorboard(run)


def test_a_folder_in_the_way_is_told(run_at):
    run = run_at(epochs=1)
    (run / "tensorboard").write_text("in the way")
    with pytest.raises(RunError, match="Cannot write"):
        write_tensorboard(run)
