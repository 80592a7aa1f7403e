"""Published experiments at a scale of seconds, on images and a table that the test makes."""

import json
import pickle
from dataclasses import replace
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest

from mixop.cli import main
from mixop.cli.reproducing import ReproduceOptions
from mixop.comparison.published import published
from mixop.comparison.reproduce import EXPERIMENTS, SCALES, SETS, Line, images_of, reproduce, smaller
from mixop.core.errors import DataError, RecipeError
from mixop.data.arrays import from_arrays
from mixop.data.images.augment import Augment
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
    arrays |= {f"{name}_e{length}": 30 + rank for name in ("c100_valid", "in16_valid") for length in (12, 200)}
    arrays["in16_test_e200"] = 20 + rank
    of_sets = ("c10valid", "c100", "in16")
    seconds = {f"{name}_train_seconds_e200": np.full(15_625, 20_000.0, np.float32) for name in of_sets}
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
    assert lines["carried to ImageNet16-120 test"].paper == "16.32"
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


@pytest.fixture(scope="module")
def others(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """CIFAR-100 and ImageNet16 in their official forms, a few images of noise for every class, and the same table."""
    path, rng = tmp_path_factory.mktemp("others"), np.random.default_rng(1)
    (path / "nasbench201.npz").write_bytes((folder / "nasbench201.npz").read_bytes())
    (path / "cifar-100-python").mkdir()
    for name, count in (("train", 400), ("test", 100)):
        content = {"data": rng.integers(0, 256, (count, 3072), dtype=np.uint8), "fine_labels": [k % 100 for k in range(count)]}
        (path / "cifar-100-python" / name).write_bytes(pickle.dumps(content))
    names = {"fine_label_names": [f"class {k}" for k in range(100)]}
    (path / "cifar-100-python" / "meta").write_bytes(pickle.dumps(names))
    (path / "ImageNet16").mkdir()
    for name in (*(f"train_data_batch_{k}" for k in range(1, 11)), "val_data"):
        labels = list(range(1, 121))
        content = {"data": rng.integers(0, 256, (120, 768), dtype=np.uint8), "labels": labels}
        (path / "ImageNet16" / name).write_bytes(pickle.dumps(content))
    return path


@pytest.mark.parametrize(
    ("name", "title", "table", "test", "images"),
    [
        ("cifar100", "CIFAR-100", "cifar100", "73.51 +- 0.00", "200 + 200"),
        ("imagenet16", "ImageNet16-120", "ImageNet16-120", "46.34 +- 0.00", "300 + 300"),
    ],
)
def test_the_other_sets_are_searched_themselves(others: Path, tmp_path: Path, name, title, table, test, images):
    found = reproduce(f"drnas-nasbench201-{name}", others, tmp_path / "x", scale="tiny", seeds=1, jobs=1)
    lines = {line.what: line for line in found.lines}
    assert not [what for what in lines if "carried" in what]
    (run,) = found.comparison.row("drnas").runs
    where: dict[str, Any] = {"dataset": table, "split": "test", "epochs": 200, "reveal_test": True}
    ours = Table.open(tmp_path / "nasbench201.table").query(run.architecture or "", **where)
    assert (lines[f"{title} test"].ours, lines[f"{title} test"].paper) == (f"{ours:.2f}", test)
    assert lines["images"].ours == images
    assert lines["pixels"].ours == "8"
    assert lines[f"random search, {title} test"].paper != "-"
    assert json.loads((tmp_path / "x" / "comparison.json").read_text())["data"]["name"] == name


def test_fewer_and_smaller_images_are_means_of_the_first_of_every_class():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (60, 3, 8, 8), dtype=np.uint8), np.arange(60) % 3
    data = from_arrays(x, y, test_share=15, augment=Augment(crop=1))
    small = smaller(data, 4, 13)
    training = np.sort(data.at("train", "valid").numpy())
    kept = np.sort(np.concatenate([training[y[training] == k][:4] for k in range(3)]))
    means = x[kept].reshape(12, 3, 4, 2, 4, 2).mean((3, 5))
    order = small.at("train", "valid").sort().values
    assert np.abs(small.x[order].numpy() - means).max() <= 0.5
    assert small.y[order].tolist() == y[kept].tolist()
    assert len(small.test) == 15
    assert len(smaller(data, 8, None).at("train", "valid")) == 45


def test_small_scales_take_the_official_form_of_cifar10_too(tmp_path: Path):
    rng = np.random.default_rng(2)
    (tmp_path / "cifar-10-batches-py").mkdir()
    for name in (*(f"data_batch_{k}" for k in range(1, 6)), "test_batch"):
        content = {"data": rng.integers(0, 256, (40, 3072), dtype=np.uint8), "labels": [k % 10 for k in range(40)]}
        (tmp_path / "cifar-10-batches-py" / name).write_bytes(pickle.dumps(content))
    names = {"label_names": [f"class {k}" for k in range(10)]}
    (tmp_path / "cifar-10-batches-py" / "batches.meta").write_bytes(pickle.dumps(names))
    data = images_of(tmp_path, replace(SCALES["small"], size=16, images=100))
    assert (data.shape, len(data.at("train", "valid")), len(data.test)) == ((3, 16, 16), 100, 40)
    assert images_of(tmp_path, SCALES["full"]).shape == (3, 32, 32)


def test_every_experiment_has_a_published_number_and_a_recipe():
    for name, search in EXPERIMENTS.items():
        assert search.method in RECIPES
        assert published(search.method, search.dataset) is not None
        assert name == f"{search.method.replace('_', '-')}-nasbench201{SETS[search.dataset].suffix}"
    counts = [sum(search.dataset == name for search in EXPERIMENTS.values()) for name in SETS]
    assert counts == [13, 11, 11]
    assert EXPERIMENTS["drnas-nasbench201-imagenet16"].reported.test == 46.34
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
    with pytest.raises(DataError, match="cifar10 needs"):
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
