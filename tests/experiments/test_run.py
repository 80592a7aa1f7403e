"""`run_experiment` and the command line."""

import json

import pytest

from mixop.cli import main
from mixop.comparison.reproduce import EXPERIMENTS
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
    assert listed.keys() == {*CATALOGUE, *EXPERIMENTS}
    assert listed["drnas-nasbench201-imagenet16"] == "DrNAS, on ImageNet16-120 in NAS-Bench-201"
    assert main(["reproduce"]) == 2
    assert "mixop reproduce --list shows all experiments" in capsys.readouterr().err
    assert main(["reproduce", "roundings"]) == 2
    assert "did you mean 'rounding'" in capsys.readouterr().err


def test_the_list_is_a_method_a_line_within_eighty_columns(capsys):
    assert main(["reproduce", "--list"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.split())
    for name in CATALOGUE:
        assert f"{name} {CATALOGUE[name].question}" in words
    begun = [line.split()[0] for line in shown.splitlines() if "-nasbench201 " in line]
    assert begun == [
        f"{method.replace('_', '-')}-nasbench201" for method in dict.fromkeys(s.method for s in EXPERIMENTS.values())
    ]
    assert "drnas-nasbench201 DrNAS; also -cifar100, -imagenet16" in words
    assert "setn-nasbench201 SETN snas" in words


@pytest.mark.parametrize("name", ["rank-agreement", "techniques", "gdas-nasbench201-cifar100"])
def test_about_an_experiment_are_its_source_its_rules_and_its_scales(name, capsys):
    assert main(["reproduce", name, "--about", "--json"]) == 0
    about = json.loads(capsys.readouterr().out)
    assert main(["reproduce", name, "--about"]) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.splitlines())) <= 80
    words = " ".join(shown.split())
    for text in (about["question"], about["source"], *about["scales"].values()):
        assert " ".join(text.split()) in words
    if name in CATALOGUE:
        rules = [{"claim": pattern.claim, "rule": pattern.rule} for pattern in CATALOGUE[name].patterns]
        assert about["patterns"] == rules
        assert all(" ".join(rule["rule"].split()) in words for rule in rules)
    else:
        assert about["paper"]["test"] == 24.20
        assert "24.20 %" in words


def test_an_unknown_experiment_is_a_sentence(tmp_path):
    with pytest.raises(RecipeError, match="There is no experiment 'levls': did you mean 'levels'"):
        run_experiment("levls", tmp_path)
