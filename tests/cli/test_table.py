"""``mixop table``: screens, JSON, sentences."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mixop.cli import main
from mixop.cli.table import Converting
from mixop.spaces.nasbench201 import NasBench201
from mixop.tables import Table
from mixop.tabulate.cohort import Cohort

SPACE = NasBench201()
TEXTS = [SPACE.to_native(SPACE.from_index(i)) for i in range(4)]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    arrays = {"c10_valid_e200": np.float32([70, 90, 80, 60]), "c10_test_e200": np.float32([11, 12, 13, 14])}
    np.savez(tmp_path / "a b.npz", arch=np.array(TEXTS), **arrays)
    return tmp_path / "a b.npz"


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    def run(*words: str) -> str:
        capsys.readouterr()
        assert main(list(words)) == 2
        told = capsys.readouterr().err
        assert told.count("\n") == 1
        return told

    return run


def test_convert_and_show(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    target = tmp_path / "a b.table"
    assert main(["table", "convert", str(source), str(target)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == f"Converting {source} to {target}."
    assert f"mixop table show '{target}'" in shown
    assert main(["table", "show", str(target), "--best", "2"]) == 0
    shown = capsys.readouterr().out
    assert "4 architectures of nasbench201" in shown
    assert "Checksum   right" in shown
    assert "ms\n" in shown
    lines = [line for line in shown.splitlines() if "|" in line]
    assert lines == [f"  90.00 %  {TEXTS[1]} (1)", f"  80.00 %  {TEXTS[2]} (2)"]
    assert "12.00" not in shown, "test results are shown by a word only"
    assert main(["table", "show", str(target), "--reveal-test"]) == 0
    assert f"  90.00 %, test 12.00  {TEXTS[1]} (1)" in capsys.readouterr().out


def test_json(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    target = tmp_path / "x.table"
    assert main(["table", "convert", str(source), str(target), "--name", "mine", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["architectures"], written["bytes"]) == (4, target.stat().st_size)
    assert main(["table", "show", str(target), "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["table"] == "mine"
    assert [column["split"] for column in held["columns"]] == ["valid", "test"]
    best = held["best"]["cifar10, 200 epochs"]
    assert [row["index"] for row in best] == [1, 2, 0]
    assert "test_accuracy" not in best[0]


def test_quiet(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["table", "convert", str(source), str(tmp_path / "x"), "--quiet"]) == 0
    assert "Converting" not in capsys.readouterr().out


def test_sentences(source: Path, tmp_path: Path, fails: Callable[..., str]):
    assert "mixop table convert, mixop table show" in fails("table")
    assert "another word, not 'shw'" in fails("table", "shw")
    assert "is not a table" in fails("table", "show", str(source))
    assert "no file or directory" in fails("table", "convert", str(tmp_path / "y.npz"), "z")
    assert "needs a TARGET" in fails("table", "convert", str(source))
    assert "--best must be" in fails("table", "show", str(source), "--best", "-1")
    target = tmp_path / "x.table"
    assert main(["table", "convert", str(source), str(target), "--quiet"]) == 0
    content = bytearray(target.read_bytes())
    content[-3] ^= 255
    target.write_bytes(content)
    assert "its checksum is wrong" in fails("table", "show", str(target))
    assert len(Table.open(target)) == 4


def test_the_group_has_a_page(capsys: pytest.CaptureFixture[str]):
    assert main(["table", "--help"]) == 0
    page = capsys.readouterr().out
    assert "table convert" in page
    assert "mixop search" not in page  # its own commands only
    assert "\n  search" not in page


def test_the_bar_of_a_terminal_moves(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    with Converting("Converting", quiet=False) as progress:
        assert progress.bar is not None
        progress(3, 10)
        assert (progress.bar.tasks[0].completed, progress.bar.tasks[0].total) == (3, 10)
        progress(10, 10)
        assert progress.bar.finished


TINY = (
    "--space.stages",
    "1",
    "--space.operations",
    "skip_connect,nor_conv_1x1",
    "--epochs",
    "2",
    "--seeds",
    "2",
    "--limit",
    "6",
)


def test_a_table_is_built_and_can_be_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    target = tmp_path / "own.table"
    words = ["table", "build", str(target), *TINY, "--keep", "1,2", "--group", "6"]
    assert main(words) == 0
    told = capsys.readouterr().out
    assert "Plan      6 architectures x 2 seeds x 2 epochs on digits" in told
    assert "Estimate" in told
    assert "100% of 6 architectures" in told
    assert "standard deviation" in told
    table = Table.open(target, verify=True)
    assert len(table) == 6
    assert table.datasets == ("digits",)
    assert table.curve("digits", "valid", epochs=2) == (1, 2)
    before = target.read_bytes()
    with np.load(tmp_path / "own.npz", allow_pickle=False) as file:
        percent = 100 * file["valid_accuracy"]
    assert table.query(3, dataset="digits", split="valid", epochs=2, seed=1) == pytest.approx(percent[3, 1, 1], rel=1e-6)
    assert main([*words, "--json"]) == 0  # all of it is there
    found = json.loads(capsys.readouterr().out)
    assert found["architectures"] == 6
    means = percent[:, :, 1].mean(axis=1)
    assert found["deviation"] == pytest.approx(means.std(ddof=1), rel=1e-4)
    assert found["noise"] == pytest.approx(np.sqrt(percent[:, :, 1].var(axis=1, ddof=1).mean()), rel=1e-4)
    assert target.read_bytes() == before
    assert main(["table", "build", str(target), *TINY, "--keep", "1,2", "--batch-size", "32"]) == 2
    assert "other settings" in capsys.readouterr().err


def test_a_table_of_the_package_is_shown_by_its_name(capsys: pytest.CaptureFixture[str], fails: Callable[..., str]):
    assert main(["table", "show", "nasbench201-digits", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["architectures"] == 729
    assert "nasbench201-digits" in fails("table", "show", "nasbench202-digits")


def test_a_build_that_is_stopped_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """A signal in the second group: the first is kept, and the end is that of a build left alone."""
    words = [*TINY, "--group", "6", "--quiet"]
    assert main(["table", "build", str(tmp_path / "alone.table"), *words]) == 0
    take_step = Cohort.take_step

    def interrupted(cohort: Cohort) -> None:
        if cohort.indices[0] == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        take_step(cohort)

    monkeypatch.setattr(Cohort, "take_step", interrupted)
    assert main(["table", "build", str(tmp_path / "own.table"), *words]) == 128 + signal.SIGTERM
    assert "Stopped with 3 of 6 architectures done" in capsys.readouterr().err
    assert not (tmp_path / "own.table").exists()
    monkeypatch.undo()
    assert main(["table", "build", str(tmp_path / "own.table"), *words]) == 0
    for name in ("valid_accuracy", "test_loss", "train_loss", "arch", "params", "flops"):
        alone, own = (np.load(tmp_path / f"{n}.npz", allow_pickle=False)[name] for n in ("alone", "own"))
        assert (alone == own).all(), name


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("own.npz",), "must be called NAME.table, got 'own.npz'"),
        (("own.table", "--space", "darts"), "a table can have at most 20,000: leave operations out"),
        (("own.table", "--group", "0"), "At least 1 network must be trained at a time, got 0"),
        (("own.table", "--limit", "0"), "At least 1 architecture must be trained, got a limit of 0"),
        (("own.table", "--keep", "2,1"), "must ascend from 1 to 12"),
    ],
)
def test_what_cannot_be_built_is_told_in_a_sentence(
    words: tuple[str, ...], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)
    assert main(["table", "build", *words]) == 2
    told = capsys.readouterr().err
    assert sentence in told
    assert told.count("\n") == 1
