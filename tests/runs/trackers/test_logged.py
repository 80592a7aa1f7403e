"""What trackers are given is what the metrics and the score say, and the page of trackers shows the same table."""

import json
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest

from mixop.core.errors import RunError
from mixop.runs.load import read_records
from mixop.runs.trackers.logged import CONFIG, EPOCH, FILES, SCORES, config, files, is_finished, row, scores, told

PAGE = Path(__file__).parents[3] / "docs" / "trackers.md"


def test_an_epoch_has_every_number_of_its_record(run_at):
    run = run_at(epochs=3, upto="search", columns=lambda epoch: {"novelty": 2.0 * epoch, "mood": "calm"})
    about = told(run)
    record = read_records(run / "metrics.jsonl")[2]
    given = row(record, about)
    assert (given.part, given.epoch) == ("search", 3)
    began = json.loads((run / "environment.json").read_text())["started"]
    assert given.at == datetime.fromisoformat(began).timestamp() + record.seconds
    values = dict(given.values)
    weights = np.array(record.mix["cell"])  # (6, 5); option 1 is the skip connection
    assert values.pop("cell/skip_connect") == pytest.approx(weights[:, 1].mean())
    assert sum(values.pop(f"cell/{o}") for o in ("none", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")) == pytest.approx(
        1 - weights[:, 1].mean()
    )
    assert values == {
        **{f"{name}/train": value for name, value in record.train.items()},
        **{f"{name}/valid": value for name, value in record.valid.items()},
        "seconds": record.seconds,
        "learning rate/weights": record.learning_rate,
        "learning rate/architecture": record.architecture_rate,
        "mixing weights/entropy": record.entropy,
        "mixing weights/skip share": record.skip_share,
        "monitors/novelty": 6.0,
    }


def test_decisions_of_a_group_may_have_other_options(run_at):
    run = run_at(epochs=1, upto="search")
    space = json.loads((run / "space.json").read_text())
    space["groups"][0]["decisions"][0]["options"][1] = "dil_conv_3x3"
    (run / "space.json").write_text(json.dumps(space))
    record = read_records(run / "metrics.jsonl")[0]
    values, weights = row(record, told(run)).values, np.array(record.mix["cell"])
    assert values["cell/dil_conv_3x3"] == weights[0, 1]
    assert values["cell/skip_connect"] == pytest.approx(weights[1:, 1].mean())


def test_scores_are_rows_at_the_last_epoch_of_their_network(run_at):
    run = run_at(epochs=1, rivals=(0.9,))
    found, random = scores(told(run))
    assert (found.part, found.epoch, random.part) == ("found", 20, "random-1")
    assert found.values["parameters"] == 73310
    assert random.values["accuracy/test"] == 0.9
    assert scores(told(run_at("other", epochs=1, upto="search"))) == []


def test_a_run_is_the_same_wherever_it_lies_and_differs_from_another(run_at, tmp_path):
    run, other = run_at(epochs=1), run_at("other", epochs=1)
    key = told(run).key
    run.rename(tmp_path / "moved")
    assert told(tmp_path / "moved").key == key
    environment = json.loads((other / "environment.json").read_text())
    (other / "environment.json").write_text(json.dumps({**environment, "seed": 7}))
    assert told(other).key != key
    assert told(other, "group").name == "group/other"


def test_settings_are_those_of_the_files(run_at):
    run = run_at(epochs=1)
    given = config(run)
    assert given["recipe"] == json.loads((run / "recipe.json").read_text())
    assert given["architecture"] == json.loads((run / "architecture.json").read_text())["native"]
    assert set(given) <= {name for name, _, _ in CONFIG}
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "resumed": [{"started": "later"}]}))
    assert config(run) == given


def test_artefacts_and_the_end_are_told_by_files(run_at):
    run = run_at(epochs=1, upto="search")
    assert files(run) == []
    assert not is_finished(run)
    for name in ("report.html", "architecture-normal.svg", "architecture.json"):
        (run / name).write_text("x")
    assert [path.name for path in files(run)] == ["report.html", "architecture-normal.svg"]
    assert is_finished(run)
    (run / "retrain.json").write_text("{}")
    assert not is_finished(run)


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(RunError, match=r"must hold an environment\.json and a space\.json of a run"):
        told(tmp_path)


def test_the_page_shows_the_table():
    page = PAGE.read_text()
    for logged in EPOCH:
        assert f"| `{logged.tag}` | {logged.meaning} |" in page
    for tag, meaning in SCORES:
        assert f"| `{tag}` | {meaning.replace('``', '`')} |" in page
    for name, file, meaning in CONFIG:
        assert f"| `{name}` | `{file}` | {meaning} |" in page
    for pattern, meaning in FILES:
        assert f"| `{pattern}` | {meaning} |" in page
