import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.cli.tree import Tree
from mixop.core.errors import DataError, DataWarning
from mixop.core.values import defaults
from mixop.data import PARTS, Augment, Npz, Source, Split, from_npz
from mixop.tasks.classification import Classification
from mixop.tasks.regression import Regression

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (48, 3, 8, 8), dtype=np.uint8)
Y = np.arange(48) % 4


@pytest.mark.parametrize(
    "keys",
    [
        ("x", "y", "x_val", "y_val", "x_test", "y_test"),
        ("x_train", "y_train", "x_valid", "y_valid", "x_test", "y_test"),
        ("X_train", "Y_train", "val_X", "val_Y", "X_test", "Y_test"),
        ("train_images", "train_labels", "val_images", "val_labels", "test_images", "test_labels"),  # MedMNIST
        ("images", "labels", "images_validation", "labels_validation", "test_images", "test_labels"),
        ("features", "target", "features_valid", "target_valid", "features_test", "target_test"),
    ],
)
def test_a_file_with_its_own_parts(tmp_path: Path, keys: tuple[str, ...]):
    path = tmp_path / "set.npz"
    y = Y[:, None].astype(np.uint8)
    arrays = (X, y, X[8:20], y[8:20], X[:8], y[:8])
    np.savez_compressed(path, **dict(zip(keys, arrays, strict=True)), classes=np.array(["a", "b", "c", "d"]))
    data = from_npz(path, seed=2, augment=Augment(flip=True))
    for part, x, labels in (("train", X, Y), ("valid", X[8:20], Y[8:20]), ("test", X[:8], Y[:8])):
        batch = data.examples.read(data.at(part))
        assert np.array_equal(batch.x, x)
        assert np.array_equal(batch.y, labels)
    assert (data.task.classes, data.name, data.augment.flip) == (("a", "b", "c", "d"), "set", True)
    assert data.source == Npz(str(path), split=Split(seed=2), augment=Augment(flip=True))
    assert data.source.load().fingerprint == data.fingerprint
    assert len(data.record["files"]["set.npz"]["md5"]) == 32
    assert "left_out" not in data.record


def test_a_file_without_other_parts_keeps_shares(tmp_path: Path):
    path = tmp_path / "set.npz"
    np.savez(path, x=X.transpose(0, 2, 3, 1), y=Y.astype(np.uint8), ids=np.arange(48), x_raw=X)
    with pytest.warns(DataWarning, match=r"^set was read without arrays of other names \(2: ids, x_raw\)\.$"):
        data = from_npz(path, test=0.25, valid=1 / 3)
    assert [len(data.at(part)) for part in ("train", "valid", "test")] == [24, 12, 12]
    assert np.array_equal(data.examples.read(torch.arange(48)).x, X)
    assert data.record["left_out"] == {"arrays of other names": {"count": 2, "first": ["ids", "x_raw"]}}
    assert data.record["arrays"] == {"train": ["x", "y"]}
    assert data.record["read_as"] == "images (N, H, W, C)"


def test_a_file_of_signals_needs_no_option(tmp_path: Path):
    signals = RNG.normal(size=(48, 3, 50))
    np.savez(tmp_path / "signals.npz", x=signals, y=Y)
    data = Npz(str(tmp_path / "signals.npz")).load()
    assert (data.shape, data.outputs, data.record["read_as"]) == ((3, 50), 4, "signals (N, C, L)")
    assert np.array_equal(data.examples.read(torch.arange(48)).x, signals.astype(np.float32))


def test_a_task_comes_from_the_command_line(tmp_path: Path):
    np.savez(tmp_path / "set.npz", x=X, y=Y)
    tree = Tree("data", Source, PARTS, defaults(Npz))
    for flag, text in (("path", str(tmp_path / "set.npz")), ("task", "Regression"), ("task.unit", "km"), ("layout", "nchw")):
        tree.put(flag.split("."), text)
    source = tree.build()
    assert source == Npz(str(tmp_path / "set.npz"), layout="nchw", task=Regression(unit="km"))
    assert source.load().describe()["task"]["unit"] == "km"
    assert from_npz(source.path, task=Classification(smoothing=0.1)).task == Classification(tuple("0123"), smoothing=0.1)


@dataclass
class Trap:
    """A pickle of it would write a file where it is loaded."""

    path: str

    def __reduce__(self):
        return (Path.touch, (Path(self.path),))


def test_a_file_cannot_run_code(tmp_path: Path):
    path, mark = tmp_path / "trap.npz", tmp_path / "ran"
    trap = np.empty(1, dtype=object)
    trap[0] = Trap(str(mark))
    np.savez(path, x=trap, y=Y)
    with pytest.raises(DataError, match=r"damaged, or not an \.npz file of plain arrays"):
        from_npz(path)
    assert not mark.exists()


@pytest.mark.parametrize("kept", [0, 1, 100, 2000, 9000, -30, -1])
def test_a_truncated_file_is_refused(tmp_path: Path, kept: int):
    path = tmp_path / "set.npz"
    np.savez(path, x=X, y=Y)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(DataError, match=r"The data file .* is (empty|damaged)"):
        from_npz(path)


def test_a_file_with_a_flipped_byte_is_refused(tmp_path: Path):
    path = tmp_path / "set.npz"
    np.savez(path, x=X, y=Y)
    content = bytearray(path.read_bytes())
    content[5000] ^= 1
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"damaged.*CRC"):
        from_npz(path)


def test_other_files_are_refused(tmp_path: Path):
    with pytest.raises(DataError, match=r"Cannot read the data file '.*none\.npz': No such file"):
        from_npz(tmp_path / "none.npz")
    with pytest.raises(DataError, match="Cannot read the data file"):
        from_npz(tmp_path)
    np.save(tmp_path / "one.npy", X)
    with pytest.raises(DataError, match="holds a single array"):
        from_npz(tmp_path / "one.npy")
    (tmp_path / "text.npz").write_text("x,y\n1,2\n")
    with pytest.raises(DataError, match=r"damaged, or not an \.npz file"):
        from_npz(tmp_path / "text.npz")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("x.npy", b"no array")
    with pytest.raises(DataError, match="must hold 'x' and 'y', but 'y' is missing"):
        from_npz(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": X}, "must hold inputs 'x' and targets 'y', got 'a': rename them"),
        ({}, "got nothing"),
        ({"x": X}, "must hold 'x' and 'y', but 'y' is missing"),
        ({"labels": Y}, "must hold 'labels' and 'images', but 'images' is missing"),
        ({"x": X, "y": Y, "x_test": X}, "must hold 'x_test' and 'y_test', but 'y_test' is missing"),
        ({"x": X, "y": Y, "val_labels": Y}, "must hold 'val_labels' and 'val_images', but 'val_images' is missing"),
        ({"x": X, "y": np.array([b"a"] * 48)}, "'y' of set.npz must hold numbers as targets"),
        ({"x": X * 1j, "y": Y}, "'x' of set.npz must hold numbers"),
        ({"x": np.where(X == 7, np.inf, 1.0), "y": Y}, "holds NaN or infinity"),
        ({"x": X.reshape(48, 64, 3), "y": Y.astype(float) / 3, "classes": np.array(["a", "b"])}, "no classes to name"),
    ],
)
def test_a_file_of_the_wrong_arrays_is_refused(tmp_path: Path, arrays: dict, sentence: str):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(DataError, match=sentence):
        from_npz(tmp_path / "set.npz")
