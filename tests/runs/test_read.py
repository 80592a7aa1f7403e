"""Reading a run directory: numbers as they stand in the files, damage named by file and line."""

import json
import math

import numpy as np
import pytest

from mixop.core.errors import RunError
from mixop.runs.read import read_run


def lines(run):
    return (run / "metrics.jsonl").read_text().splitlines()


def rewrite(run, changed):
    (run / "metrics.jsonl").write_text("\n".join(changed) + "\n")


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_series_are_those_of_the_file(run_at):
    run = run_at(epochs=4)
    records = [json.loads(line) for line in lines(run)]
    search = [record for record in records if record["phase"] == "search"]
    read = read_run(run)
    assert read.search.epochs == (1, 2, 3, 4)
    assert read.search.planned == 4
    for key in ("train_loss", "valid_accuracy", "entropy", "skip_share", "seconds"):
        assert read.search.series[key].tolist() == [record[key] for record in search]
    assert read.search.mix["cell"].tolist() == [record["mix"]["cell"] for record in search]
    assert [r.label for r in read.retrainings] == ["found", "random 1", "random 2", "random 3", "random 4"]
    assert read.score.images == 360
    assert read.score.found.test_accuracy == pytest.approx(353 / 360)
    assert read.max_entropy == pytest.approx(math.log(5))
    assert read.name == "digits"


def test_a_torn_last_line_is_left_out(run_at):
    run = run_at(epochs=3, upto="search")
    with (run / "metrics.jsonl").open("ab") as file:
        file.write('{"phase": "search", "epoch": 4, "train_loss": 0.1, "note": "é'.encode()[:-1])
    assert read_run(run).search.epochs == (1, 2, 3)


def test_a_torn_line_in_the_middle_is_named(run_at):
    run = run_at(epochs=3, upto="search")
    text = lines(run)
    text[1] = text[1][:40]
    rewrite(run, text)
    with pytest.raises(RunError, match=r"Line 2 of .*metrics\.jsonl is torn"):
        read_run(run)


def test_nulls_and_infinities_are_gaps_and_strangers_are_ignored(run_at):
    run = run_at(epochs=3, upto="search")
    records = [json.loads(line) for line in lines(run)]
    records[1].update(valid_loss=None, skip_share=None, train_loss=float("inf"), mix=None, novelty=[1])
    rewrite(run, [*map(json.dumps, records), json.dumps({"phase": "hessian", "epoch": "later"})])
    search = read_run(run).search
    assert [np.isnan(search.series[key]).tolist() for key in ("valid_loss", "skip_share", "train_loss")] == [
        [False, True, False]
    ] * 3
    assert np.isnan(search.mix["cell"][1]).all()
    assert np.isfinite(search.mix["cell"][[0, 2]]).all()


def test_an_epoch_done_again_counts_as_it_went_the_last_time(run_at):
    run = run_at(epochs=3, upto="search")
    records = [json.loads(line) for line in lines(run)]
    rewrite(run, [*map(json.dumps, records), json.dumps({**records[1], "train_loss": 7.5})])
    search = read_run(run).search
    assert search.epochs == (1, 2, 3)
    assert search.series["train_loss"][1] == 7.5


def test_weights_of_another_shape_are_a_gap(run_at):
    run = run_at(epochs=2, upto="search")
    records = [json.loads(line) for line in lines(run)]
    records[0]["mix"]["cell"] = [[1.0]]
    rewrite(run, map(json.dumps, records))
    assert np.isnan(read_run(run).search.mix["cell"][0]).all()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epoch": "one"}, "whole number in 'epoch'"),
        ({"train_loss": "low"}, "number in 'train_loss'"),
        ({"valid_accuracy": 98.0}, "between 0 and 1 in 'valid_accuracy'"),
        ({"mix": {"cell": [["a"]]}}, "rows of numbers"),
        ({"mix": [1]}, "object in 'mix'"),
        ({"architecture": 3}, "text in 'architecture'"),
    ],
)
def test_a_damaged_record_is_named(run_at, change, said):
    run = run_at(epochs=2, upto="search")
    records = [json.loads(line) for line in lines(run)]
    records[0].update(change)
    rewrite(run, map(json.dumps, records))
    with pytest.raises(RunError, match=r"Line 1 of .*" + said):
        read_run(run)


@pytest.mark.parametrize("name", ["recipe.json", "space.json", "environment.json"])
def test_a_directory_without_these_is_no_run(run_at, name):
    run = run_at(upto="start")
    (run / name).unlink()
    with pytest.raises(RunError, match=rf"no {name}"):
        read_run(run)


def test_no_directory(tmp_path):
    with pytest.raises(RunError, match="no run directory"):
        read_run(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "name", ["recipe.json", "space.json", "environment.json", "data.json", "settings.json", "architecture.json", "score.json"]
)
@pytest.mark.parametrize("content", [b'{"space": {"ty', b"[1, 2]", b"\xff\xfe{}"])
def test_a_torn_file_is_named(run_at, name, content):
    run = run_at(epochs=1)
    (run / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        read_run(run)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("space.json", {"groups": [{"name": "cell"}]}),
        ("space.json", {"groups": 3}),
        ("space.json", {"groups": [{"name": "cell", "decisions": []}]}),
        ("architecture.json", {"native": 3}),
        ("architecture.json", {"cells": [1]}),
        ("architecture.json", {"cells": {"cell": {"inputs": 1}}}),
        ("score.json", {"networks": {"found": 1}}),
        ("score.json", {"networks": [{"label": "found"}]}),
        ("score.json", {"networks": [{"label": "found", "test_accuracy": 98.2}]}),
        ("score.json", {"confusion": [[1, 2], [3]]}),
        ("score.json", {"confusion": [[1, -2], [3, 4]]}),
        ("score.json", {"classes": ["one"]}),
        ("score.json", {"protocol": "long"}),
    ],
)
def test_a_damaged_file_is_named(run_at, name, change):
    run = run_at(epochs=1)
    edit(run / name, **change)
    with pytest.raises(RunError, match=name):
        read_run(run)
