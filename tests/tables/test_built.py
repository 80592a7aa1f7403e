"""Files of built benchmarks, of this version and the one before: every number comes back."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixop.core.errors import DataError, SpaceError
from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.spaces import CellSpace, NasBench201
from mixop.tables import Table, convert, convert_built


def built(folder: Path, **changes: Any) -> tuple[Path, dict[str, Any]]:
    """A file as building a benchmark wrote it in mixop 0.1, with counts of right answers: three operations."""
    rng = np.random.default_rng(3)
    space = NasBench201(operations=("skip_connect", "nor_conv_3x3", "avg_pool_3x3"))
    texts = [space.to_native(a) for a, _ in zip(space.architectures(), range(729), strict=False)]
    shape = (729, 3, 4)
    arrays: dict[str, Any] = {
        "arch": np.array(texts).astype(bytes),
        "valid_correct": rng.integers(0, 361, shape).astype(np.uint16),
        "test_correct": rng.integers(0, 541, shape).astype(np.uint16),
        "train_loss": rng.uniform(0, 3, shape).astype(np.float16),
        "epochs": np.array([1, 3, 9, 27]),
        "seeds": np.array([0, 1, 2]),
        "valid_images": np.array(360),
        "test_images": np.array(540),
        "params": rng.integers(1000, 90_000, 729),
        "flops": rng.integers(10**5, 10**8, 729),
        "seconds": rng.uniform(1, 9, (729, 3)).astype(np.float32),
        **changes,
    }
    arrays = {key: value for key, value in arrays.items() if value is not None}
    path = folder / "nasbench201-digits.npz"
    np.savez(path, **arrays)
    return path, arrays


@pytest.mark.parametrize("one", [False, True])
def test_built_benchmarks(tmp_path: Path, one: bool):
    path, arrays = built(tmp_path, **({"seconds": np.linspace(1, 9, 729)} if one else {}))
    table = Table.open(convert(path, tmp_path / "nasbench201-digits.table"), verify=True)
    assert table.name == "nasbench201-digits"
    assert table.measures == (ACCURACY, LOSS)
    assert table.datasets == ("digits",)
    assert table.space == NasBench201(operations=("skip_connect", "nor_conv_3x3", "avg_pool_3x3"))
    assert table.lengths("digits", "valid") == (27,)
    for split, images in (("valid", 360), ("test", 540)):
        for r in range(3):
            for t, after in enumerate((1, 3, 9, 27)):
                read = table.column(dataset="digits", split=split, seed=r, after=after, reveal_test=True)
                np.testing.assert_array_equal(np.rint(read * images / 100), arrays[f"{split}_correct"][:, r, t])
    assert {c.dtype for c in table.columns if c.metric == "accuracy"} == {"<u2"}
    view = table.for_search(dataset="digits")
    seconds = arrays["seconds"][5] if one else arrays["seconds"][5, 1]
    assert view.seconds(5, seed=1) == pytest.approx(float(seconds), rel=1e-6)
    assert view.seconds(5, seed=1, after=9) == pytest.approx(float(seconds) / 3, rel=1e-6)
    assert view.cost("flops", 5) == arrays["flops"][5]
    assert table.query(7, dataset="digits", split="train", metric="loss", seed=2, after=3) == arrays["train_loss"][7, 2, 1]


def test_built_benchmarks_of_another_space_and_name(tmp_path: Path):
    space = CellSpace(operations=("none", "nor_conv_3x3"), nodes=3, name="mine")
    texts = [space.to_native(a) for a in space.architectures()]
    path, _ = built(tmp_path)
    arrays = dict(np.load(path, allow_pickle=False))
    cut = {key: value[: len(texts)] if value.ndim and len(value) == 729 else value for key, value in arrays.items()}
    np.savez(path, **{**cut, "arch": np.array(texts)})
    table = Table.open(convert_built(path, tmp_path / "t", name="mine", space=space, dataset="faces"))
    assert (table.space, table.datasets, table.name) == (space, ("faces",), "mine")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"train_loss": None}, "must hold train_loss"),
        ({"seeds": np.array([0, 1])}, "must have the shape"),
        ({"valid_images": np.array(100)}, "counts 360 of 100 images"),
        ({"seconds": np.zeros((729, 2))}, "seconds of .* must have the shape"),
        ({"params": np.zeros(3)}, "each of the 729"),
        ({"arch": np.array(["x"] * 729)}, "comes twice"),
    ],
)
def test_built_files_that_are_wrong(tmp_path: Path, changes: dict[str, Any], says: str):
    path, _ = built(tmp_path, **changes)
    with pytest.raises((DataError, SpaceError), match=says):
        convert_built(path, tmp_path / "x.table")


RMSE, R2 = Measure("rmse", "lower", "kg"), Measure("r2", "higher")
SHARE = Measure("exact", "higher", style="percent")


def measured(folder: Path, **changes: Any) -> tuple[Path, dict[str, Any]]:
    """A file as building a benchmark writes it: every measure of the task on both splits."""
    rng = np.random.default_rng(4)
    _, arrays = built(folder)
    old = [name for name in arrays if name.endswith(("_correct", "_images"))]
    for name in old:
        del arrays[name]
    shape = arrays["train_loss"].shape
    arrays |= {f"{split}_rmse": rng.uniform(1, 9, shape) for split in ("valid", "test")}
    arrays |= {f"{split}_r2": rng.uniform(-1, 1, shape) for split in ("valid", "test")}
    arrays |= {f"{split}_exact": rng.integers(0, 361, shape) / 360 for split in ("valid", "test")}
    arrays |= {"valid_examples": np.array(360), "test_examples": np.array(360)}
    arrays["measures"] = np.array(json.dumps([m.to_json() for m in (RMSE, R2, SHARE)]))
    arrays["valid_rmse"][5, 1, 2] = np.nan
    arrays |= changes
    path = folder / "made-weights.npz"
    np.savez(path, **{name: value for name, value in arrays.items() if value is not None})
    return path, arrays


def test_a_build_of_any_task_is_read_with_its_measures(tmp_path: Path):
    path, arrays = measured(tmp_path)
    table = Table.open(convert(path, tmp_path / "t"), verify=True)
    assert table.measures == (RMSE, R2, SHARE)
    where: dict[str, Any] = {"dataset": "weights", "reveal_test": True}
    for split in ("valid", "test"):
        for r in range(3):
            for t, after in enumerate((1, 3, 9, 27)):
                for measure in (RMSE, R2, SHARE):
                    read = table.column(split=split, metric=measure.name, seed=r, after=after, **where)
                    wanted = measure.scale * arrays[f"{split}_{measure.name}"][:, r, t]
                    np.testing.assert_allclose(read, wanted, rtol=1e-6)  # float32 in the file
    assert {c.dtype for c in table.columns if c.metric == "exact"} == {"<u2"}  # a share of 360 examples is a count
    means = arrays["valid_rmse"][:, :, -1].mean(axis=1)
    assert table.optimum(dataset="weights", split="valid").index == int(means.argmin())
    assert table.rank(int(means.argmin()), dataset="weights", split="valid") == 1


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"valid_r2": None}, "must hold valid_r2"),
        ({"test_examples": None}, "must hold test_examples"),
        ({"test_rmse": np.zeros((729, 3))}, "test_rmse of .* must have the shape"),
        ({"measures": np.array("accuracy")}, "measures of .* must be a JSON list"),
        ({"measures": np.array('[{"name": "rmse"}]')}, "measures of .* must be a JSON list"),
        ({"measures": np.array("[]")}, "must name at least one measure"),
    ],
)
def test_measured_files_that_are_wrong(tmp_path: Path, changes: dict[str, Any], says: str):
    path, _ = measured(tmp_path, **changes)
    with pytest.raises(DataError, match=says):
        convert_built(path, tmp_path / "x.table")
