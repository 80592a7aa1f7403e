"""`run_experiment` and the command line."""

import json

import pytest

from mixop.cli import main
from mixop.core.errors import RecipeError
from mixop.experiments.catalogue import CATALOGUE
from mixop.experiments.run import run_experiment
from mixop.report.comparison_files import read_comparison


def test_a_finished_experiment_is_not_run_again(tmp_path):
    first = run_experiment("rounding", tmp_path / "out", scale="tiny", seeds=[0], jobs=1)
    kept = [path for path in (tmp_path / "out").rglob("*") if path.suffix in (".pt", ".jsonl") and "runs" not in path.name]
    before = {path: path.stat().st_mtime_ns for path in kept}
    assert before
    again = run_experiment("rounding", tmp_path / "out", scale="tiny", seeds=[0], jobs=1)
    assert {path: path.stat().st_mtime_ns for path in kept} == before
    assert str(again) == str(first)
    assert again.page.read_text() == first.page.read_text()
    runs = read_comparison(tmp_path / "out")
    spent = sum(run.seconds or 0.0 for name in ("darts", "gaea_bilevel") for run in runs.row(name).runs)
    assert json.loads((tmp_path / "out" / "experiment.json").read_text())["seconds"] == pytest.approx(spent, abs=0.06)


def test_the_command_shows_verdicts_and_lists_everything(tmp_path, capsys):
    words = ["reproduce", "rounding", "--scale", "tiny", "--seeds", "1", "--jobs", "1", "--out", str(tmp_path / "out")]
    assert main([*words, "--quiet"]) == 0
    shown = capsys.readouterr().out
    for text in ("cannot show", "Sparser mixing weights lose less.", "experiment.html"):
        assert text in shown
    assert main([*words, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["name"] == "rounding"
    assert main(["reproduce", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["experiments"]
    assert listed.keys() >= {*CATALOGUE, "drnas-nasbench201"}
    assert main(["reproduce"]) == 2
    assert "mixop reproduce --list shows all experiments" in capsys.readouterr().err
    assert main(["reproduce", "roundings"]) == 2
    assert "did you mean 'rounding'" in capsys.readouterr().err


def test_an_unknown_experiment_is_a_sentence(tmp_path):
    with pytest.raises(RecipeError, match="There is no experiment 'levls': did you mean 'levels'"):
        run_experiment("levls", tmp_path)
