"""Damaged files are named by file and line, and files of another format refused in a sentence."""

import json

import pytest
from made_runs import lines_of, write_lines

from mixop.core.errors import RunError
from mixop.runs.load import check_version, is_begun, read_object, read_records
from mixop.runs.read import read_run


def edit(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def test_a_torn_line_in_the_middle_is_named(run_at):
    run = run_at(epochs=3, upto="search")
    text = (run / "metrics.jsonl").read_text().splitlines()
    text[1] = text[1][:40]
    (run / "metrics.jsonl").write_text("\n".join(text) + "\n")
    with pytest.raises(RunError, match=r"Line 2 of .*metrics\.jsonl is torn"):
        read_run(run)


@pytest.mark.parametrize("label", ["search", "retrain"])
def test_every_field_of_a_line_is_checked(run_at, label):
    run = run_at(epochs=2)
    lines = lines_of(run)
    at = next(number for number, line in enumerate(lines) if line["phase"] == label)
    for name, value in lines[at].items():
        write_lines(run, [*lines[:at], {**lines[at], name: True if isinstance(value, str) else "text"}, *lines[at + 1 :]])
        with pytest.raises(RunError, match=rf"Line {at + 1} of .*metrics\.jsonl.*{name}"):
            read_run(run)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ([1], "must be an object, got"),
        ({"epoch": 1}, "'search' or 'retrain' in 'phase'"),
        ({"phase": ["search"]}, "'search' or 'retrain' in 'phase'"),
        ({"phase": "hessian"}, "'search' or 'retrain' in 'phase'"),
        ({"phase": "search"}, "is missing"),
    ],
)
def test_a_line_that_is_no_record_is_named(run_at, line, said):
    run = run_at(epochs=1, upto="search")
    write_lines(run, [line, *lines_of(run)])
    with pytest.raises(RunError, match=rf"Line 1 of .*{said}"):
        read_run(run)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epoch": 0}, "an epoch counted from 1"),
        ({"train": {"loss": "low"}}, r"train\.loss"),
        ({"columns": {"gap": [1]}}, r"columns\.gap"),
        ({"mix": {"cell": [["a"]]}}, r"mix\.cell"),
        ({"stage": "late"}, "stage"),
    ],
)
def test_what_is_inside_a_field_is_checked(run_at, change, said):
    run = run_at(epochs=1, upto="search")
    (line,) = lines_of(run)
    write_lines(run, [{**line, **change}])
    with pytest.raises(RunError, match=rf"Line 1 of .*{said}"):
        read_run(run)


@pytest.mark.parametrize(
    "name",
    ["run.json", "recipe.json", "space.json", "environment.json", "data.json", "settings.json", "architecture.json",
     "score.json"],
)  # fmt: skip
@pytest.mark.parametrize("content", [b'{"space": {"ty', b"[1, 2]", b"\xff\xfe{}"])
def test_a_torn_file_is_named(run_at, name, content):
    run = run_at(epochs=1)
    (run / name).write_bytes(content)
    with pytest.raises(RunError, match=name):
        read_run(run)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("run.json", {"format": "two"}),
        ("run.json", {"format": None}),
        ("space.json", {"groups": [{"name": "cell"}]}),
        ("space.json", {"groups": 3}),
        ("space.json", {"groups": [{"name": "cell", "decisions": []}]}),
        ("data.json", {"measures": None}),
        ("data.json", {"measures": []}),
        ("data.json", {"measures": ["accuracy"]}),
        ("data.json", {"measures": [{"name": "loss"}]}),
        ("data.json", {"measures": [{"name": 3, "better": "lower"}]}),
        ("data.json", {"measures": [{"name": "loss", "better": "lower"}] * 2}),
        ("architecture.json", {"native": 3}),
        ("architecture.json", {"cells": [1]}),
        ("architecture.json", {"cells": {"cell": {"inputs": 1}}}),
        ("score.json", {"networks": {"found": 1}}),
        ("score.json", {"networks": []}),
        ("score.json", {"networks": [{"label": "found"}]}),
        ("score.json", {"confusion": [[1, 2], [3]]}),
        ("score.json", {"confusion": [[1, -2], [3, 4]]}),
        ("score.json", {"classes": ["one"]}),
        ("score.json", {"protocol": "long"}),
        ("score.json", {"measures": []}),
        ("score.json", {"scored_on": {"parts": ["test"]}}),
    ],
)
def test_a_damaged_file_is_named(run_at, name, change):
    run = run_at(epochs=1)
    edit(run / name, **change)
    with pytest.raises(RunError, match=name):
        read_run(run)


def test_a_share_above_one_is_named(run_at):
    run = run_at(epochs=1)
    networks = json.loads((run / "score.json").read_text())["networks"]
    networks[1]["measures"]["accuracy"] = 98.2
    edit(run / "score.json", networks=networks)
    with pytest.raises(RunError, match=r"Network 2 in .*score\.json must hold a share between 0 and 1 in 'accuracy'"):
        read_run(run)


def test_a_run_from_before_there_were_versions_is_refused_in_a_sentence(run_at):
    run = run_at(epochs=1)
    (run / "run.json").unlink()
    with pytest.raises(RunError, match=r"written by mixop 0\.1 before runs had a version") as refused:
        read_run(run)
    assert str(refused.value).count(". ") == 0


def test_a_run_of_a_later_version_is_refused(run_at):
    run = run_at(epochs=1)
    edit(run / "run.json", format=4)
    with pytest.raises(RunError, match="has format 4, and this version of mixop reads 3"):
        check_version(run)


def test_what_is_begun(run_at, tmp_path):
    assert is_begun(run_at(epochs=1, upto="start"))
    assert not is_begun(tmp_path)


def test_what_is_not_there_is_empty(tmp_path):
    assert read_object(tmp_path / "settings.json") == {}
    assert read_records(tmp_path / "metrics.jsonl") == []
