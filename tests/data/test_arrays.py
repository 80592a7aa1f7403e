import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError
from mixop.data import Augment, Npz, Split, from_arrays, from_npz

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (48, 3, 8, 8), dtype=np.uint8)
Y = np.arange(48) % 4


def restored(data) -> np.ndarray:
    """The images in the order they were given, from the order of their bytes."""
    got = torch.cat([data.x, data.test_x]).numpy()
    return got[np.lexsort(got.reshape(len(got), -1).T)]


EXPECTED = X[np.lexsort(X.reshape(48, -1).T)]


@pytest.mark.parametrize(
    "x",
    [X, X.transpose(0, 2, 3, 1), torch.from_numpy(X), np.asfortranarray(X)],
    ids=["nchw", "nhwc", "tensor", "fortran order"],
)
def test_every_layout_gives_the_same_images(x):
    data = from_arrays(x, Y)
    assert np.array_equal(restored(data), EXPECTED)


def test_grey_images_without_a_channel_axis():
    data = from_arrays(X[:, 0], Y, test=(X[:8, 0], Y[:8]))
    assert np.array_equal(data.x[:, 0].numpy(), X[:, 0])
    assert data.x.shape == (48, 1, 8, 8)


def test_a_given_test_set_is_kept_apart_and_changes_of_the_arrays_do_not_reach_the_data():
    x, y = X.copy(), Y.copy()
    data = from_arrays(x, y, test=(x[:8], y[:8]), valid=0.25, classes=["p", "q", "r", "s"], name="letters")
    x[:], y[:] = 0, 0
    assert np.array_equal(data.x.numpy(), X)
    assert np.array_equal(data.test_y.numpy(), Y[:8])
    assert (data.classes, data.name, len(data.valid)) == (("p", "q", "r", "s"), "letters", 12)
    assert data.record == {"split": {"method": "stratified", "valid": 0.25, "seed": 0}}


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_float_images_become_float32_and_keep_their_scale(dtype):
    x = (X / 8).astype(dtype)
    data = from_arrays(x, Y, test=(x, Y))
    assert data.x.dtype == torch.float32
    assert np.array_equal(data.x.numpy(), x.astype(np.float32))


def test_a_cube_is_read_in_one_way_only_when_told():
    x = RNG.random((12, 4, 4, 4)).astype(np.float32)
    y = np.arange(12) % 2
    with pytest.raises(DataError, match="can be read in two ways"):
        from_arrays(x, y)
    assert np.array_equal(from_arrays(x, y, test=(x, y), layout="nchw").x.numpy(), x)
    assert np.array_equal(from_arrays(x, y, test=(x, y), layout="nhwc").x.numpy(), x.transpose(0, 3, 1, 2))


def with_value(value: float) -> np.ndarray:
    x = X.astype(np.float64)
    x[5, 0, 0, 0] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (X.reshape(48, -1), Y, r"must hold images \(N, C, H, W\), \(N, H, W, C\) or \(N, H, W\), got the shape \(48, 192\)"),
        (X[..., :5], Y, "must hold square images"),
        (X[:, 0, :, :5], Y, "must be square, got 8 x 5"),
        (X.astype(np.int64), Y, "must hold uint8 .* or float images, got int64"),
        (X > 100, Y, "got bool"),
        (X.astype(object), Y, "got object"),
        (X.astype(str), Y, "must hold uint8"),
        ([[1.0], [2.0, 3.0]], [0, 1], "rows differ in length"),
        (with_value(float("nan")), Y, "image 5 holds NaN or infinity"),
        (with_value(float("-inf")), Y, "image 5 holds NaN or infinity"),
        (with_value(1e300), Y, "too large for float32"),
        (X[:0], Y[:0], "is empty"),
        (X, Y[:0], "is empty"),
        (X, Y[:-1], "47 labels and 48 images"),
        (X, Y.astype(float), "must hold whole numbers 0, 1, 2 and so on as labels, got float64"),
        (X, Y > 1, "as labels, got bool"),
        (X, Y.reshape(-1, 1), r"one label for each image, shape \(N,\), got the shape \(48, 1\)"),
        (X, Y - 1, "must run from 0 to K-1 .* got -1"),
        (X, np.where(Y == 3, 10**12, Y), "must run from 0 to K-1 .* got 1000000000000"),
        (X, Y + 1, "leaves class '0' without an example in its training part"),
        (X, Y * 0, "at least two classes, got 1"),
        (X, np.where(np.arange(48) == 0, 4, Y), "leaves class '4' without an example"),
    ],
)
def test_bad_arrays_are_refused(x, y, sentence: str):
    with pytest.raises(DataError, match=sentence):
        from_arrays(x, y)


def test_fewer_names_than_classes_are_refused():
    with pytest.raises(DataError, match="must run from 0 to 2, got 3"):
        from_arrays(X, Y, classes=["a", "b", "c"])


def test_a_test_set_with_a_class_more_is_refused():
    with pytest.raises(DataError, match=r"labels of arrays \(test\) must run from 0 to 3, got 4"):
        from_arrays(X, Y, test=(X, np.arange(48) % 5))


@pytest.mark.parametrize(
    "keys",
    [
        ("x", "y", "x_test", "y_test"),
        ("images", "labels", "test_images", "test_labels"),
        ("train_x", "train_y", "test_x", "test_y"),
    ],
)
def test_a_file_with_its_own_test_set(tmp_path: Path, keys: tuple[str, ...]):
    path = tmp_path / "set.npz"
    np.savez_compressed(path, **dict(zip(keys, (X, Y, X[:8], Y[:8]), strict=True)), classes=np.array(["a", "b", "c", "d"]))
    data = from_npz(path, valid=0.25, seed=2, augment=Augment(flip=True))
    assert np.array_equal(data.x.numpy(), X)
    assert np.array_equal(data.test_x.numpy(), X[:8])
    assert (data.classes, data.name, data.augment.flip) == (("a", "b", "c", "d"), "set", True)
    assert data.source == Npz(str(path), split=Split(valid=0.25, seed=2), augment=Augment(flip=True))
    assert data.source.load().fingerprint == data.fingerprint
    assert len(data.record["files"]["set.npz"]["md5"]) == 32


def test_a_file_without_a_test_set_keeps_a_share(tmp_path: Path):
    path = tmp_path / "set.npz"
    np.savez(path, x=X.transpose(0, 2, 3, 1), y=Y.astype(np.uint8))
    data = from_npz(path, test=0.25)
    assert len(data.test_x) == 12
    assert np.array_equal(restored(data), EXPECTED)


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
    with pytest.raises(DataError, match=r"damaged, or no \.npz file of plain arrays"):
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
    with pytest.raises(DataError, match=r"damaged, or no \.npz file"):
        from_npz(tmp_path / "text.npz")
    with zipfile.ZipFile(tmp_path / "other.npz", "w") as archive:
        archive.writestr("x.npy", b"no array")
    with pytest.raises(DataError, match="must hold 'x' and 'y', but 'y' is missing"):
        from_npz(tmp_path / "other.npz")


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"a": X}, "must hold images 'x' and labels 'y', got 'a'"),
        ({}, "got nothing"),
        ({"x": X}, "must hold 'x' and 'y', but 'y' is missing"),
        ({"x": X, "y": Y, "x_test": X}, "must hold 'x_test' and 'y_test', but 'y_test' is missing"),
        ({"x": X, "y": Y.astype(float)}, "'y' of set.npz must hold whole numbers"),
        ({"x": X.astype(np.int32), "y": Y}, "'x' of set.npz must hold uint8"),
        ({"x": with_value(float("nan")), "y": Y}, "holds NaN"),
    ],
)
def test_a_file_of_the_wrong_arrays_is_refused(tmp_path: Path, arrays: dict, sentence: str):
    np.savez(tmp_path / "set.npz", **arrays)
    with pytest.raises(DataError, match=sentence):
        from_npz(tmp_path / "set.npz")
