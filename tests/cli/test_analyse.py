"""``mixop analyse rank``: screen, JSON, the file in the run, sentences."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mixop import api
from mixop.cli import main
from mixop.data import Digits, Split
from mixop.recipes import gaea, rsws
from mixop.spaces.nasbench201 import NasBench201Digits
from mixop.tables.catalogue import open_table

SOME = ("--table", "nasbench201-digits", "--architectures", "6")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> str:
    out = tmp_path_factory.mktemp("analysed") / "run"
    recipe = replace(rsws(), epochs=1, warmup=0, batch_size=40)
    api.search(recipe, NasBench201Digits(), Digits(split=Split(train=96, valid=96)).load(), out)
    return str(out)


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*words: str) -> str:
        capsys.readouterr()
        assert main(list(words)) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    return run


def test_screen_and_file(run: str, capsys: pytest.CaptureFixture[str]):
    assert main(["analyse", "rank", run, *SOME, "--seed", "2"]) == 0
    shown = {line.split("  ")[0]: line.split("  ", 1)[-1].strip() for line in capsys.readouterr().out.splitlines()}
    found = json.loads((Path(run) / "ranking.json").read_text())
    assert shown["Kendall's tau"] == f"{found['tau']:.3f}"
    assert shown["Spearman's rho"] == f"{found['rho']:.3f}"
    assert shown["Architectures"] == "6 of 729, drawn with seed 2"
    assert shown["Shared weights"] == "validation accuracy on 96 examples of digits, batch norm by the statistics of each batch"
    assert shown["Trained"] == "validation accuracy on digits after 12 epochs, table nasbench201-digits"
    best = found["architectures"][found["best_trained"]]
    value = open_table("nasbench201-digits").query(best["architecture"], dataset="digits", split="valid", epochs=12)
    assert shown["Best by the table"] == (
        f"{100 * best['shared']:.1f} % with shared weights, {value:.2f} % trained, place 1 of 6: {best['architecture']}"
    )
    assert shown["Written"] == str(Path(run) / "ranking.json")


def test_json_is_what_is_written(run: str, capsys: pytest.CaptureFixture[str]):
    assert main(["analyse", "rank", run, *SOME, "--batches", "1", "--test", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said == json.loads((Path(run) / "ranking.json").read_text())
    assert (said["split"], said["examples"], len(said["architectures"])) == ("test", 40, 6)
    assert main(["analyse", "rank", run, *SOME, "--batches", "1", "--test", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == said


def test_a_search_that_trains_on_both_splits_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recipe = replace(gaea(), epochs=1, warmup=0, batch_size=40)
    api.search(recipe, NasBench201Digits(), Digits(split=Split(train=40, valid=40)).load(), tmp_path / "run")
    assert main(["analyse", "rank", str(tmp_path / "run"), *SOME, "--quiet"]) == 0
    assert "on 40 examples of digits, which the weights were trained on too, batch norm" in capsys.readouterr().out


def test_the_run_is_as_before(run: str):
    before = {file.name: file.read_bytes() for file in Path(run).iterdir() if file.is_file() and file.name != "ranking.json"}
    assert main(["analyse", "rank", run, *SOME, "--quiet"]) == 0
    after = {file.name: file.read_bytes() for file in Path(run).iterdir() if file.is_file() and file.name != "ranking.json"}
    assert after == before


def test_bad_input_is_one_sentence(run: str, tmp_path: Path, fails: Callable[..., str]):
    rank = ("analyse", "rank", run)
    assert "mixop analyse is followed by another word: mixop analyse rank, mixop analyse flatness." in fails("analyse")
    assert "mixop analyse is followed by another word, not 'rnak': mixop analyse rank, mixop analyse flatness." in fails(
        "analyse", "rnak"
    )
    assert "needs --table, a file, or the name of one that comes with mixop (nasbench201-digits)" in fails(*rank)
    assert "There is no table 'nasbench201': did you mean 'nasbench201-digits'?" in fails(*rank, "--table", "nasbench201")
    assert "There is no data set in the table nasbench201-digits called 'cifar10'" in fails(
        *rank, *SOME, "--dataset", "cifar10"
    )
    assert "must be 2 to 729 of this supernet, got 1,000" in fails(*rank, *SOME[:2], "--architectures", "1000")
    assert "architectures must be a whole number or nothing, got 'many'" in fails(*rank, *SOME[:2], "--architectures", "many")
    assert "at least one batch, got 0" in fails(*rank, *SOME, "--batches", "0")
    assert "keeps none" in fails(*rank, *SOME, "--norm", "running")
    assert "norm must be 'batch' or 'running' or 'recalibrated', got 'tracked'" in fails(*rank, *SOME, "--norm", "tracked")
    assert "There is no run directory" in fails("analyse", "rank", str(tmp_path / "none"), *SOME)
    (tmp_path / "torn").mkdir()
    for file in Path(run).iterdir():
        if file.is_file():
            (tmp_path / "torn" / file.name).write_bytes(file.read_bytes()[: 5000 if "state" in file.name else None])
    assert "state.pt" in fails("analyse", "rank", str(tmp_path / "torn"), *SOME)
