"""Reading a run directory: numbers as they stand in the files."""

import math
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from made_runs import lines_of, write_lines

import mixop
from mixop.core.errors import RunError
from mixop.runs.read import read_run


def test_curves_are_those_of_the_file(run_at):
    run = run_at(epochs=4, columns=lambda epoch: {"eigenvalue": epoch / 2, "mood": "calm", "gap": None})
    search = [record for record in lines_of(run) if record["phase"] == "search"]
    read = read_run(run)
    assert read.search is not None
    assert read.search.epochs == (1, 2, 3, 4)
    assert read.search.planned == 4
    for part, curves in (("train", read.search.train), ("valid", read.search.valid)):
        for name in ("accuracy", "loss"):
            assert curves[name].tolist() == [record[part][name] for record in search]
    for name in ("entropy", "skip_share", "seconds"):
        assert getattr(read.search, name).tolist() == [record[name] for record in search]
    assert {name: values.tolist() for name, values in read.search.columns.items()} == {"eigenvalue": [0.5, 1.0, 1.5, 2.0]}
    assert read.search.texts == {"mood": ("calm",) * 4}
    assert read.search.mix["cell"].tolist() == [record["mix"]["cell"] for record in search]
    assert [r.label for r in read.retrainings] == ["found", "random 1", "random 2", "random 3", "random 4"]
    assert read.score is not None
    assert read.score.found is not None
    assert read.score.value(read.score.found) == pytest.approx(353 / 360)
    assert read.max_entropy == pytest.approx(math.log(5))
    assert read.name == "digits"
    assert [measure.name for measure in read.measures] == ["accuracy", "loss"]


@pytest.mark.parametrize(("task", "first", "noun"), [("classes", "accuracy", "image"), ("heights", "rmse", "example"),
                                                     ("text", "loss", "example")])  # fmt: skip
def test_the_task_says_what_ranks_and_what_an_example_is(run_at, task, first, noun):
    read = read_run(run_at(epochs=1, task=task, upto="search"))
    assert read.first.name == first
    assert read.noun == noun


def test_a_torn_last_line_is_left_out(run_at):
    run = run_at(epochs=3, upto="search")
    with (run / "metrics.jsonl").open("ab") as file:
        file.write('{"phase": "search", "epoch": 4, "architecture": "é'.encode()[:-1])
    read = read_run(run)
    assert read.search is not None
    assert read.search.epochs == (1, 2, 3)


def test_what_was_not_measured_is_a_gap(run_at):
    run = run_at(epochs=3, upto="search", columns=lambda epoch: {"gap": None if epoch == 2 else 1.0, "warning": None})
    lines = lines_of(run)
    lines[1].update(skip_share=None, valid={"loss": None}, mix={})
    write_lines(run, lines)
    search = read_run(run).search
    assert search is not None
    for values in (search.valid["loss"], search.valid["accuracy"], search.skip_share, search.columns["gap"]):
        assert np.isnan(values).tolist() == [False, True, False]
    assert np.isnan(search.mix["cell"][1]).all()
    assert np.isfinite(search.mix["cell"][[0, 2]]).all()
    assert "warning" not in search.texts


def test_an_epoch_done_again_counts_as_it_went_the_last_time(run_at):
    run = run_at(epochs=3, upto="search")
    lines = lines_of(run)
    write_lines(run, [*lines, {**lines[1], "train": {"loss": 7.5}}])
    search = read_run(run).search
    assert search is not None
    assert search.epochs == (1, 2, 3)
    assert search.train["loss"][1] == 7.5
    assert np.isnan(search.train["accuracy"][1])


def test_weights_of_another_shape_are_a_gap(run_at):
    run = run_at(epochs=2, upto="search")
    lines = lines_of(run)
    lines[0]["mix"]["cell"] = [[1.0]]
    write_lines(run, lines)
    search = read_run(run).search
    assert search is not None
    assert np.isnan(search.mix["cell"][0]).all()


@pytest.mark.parametrize("name", ["recipe.json", "space.json", "environment.json", "data.json"])
def test_a_directory_without_these_is_no_run(run_at, name):
    run = run_at(upto="start")
    (run / name).unlink()
    with pytest.raises(RunError, match=rf"no {name}"):
        read_run(run)


def test_no_directory(tmp_path):
    with pytest.raises(RunError, match="There is no run directory"):
        read_run(tmp_path / "nowhere")


def test_a_retraining_alone_needs_no_recipe(run_at):
    run = run_at(epochs=1)
    (run / "recipe.json").rename(run / "retrain.json")
    assert read_run(run).recipe == {}


def test_the_names_of_files_need_no_torch():
    modules = "mixop.runs.files, mixop.runs.write, mixop.runs.cells"
    code = f"import sys, {modules}; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(Path(mixop.__file__).parents[1])}, check=True)
