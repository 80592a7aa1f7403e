"""Pipes, devices, folders and links where the command line reads or writes a file: one sentence, and nothing hangs.

A hang fails by the timeout of the suite.
"""

import os
import re
import shutil
from pathlib import Path

import pytest

import mixop
from mixop.cli import main

TOY = ("--space", "toy", "--data", "toy", "--quiet")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("odd") / "run"
    assert main(["search", *TOY, "--recipe", "darts", "--epochs", "1", "--batch-size", "64", "--out", str(out)]) == 0
    assert main(["retrain", str(out), "--epochs", "1", "--random", "0", "--quiet"]) == 0
    return out


@pytest.fixture
def run(finished: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(finished, tmp_path / "run"))


def replace_by(kind: str, path: Path) -> None:
    path.unlink(missing_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    code = main(list(words))
    told = capsys.readouterr().err
    assert code == 2, told
    assert told.count("\n") == 1, told
    assert "a bug in mixop" not in told
    return told


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("x.npz", ("search", *TOY[:2], "--data", "npz", "--data.path", "{path}")),
        ("r.json", ("search", *TOY, "--recipe", "{path}")),
        ("c.toml", ("search", *TOY, "--config", "{path}")),
        ("split.json", ("search", *TOY[:2], "--data", "digits", "--data.split.index-file", "{path}")),
        ("x.table", ("table", "show", "{path}")),
        ("x.npz", ("table", "convert", "{path}", "y.table")),
        ("x.csv", ("table", "convert", "{path}", "y.table")),
        ("x.pth", ("table", "convert", "{path}", "y.table")),
    ],
)
def test_what_is_read(kind, name, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / name
    replace_by(kind, path)
    told = refused(capsys, *(word.format(path=path) for word in words))
    assert name in told
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [name]  # nothing was begun


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
@pytest.mark.parametrize("name", ["run.json", "recipe.json", "space.json", "data.json", "settings.json", "metrics.jsonl"])
def test_files_of_a_run_that_are_read(kind, name, run, capsys):
    replace_by(kind, run / name)
    assert name in refused(capsys, "report", str(run))


@pytest.mark.parametrize("kind", ["pipe", "folder"])
@pytest.mark.parametrize("name", ["weights.safetensors", "score.json"])
def test_files_of_a_retraining_that_are_read(kind, name, run, capsys):
    replace_by(kind, run / name)
    assert name in refused(capsys, "evaluate", str(run))


@pytest.mark.parametrize("kind", ["pipe", "device", "folder"])
def test_files_that_are_written(kind, run, capsys):
    replace_by(kind, run / "report.html")
    assert "report.html" in refused(capsys, "report", str(run))
    replace_by(kind, run / "model.pt2")
    assert "model.pt2" in refused(capsys, "export", str(run))


def test_links_at_scratch_names_lead_nowhere(run, tmp_path, capsys):
    outside = tmp_path / "mine"
    outside.write_text("mine")
    for name in ("report.html.partial", "model.pt2.partial", "state.pt.partial", "report.html", "model.pt2"):
        (run / name).unlink(missing_ok=True)
        (run / name).symlink_to(outside)
    assert main(["report", str(run)]) == 0
    assert main(["export", str(run)]) == 0
    assert outside.read_text() == "mine"


def test_every_file_is_written_by_the_one_writer():
    """What is added to line by line is opened by `mixop.core.files`; scratch of a conversion lies in a folder of its own."""
    root = Path(mixop.__file__).parent
    writers = re.compile(r"""\.write_(text|bytes)\(|open\([^)]*["'][rb+]*[wax][b+]*["']|O_CREAT|mkstemp""")
    allowed = {"runs/write.py", "core/files.py", "runs/lock.py", "tables/archives.py", "measure/speed.py"}
    found = {
        path.relative_to(root).as_posix()
        for path in root.rglob("*.py")
        if any(writers.search(line) for line in path.read_text().splitlines())
    }
    assert found <= allowed
