import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError
from mixop.core.values import from_plain, to_plain
from mixop.data import SOURCES, Augment, Cifar10, Cifar100, Data, Digits, Folder, Npz, Source, Split, digits, from_arrays
from mixop.data.core import measured

PARTS = {cls.__name__: cls for cls in (*SOURCES.values(), Split, Augment)}


def small(**changes) -> Data:
    """Twelve images of two classes."""
    fields = {
        "name": "small",
        "x": torch.arange(8 * 4 * 4, dtype=torch.uint8).view(8, 1, 4, 4),
        "y": torch.tensor([0, 1] * 4),
        "test_x": torch.zeros(4, 1, 4, 4, dtype=torch.uint8),
        "test_y": torch.tensor([0, 1, 0, 1]),
        "classes": ("a", "b"),
        "train": torch.tensor([0, 1, 2, 3]),
        "valid": torch.tensor([4, 5]),
        "augment": Augment(),
    }
    return Data(**{**fields, **changes})


def test_properties_and_description():
    data = small(record={"split": {"method": "by hand"}})
    assert (data.channels, data.size) == (1, 4)
    description = data.describe()
    assert json.loads(json.dumps(description)) == description
    assert description["counts"] == {"training": 8, "train": 4, "valid": 2, "test": 4}
    assert description["class_counts"] == {"train": [2, 2], "valid": [1, 1], "test": [2, 2]}
    assert description["shape"] == [1, 4, 4]
    assert description["record"] == {"split": {"method": "by hand"}}
    assert description["source"] is None


def test_the_fingerprint_sees_every_tensor_and_nothing_else():
    data = small()
    assert len(data.fingerprint) == 64
    assert data.fingerprint == small(name="other", classes=("c", "d"), augment=Augment(flip=True)).fingerprint
    assert data.fingerprint == data.to("cpu").fingerprint
    changed = {
        "x": data.x.clone().index_fill_(0, torch.tensor(7), 1),
        "y": data.y.flip(0),
        "test_x": data.test_x + 1,
        "test_y": data.test_y.flip(0),
        "train": torch.tensor([0, 1, 2]),
        "valid": torch.tensor([4, 7]),
    }
    prints = {replace(data, **{name: tensor}).fingerprint for name, tensor in changed.items()}
    assert len(prints | {data.fingerprint}) == 7


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"x": torch.zeros(8, 4, 4)}, r"must have the shape \(N, C, H, W\)"),
        ({"x": torch.zeros(8, 1, 4, 5)}, "must be square, got 4 x 5"),
        ({"x": torch.zeros(8, 1, 4, 4).double()}, "must be uint8 .* or float32, got torch.float64"),
        ({"x": torch.zeros(8, 1, 4, 4, dtype=torch.int32)}, "must be uint8"),
        ({"x": torch.full((8, 1, 4, 4), float("nan"))}, "image 0 holds NaN or infinity"),
        ({"x": torch.zeros(0, 1, 4, 4)}, "small is empty"),
        ({"x": torch.zeros(7, 1, 4, 4)}, "8 labels and 7 images"),
        ({"test_x": torch.zeros(0, 1, 4, 4), "test_y": torch.zeros(0).long()}, r"small \(test\) is empty"),
        ({"test_x": torch.zeros(4, 1, 4, 4)}, "test images of small must be like its training images"),
        ({"test_x": torch.zeros(4, 3, 4, 4, dtype=torch.uint8)}, "must be like its training images"),
        ({"y": torch.tensor([0, 2] * 4)}, "must run from 0 to 1, got 2"),
        ({"y": torch.tensor([0, -1] * 4)}, "must run from 0 to 1, got -1"),
        ({"test_y": torch.tensor([0, 1, 2, 3])}, r"labels of small \(test\) must run from 0 to 1, got 3"),
        ({"y": torch.tensor([0.0, 1.0] * 4)}, "one int64 for each image, got torch.float32"),
        ({"classes": ("a",)}, "at least two classes, got 1"),
        ({"classes": ("a", "a")}, "must differ, got a, a"),
        ({"train": torch.tensor([0, 2])}, "leaves class 'b' without an example in its train part"),
        ({"valid": torch.tensor([3, 4])}, "overlap, both hold 3"),
        ({"valid": torch.tensor([4, 9])}, "'valid' holds 9, but the set has 8 examples"),
        ({"train": torch.tensor([1, 1, 0], dtype=torch.uint8)}, "must be int64"),
        ({"augment": Augment(mean=(0.0, 0.0), std=(1.0, 1.0))}, "for 2 channels, but the images have 1"),
        ({"augment": Augment(crop=4)}, "crop must be smaller than the image, 4 pixels, got 4"),
        ({"augment": Augment(cutout=5)}, "cutout must be smaller than the image"),
    ],
)
def test_broken_promises_are_refused(changes: dict, sentence: str):
    with pytest.raises(DataError, match=sentence):
        small(**changes)


def test_a_new_split_of_arrays_keeps_the_test():
    rng = np.random.default_rng(0)
    data = from_arrays(rng.integers(0, 256, (60, 6, 6), dtype=np.uint8), np.arange(60) % 3)
    other = data.with_split(Split(valid=0.25, seed=3))
    assert torch.equal(other.x, data.x)
    assert torch.equal(other.test_x, data.test_x)
    assert (len(other.train), len(other.valid)) == (36, 12)
    assert other.record["split"] == {"method": "stratified", "valid": 0.25, "seed": 3}


def test_a_new_split_of_a_source_is_what_the_source_gives():
    data = digits(seed=0).with_split(Split(valid=0.3, seed=1))
    assert data.fingerprint == digits(valid=0.3, seed=1).fingerprint
    assert data.source == Digits(split=Split(valid=0.3, seed=1))
    assert data.source.load().fingerprint == data.fingerprint


def test_a_split_by_indices_has_no_source():
    data = digits().with_indices(train=range(0, 700), valid=np.arange(700, 1000))
    assert (data.train[-1], data.valid[0], data.source) == (699, 700, None)
    assert data.record["split"] == {"method": "indices"}


def test_another_augmentation_reaches_the_source():
    data = digits().with_augment(Augment(crop=2, flip=True))
    assert (data.augment.crop, data.augment.flip) == (2, True)
    assert data.source is not None
    assert data.source.load().augment == data.augment
    assert data.augment.mean == digits().augment.mean
    given = Augment(mean=(0.5,), std=(0.25,))
    assert data.with_augment(given).augment == given


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32])
def test_measured_moments_normalise_the_training_images(dtype: torch.dtype):
    x = torch.randint(0, 200, (50, 3, 6, 6), dtype=torch.uint8, generator=torch.Generator().manual_seed(0)).to(dtype)
    augment = measured(Augment(crop=1), x)
    normal = augment.plain(x).double()
    # float32 rounding of 1,800 numbers near 1
    torch.testing.assert_close(normal.mean((0, 2, 3)), torch.zeros(3).double(), rtol=0, atol=1e-5)
    torch.testing.assert_close(normal.std((0, 2, 3), correction=0), torch.ones(3).double(), rtol=1e-5, atol=0)
    assert augment.crop == 1


def test_a_constant_channel_is_not_divided_by_zero():
    augment = measured(Augment(), torch.full((5, 1, 3, 3), 0.1))
    assert augment.std == (1.0,)
    assert augment.plain(torch.full((5, 1, 3, 3), 0.1)).abs().max() < 1e-7


@pytest.mark.parametrize(
    "source",
    [
        Digits(split=Split(valid=0.25, seed=3, stratified=False)),
        Cifar10("data/", augment=Augment(crop=2, cutout=16, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))),
        Cifar100("data/", split=Split(index_file="lists.json")),
        Npz("x.npz", layout="nhwc"),
        Folder("flowers", size=64, channels=1),
    ],
)
def test_a_source_survives_json(source: Source):
    plain = json.loads(json.dumps(to_plain(source)))
    assert from_plain(plain, Source, PARTS) == source
    assert SOURCES[source.name] is type(source)
    assert hash(source) == hash(from_plain(plain, type(source), PARTS))
