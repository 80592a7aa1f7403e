import numpy as np
import pytest
import torch

from mixop.core.errors import DataError, MixopError, RecipeError
from mixop.data import Data, from_arrays
from mixop.tasks.classification import Classification
from mixop.tasks.multilabel import MultiLabel
from mixop.tasks.regression import Regression
from mixop.tasks.segmentation import Segmentation

RNG = np.random.default_rng(0)
X = RNG.integers(0, 256, (48, 3, 8, 8), dtype=np.uint8)
Y = np.arange(48) % 4


def read(data: Data) -> tuple[np.ndarray, np.ndarray]:
    """All inputs and targets in the order of the pool."""
    batch = data.examples.read(torch.arange(len(data.examples)))
    return batch.x.numpy(), batch.y.numpy()


@pytest.mark.parametrize(
    "x",
    [X, X.transpose(0, 2, 3, 1), torch.from_numpy(X), np.asfortranarray(X)],
    ids=["nchw", "nhwc", "tensor", "fortran order"],
)
def test_every_layout_gives_the_same_images(x):
    data = from_arrays(x, Y)
    assert np.array_equal(read(data)[0], X)
    assert np.array_equal(read(data)[1], Y)
    assert torch.cat([data.train, data.valid, data.test]).sort().values.tolist() == list(range(48))


def test_grey_images_without_a_channel_axis():
    data = from_arrays(X[:, 0], Y, test=(X[:8, 0], Y[:8]))
    assert np.array_equal(read(data)[0][:48, 0], X[:, 0])
    assert data.shape == (1, 8, 8)
    assert data.record["read_as"] == "grey images (N, H, W)"


def test_given_parts_are_kept_apart_and_changes_of_the_arrays_do_not_reach_the_data():
    x, y = X.copy(), Y.copy()
    data = from_arrays(x, y, valid=(x[8:20], y[8:20]), test=(x[:8], y[:8]), classes=["p", "q", "r", "s"], name="letters")
    x[:], y[:] = 0, 0
    assert np.array_equal(data.examples.read(data.train).x, X)
    assert np.array_equal(data.examples.read(data.valid).x, X[8:20])
    assert np.array_equal(data.targets("test"), Y[:8])
    assert (data.task.classes, data.name) == (("p", "q", "r", "s"), "letters")
    split = {"method": "stratified", "valid": "came with the set", "seed": 0}
    assert data.record == {"read_as": "images (N, C, H, W)", "split": split}


@pytest.mark.parametrize(
    ("shape", "expected", "what"),
    [
        ((48, 5), (5,), "features (N, F)"),
        ((48, 3, 20), (3, 20), "signals (N, C, L)"),
        ((48, 3, 8, 12), (3, 8, 12), "images (N, C, H, W)"),
        ((48, 8, 12, 3), (3, 8, 12), "images (N, H, W, C)"),
    ],
)
def test_inputs_of_any_shape(shape: tuple[int, ...], expected: tuple[int, ...], what: str):
    data = from_arrays(RNG.random(shape), Y)
    assert (data.shape, data.outputs) == (expected, 4)
    assert data.record["read_as"] == what
    batch = data.batch(data.train)
    assert batch.x.shape == (len(data.train), *expected)
    assert len(data.augment.mean) == expected[0]


def test_signals_with_time_first_are_read_when_told():
    x = RNG.random((48, 128, 6)).astype(np.float32)
    with pytest.raises(DataError, match="pass layout='ncl', 'nlc' or 'nhw'"):
        from_arrays(x, Y)
    assert np.array_equal(read(from_arrays(x, Y, layout="nlc"))[0], x.transpose(0, 2, 1))
    assert from_arrays(x[..., 0], Y, layout="nl").shape == (1, 128)


@pytest.mark.parametrize(
    ("y", "task", "dtype"),
    [
        (Y, Classification(tuple("0123")), torch.int64),
        (Y.astype(np.uint8), Classification(tuple("0123")), torch.int64),
        (Y.reshape(-1, 1).astype(np.uint16), Classification(tuple("0123")), torch.int64),
        (Y > 1, Classification(("0", "1")), torch.int64),
        (np.eye(4, dtype=np.int64)[Y], MultiLabel(tuple("0123")), torch.float32),
        (np.eye(4, dtype=bool)[Y], MultiLabel(tuple("0123")), torch.float32),
        (RNG.integers(0, 3, (48, 8, 8)), Segmentation(tuple("012")), torch.int64),
        (RNG.integers(0, 3, (48, 1, 8, 8)).astype(np.uint8), Segmentation(tuple("012")), torch.int64),
        (RNG.integers(0, 3, (48, 8, 8, 1)), Segmentation(tuple("012")), torch.int64),
    ],
)
def test_the_task_is_that_of_the_targets(y: np.ndarray, task, dtype: torch.dtype):
    data = from_arrays(X, y)
    assert data.task == task
    assert data.examples.targets.dtype == dtype
    assert np.array_equal(
        data.examples.targets.numpy().squeeze(), np.asarray(y).squeeze().astype(data.examples.targets.numpy().dtype)
    )


@pytest.mark.parametrize("shape", [(48,), (48, 1), (48, 3)])
def test_floats_are_a_regression(shape: tuple[int, ...]):
    y = RNG.normal(size=shape)
    data = from_arrays(X, y)
    assert isinstance(data.task, Regression)
    assert data.outputs == (3 if shape == (48, 3) else 1)
    assert np.array_equal(read(data)[1], y.astype(np.float32).reshape(48, -1).squeeze())
    assert np.array_equal(read(from_arrays(X, Y.astype(float), task=Regression()))[1], Y.astype(np.float32))


def test_labels_may_be_texts():
    animals = np.array(["owl", "cat", "dog", "ant"])
    data = from_arrays(X, animals[Y], test=(X[:4], animals.reshape(4, 1)))
    assert data.task == Classification(("ant", "cat", "dog", "owl"))
    assert data.targets("test").tolist() == [3, 1, 2, 0]
    assert [data.task.classes[k] for k in data.examples.targets[:48].tolist()] == animals[Y].tolist()
    ordered = from_arrays(X, animals[Y].tolist(), classes=animals.tolist())
    assert ordered.examples.targets.tolist() == Y.tolist()
    with pytest.raises(DataError, match=r"y \(test\) has the label 'bee', but the classes are ant, cat, dog, owl"):
        from_arrays(X, animals[Y], test=(X[:1], ["bee"]))
    with pytest.raises(DataError, match="y has the label 'ant', but the classes are cat, dog, owl"):
        from_arrays(X, animals[Y], classes=["cat", "dog", "owl"])


def test_a_task_that_is_given_decides():
    assert isinstance(from_arrays(X, Y, task=Regression(unit="km")).task, Regression)
    labels = np.arange(48).reshape(-1, 1) % 2
    assert from_arrays(X, labels, task=MultiLabel()).examples.targets.shape == (48, 1)
    smooth = from_arrays(X, Y, task=Classification(smoothing=0.1), classes=list("abcd")).task
    assert smooth == Classification(tuple("abcd"), smoothing=0.1)


def with_value(value: float) -> np.ndarray:
    x = X.astype(np.float64)
    x[5, 0, 0, 0] = value
    return x


@pytest.mark.parametrize(
    ("x", "y", "sentence"),
    [
        (X.reshape(48, 3, 4, 4, 4), Y, r"must hold features \(N, F\), signals"),
        (X.astype(object), Y, "got object"),
        (X.astype(str), Y, "must hold numbers"),
        ([[1.0], [2.0, 3.0]], [0, 1], "rows differ in length"),
        (with_value(float("nan")), Y, "example 5 holds NaN or infinity"),
        (with_value(float("-inf")), Y, "example 5 holds NaN or infinity"),
        (with_value(1e300), Y, "too large for float32"),
        (X[:0], Y[:0], "must be numbers, one or more for each example"),
        (X, Y[:0], "must be numbers, one or more for each example"),
        (X, Y[:-1], "one target for each example, got 47 and 48"),
        (X, 3, "must hold a target for each example, got a single number"),
        (X, Y.astype(bytes), r"y must hold numbers as targets, or strings as class labels, got \|S"),
        (X, Y - 1, "class numbers from 0 up, got -1"),
        (X, np.where(Y == 3, 10**12, Y), "got 1000000000000"),
        (X, Y + 1, "Class '0' has 0 examples, but it needs at least 3"),
        (X, Y * 0, "are all 0: a task needs examples of at least two classes"),
        (
            X,
            np.where(np.arange(48) == 0, 4, Y),
            "Class '4' has 1 example, but it needs at least 3, one each for train, valid and test",
        ),
        (X, (Y > 1).astype(float), "give task=Classification.. and integers for labels, or task=Regression"),
        (X, np.eye(4, dtype=int)[Y] * 3, r"Whole numbers of shape \(48, 4\) can mean several things"),
        (X, with_value(float("nan"))[:, 0, 0, 0], "must be finite, but example 5"),
    ],
)
def test_bad_arrays_are_refused(x, y, sentence: str):
    with pytest.raises(DataError, match=sentence):
        from_arrays(x, y)


def test_names_that_do_not_fit_are_refused():
    with pytest.raises(DataError, match="from 0 to 2, got 3"):
        from_arrays(X, Y, classes=["a", "b", "c"])
    with pytest.raises(DataError, match="y is for regression, which has no classes to name: leave out the names"):
        from_arrays(X, RNG.random(48), classes=["a", "b", "c"])
    with pytest.raises(RecipeError, match="'a' twice"):
        from_arrays(X, Y, classes=["a", "a", "b", "c"])


@pytest.mark.parametrize(
    ("test", "sentence"),
    [
        ((X, np.arange(48) % 5), r"targets of arrays \(test\) must be class numbers from 0 to 3, got 4"),
        ((X[..., :5], Y), "must have one shape and number type"),
        ((X.astype(np.float32), Y), "must have one shape and number type"),
        ((X[:, 0], Y), r"x \(test\) must hold images \(N, C, H, W\) by its layout 'nchw'"),
    ],
)
def test_a_test_set_that_does_not_fit_is_refused(test, sentence: str):
    with pytest.raises(MixopError, match=sentence):
        from_arrays(X, Y, test=test)
