import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mixop.core.errors import DataError
from mixop.core.values import from_plain, to_plain
from mixop.data import (
    PARTS,
    SOURCES,
    Augment,
    Cifar10,
    Cifar100,
    Data,
    Digits,
    Folder,
    ImageNet16,
    Npz,
    Preparation,
    Source,
    Split,
    Text,
    digits,
    from_arrays,
    from_dataset,
    from_npz,
)
from mixop.data.core import assemble
from mixop.data.examples import Arrays, Joined
from mixop.runs.files import DATA
from mixop.runs.identity import essence
from mixop.tasks.base import Task
from mixop.tasks.classification import Classification
from mixop.tasks.regression import Regression
from mixop.tasks.segmentation import Segmentation

X = torch.arange(12 * 4 * 4, dtype=torch.uint8).view(12, 1, 4, 4)
Y = torch.tensor([0, 1] * 6)


def small(*, x: torch.Tensor = X, y: torch.Tensor = Y, **changes) -> Data:
    """Twelve images of two classes."""
    fields = {
        "name": "small",
        "task": Classification(("a", "b")),
        "examples": Arrays(x, y),
        "train": torch.tensor([0, 1, 2, 3]),
        "valid": torch.tensor([4, 5]),
        "test": torch.tensor([8, 9, 10, 11]),
    }
    return Data(**{**fields, **changes})


def test_inputs_and_targets_are_at_hand():
    data = small()
    assert torch.equal(data.x, X)
    assert torch.equal(data.y, Y)
    assert torch.equal(data.test_x, X[8:])
    assert torch.equal(data.test_y, Y[8:])
    assert torch.equal(data.y[data.train], data.targets("train"))
    lazy = from_dataset([(image, int(label)) for image, label in zip(X, Y, strict=True)], memory_bytes=0)
    with pytest.raises(DataError, match=r"The inputs of dataset stay where they are .* data\.batch\(data\.train\[:32\]\)\.x"):
        _ = lazy.x
    assert torch.equal(lazy.y, Y)


def test_a_source_means_the_same_in_every_working_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    lists = {"train": [0, 1, 2, 3], "valid": [4, 5], "test": [6, 7, 8, 9, 10, 11]}
    (tmp_path / "here").mkdir()
    np.savez(tmp_path / "here" / "set.npz", x=X, y=Y)
    (tmp_path / "here" / "lists.json").write_text(json.dumps(lists))
    monkeypatch.chdir(tmp_path / "here")
    data = from_npz("set.npz", index_file="lists.json")
    assert data.source is not None
    described = data.describe()["source"]
    assert (described["path"], described["split"]["index_file"]) == tuple(
        str(tmp_path / "here" / name) for name in ("set.npz", "lists.json")
    )
    monkeypatch.chdir(tmp_path)
    assert data.with_split(replace(data.source.split, seed=1)).fingerprint == data.fingerprint
    (tmp_path / "here").rename(tmp_path / "there")
    moved = data.source.at("there/set.npz", tmp_path / "there" / "lists.json")
    assert moved.path == str(tmp_path / "there" / "set.npz")
    again = moved.load()
    assert again.fingerprint == data.fingerprint
    assert essence(DATA, again.describe()) == essence(DATA, data.describe()) != essence(DATA, small().describe())


def test_a_place_that_a_source_does_not_have_is_refused(tmp_path: Path):
    with pytest.raises(DataError, match="data of digits come from no path"):
        Digits().at(tmp_path)
    with pytest.raises(DataError, match="made by shares, not by a file of index lists"):
        Npz("set.npz").at(index_file="lists.json")


def test_properties_and_description():
    data = small(record={"split": {"method": "by hand"}})
    assert (data.shape, data.outputs, data.dense, data.tokens) == ((1, 4, 4), 2, False, False)
    assert data.at("valid", "test").tolist() == [4, 5, 8, 9, 10, 11]
    assert data.targets("train").tolist() == [0, 1, 0, 1]
    description = data.describe()
    assert json.loads(json.dumps(description)) == description
    assert description["counts"] == {"train": 4, "valid": 2, "test": 4}
    assert description["class_counts"] == {"train": [2, 2], "valid": [1, 1], "test": [2, 2]}
    assert (description["shape"], description["dtype"]) == ([1, 4, 4], "uint8")
    assert description["task"]["classes"] == ["a", "b"]
    assert description["record"] == {"split": {"method": "by hand"}}
    assert description["source"] is None


def test_the_fingerprint_sees_every_number_and_index_and_nothing_else():
    data = small()
    assert len(data.fingerprint) == 64
    same = small(name="other", task=Classification(("c", "d")), augment=Augment(flip=True))
    assert data.fingerprint == same.fingerprint == data.to("cpu").fingerprint
    prints = {
        small(x=X.index_fill(0, torch.tensor(7), 1)).fingerprint,
        small(x=X.float()).fingerprint,
        small(y=Y.flip(0)).fingerprint,
        small(train=torch.tensor([0, 1, 2])).fingerprint,
        small(valid=torch.tensor([4, 7])).fingerprint,
        small(test=torch.tensor([8, 9])).fingerprint,
        small(train=torch.tensor([0, 1, 2, 3, 4, 5]), valid=torch.tensor([6, 7])).fingerprint,
    }
    assert len(prints | {data.fingerprint}) == 8


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"x": torch.zeros(12)}, r"must have the shape \(N, C, H, W\), \(N, C, L\) or \(N, F\)"),
        ({"x": torch.zeros(12, 1, 4, 4).double()}, "must be uint8 .* or float32, got torch.float64"),
        ({"x": torch.zeros(12, 1, 4, 4, dtype=torch.int32)}, "must be uint8"),
        ({"x": torch.full((12, 1, 4, 4), float("nan"))}, "example 0 holds NaN or infinity"),
        ({"x": torch.zeros(0, 1, 4, 4), "y": Y[:0]}, "small is empty"),
        ({"x": X[:7]}, "one target for each example, got 12 and 7"),
        ({"y": torch.tensor([0, 2] * 6)}, "from 0 to 1, got 2"),
        ({"y": torch.tensor([0, -1] * 6)}, "from 0 to 1, got -1"),
        ({"y": torch.tensor([0.0, 1.0] * 6)}, "one int64 for every example, got torch.float32"),
        ({"train": torch.tensor([0, 2])}, "leaves class 'b' without an example in its train part"),
        ({"valid": torch.tensor([3, 4])}, "overlap \\(both hold 3\\)"),
        ({"test": torch.tensor([3, 8])}, "'train' and 'test' overlap \\(both hold 3\\)"),
        ({"valid": torch.tensor([4, 13])}, "'valid' holds 13, but the set has 12 examples"),
        ({"train": torch.tensor([1, 1, 0], dtype=torch.uint8)}, "must be int64"),
        ({"test": torch.zeros(0, dtype=torch.int64)}, "indices test of small must be a plain list with at least one"),
        ({"augment": Augment(mean=(0.0, 0.0), std=(1.0, 1.0))}, "for 2 channels, but the inputs have 1"),
        ({"augment": Augment(crop=4)}, "crop must be smaller than the image, 4 pixels, got 4"),
        ({"augment": Augment(cutout=5)}, "cutout must be smaller than the image"),
        (
            {"x": X.view(12, 16), "augment": Augment(flip=True)},
            r"Augment is for images .* shape \(16,\)",
        ),
    ],
)
def test_broken_promises_are_refused(changes: dict, sentence: str):
    with pytest.raises(DataError, match=sentence):
        small(**changes)


def joined_parts(*, test_x: torch.Tensor = X[8:], test_y: torch.Tensor = Y[8:], task: Task | None = None) -> Data:
    return assemble(
        "parts",
        Arrays(X[:6], Y[:6]),
        valid=Arrays(X[6:8], Y[6:8]),
        test=Arrays(test_x, test_y),
        task=task or Classification(),
        split=Split(),
        augment=Preparation(),
        source=None,
        record={},
    )


def test_parts_that_come_with_a_set_are_the_parts():
    data = joined_parts()
    assert [data.at(part).tolist() for part in ("train", "valid", "test")] == [list(range(6)), [6, 7], [8, 9, 10, 11]]
    assert isinstance(data.examples, Arrays)
    assert torch.equal(data.examples.x, X)
    assert data.task.classes == ("0", "1")
    assert data.record["split"]["valid"] == "came with the set"
    assert data.augment == Augment(mean=data.augment.mean, std=data.augment.std)
    assert data.augment.mean == pytest.approx([(X[:6].double() / 255).mean().item()])  # of what is trained on only


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"test_x": torch.zeros(4, 1, 4, 5, dtype=torch.uint8)}, "have one shape and number type, got .* 4, 4.* and .* 4, 5"),
        ({"test_x": torch.zeros(4, 1, 4, 4)}, "have one shape and number type"),
        ({"test_x": X[:0], "test_y": Y[:0]}, r"parts \(test\) is empty"),
        ({"test_y": torch.tensor([0, 1, 2, 3])}, r"targets of parts \(test\) must be class numbers from 0 to 1, got 3"),
    ],
)
def test_a_test_set_that_does_not_fit_is_refused(changes: dict, sentence: str):
    with pytest.raises(DataError, match=sentence):
        joined_parts(**changes)


def test_pools_that_cannot_be_one_tensor_are_read_one_behind_the_other():
    pieces = (Arrays(X[:5], Y[:5]), Arrays(X[5:6], Y[5:6]), Arrays(X[6:], Y[6:]))
    joined, at = Joined(pieces), torch.tensor([11, 0, 5, 4, 6, 0])
    batch = joined.read(at, then=torch.tensor([1, 7]))
    assert torch.equal(batch.x, X[at])
    assert torch.equal(batch.y, Y[at])
    assert torch.equal(joined.targets, Y)
    again = pickle.loads(pickle.dumps(joined))
    assert torch.equal(again.read(at).x, X[at])
    assert again.digest == joined.digest != Joined(pieces[::-1]).digest


def test_the_scale_of_values_knows_nothing_of_the_test():
    rng = np.random.default_rng(0)
    x, y = rng.random((50, 4)), rng.normal(3.0, 2.0, 50)
    data = from_arrays(x, y, test_share=0.3)
    assert isinstance(data.task, Regression)
    kept = data.targets("train", "valid").double()
    assert data.task.mean == pytest.approx([kept.mean().item()])
    assert data.task.std == pytest.approx([kept.std(correction=0).item()])
    inputs = torch.from_numpy(x).float()[data.at("train", "valid")].double()
    assert data.augment.mean == pytest.approx(inputs.mean(0).tolist())


def test_images_may_be_changed_by_protocols_and_features_not():
    assert type(small().with_augment(Preparation()).augment) is Augment
    flat = small(x=X.view(12, 16)).with_augment(Preparation())
    assert type(flat.augment) is Preparation


def test_masks_are_padded_with_the_label_that_the_task_ignores():
    rng = np.random.default_rng(0)
    x, masks = rng.integers(0, 256, (20, 3, 6, 8), dtype=np.uint8), rng.integers(0, 3, (20, 6, 8))
    data = from_arrays(x, masks, task=Segmentation(ignore=9), augment=Augment(crop=2))
    assert (data.augment, data.dense, data.outputs) == (replace(data.augment, mask_fill=9), True, 3)
    batch = data.augmented(torch.arange(20), torch.Generator().manual_seed(0))
    assert (batch.y == 9).any()
    black = data.augment.plain(torch.zeros(1, 3, 1, 1)).expand_as(batch.x)
    padded = (batch.y == 9).unsqueeze(1).expand_as(batch.x)
    torch.testing.assert_close(batch.x[padded], black[padded])
    own = from_arrays(x, masks, task=Segmentation(ignore=9), augment=Augment(crop=2, mask_fill=1))
    assert own.augment == replace(data.augment, mask_fill=1)


def test_a_new_split_of_arrays_keeps_the_test():
    rng = np.random.default_rng(0)
    data = from_arrays(rng.integers(0, 256, (60, 6, 6), dtype=np.uint8), np.arange(60) % 3)
    other = data.with_split(Split(valid=0.25, seed=3))
    assert torch.equal(other.test, data.test)
    assert other.examples is data.examples
    assert (len(other.train), len(other.valid)) == (36, 12)
    assert other.record["split"] == {"method": "stratified", "valid": 0.25, "seed": 3}


def test_a_new_split_of_a_source_is_what_the_source_gives():
    data = digits(seed=0).with_split(Split(valid=0.3, seed=1))
    assert data.fingerprint == digits(valid=0.3, seed=1).fingerprint
    assert data.source == Digits(split=Split(valid=0.3, seed=1))
    assert data.source.load().fingerprint == data.fingerprint


def test_a_split_by_indices_has_no_source():
    data = digits()
    rest = data.at("train", "valid").sort().values
    other = data.with_indices(train=rest[:700], valid=rest[700:1000].numpy())
    assert (other.train.tolist(), other.valid.tolist()) == (rest[:700].tolist(), rest[700:1000].tolist())
    assert other.source is None
    assert other.record["split"] == {"method": "indices"}
    with pytest.raises(DataError, match="overlap"):
        data.with_indices(train=data.test, valid=data.valid)


def shifted(batch, generator):
    return batch


def test_another_augmentation_reaches_the_source():
    data = digits().with_augment(Augment(crop=2, flip=True))
    assert (data.augment.crop, data.augment.flip) == (2, True)
    assert data.source is not None
    assert data.source.load().augment == data.augment
    assert data.augment.mean == digits().augment.mean
    given = Augment(mean=(0.5,), std=(0.25,))
    assert data.with_augment(given).augment == given
    assert small().with_augment(shifted).augment.function.endswith(":shifted")


@pytest.mark.parametrize("batch_size", [1, 3, 4, 10])
def test_a_sweep_sees_a_part_once_in_order(batch_size: int):
    data = small(train=torch.tensor([0, 1]), valid=torch.tensor([2, 3]), test=torch.arange(11, 3, -1))
    batches = list(data.sweep("test", batch_size))
    assert torch.equal(torch.cat([batch.y for batch in batches]), data.targets("test"))
    assert torch.equal(torch.cat([batch.x for batch in batches]), data.batch(data.test).x)
    assert len(list(data.sweep("test", 3, batches=2))) == 2


def test_a_stream_draws_a_part_or_several():
    data = small()
    for parts, indices in ((("train",), {0, 1, 2, 3}), (("train", "valid"), set(range(6)))):
        stream = data.stream(parts, 2, torch.Generator().manual_seed(0))
        assert set(torch.cat([stream.next() for _ in range(stream.batches)]).tolist()) == indices
    with pytest.raises(DataError, match="batch of 5 is larger than the weight split of 4 examples"):
        data.stream(("train",), 5, torch.Generator())


@pytest.mark.parametrize(
    "source",
    [
        Digits(split=Split(valid=0.25, seed=3, stratified=False)),
        Cifar10("data/", augment=Augment(crop=2, cutout=16, mean=(0.1, 0.2, 0.3), std=(1.0, 2.0, 3.0))),
        Cifar100("data/", split=Split(index_file="lists.json")),
        Cifar100("data/", coarse=True),
        ImageNet16("data/", classes=7),
        Npz("x.npz", layout="nhwc"),
        Npz("x.npz", task=Regression(unit="km"), augment=Preparation(function="mine:noisy")),
        Npz("x.npz", task=Segmentation(("sky", "sea"), ignore=255)),
        Folder("flowers", size=64, channels=1),
        Folder("flowers", size=(48, 64)),
        Text("ptb/", window=20, random_lengths=True),
    ],
)
def test_a_source_survives_json(source: Source):
    plain = json.loads(json.dumps(to_plain(source)))
    assert from_plain(plain, Source, PARTS) == source
    assert SOURCES[source.name] is type(source)
    assert hash(source) == hash(from_plain(plain, type(source), PARTS))
