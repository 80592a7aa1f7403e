"""ImageNet at 16 pixels: batches of the published form are read back, and whatever else lies there is a sentence."""

import hashlib
import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError, DataWarning
from mixop.data import IMAGENET16_NASBENCH201, ImageNet16, imagenet16

TRAIN = [f"train_data_batch_{number}" for number in range(1, 11)]
NAMES = [*TRAIN, "val_data"]
Batches = dict[str, tuple[np.ndarray, list[int]]]


def batches(rng: np.random.Generator, labels: int = 6, largest: int = 1000) -> Batches:
    """Every label up to ``labels`` once in each batch, one image of the largest label, in an order of its own."""
    made = {}
    for name in NAMES:
        order = rng.permutation([*range(1, labels + 1), largest])
        made[name] = rng.integers(0, 256, (len(order), 768), dtype=np.uint8), order.tolist()
    return made


def write(folder: Path, made: Batches, protocol: int = 2, **more: object) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, (data, labels) in made.items():
        content = {"data": data, "labels": labels, "mean": data.mean(0), **more}  # the mean is not needed
        (folder / name).write_bytes(pickle.dumps(content, protocol))
    return folder


def expected(made: Batches, names: list[str], classes: int) -> tuple[np.ndarray, list[int]]:
    """Images and labels of the first classes, one by one."""
    images, labels = [], []
    for name in names:
        for image, label in zip(*made[name], strict=True):
            if label <= classes:
                images.append(image.reshape(3, 16, 16))
                labels.append(label - 1)
    return np.stack(images), labels


@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("classes", [2, 5, 6])
def test_what_was_written_is_read_back(tmp_path: Path, protocol: int, classes: int):
    made = batches(np.random.default_rng(protocol))
    data = imagenet16(write(tmp_path, made, protocol), classes=classes, seed=1)
    x, y = expected(made, TRAIN, classes)
    training = data.examples.read(data.at("train", "valid").sort().values)
    assert np.array_equal(training.x.numpy(), x)
    assert training.y.tolist() == y
    test_x, test_y = expected(made, ["val_data"], classes)
    assert np.array_equal(data.test_x.numpy(), test_x)
    assert data.test_y.tolist() == test_y
    assert list(data.task.classes) == [str(number) for number in range(1, classes + 1)]


@pytest.mark.parametrize("seed", range(5))
def test_any_batches_are_read_back(tmp_path: Path, seed: int):
    rng = np.random.default_rng(seed)
    labels = int(rng.integers(2, 12))
    made = batches(rng, labels, largest=labels)
    for name in NAMES:  # of different lengths, and texts that Python 2 left as bytes
        extra = rng.integers(1, labels + 1, rng.integers(0, 9)).tolist()
        data = np.concatenate([made[name][0], rng.integers(0, 256, (len(extra), 768), dtype=np.uint8)])
        made[name] = np.asfortranarray(data) if rng.random() < 0.5 else data, made[name][1] + extra
    folder = write(tmp_path, made, int(rng.integers(2, 6)))
    name = NAMES[rng.integers(len(NAMES))]
    (folder / name).write_bytes(pickle.dumps({b"data": made[name][0], b"labels": made[name][1]}, 2))
    data = imagenet16(folder, classes=labels)
    x, y = expected(made, TRAIN, labels)
    assert np.array_equal(data.x[: len(x)].numpy(), x)
    assert data.y.tolist() == y + expected(made, ["val_data"], labels)[1]


def test_by_default_it_is_the_set_of_nasbench201(tmp_path: Path):
    made = batches(np.random.default_rng(0), labels=121)
    data = imagenet16(write(tmp_path / "ImageNet16", made).parent)
    assert data.outputs == 120
    assert data.source == ImageNet16(str(tmp_path), 120)
    assert (len(data.train), len(data.valid), len(data.test)) == (600, 600, 120)
    assert data.augment == IMAGENET16_NASBENCH201
    # The benchmark's own normalisation, on the scale of bytes.
    x = torch.full((1, 3, 16, 16), 122, dtype=torch.uint8)
    wanted = [(122 - mean) / std for mean, std in ((122.68, 63.22), (116.66, 61.26), (104.01, 65.09))]
    torch.testing.assert_close(data.augment.plain(x)[0, :, 0, 0], torch.tensor(wanted))  # float32
    assert data.source.load().fingerprint == data.fingerprint


def test_checksums_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = write(tmp_path, batches(np.random.default_rng(0)))
    record = imagenet16(folder, classes=6).record
    assert json.loads(json.dumps(record)) == record
    sums = {name: hashlib.md5((folder / name).read_bytes()).hexdigest() for name in NAMES}
    assert record["files"] == {name: {"md5": md5, "official": False} for name, md5 in sums.items()}
    assert record["official"] is False
    monkeypatch.setattr("mixop.data.images.imagenet16.OFFICIAL_MD5", sums)
    assert imagenet16(folder, classes=6).record["official"] is True


class Trap:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return (Path.touch, (self.mark,))


def test_a_file_that_names_code_is_refused_and_does_not_run(tmp_path: Path):
    mark = tmp_path / "ran"
    folder = write(tmp_path / "set", batches(np.random.default_rng(0)), extra=Trap(mark))
    with pytest.raises(DataError, match=r"^train_data_batch_1 of .* is damaged, or not a batch of ImageNet16: it names"):
        imagenet16(folder)
    assert not mark.exists()


def changed(made: Batches, **changes: object) -> bytes:
    data, labels = made["train_data_batch_3"]
    return pickle.dumps({"data": data, "labels": labels} | changes, 2)


MADE = batches(np.random.default_rng(0))
IMAGES, LABELS = MADE["train_data_batch_3"]


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is damaged, or not a batch of ImageNet16"),
        (pickle.dumps([1], 2), "must hold a dict, got list: this is not a batch of ImageNet16"),
        (pickle.dumps({"data": IMAGES}, 2), "must hold an array under 'data' and a list under 'labels'"),
        (changed(MADE, labels=LABELS[:-1]), "got 6 labels and 7 images"),
        (changed(MADE, labels=[*LABELS[:-1], 0]), "must be whole numbers from 1 to 1000, but are not"),
        (changed(MADE, labels=[*LABELS[:-1], 1001]), "must be whole numbers from 1 to 1000, but are not"),
        (changed(MADE, labels=[*LABELS[:-1], True]), "must be whole numbers from 1 to 1000, but are not"),
        (changed(MADE, data=np.zeros((7, 3072), np.uint8)), r"must have the shape \(N, 768\), got \(7, 3072\)"),
        (changed(MADE, data=IMAGES / 255), "must be uint8, got f8"),
        (pickle.dumps({"data": IMAGES[:0], "labels": []}, 4), "is empty"),
        (changed(MADE)[:3000], "is damaged, or not a batch of ImageNet16"),
    ],
)
def test_a_batch_of_the_wrong_form_is_refused(tmp_path: Path, content: bytes, sentence: str):
    folder = write(tmp_path, MADE)
    (folder / "train_data_batch_3").write_bytes(content)
    with pytest.raises(DataError, match=f"train_data_batch_3 of .*{sentence}"):
        imagenet16(folder, classes=6)


def test_what_is_missing_is_named(tmp_path: Path):
    with pytest.raises(DataError, match=r"imagenet16 needs the folder .* does not exist: get the 16x16 batches"):
        imagenet16(tmp_path / "none")
    with pytest.raises(DataError, match="holds none"):
        imagenet16(tmp_path)
    folder = write(tmp_path, MADE)
    (folder / "train_data_batch_7").unlink()
    (folder / "val_data").unlink()
    with pytest.raises(DataError, match="is incomplete, train_data_batch_7, val_data is missing"):
        imagenet16(folder)


def test_other_files_are_named(tmp_path: Path):
    folder = write(tmp_path, MADE)
    (folder / "train_data_batch_11").write_bytes(b"more")
    with pytest.warns(DataWarning, match=r"files of other names \(1: train_data_batch_11\)"):
        imagenet16(folder, classes=6)


@pytest.mark.parametrize("classes", [1, 1001])
def test_a_number_of_classes_that_there_is_not_is_refused(tmp_path: Path, classes: int):
    with pytest.raises(DataError, match=f"must be 2 to 1,000, got {classes}"):
        imagenet16(tmp_path, classes=classes)


def test_classes_without_an_image_are_named(tmp_path: Path):
    folder = write(tmp_path, {name: (data[:1], [900]) for name, (data, _) in MADE.items()})
    with pytest.raises(DataError, match="has no image of the first 120 classes: take more classes"):
        imagenet16(folder)
