import pickle
import threading
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import IterableDataset, Subset, TensorDataset

from mixop.core.errors import DataError, DataWarning
from mixop.data import Augment, Data, Preparation, from_arrays, from_dataset
from mixop.data import core as data_core
from mixop.data.datasets import LazyItems
from mixop.data.examples import Arrays, Joined
from mixop.data.portable import Portable
from mixop.tasks.classification import Classification
from mixop.tasks.regression import Regression
from mixop.tasks.segmentation import Segmentation

RNG = np.random.default_rng(0)
X = RNG.random((48, 2, 20)).astype(np.float32)
Y = np.arange(48) % 3


class Pairs:
    """What torch calls a map-style data set: a length and an index; keeps count of what is read, and by whom."""

    def __init__(self, x: Any, y: Any, **about: Any) -> None:
        self.x, self.y, self.reads, self.threads = x, y, [], set()
        self.__dict__.update(about)

    def __len__(self) -> int:
        return len(self.x)

    def __getitem__(self, i: int) -> tuple[Any, Any]:
        self.reads.append(i)
        self.threads.add(threading.get_ident())
        return self.x[i], self.y[i]


class Table:
    """What Hugging Face's data sets look like: columns, rows as mappings, features that name classes."""

    def __init__(self, **columns: Any) -> None:
        self.columns, self.features = columns, {}

    @property
    def column_names(self) -> list[str]:
        return list(self.columns)

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, key: int | str) -> Any:
        return self.columns[key] if isinstance(key, str) else {name: values[key] for name, values in self.columns.items()}


def both(train: Any, *parts: Any, **options: Any) -> tuple[Data, Data]:
    """A set that is read into memory, and the same read while it is trained on."""
    return from_dataset(train, *parts, **options), from_dataset(train, *parts, memory_bytes=0, workers=3, **options)


def everything(data: Data) -> tuple[torch.Tensor, torch.Tensor]:
    batch = data.examples.read(torch.arange(len(data.examples)))
    return batch.x, batch.y


def test_a_set_of_pairs_is_that_of_its_arrays():
    expected = from_arrays(X, Y, valid=0.25, seed=3)
    now, lazy = both(TensorDataset(torch.from_numpy(X), torch.from_numpy(Y)), valid_share=0.25, seed=3)
    assert isinstance(now.examples, Arrays)
    assert isinstance(lazy.examples, LazyItems)
    for data in (now, lazy):
        assert torch.equal(everything(data)[0], torch.from_numpy(X))
        assert torch.equal(everything(data)[1], torch.from_numpy(Y))
        for part in ("train", "valid", "test"):
            assert torch.equal(data.at(part), expected.at(part))
        assert (data.task, data.shape, data.name) == (expected.task, (2, 20), "dataset")
        assert data.record["read_as"] == "signals (N, C, L)"
    assert now.fingerprint == expected.fingerprint
    assert now.augment == expected.augment
    assert (now.record["in_memory"], lazy.record["in_memory"]) == ({"train": True}, {"train": False})


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_batches_do_not_depend_on_the_threads(workers: int):
    now = from_dataset(Pairs(X, Y), valid_share=0.25)
    lazy = from_dataset(Pairs(X, Y), valid_share=0.25, memory_bytes=0, workers=workers)
    lazy = lazy.with_augment(now.augment)
    runs = []
    for data in (now, lazy):
        stream = data.stream(("train",), 5, torch.Generator().manual_seed(1))
        runs.append([data.batch(stream.next(), then=stream.upcoming(data_core.AHEAD)) for _ in range(14)])
        runs[-1] += list(data.sweep("valid", 3))
    for one, other in zip(*runs, strict=True):
        assert torch.equal(one.x, other.x)
        assert torch.equal(one.y, other.y)


def test_examples_are_read_ahead_and_each_once():
    pairs = Pairs(X, Y, targets=Y)
    data = from_dataset(pairs, memory_bytes=0, workers=1, augment=Preparation(mean=(0.0, 0.0), std=(1.0, 1.0)))
    pairs.reads.clear()
    data.batch(torch.tensor([4, 7]), then=torch.tensor([9, 1]))
    data.batch(torch.tensor([9, 1]))
    assert pairs.reads == [4, 7, 9, 1]
    assert pairs.threads - {threading.get_ident()}


def test_targets_are_asked_for_where_the_set_has_them():
    quick, slow = Pairs(X, Y, targets=Y.tolist()), Pairs(X, Y)
    for pairs in (quick, slow):
        data = from_dataset(pairs, memory_bytes=0)
        assert data.examples.targets.tolist() == Y.tolist()
    assert len(slow.reads) - len(quick.reads) >= 40  # one pass over 48 examples less the few that are compared


def test_targets_that_are_not_those_of_the_examples_are_not_believed():
    raw = (Y + 1).tolist()  # before a transform that the examples went through
    assert from_dataset(Pairs(X, Y, targets=raw), memory_bytes=0).examples.targets.tolist() == Y.tolist()


def test_subsets_of_a_set_and_its_class_names():
    whole = Pairs(X, Y, targets=Y.tolist(), classes=["cat", "dog", "owl"])
    train, test = Subset(whole, list(range(4, 48))), Subset(whole, [0, 1, 2, 3])  # pyright: ignore[reportArgumentType]
    for data in both(train, None, test):
        assert data.task == Classification(("cat", "dog", "owl"))
        assert data.targets("test").tolist() == [0, 1, 2, 0]
        assert torch.equal(everything(data)[0], torch.from_numpy(X[[*range(4, 48), 0, 1, 2, 3]]))


def test_parts_of_their_own():
    for data in both(Pairs(X[:30], Y[:30]), Pairs(X[30:39], Y[30:39]), Pairs(X[39:], Y[39:]), name="mine"):
        assert [data.at(part).tolist() for part in ("train", "valid", "test")] == [
            list(range(30)),
            list(range(30, 39)),
            list(range(39, 48)),
        ]
        assert torch.equal(everything(data)[0], torch.from_numpy(X))
        assert data.record["split"]["valid"] == "came with the set"
    assert isinstance(data.examples, Joined)
    with pytest.raises(DataError, match=r"Example|one shape and number type"):
        from_dataset(Pairs(X[:30], Y[:30]), Pairs(X[30:, :, :9], Y[30:]))


@pytest.mark.parametrize(
    ("x", "y", "shape", "task"),
    [
        (RNG.random((30, 7)), RNG.random(30), (7,), Regression),
        (RNG.random((30, 7)).tolist(), (np.arange(30) % 2).tolist(), (7,), Classification),
        (torch.rand(30, 3, 8, 12), torch.randint(0, 3, (30, 8, 12)), (3, 8, 12), Segmentation),
        (RNG.integers(0, 256, (30, 8, 12, 3), dtype=np.uint8), np.arange(30) % 2, (3, 8, 12), Classification),
        (RNG.integers(0, 256, (30, 8, 12), dtype=np.uint8), np.arange(30) % 2, (1, 8, 12), Classification),
        (RNG.integers(-9, 9, (30, 2, 5)), np.arange(30).reshape(-1, 1) % 2, (2, 5), Classification),
    ],
)
def test_inputs_and_targets_of_many_kinds(x: Any, y: Any, shape: tuple[int, ...], task: type):
    expected = from_arrays(x, y)
    for data in both(Pairs(x, y)):
        assert (data.shape, type(data.task)) == (shape, task)
        for got, wanted in zip(everything(data), everything(expected), strict=True):
            assert torch.equal(got, wanted)
        assert data.augmented(data.train, torch.Generator().manual_seed(0)).x.dtype == torch.float32


def test_a_layout_can_be_said():
    x = RNG.random((48, 20, 2)).astype(np.float32)
    with pytest.raises(DataError, match="pass layout='ncl', 'nlc' or 'nhw'"):
        from_dataset(Pairs(x, Y))
    for data in both(Pairs(x, Y), layout="nlc"):
        assert torch.equal(everything(data)[0], torch.from_numpy(x).transpose(1, 2))


def test_pictures():
    image = pytest.importorskip("PIL.Image", reason="needs pillow, the extra 'images'")
    colour = RNG.integers(0, 256, (30, 6, 6, 3), dtype=np.uint8)
    labels = np.arange(30) % 2
    for data in both(Pairs([image.fromarray(pixels) for pixels in colour], labels)):
        assert torch.equal(everything(data)[0], torch.from_numpy(colour).permute(0, 3, 1, 2))
        assert isinstance(data.augment, Augment)
    for data in both(Pairs([image.fromarray(pixels) for pixels in colour[..., 0]], labels)):
        assert torch.equal(everything(data)[0][:, 0], torch.from_numpy(colour[..., 0]))
    mask = RNG.integers(0, 3, (30, 6, 6), dtype=np.uint8)
    palette = [image.fromarray(pixels) for pixels in mask]
    for picture in palette:
        picture.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    pairs = Pairs([image.fromarray(pixels) for pixels in colour], palette)
    for data in both(pairs):
        assert isinstance(data.task, Segmentation)
        assert torch.equal(everything(data)[1], torch.from_numpy(mask).long())
    deep = [image.fromarray(np.full((6, 6), 60000, dtype=np.uint16))] * 30
    with pytest.raises(DataError, match="The input of example 0 of dataset must have 8 bits for each channel, got mode I"):
        from_dataset(Pairs(deep, labels))
    mixed = [image.fromarray(colour[0, ..., 0] if k == 7 else colour[k]) for k in range(30)]
    with pytest.raises(
        DataError, match=r"Example 7 of dataset has the input \(6, 6\) of uint8, but the first one has \(3, 6, 6\)"
    ):
        from_dataset(Pairs(mixed, labels))


class Names:
    """A feature of Hugging Face's that names classes."""

    names = ("cat", "dog", "owl")


def test_a_table_with_columns():
    table = Table(image=list(X), label=Y.tolist(), id=list(range(48)))
    table.features = {"label": Names()}
    with pytest.warns(DataWarning, match=r"^dataset was read without columns of other names \(1: id\)\.$"):
        found = both(table)
    for data in found:
        assert torch.equal(everything(data)[0], torch.from_numpy(X))
        assert data.task == Classification(("cat", "dog", "owl"))
        assert data.record["columns"] == ["image", "label"]
        assert data.record["left_out"] == {"columns of other names": {"count": 1, "first": ["id"]}}
    with pytest.warns(DataWarning, match=r"columns of other names \(1: label\)"):
        found = both(table, columns=("image", "id"), task=Regression())
    for data in found:
        assert everything(data)[1].tolist() == list(range(48))


@pytest.mark.parametrize(
    ("table", "columns", "sentence"),
    [
        (Table(a=X, label=Y), None, r"has the columns a, label: say which are inputs and targets, as columns="),
        (Table(image=X, label=Y, target=Y), None, "has the columns image, label, target: say which"),
        (Table(image=X, label=Y), ("image", "lable"), "has no column 'lable': choose from image, label"),
        (
            [{"x": 1.0, "y": 1}] * 9,
            None,
            r"Example 0 of dataset must be an input and a target, got a mapping of x, y: name",
        ),
        ([{"x": 1.0}] * 9, ("x", "y"), "must have the columns 'x' and 'y', got a mapping of x"),
        ({"train": Table(image=X, label=Y)}, None, "must be one data set, got a mapping of train: pass them one by one"),
        (Table(image=["a"] * 9, label=[0] * 9), None, "The input of example 0 of dataset must be numbers, .* got str"),
        (Table(image=X, label=["a"] * 48), None, "The target of example 0 of dataset must be numbers, .* got str"),
    ],
)
def test_columns_that_do_not_fit_are_refused(table: Any, columns: Any, sentence: str):
    with pytest.raises(DataError, match=sentence):
        from_dataset(table, columns=columns)


def test_rows_without_column_names_take_columns_too():
    rows = [{"signal": x, "class": int(y)} for x, y in zip(X, Y, strict=True)]
    for data in both(rows, columns=("signal", "class")):
        assert torch.equal(everything(data)[0], torch.from_numpy(X))


class Stream(IterableDataset):
    def __iter__(self):
        return iter([])


class Noise(Pairs):
    def __getitem__(self, i: int) -> tuple[Any, Any]:
        return self.x[i] + np.random.default_rng().normal(size=self.x[i].shape), self.y[i]


class Broken(Pairs):
    def __getitem__(self, i: int) -> tuple[Any, Any]:
        if i == 11:
            raise OSError("disk on fire")
        return super().__getitem__(i)


@pytest.mark.parametrize(
    ("train", "sentence"),
    [
        (Stream(), "must be a data set with a length, .* got Stream: a stream of examples cannot be divided or resumed"),
        (iter([]), "must be a data set with a length"),
        ({1, 2}, "must be a data set whose examples can be read by index, got set"),
        (Pairs([], []), "dataset is empty: it must hold at least one example"),
        (Noise(X, Y), "is different each time it is read: take random transforms out .* pass them as augment="),
        (Broken(X, Y), r"Example 11 of dataset cannot be read \(OSError: disk on fire\): fix the data set"),
        ([1, 2, 3], "Example 0 of dataset must be an input and a target, got int: give pairs"),
        ([(1.0, 2, 3)] * 9, "must be an input and a target, got tuple of 3: give pairs"),
        (
            Pairs([*X[:20], X[20, :, :9], *X[21:]], Y),
            r"Example 20 .* the input \(2, 9\) of float32, but the first one has",
        ),
        (Pairs([*X[:20], X[20, 0], *X[21:]], Y), r"Example 20 of dataset has the input \(20,\) of float32"),
        (
            Pairs(X, [*Y[:5].tolist(), [1, 2], *Y[6:].tolist()]),
            r"Example 5 of dataset has the target \(2,\), but the first",
        ),
        (Pairs([None] * 9, Y), "The input of example 0 of dataset must be numbers, .* got NoneType"),
        (Pairs([3.0] * 9, Y[:9]), r"must hold features .* got the shape \(1,\)"),
    ],
)
def test_sets_that_cannot_be_used_are_refused(train: Any, sentence: str):
    for options in ({}, {"memory_bytes": 0}):
        with pytest.raises(DataError, match=sentence):
            from_dataset(train, **options)


def test_bad_numbers_are_named():
    x = X.copy()
    x[5, 0, 0] = np.nan
    with pytest.raises(DataError, match="example 5 holds NaN or infinity"):
        from_dataset(Pairs(x, Y))
    data = from_dataset(Pairs(x, Y), memory_bytes=0, augment=Preparation(mean=(0.0, 0.0), std=(1.0, 1.0)))
    with pytest.raises(DataError, match="Example 5 of dataset holds NaN or infinity"):
        data.batch(torch.tensor([1, 5]))
    with pytest.raises(DataError, match="At least one worker must read the examples, got 0"):
        from_dataset(Pairs(X, Y), workers=0)


def test_the_fingerprint_of_a_set_that_stays_where_it_is():
    def print_of(x: np.ndarray = X, y: np.ndarray = Y, workers: int = 1, **options: Any) -> str:
        return from_dataset(Pairs(x, y), memory_bytes=0, workers=workers, **options).fingerprint

    def changed(i: int) -> np.ndarray:
        return np.where(np.arange(48)[:, None, None] == i, X + 1, X)

    prints = {print_of(), print_of(changed(0)), print_of(changed(47)), print_of(y=Y[::-1].copy()), print_of(seed=1)}
    assert len(prints) == 5
    assert print_of(workers=4) == print_of()
    assert print_of(changed(20)) == print_of()  # as the docstring says: inputs in between are not read


def test_moments_of_a_set_that_stays_where_it_is(monkeypatch: pytest.MonkeyPatch):
    now, lazy = both(Pairs(X, Y))
    assert lazy.augment.mean == pytest.approx(now.augment.mean)
    assert lazy.augment.std == pytest.approx(now.augment.std)
    monkeypatch.setattr(data_core, "MEASURED", 5)
    few = from_dataset(Pairs(X, Y), memory_bytes=0)
    kept = few.at("train", "valid").sort().values
    some = kept[[round(k * (len(kept) - 1) / 4) for k in range(5)]]
    assert few.augment.mean == pytest.approx(X[some].mean((0, 2)).tolist())


def test_a_worker_gets_the_same_set():
    for data in both(Pairs(X[:40], Y[:40]), None, Pairs(X[40:], Y[40:])):
        other = pickle.loads(pickle.dumps(Portable.of(data))).load()
        assert other.fingerprint == data.fingerprint
        assert (other.task, other.augment, other.name) == (data.task, data.augment, data.name)
        at = torch.tensor([3, 45, 0])
        assert torch.equal(other.batch(at).x, data.batch(at).x)


def test_a_set_that_cannot_travel_is_refused():
    pairs = Pairs(X, Y, file=lambda: None)
    assert pickle.dumps(Portable.of(from_dataset(pairs)))  # its numbers can
    lazy = Portable.of(from_dataset(pairs, memory_bytes=0))
    with pytest.raises(DataError, match=r"is read during training and cannot be sent to another process .*: give more"):
        pickle.dumps(lazy)


def test_another_device_shares_the_threads():
    data = from_dataset(Pairs(X, Y), memory_bytes=0)
    assert data.to("cpu").examples is data.examples
    moved = data.examples.to("meta")
    assert (moved.device, moved.read(torch.tensor([1])).x.device) == (torch.device("meta"), torch.device("meta"))
