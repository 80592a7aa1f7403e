"""Official files of every form become the same table, number for number; what contradicts itself is refused."""

import gc
import pickle
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.tables.conftest import COUNT, SETS, make, record, split_of, write_bz2

from mixop.core.errors import DataError, SpaceError
from mixop.tables import Table, convert
from mixop.tables.archives import _Records, convert_official, from_millions
from mixop.tables.unpickle import ForgottenError, Packed


def expected(content: dict[str, Any], index: int, hp: str, dataset: str, seed: int) -> dict[str, Any]:
    return content["arch2infos"][index][hp]["all_results"][dataset, seed]


@pytest.fixture(scope="module")
def told() -> dict[str, list[tuple[int, int]]]:
    """What was told of the reading of each form."""
    return {}


@pytest.fixture(scope="module")
def tables(
    official: dict[str, Path], told: dict[str, list[tuple[int, int]]], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Table]:
    """Every form without curves, and some with them."""
    folder, made = tmp_path_factory.mktemp("tables"), {}
    for form, path in official.items():
        heard = told.setdefault(form, [])
        table = convert_official(path, folder / form, observe=lambda *at, heard=heard: heard.append(at))
        made[form] = Table.open(table, verify=True)
    for form in ("pbz2", "uneven"):
        made[f"{form} with curves"] = Table.open(convert(official[form], folder / f"{form} curves", curves=True))
    return made


@pytest.mark.parametrize("form", ["pbz2", "simple", "pth", "legacy", "pbz2 with curves"])
def test_every_number_is_that_of_the_file(tables: dict[str, Table], content: dict[str, Any], form: str):
    table = tables[form]
    assert len(table) == COUNT
    assert table.datasets == tuple(sorted(SETS))
    for index, info in content["arch2infos"].items():
        for hp, state in info.items():
            for (dataset, seed), run in state["all_results"].items():
                what: dict[str, Any] = {"dataset": dataset, "epochs": int(hp), "seed": seed, "reveal_test": True}
                last = int(hp) - 1
                train = {m: table.query(index, split="train", metric=m, **what) for m in ("accuracy", "loss", "seconds")}
                assert np.float32(train["accuracy"]) == np.float32(run["train_acc1es"][last])
                assert np.float32(train["loss"]) == np.float32(run["train_losses"][last])
                assert train["seconds"] == pytest.approx(sum(run["train_times"].values()), rel=2e-7)
                for name in SETS[dataset]:
                    split = split_of(dataset, name)
                    accuracy = table.query(index, split=split, **what)
                    assert np.float32(accuracy) == np.float32(run["eval_acc1es"][f"{name}@{last}"])
                    loss = table.query(index, split=split, metric="loss", **what)
                    assert np.float32(loss) == np.float32(run["eval_losses"][f"{name}@{last}"])
                    seconds = table.query(index, split=split, metric="seconds", **what)
                    assert seconds == pytest.approx(sum(run["eval_times"][f"{name}@{e}"] for e in range(last + 1)), rel=2e-7)
                mean = table.query(index, split="train", dataset=dataset, epochs=int(hp))
                runs = [state["all_results"][dataset, s]["train_acc1es"][last] for s in state["dataset_seed"][dataset]]
                assert mean == pytest.approx(np.mean(runs), rel=1e-7)


@pytest.mark.parametrize("form", ["pbz2 with curves", "uneven with curves"])
def test_curves_hold_every_epoch(tables: dict[str, Table], content: dict[str, Any], uneven: dict[str, Any], form: str):
    table, source = tables[form], uneven if form.startswith("uneven") else content
    for index, hp, dataset, seed in ((0, "12", "cifar10-valid", 777), (2, "200", "cifar100", 999)):
        run = expected(source, index, hp, dataset, seed)
        what: dict[str, Any] = {"dataset": dataset, "epochs": int(hp), "seed": seed}
        for epoch in range(int(hp)):
            valid = table.query(index, split="valid", after=epoch + 1, **what)
            assert np.float32(valid) == np.float32(run["eval_acc1es"][f"x-valid@{epoch}"])
            seconds = table.query(index, split="train", metric="seconds", after=epoch + 1, **what)
            assert seconds == pytest.approx(sum(run["train_times"][e] for e in range(epoch + 1)), rel=1e-6)


def test_even_times_take_no_room_and_uneven_ones_are_kept(tables: dict[str, Table]):
    def seconds(name: str) -> list[tuple[int, ...]]:
        return [c.shape for c in tables[name].columns if c.metric == "seconds" and c.epochs == 200 and c.split == "train"]

    assert set(seconds("pbz2 with curves")) == {(COUNT, 3)}
    assert set(seconds("uneven with curves")) == {(3, 3, 200)}
    with pytest.raises(DataError, match="only at the end of the training"):
        tables["uneven"].query(0, dataset="cifar100", split="train", metric="seconds", epochs=12, after=3)


def test_accuracies_are_kept_as_counts(tables: dict[str, Table]):
    for column in tables["pbz2 with curves"].columns:
        if column.metric == "accuracy" and (column.dataset, column.split) != ("ImageNet16-120", "train"):
            assert (column.dtype, column.of is not None) == ("<u2", True), column
        if (column.metric, column.dataset, column.split) == ("accuracy", "ImageNet16-120", "train"):
            assert column.dtype == "<f4"  # 151,700 images do not fit into two bytes


@pytest.mark.parametrize("form", ["archive", "packed archive"])
def test_archives_of_single_architectures_leave_the_weights_and_the_other_rows(
    tables: dict[str, Table], content: dict[str, Any], form: str
):
    table = tables[form]
    assert len(table) == 15_625
    assert table.header.source["evaluated"] == 2
    accuracy = table.query(3, dataset="cifar100", split="valid", epochs=200, seed=777)
    assert np.float32(accuracy) == np.float32(expected(content, 3, "200", "cifar100", 777)["eval_acc1es"]["x-valid@199"])
    assert table.native(3) == content["meta_archs"][3]
    assert np.isfinite(table.column(dataset="cifar100", split="valid", epochs=200)).sum() == 2
    with pytest.raises(DataError, match="architecture 5 was not measured"):
        table.query(5, dataset="cifar100", split="valid", epochs=200)


def test_all_forms_agree(tables: dict[str, Table]):
    for column in tables["pbz2"].columns:
        if column.split is None:
            continue
        what: dict[str, Any] = {
            "dataset": column.dataset,
            "split": column.split,
            "metric": column.metric,
            "epochs": column.epochs,
        }
        first = tables["pbz2"].column(**what, reveal_test=True)
        for form in ("simple", "pth", "legacy"):
            np.testing.assert_array_equal(first, tables[form].column(**what, reveal_test=True))


def test_costs(tables: dict[str, Table], content: dict[str, Any]):
    assert tables["pbz2"].cost("params", 0, dataset="cifar10") == 129_306
    assert tables["pbz2"].cost("flops", 0, dataset="cifar10-valid") == 15_647_360
    runs = [np.mean(expected(content, 2, "200", "cifar100", seed)["latency"]) for seed in (777, 888, 999)]
    assert tables["pbz2"].cost("latency", 2, dataset="cifar100", epochs=200) == pytest.approx(np.mean(runs), rel=1e-6)


def test_of_trials_that_disagree_about_the_size_seed_888_counts(tmp_path: Path):
    content = make(2)
    for (_, seed), run in content["arch2infos"][0]["200"]["all_results"].items():
        run["params"] = 0.5 if seed == 888 else 0.25
    path = write_bz2(tmp_path / "a.pickle.pbz2", content)
    table = Table.open(convert(path, tmp_path / "a.table"))
    assert table.cost("params", 0, dataset="cifar10") == 500_000
    assert table.cost("params", 1, dataset="cifar10") == 129_306


def test_the_source_is_recorded(tables: dict[str, Table], official: dict[str, Path]):
    import hashlib

    assert tables["pbz2"].header.source["sha256"] == hashlib.sha256(official["pbz2"].read_bytes()).hexdigest()
    assert tables["simple"].header.source["files"] == COUNT + 1


def test_records_leave_nothing_behind(official: dict[str, Path], tmp_path: Path):
    """What was taken is not held until the end of the file, and every 12-epoch record comes before the next is read."""
    records, held = _Records(tmp_path, curves=False), []

    def take(filled: dict[Any, Any]) -> bool:
        taken = records.take(filled)
        held.append(len(records.texts))
        return taken

    content = Packed(official["pbz2"]).read(take)
    assert all(state == {} for info in content["arch2infos"].values() for state in info.values())
    assert sorted(set(held)) == list(range(COUNT + 1)), "architectures arrive one after the other"


@pytest.mark.usefixtures("tables")
def test_progress_runs_to_the_end(official: dict[str, Path], told: dict[str, list[tuple[int, int]]]):
    for form in ("pbz2", "simple", "pth"):
        assert told[form] == sorted(told[form])
        done, total = told[form][-1]
        assert total == (COUNT + 1 if form == "simple" else official[form].stat().st_size)
        assert done == total if form == "simple" else 0 < done <= total


def test_the_size_space_is_kept_by_its_texts(tmp_path: Path):
    content = make(2)
    texts = ["8:8:8:8:8", "8:8:8:8:16"]
    infos = {i: {"01": {**record(i, text, "12"), "arch_str": text}} for i, text in enumerate(texts)}
    path = write_bz2(tmp_path / "sss.pickle.pbz2", {**content, "meta_archs": texts, "arch2infos": infos})
    table = Table.open(convert(path, tmp_path / "sss.table"))
    assert table.index("8:8:8:8:16") == 1
    assert table.native(0) == "8:8:8:8:8"
    assert table.header.space_name == "natsbench-size"
    with pytest.raises(SpaceError, match="mixop does not have"):
        _ = table.space
    with pytest.raises(SpaceError, match="does not hold"):
        table.index("8:8:8:8:24")


def broken(content: dict[str, Any], kind: str) -> Any:
    if kind == "another architecture":
        content["arch2infos"][1]["12"]["arch_str"] = content["meta_archs"][0]
    if kind == "a number too large":
        content["arch2infos"][1]["12"]["arch_index"] = 10**12
    if kind == "two names":
        content["arch2infos"][1]["200"]["arch_str"] = content["meta_archs"][0]
    if kind == "an unknown set":
        content["arch2infos"][1]["12"]["all_results"]["cifar10", 111]["eval_names"] = ["y-valid"]
    if kind == "no epochs":
        content["arch2infos"][1]["12"]["all_results"]["cifar10", 111]["epochs"] = 0
    if kind == "no list of architectures":
        del content["meta_archs"]
    if kind == "texts in place of numbers":
        content["arch2infos"][1]["12"]["all_results"]["cifar10", 111]["train_losses"][3] = "low"
    if kind == "nothing":
        content["arch2infos"] = {}
    return [1, 2] if kind == "a list" else content


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ("another architecture", "contradicts itself|architecture 1 is"),
        ("a number too large", "has the number 1000000000000"),
        ("two names", "architecture 1 is"),
        ("an unknown set", "y-valid"),
        ("no epochs", "has 0 epochs"),
        ("no list of architectures", "meta_archs"),
        ("texts in place of numbers", "could not convert"),
        ("nothing", "but holds none"),
        ("a list", "meta_archs"),
    ],
)
def test_files_that_are_wrong_inside(tmp_path: Path, kind: str, says: str):
    path = write_bz2(tmp_path / "wrong.pickle.pbz2", broken(make(2), kind))
    with pytest.raises(DataError, match=says) as told:
        convert(path, tmp_path / "wrong.table")
    assert "\n" not in str(told.value)
    assert not list(tmp_path.glob("*.table")) + list(tmp_path.glob(".*"))


def test_a_file_in_another_ones_place(tmp_path: Path, content: dict[str, Any]):
    write_bz2(tmp_path / "000002.pickle.pbz2", content["arch2infos"][1])
    with pytest.raises(DataError, match="must hold the results of architecture 2"):
        convert(tmp_path, tmp_path / "x.table")
    (tmp_path / "000002.pickle.pbz2").unlink()
    with pytest.raises(DataError, match="000123-FULL"):
        convert(tmp_path, tmp_path / "x.table")
    with pytest.raises(DataError, match="no files of single architectures"):
        convert_official(tmp_path, tmp_path / "x.table")


def test_from_millions():
    """Multiply-adds of nasbench201, of which float32 keeps seven digits: 7,783,040 + 35,389,440 a + 3,932,160 b."""
    exact = np.array([7_783_040 + 35_389_440 * a + 3_932_160 * b for a in range(7) for b in range(7 - a)])
    np.testing.assert_array_equal(from_millions((exact / 1e6).astype(np.float32)), exact)
    assert from_millions(np.float32([0.073306, 1.531546])).tolist() == [73_306, 1_531_546]
    assert from_millions(np.array([1.00000049])).dtype == np.float64  # no whole number: as it is
    assert from_millions(np.float32([220.11967, 1])).dtype == np.float64  # tens that float32 does not tell apart
    some = from_millions(np.array([np.nan, 1.5]))
    assert np.isnan(some[0])
    assert some[1] == 1_500_000
    assert np.isnan(from_millions(np.array([np.nan]))).all()


def test_old_protocols(tmp_path: Path):
    """NAS-Bench-201 was written by several versions of Python."""
    content = make(1)
    for protocol in (2, 3, 5):
        path = tmp_path / f"protocol{protocol}.pickle"
        path.write_bytes(pickle.dumps(content, protocol=protocol))
        table = Table.open(convert(path, tmp_path / "x.table"))
        run = expected(content, 0, "200", "cifar10", 888)
        found = table.query(0, dataset="cifar10", split="test", epochs=200, seed=888, reveal_test=True)
        assert np.float32(found) == np.float32(run["eval_acc1es"]["ori-test@199"])


def test_records_that_share_their_parts_are_read_as_well(tmp_path: Path):
    """None does that we know of; a reader that forgets what it has taken would lose them."""
    content = make(3)
    runs = [content["arch2infos"][i]["200"]["all_results"] for i in range(3)]
    runs[2]["cifar100", 888] = {**runs[2]["cifar100", 888], "train_losses": runs[0]["cifar100", 888]["train_losses"]}
    path = write_bz2(tmp_path / "x.pickle.pbz2", content)
    with pytest.raises(ForgottenError):
        Packed(path).read(_Records(tmp_path, curves=False).take)
    table = Table.open(convert(path, tmp_path / "x.table"))
    for index, run in ((0, runs[0]), (1, runs[1]), (2, runs[2])):
        if ("cifar100", 888) in run:
            loss = table.query(index, dataset="cifar100", split="train", metric="loss", epochs=200, seed=888)
            assert np.float32(loss) == np.float32(run["cifar100", 888]["train_losses"][199])


@pytest.mark.slow
def test_memory_does_not_grow_with_the_file(tmp_path: Path):
    """Of every object of a taken record four bytes are left."""
    path = write_bz2(tmp_path / "x.pickle.pbz2", make(6))
    sizes: list[int] = []
    records = _Records(tmp_path, curves=False)

    def take(filled: dict[Any, Any]) -> bool:
        taken = records.take(filled)
        if taken:
            gc.collect()
            sizes.append(tracemalloc.get_traced_memory()[0])
        return taken

    tracemalloc.start()
    try:
        Packed(path).read(take)
    finally:
        tracemalloc.stop()
    assert len(sizes) == 12
    assert sizes[-1] - sizes[3] < 0.25 * sizes[0] + 500_000, sizes
