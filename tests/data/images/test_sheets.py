"""Sheets of images: what is written is read, in order, and the real set is the official one, byte for byte."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mixop.core.errors import DataError, DataWarning
from mixop.core.values import to_plain
from mixop.data import Sheets, source_from_json
from mixop.data.images.augment import Augment
from mixop.data.images.sheets import sheets
from mixop.data.split import Split

REAL = Path(__file__).parents[3].parent / "shared" / "data"


def write_sheet(path, images, across):
    count, _, tile, _ = images.shape
    rows = images.reshape(count // across, across, 3, tile, tile).transpose(0, 3, 1, 4, 2)
    Image.fromarray(rows.reshape(count // across * tile, across * tile, 3)).save(path, lossless=True)


@pytest.fixture
def folder(tmp_path):
    """Two training sheets of 12 images and a test sheet of 6, of 8 pixels and 3 classes."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (30, 3, 8, 8), dtype=np.uint8)
    write_sheet(tmp_path / "set_train_0.webp", images[:12], 4)
    write_sheet(tmp_path / "set_train_1.webp", images[12:24], 4)
    write_sheet(tmp_path / "set_test.webp", images[24:], 3)
    labels = np.arange(30, dtype=np.uint8) % 3
    names = np.array(["cat", "dog", "owl"])
    # Two images of every class in each half, by turns.
    halves = (np.arange(24) // 3 % 2).astype(np.uint8)
    np.savez(tmp_path / "set_labels.npz", train_y=labels[:24], test_y=labels[24:], classes=names, train_own_valid=halves)
    return tmp_path, images, labels, halves


def test_images_labels_and_division_are_those_of_the_files(folder):
    path, images, labels, halves = folder
    data = sheets(path, tile=8, size=8)
    batch = data.examples.read(torch.arange(30))
    assert torch.equal(batch.x, torch.from_numpy(images))
    assert batch.y.tolist() == labels.tolist()
    assert data.test.tolist() == list(range(24, 30))
    assert data.valid.tolist() == np.flatnonzero(halves).tolist()
    assert data.train.tolist() == np.flatnonzero(halves == 0).tolist()
    assert (data.task.classes, data.name) == (("cat", "dog", "owl"), "set")


def test_smaller_images_are_means_of_blocks(folder):
    path, images, _, _ = folder
    data = sheets(path, tile=8, size=4, images=12, augment=Augment(flip=True))
    expected = torch.nn.functional.avg_pool2d(torch.from_numpy(images[:12]).double(), 2).round().to(torch.uint8)
    assert torch.equal(data.examples.read(torch.arange(12)).x, expected)


def test_a_split_of_ones_own_takes_the_place_of_the_files(folder):
    path, *_ = folder
    data = sheets(path, tile=8, size=8, own_split=False, split=Split(valid=0.25, seed=3))
    assert (len(data.train), len(data.valid)) == (18, 6)


def test_the_source_loads_the_same_again(folder):
    path, *_ = folder
    source = Sheets(str(path), tile=8, size=8, images=18, augment=Augment(flip=True))
    data = source.load()
    again = source_from_json(to_plain(data.source)).load()
    assert again.fingerprint == data.fingerprint


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"tile": 8, "size": 3}, r"size of sheets must divide their tiles of 8 pixels, got 3"),
        ({"tile": 5, "size": 5}, r"cannot be a sheet of images of 5 pixels"),
        ({"tile": 8, "size": 8, "images": 25}, r"between 2 and 24, .* got 25"),
    ],
)
def test_numbers_that_do_not_fit_are_refused(folder, options, sentence):
    with pytest.raises(DataError, match=sentence):
        sheets(folder[0], **options)


def test_missing_and_damaged_files_are_named(folder, tmp_path_factory):
    path, *_ = folder
    with pytest.raises(DataError, match=r"must hold one NAME_labels.npz"):
        sheets(tmp_path_factory.mktemp("empty"))
    with pytest.raises(DataError, match=r"but .* is not a folder"):
        sheets(path / "nowhere")
    (path / "set_test.webp").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"set_test\.webp' is damaged"):
        sheets(path, tile=8, size=8)
    (path / "set_test.webp").unlink()
    with pytest.raises(DataError, match=r"set_test\.webp' is missing"):
        sheets(path, tile=8, size=8)


def test_a_sheet_behind_a_gap_is_not_left_out(folder):
    path, *_ = folder
    (path / "set_train_1.webp").rename(path / "set_train_2.webp")
    with pytest.raises(DataError, match=r"holds sheet 2 of set, but sheet 1 is missing: the sheets are not complete"):
        sheets(path, tile=8, size=8)


def test_arrays_of_other_names_are_named(folder):
    path, _, labels, halves = folder
    names = np.array(["cat", "dog", "owl"])
    more = {"train_index": labels, "a_valid": halves, "b_valid": halves, "weights": labels}
    np.savez(path / "set_labels.npz", train_y=labels[:24], test_y=labels[24:], classes=names, **more)
    with pytest.warns(DataWarning, match=r"^set was read without arrays of other names \(2: b_valid, weights\)\.$"):
        sheets(path, tile=8, size=8)


def test_labels_of_another_set_are_refused(folder):
    path, _, labels, _ = folder
    np.savez(path / "set_labels.npz", train_y=labels[:23], test_y=labels[24:], classes=np.array(["a", "b", "c"]))
    with pytest.raises(DataError, match="labels for 23 and 6 images, but the sheets hold 24 and 6"):
        sheets(path, tile=8, size=8)
    np.savez(path / "set_labels.npz", train_y=labels[:24])
    with pytest.raises(DataError, match="test_y is missing"):
        sheets(path, tile=8, size=8)
    (path / "set_labels.npz").write_bytes(b"no arrays")
    with pytest.raises(DataError, match=r"not an \.npz file"):
        sheets(path, tile=8, size=8)


@pytest.mark.skipif(not (REAL / "cifar10_labels.npz").exists(), reason="the shared data, real images, is not here")
def test_the_real_images_are_those_of_cifar10():
    data = sheets(REAL)
    digest = hashlib.md5(
        data.examples.read(torch.arange(12000)).x.permute(0, 2, 3, 1).contiguous().numpy().tobytes(), usedforsecurity=False
    ).hexdigest()
    assert digest == "60c023955129a702e401667881e41609"  # as decoded from the official archive
    assert [len(part) for part in (data.train, data.valid, data.test)] == [6000, 6000, 3000]
    assert torch.bincount(data.targets("valid")).tolist() == [600] * 10
