"""``mixop benchmark``: screens, JSON, sentences."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from mixop.benchmarks import Table
from mixop.cli import main
from mixop.cli.benchmark import Converting
from mixop.spaces.nasbench201 import NasBench201

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
    assert main(["benchmark", "convert", str(source), str(target)]) == 0
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == f"Converting {source} to {target}."
    assert f"mixop benchmark show '{target}'" in shown
    assert main(["benchmark", "show", str(target), "--best", "2"]) == 0
    shown = capsys.readouterr().out
    assert "4 architectures of nasbench201" in shown
    assert "Checksum   right" in shown
    assert "ms\n" in shown
    lines = [line for line in shown.splitlines() if "|" in line]
    assert lines == [f"  90.00 %  {TEXTS[1]} (1)", f"  80.00 %  {TEXTS[2]} (2)"]
    assert "12.00" not in shown, "test results are shown by a word only"
    assert main(["benchmark", "show", str(target), "--reveal-test"]) == 0
    assert f"  90.00 %, test 12.00  {TEXTS[1]} (1)" in capsys.readouterr().out


def test_json(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    target = tmp_path / "x.table"
    assert main(["benchmark", "convert", str(source), str(target), "--name", "mine", "--json"]) == 0
    written = json.loads(capsys.readouterr().out)
    assert (written["architectures"], written["bytes"]) == (4, target.stat().st_size)
    assert main(["benchmark", "show", str(target), "--json"]) == 0
    held = json.loads(capsys.readouterr().out)
    assert held["table"] == "mine"
    assert [column["split"] for column in held["columns"]] == ["valid", "test"]
    best = held["best"]["cifar10, 200 epochs"]
    assert [row["index"] for row in best] == [1, 2, 0]
    assert "test_accuracy" not in best[0]


def test_quiet(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["benchmark", "convert", str(source), str(tmp_path / "x"), "--quiet"]) == 0
    assert "Converting" not in capsys.readouterr().out


def test_sentences(source: Path, tmp_path: Path, fails: Callable[..., str]):
    assert "mixop benchmark convert, mixop benchmark show" in fails("benchmark")
    assert "and not 'shw'" in fails("benchmark", "shw")
    assert "is no table" in fails("benchmark", "show", str(source))
    assert "no file or directory" in fails("benchmark", "convert", str(tmp_path / "y.npz"), "z")
    assert "needs a TARGET" in fails("benchmark", "convert", str(source))
    assert "--best must be" in fails("benchmark", "show", str(source), "--best", "-1")
    target = tmp_path / "x.table"
    assert main(["benchmark", "convert", str(source), str(target), "--quiet"]) == 0
    content = bytearray(target.read_bytes())
    content[-3] ^= 255
    target.write_bytes(content)
    assert "its checksum is another one" in fails("benchmark", "show", str(target))
    assert len(Table.open(target)) == 4


def test_the_group_has_a_page(capsys: pytest.CaptureFixture[str]):
    assert main(["benchmark", "--help"]) == 0
    page = capsys.readouterr().out
    assert "benchmark convert" in page
    assert "mixop search" in page
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
