"""Published experiments at a scale of seconds, on images and a table that the test makes."""

import json
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from mixop.cli import main
from mixop.cli.reproducing import ReproduceOptions
from mixop.comparison.published import published
from mixop.comparison.reproduce import EXPERIMENTS, SCALES, Line, reproduce
from mixop.core.errors import DataError, RecipeError
from mixop.recipes import RECIPES
from mixop.spaces.nasbench201 import NasBench201
from mixop.tables.table import Table

PIL = pytest.importorskip("PIL.Image", reason="sheets of images need the extra images")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """600 images of noise as a sheet, and a table whose accuracies are numbers of architectures."""
    path = tmp_path_factory.mktemp("data")
    rng = np.random.default_rng(0)
    for name, rows in (("train_0", 30), ("test", 3)):
        sheet = rng.integers(0, 256, (32 * rows, 32 * 20, 3), dtype=np.uint8)
        PIL.fromarray(sheet).save(path / f"cifar10_{name}.webp", lossless=True)
    classes = np.array([f"class {k}" for k in range(10)])
    np.savez(path / "cifar10_labels.npz", train_y=np.arange(600) % 10, test_y=np.arange(60) % 10, classes=classes)
    space = NasBench201()
    natives = [space.to_native(space.from_index(index)) for index in range(15_625)]
    rank = np.arange(15_625, dtype=np.float32) / 15_625
    arrays = {"c10_valid_e200": 50 + rank, "c10_test_e200": 60 + rank, "c10_valid_e12": 40 + rank, "c100_test_e200": 70 + rank}
    seconds = {"c10valid_train_seconds_e200": np.full(15_625, 20_000.0, np.float32)}
    np.savez(path / "nasbench201.npz", arch=np.array(natives), **arrays, **seconds)
    return path


def test_paper_and_ours_stand_side_by_side(folder: Path, tmp_path: Path):
    found = reproduce("darts-nasbench201", folder, tmp_path / "x", scale="tiny", jobs=2)
    lines = {line.what: line for line in found.lines}
    table, runs = Table.open(tmp_path / "nasbench201.table"), found.comparison.row("darts").runs
    assert len(runs) == 2
    for what, dataset, split in (("CIFAR-10 valid", "cifar10", "valid"), ("CIFAR-10 test", "cifar10", "test")):
        where: dict[str, Any] = {"dataset": dataset, "split": split, "epochs": 200, "reveal_test": True}
        values = [table.query(run.architecture or "", **where) for run in runs]
        assert lines[what].ours == f"{fmean(values):.2f} +- {stdev(values):.2f}"
    reported = published("darts", "cifar10")
    assert reported is not None
    assert lines["CIFAR-10 test"].paper == f"{reported.test:.2f} +- {reported.test_deviation:.2f}"
    assert lines["carried to CIFAR-100 test"].paper == "15.61"
    assert "carried to ImageNet16 test" not in lines  # the table does not have it
    assert lines["random search, CIFAR-10 test"].ours.startswith("60.")
    random = found.comparison.row("random")
    assert random.trained == 10  # of 1,200 seconds each: twelve epochs of 200 that take 20,000
    usual = RECIPES["darts"]()
    settings = {line.what: (line.paper, line.ours) for line in found.lines if not line.result}
    assert settings["channels"] == ("16", "4")
    assert settings["images"] == ("25,000 + 25,000", "300 + 300")
    assert settings["epochs"] == (str(usual.epochs), "3")
    assert all(line.differs for line in found.lines if not line.result)
    again = reproduce("darts-nasbench201", folder, tmp_path / "x", scale="tiny", jobs=2)
    assert again.lines == found.lines


def test_only_settings_can_differ():
    assert Line("epochs", "50", "3").differs
    assert not Line("epochs", "50", "50").differs
    assert not Line("test", "94.36", "91.00", result=True).differs


def test_every_experiment_has_a_published_number_and_a_recipe():
    for name, method in EXPERIMENTS.items():
        assert method in RECIPES
        assert published(method, "cifar10") is not None
        assert name == f"{method.replace('_', '-')}-nasbench201"
    full = SCALES["full"]
    usual = NasBench201()
    assert (full.channels, full.cells, full.size, full.images, full.epochs) == (usual.channels, usual.cells, 32, None, None)


def test_what_is_missing_is_told(folder: Path, tmp_path: Path):
    with pytest.raises(RecipeError, match="drnas-nasbench201"):
        reproduce("drnas-nasbench202", folder, tmp_path / "x")
    with pytest.raises(RecipeError, match="'huge'"):
        reproduce("drnas-nasbench201", folder, tmp_path / "x", scale="huge")
    with pytest.raises(DataError, match=r"neither nasbench201.table nor nasbench201.npz"):
        reproduce("drnas-nasbench201", tmp_path, tmp_path / "x")
    (tmp_path / "bare").mkdir()
    (tmp_path / "bare" / "nasbench201.npz").write_bytes((folder / "nasbench201.npz").read_bytes())
    with pytest.raises(DataError, match="no sheets of images"):
        reproduce("drnas-nasbench201", tmp_path / "bare", tmp_path / "x")
    assert not (tmp_path / "x").exists()


def test_the_command_shows_what_differs(folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    words = ["reproduce", "gdas-nasbench201", "--scale", "tiny", "--data", str(folder), "--out", str(tmp_path / "x")]
    assert main([*words, "--seeds", "1", "--quiet"]) == 0
    shown = capsys.readouterr().out
    for text in ("gdas-nasbench201, scale tiny:", "93.23 +- 0.23", "differs", "settings differ from the published ones"):
        assert text in shown, shown
    assert main([*words, "--seeds", "1", "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    channels = next(line for line in content["lines"] if line["what"] == "channels")
    assert (channels["paper"], channels["ours"], channels["differs"]) == ("16", "4", True)
    assert main(["reproduce", "gdas-nasbench201"]) == 2
    assert "needs --data FOLDER" in capsys.readouterr().err


def test_the_command_knows_every_scale():
    assert get_args(get_type_hints(ReproduceOptions)["scale"]) == tuple(SCALES)
