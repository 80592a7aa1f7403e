"""What a command says of the data that it loads, and a run whose data were moved."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import mixop
from mixop.cli import main
from mixop.core.errors import DataError, RunError

SPACE = ("--space", "nasbench201", "--space.channels", "4", "--space.cells", "1", "--space.stages", "1")
SMALL = (*SPACE, "--recipe", "darts", "--batch-size", "16", "--threads", "1", "--epochs", "1", "--quiet")
TRAINING = ("--epochs", "1", "--random", "0", "--batch-size", "16", "--quiet")


def write(path: Path, seed: int = 0, count: int = 96, **more: np.ndarray) -> Path:
    """A set of small images of three classes."""
    x = np.random.default_rng(seed).integers(0, 256, (count, 8, 8), dtype=np.uint8)
    np.savez(path, x=x, y=np.arange(count) % 3, **more)
    return path


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A search on a set that was given by relative paths, and whose working directory was left then."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    write(Path("set.npz"))
    lists = {"train": list(range(40)), "valid": list(range(40, 70)), "test": list(range(70, 96))}
    Path("lists.json").write_text(json.dumps(lists))
    data = ("--data", "npz", "--data.path", "set.npz", "--data.split.index-file", "lists.json")
    assert main(["search", *SMALL, *data, "--out", "run"]) == 0
    monkeypatch.chdir(tmp_path)
    return here / "run"


@pytest.fixture
def fails(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Runs a command that must end with exit code 2, and gives its sentence."""

    def run(*words: str) -> str:
        capsys.readouterr()
        assert main(list(words)) == 2
        return capsys.readouterr().err

    return run


def test_a_run_does_not_need_the_working_directory_that_it_began_in(run: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["resume", str(run)]) == 0
    assert main(["retrain", str(run), *TRAINING]) == 0
    assert main(["evaluate", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["examples"] == 26


def test_data_that_were_moved_are_found_by_their_new_place(run: Path, fails: Callable[..., str], tmp_path: Path):
    (tmp_path / "there").mkdir()
    (run.parent / "set.npz").rename(tmp_path / "there" / "faces.npz")
    for command in ("resume", "retrain"):
        told = fails(command, str(run))
        assert f"must be at {str(run.parent / 'set.npz')!r}, but nothing is there: say with --data.path where it is now" in told
    place = ("--data.path", "there/faces.npz")
    assert main(["resume", str(run), *place, "--quiet"]) == 0
    assert main(["retrain", str(run), *place, *TRAINING]) == 0
    assert main(["evaluate", str(run), *place]) == 0
    (run.parent / "lists.json").rename(tmp_path / "there" / "lists.json")
    assert "--data.split.index-file where it is now" in fails("evaluate", str(run), *place)
    assert main(["evaluate", str(run), *place, "--data.split.index-file", "there/lists.json"]) == 0


def test_other_data_at_the_new_place_are_refused(run: Path, fails: Callable[..., str], tmp_path: Path):
    assert main(["retrain", str(run), *TRAINING]) == 0
    other = ("--data.path", str(write(tmp_path / "other.npz", seed=1)))
    for command in ("resume", "retrain", "evaluate"):
        assert "is not the data that" in fails(command, str(run), *other)
    with pytest.raises(RunError, match="is not the data that"):
        mixop.resume(run, tmp_path / "other.npz")
    write(run.parent / "set.npz", seed=1)  # the same place, other examples
    assert "its fingerprint differs" in fails("evaluate", str(run))


def test_python_takes_the_new_place_too(run: Path, tmp_path: Path):
    moved = (run.parent / "set.npz").rename(tmp_path / "moved.npz")
    with pytest.raises(DataError, match=r"say with --data\.path where it is now"):
        mixop.resume(run)
    for data in (moved, "moved.npz"):
        assert mixop.resume(run, data).out == run


def test_the_same_command_on_moved_data_continues_the_same_run(run: Path, tmp_path: Path, fails: Callable[..., str]):
    (tmp_path / "there").mkdir()
    for name in ("set.npz", "lists.json"):
        (run.parent / name).rename(tmp_path / "there" / name)
    before = (run / "data.json").read_text()
    data = ("--data", "npz", "--data.path", "there/set.npz", "--data.split.index-file", "there/lists.json")
    assert main(["search", *SMALL, *data, "--out", str(run)]) == 0
    assert (run / "data.json").read_text() == before
    write(tmp_path / "there" / "set.npz", seed=1)
    assert "holds a run on other data (data.fingerprint" in fails("search", *SMALL, *data, "--out", str(run))


TABLE = ("table", "build", "own.table", "--limit", "2", "--epochs", "1", "--seeds", "1", "--batch-size", "16")
COMPARISON = ("compare", "--recipes", "darts", "--epochs", "1", "--batch-size", "16", "--jobs", "1", "--seeds", "1")
COMPARISON += ("--evaluate", "supernet", "--budget", "0.1", "--out", "compared")


@pytest.mark.parametrize(
    ("words", "kept"),
    [
        (TABLE, "own.npz.parts/settings.json"),
        pytest.param(COMPARISON, "compared/comparison.json", marks=pytest.mark.slow),
    ],
)
def test_a_comparison_and_a_table_continue_on_moved_data(
    words: tuple[str, ...], kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    write(Path("set.npz"), count=180)
    words = (*words, "--space", "nasbench201-digits", "--quiet", "--data", "npz", "--data.path")
    assert main([*words, "set.npz"]) == 0
    before = Path(kept).read_text()
    (tmp_path / "there").mkdir()
    Path("set.npz").rename("there/set.npz")
    assert main([*words, "there/set.npz"]) == 0
    assert Path(kept).read_text() == before


def test_a_place_without_data_is_refused(run: Path, fails: Callable[..., str]):
    told = fails("retrain", "--architecture", "DARTS_V2", "--data.path", "set.npz")
    assert "There are settings for data, but no data is named: add --data NAME" in told
    assert "mixop resume has no flag --data:" in fails("resume", str(run), "--data", "npz")


def test_what_was_left_out_is_one_line_on_standard_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    path = write(tmp_path / "set.npz", ids=np.arange(96), raw=np.zeros(3))
    out = str(tmp_path / "run")
    assert main(["search", *SMALL[:-1], "--data", "npz", "--data.path", str(path), "--out", out, "--json"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "set was read without arrays of other names (2: ids, raw).\n"
    assert json.loads(shown.out)["run"] == out
    record = json.loads((tmp_path / "run" / "data.json").read_text())["record"]
    assert record["left_out"]["arrays of other names"] == {"count": 2, "first": ["ids", "raw"]}


def test_counts_are_flags_too(tmp_path: Path):
    path = write(tmp_path / "set.npz")
    data = ("--data", "npz", "--data.path", str(path), "--data.split.valid", "20", "--data.split.test", "12")
    assert main(["search", *SMALL, *data, "--out", str(tmp_path / "run")]) == 0
    assert json.loads((tmp_path / "run" / "data.json").read_text())["counts"] == {"train": 64, "valid": 20, "test": 12}
