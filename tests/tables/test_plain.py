"""Plain files: names say what columns are; the real arrays come back exactly."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mixop.core.errors import DataError
from mixop.core.measure import Measure
from mixop.spaces import NasBench201
from mixop.tables import Table, convert, convert_csv, convert_npz

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "nasbench201.npz"
SPACE = NasBench201()
needs_real = pytest.mark.skipif(not REAL.exists(), reason="needs nasbench201.npz beside the project, in ../shared/data")


def strings(count: int) -> np.ndarray:
    return np.array([SPACE.to_native(SPACE.from_index(i)) for i in range(count)]).astype(bytes)


def test_names_say_what_columns_are(tmp_path: Path):
    rng = np.random.default_rng(0)
    arrays = {
        "arch": strings(5),
        "c10_valid_e200": rng.uniform(0, 100, 5).astype(np.float32),
        "c10_test_e200": rng.uniform(0, 100, 5).astype(np.float32),
        "svhn_valid_loss_e10_runs": rng.uniform(0, 9, (5, 2)).astype(np.float32),
        "in16_train_seconds_e200": rng.uniform(0, 9, 5).astype(np.float32),
        "flops_m": np.float32([15.64736, 113.95136, 78.56192, 7.78304, 220.11968]),
        "params": np.arange(5),
        "something": np.arange(5),
    }
    np.savez(tmp_path / "x.npz", **arrays)
    table = Table.open(convert(tmp_path / "x.npz", tmp_path / "x.table"))
    assert table.name == "x"
    np.testing.assert_array_equal(table.column(dataset="cifar10", split="valid"), arrays["c10_valid_e200"])
    np.testing.assert_array_equal(table.column(dataset="cifar10-valid", split="valid"), arrays["c10_valid_e200"])
    np.testing.assert_array_equal(table.column(dataset="cifar10", split="test", reveal_test=True), arrays["c10_test_e200"])
    loss = table.column(dataset="svhn", split="valid", metric="loss", seed=1)
    np.testing.assert_array_equal(loss, arrays["svhn_valid_loss_e10_runs"][:, 1])
    seconds = table.costs("train_seconds", dataset="ImageNet16-120", epochs=200)
    np.testing.assert_array_equal(seconds, arrays["in16_train_seconds_e200"])
    short = table.costs("train_seconds", dataset="ImageNet16-120", epochs=12)
    np.testing.assert_allclose(short, seconds * 0.06, rtol=1e-7)
    assert table.cost("flops", 4) == 220_119_680
    assert table.cost("params", 3) == 3
    assert table.cost("something", 2) == 2


@needs_real
def test_every_array_of_the_real_file_is_read_exactly(tmp_path: Path):
    table = Table.open(convert(REAL, tmp_path / "nb.table"), verify=True)
    real = np.load(REAL, allow_pickle=False)
    datasets = {"c10": "cifar10", "c100": "cifar100", "in16": "ImageNet16-120"}
    seen = {"arch", "n_runs", "isomorphism_class"}
    for key in real.files:
        match = re.fullmatch(r"(c10|c100|in16)_(valid|test|valtest)_e(\d+)(_runs)?", key)
        if match:
            what: dict[str, Any] = {"dataset": datasets[match[1]], "split": match[2], "epochs": int(match[3])}
            for seed in range(3) if match[4] else [None]:
                read = table.column(**what, seed=seed, reveal_test=True).astype(np.float32)
                np.testing.assert_array_equal(read, real[key] if seed is None else real[key][:, seed], err_msg=key)
            seen.add(key)
    for key, dataset in (("c10valid", "cifar10-valid"), ("c100", "cifar100"), ("in16", "ImageNet16-120")):
        read = table.costs("train_seconds", dataset=dataset, epochs=200)
        np.testing.assert_array_equal(read.astype(np.float32), real[f"{key}_train_seconds_e200"])
        seen.add(f"{key}_train_seconds_e200")
    np.testing.assert_array_equal((table.costs("params", dataset="cifar10") / 1e6).astype(np.float32), real["params_m"])
    np.testing.assert_array_equal((table.costs("flops") / 1e6).astype(np.float32), real["flops_m"])
    np.testing.assert_array_equal(table.costs("params_m_source"), real["params_m_source"])
    np.testing.assert_array_equal(table.costs("n_runs"), real["n_runs"])
    np.testing.assert_array_equal(table.costs("isomorphism_class"), real["isomorphism_class"])
    assert set(real.files) == seen | {"params_m", "flops_m", "params_m_source"}, "every array was compared"
    native = real["arch"].astype(str)
    for row in (0, 1835, 6111, 15_624):
        assert table.native(row) == native[row]
        assert table.index(native[row]) == table.index(SPACE.from_index(row)) == row


@needs_real
def test_published_numbers(tmp_path: Path):
    """Dong & Yang 2020: the best architectures, and what all skip connections reach."""
    table = Table.open(convert(REAL, tmp_path / "nb.table"))
    for dataset, valid, test in (("cifar10", 91.61, 94.37), ("cifar100", 73.49, 73.51), ("ImageNet16-120", 46.73, 47.31)):
        what: dict[str, Any] = {"dataset": dataset, "epochs": 200}
        assert round(table.optimum(split="valid", **what).value, 2) == valid
        assert round(table.optimum(split="test", reveal_test=True, **what).value, 2) == test
    skips = "|skip_connect~0|+|skip_connect~0|skip_connect~1|+|skip_connect~0|skip_connect~1|skip_connect~2|"
    assert round(table.query(skips, dataset="cifar10", split="valid", epochs=200), 2) == 39.77
    assert round(table.query(skips, dataset="cifar10", split="test", epochs=200, reveal_test=True), 2) == 54.30
    assert table.rank(6111, dataset="cifar10", split="valid", epochs=200) == 1
    # 1,531,546 parameters with six 3x3 convolutions, and a head for 100 or 120 classes.
    params = [table.cost("params", 1462, dataset=name) for name in ("cifar10", "cifar100", "ImageNet16-120")]
    assert params == [1_531_546, 1_537_396, 1_538_696]


def test_csv(tmp_path: Path):
    native = strings(3).astype(str)
    lines = [
        "arch,c10_valid_e200_seed777,c10_valid_e200_seed999,c10_valid_e12,params_m",
        f"{native[0]},90.5,91.25,60,0.129306",
        f"{native[1]},80.5,,61.5,0.802426",
        f'"{native[2]}",70.5,,,0.559386',
        "",
    ]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    table = Table.open(convert(tmp_path / "x.csv", tmp_path / "x.table"))
    what: dict[str, Any] = {"dataset": "cifar10", "split": "valid"}
    assert table.seeds(**what, epochs=200) == (777, 999)
    assert table.query(native[0], **what, epochs=200, seed=999) == 91.25
    assert table.query(native[0], **what, epochs=200) == (90.5 + 91.25) / 2
    assert table.query(native[1], **what, epochs=200) == 80.5
    assert table.query(native[1], **what, epochs=12) == 61.5
    assert table.cost("params", 1, dataset="cifar10") == 802_426
    with pytest.raises(DataError, match="not measured"):
        table.query(native[2], **what, epochs=12)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must name its columns"),
        ("a,b\n1,2\n", "one of them arch"),
        ("arch,x,x\na,1,2\n", "all different"),
        ("arch,x\na,1,2\n", "must have 2 cells, got 3"),
        ("arch,x\na,one\n", "must be a number, or empty, got 'one'"),
        ("arch,x\n", "must be a list of texts"),
        ("arch\na\n", "must hold measurements"),
        ("arch,x\na,1\na,2\n", "comes twice"),
    ],
)
def test_csv_files_that_are_wrong(tmp_path: Path, text: str, says: str):
    (tmp_path / "x.csv").write_text(text)
    with pytest.raises(DataError, match=says):
        convert_csv(tmp_path / "x.csv", tmp_path / "x.table")


def test_csv_of_no_text_and_missing_files(tmp_path: Path):
    (tmp_path / "x.csv").write_bytes(b"arch,x\n\xff\xfe,1\n")
    with pytest.raises(DataError, match="as a CSV file in UTF-8"):
        convert_csv(tmp_path / "x.csv", tmp_path / "x.table")
    for missing in ("y.csv", "y.npz", "y.pth"):
        with pytest.raises(DataError, match="no file or directory"):
            convert(tmp_path / missing, tmp_path / "x.table")
    (tmp_path / "y.txt").write_text("hello")
    with pytest.raises(DataError, match="A table is made from"):
        convert(tmp_path / "y.txt", tmp_path / "x.table")


def test_npz_files_that_are_wrong(tmp_path: Path):
    path, target = tmp_path / "x.npz", tmp_path / "x.table"
    for arrays, says in (
        ({"x": np.zeros(3)}, "under the name arch"),
        ({"arch": strings(3)}, "must hold measurements"),
        ({"arch": strings(3), "x": np.zeros(4)}, "each of the 3 architectures"),
        ({"arch": np.arange(3), "x": np.zeros(3)}, "list of texts"),
        ({"arch": np.array(["a", object()], dtype=object)}, "not an .npz file of plain arrays"),
    ):
        np.savez(path, **arrays)
        with pytest.raises(DataError, match=says):
            convert_npz(path, target)
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match="damaged"):
        convert_npz(path, target)
    assert not target.exists()


def test_other_measures_are_named_by_whoever_converts(tmp_path: Path):
    """An error in mm ranks, and has the columns that name none; ``iou`` is a share, in percent like accuracies."""
    measures = Measure("error", "lower", "mm"), Measure("iou", "higher", style="percent")
    rng = np.random.default_rng(0)
    arrays = {"arch": strings(5), "bones_valid_e20": rng.uniform(1, 9, 5), "bones_valid_iou_e20": rng.uniform(0, 100, 5)}
    np.savez(tmp_path / "x.npz", **arrays)
    lines = [
        ",".join(arrays),
        *(",".join(str(v[i] if k != "arch" else v[i].decode()) for k, v in arrays.items()) for i in range(5)),
    ]
    (tmp_path / "x.csv").write_text("\n".join(lines))
    for suffix in ("npz", "csv"):
        table = Table.open(convert(tmp_path / f"x.{suffix}", tmp_path / f"{suffix}.table", measures=measures))
        assert table.measures == measures
        np.testing.assert_allclose(table.column(dataset="bones", split="valid"), arrays["bones_valid_e20"], rtol=1e-6)
        iou = table.column(dataset="bones", split="valid", metric="iou")
        np.testing.assert_allclose(iou, arrays["bones_valid_iou_e20"], rtol=1e-6)  # float32 in the file
        assert table.optimum(dataset="bones", split="valid").index == int(arrays["bones_valid_e20"].argmin())
        assert table.optimum(dataset="bones", split="valid", metric="iou").index == int(arrays["bones_valid_iou_e20"].argmax())
    unknown = Table.open(convert(tmp_path / "x.npz", tmp_path / "usual.table"))
    assert [measure.name for measure in unknown.measures] == ["accuracy", "loss"]
    assert {c.metric for c in unknown.columns} == {"accuracy", "bones_valid_iou_e20"}  # an unknown word is no measure
