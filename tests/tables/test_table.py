"""Tables: what was written is read exactly, test results stay hidden, damaged files are told."""

import json
import pickle
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from mixop.core.errors import DataError, SpaceError
from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.spaces import CellSpace, Darts, NasBench201, nasbench201, toy
from mixop.tables import Column, SearchTable, Table, write_table
from mixop.tables.catalogue import open_table
from mixop.tables.layout import read_header

SPACE = CellSpace(operations=("none", "skip_connect", "nor_conv_3x3"), nodes=3, name="small")
N = 27
SEEDS = (5, 6, 7)
IMAGES = 300


def numbers() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    runs = (100 * rng.integers(0, IMAGES + 1, (N, 3, 4)) / IMAGES).astype(np.float32)
    runs[4, 2] = np.nan
    runs[9] = np.nan
    return {
        "valid": runs,
        "short": (100 * rng.integers(0, IMAGES + 1, (N, 3)) / IMAGES).astype(np.float32),
        "test": rng.uniform(0, 100, N).astype(np.float32),
        "loss": rng.normal(size=(N, 3, 4)).astype(np.float16),
        "seconds": rng.uniform(10, 20, N).astype(np.float32),
        "valid_seconds": rng.uniform(1, 2, N).astype(np.float32),
        "params": rng.integers(0, 10**6, N),
        "flops": rng.integers(0, 10**12, N),
    }


def columns(made: dict[str, np.ndarray]) -> list[Column]:
    curve: dict[str, Any] = {"dataset": "digits", "epochs": 20, "seeds": SEEDS, "after": (1, 5, 10, 20)}
    return [
        Column(metric="accuracy", split="valid", values=made["valid"], images=IMAGES, **curve),
        Column(metric="accuracy", split="valid", values=made["short"], dataset="digits", epochs=3, seeds=SEEDS, images=IMAGES),
        Column(metric="accuracy", split="test", values=made["test"], dataset="digits", epochs=20, images=IMAGES),
        Column(metric="loss", split="train", values=made["loss"], **curve),
        Column(metric="seconds", split="train", values=made["seconds"], dataset="digits", epochs=20, linear=True),
        Column(metric="seconds", split="valid", values=made["valid_seconds"], dataset="digits", epochs=20, linear=True),
        Column(metric="params", values=made["params"]),
        Column(metric="flops", values=made["flops"], dataset="digits"),
        Column(metric="test_score", values=made["test"]),
    ]


def texts(space: Any = SPACE) -> list[str]:
    found = [space.to_native(architecture) for architecture in space.architectures()]
    Random(0).shuffle(found)
    return found


@pytest.fixture
def made() -> dict[str, np.ndarray]:
    return numbers()


@pytest.fixture
def path(tmp_path: Path, made: dict[str, np.ndarray]) -> Path:
    more: dict[str, Any] = {"redirect": {"all digits": {"valid": "digits"}}, "source": {"file": "x", "sha256": "0"}}
    return write_table(tmp_path / "small.table", columns(made), name="small", architectures=texts(), space=SPACE, **more)


@pytest.fixture
def table(path: Path) -> Table:
    return Table.open(path, verify=True)


def test_every_value_is_read_back_exactly(table: Table, made: dict[str, np.ndarray]):
    valid: dict[str, Any] = {"dataset": "digits", "split": "valid", "epochs": 20}
    for r, seed in enumerate(SEEDS):
        for t, after in enumerate((1, 5, 10, 20)):
            read = table.column(**valid, seed=seed, after=after).astype(np.float32)
            np.testing.assert_array_equal(read, made["valid"][:, r, t])
            loss = table.column(dataset="digits", split="train", metric="loss", seed=seed, after=after)
            np.testing.assert_array_equal(loss, made["loss"][:, r, t].astype(np.float64))
    test = table.column(dataset="digits", split="test", reveal_test=True)
    np.testing.assert_array_equal(test, made["test"].astype(np.float64))
    np.testing.assert_array_equal(table.costs("params"), made["params"])
    np.testing.assert_array_equal(table.costs("flops"), made["flops"])
    np.testing.assert_array_equal(table.costs("flops", dataset="digits"), made["flops"])


def test_counts_only_where_they_are_exact(table: Table):
    kinds = {(c.metric, c.split, c.epochs): (c.dtype, c.of) for c in table.columns}
    assert kinds["accuracy", "valid", 20] == ("<u2", IMAGES)
    assert kinds["accuracy", "test", 20] == ("<f4", None)  # no whole images
    assert kinds["loss", "train", 20] == ("<f2", None)
    assert kinds["params", None, None] == ("<u4", None)
    assert kinds["flops", None, None] == ("<i8", None)


def test_means_over_two_and_three_runs_are_counts_too(tmp_path: Path):
    rng = np.random.default_rng(1)
    runs = 100 * rng.integers(0, IMAGES + 1, (N, 3)) / IMAGES
    means = np.where(np.arange(N) % 2, runs.mean(1), runs[:, :2].mean(1)).astype(np.float32)
    column = Column(metric="accuracy", split="valid", values=means, dataset="digits", images=IMAGES)
    table = Table.open(write_table(tmp_path / "m", [column], name="m", architectures=texts(), space=SPACE))
    assert table.columns[0].of == 6 * IMAGES
    np.testing.assert_array_equal(table.column(dataset="digits", split="valid").astype(np.float32), means)


def test_one_value_and_means_leave_nan_out(table: Table, made: dict[str, np.ndarray]):
    valid: dict[str, Any] = {"dataset": "digits", "split": "valid", "epochs": 20}
    assert np.float32(table.query(3, **valid, seed=6)) == made["valid"][3, 1, -1]
    assert table.query(3, **valid) == pytest.approx(made["valid"][3, :, -1].astype(float).mean(), rel=1e-7)
    assert table.query(4, **valid) == pytest.approx(made["valid"][4, :2, -1].astype(float).mean(), rel=1e-7)
    assert table.query(4, **valid, after=5) == pytest.approx(made["valid"][4, :2, 1].astype(float).mean(), rel=1e-7)
    assert np.isnan(table.column(**valid)[9])
    with pytest.raises(DataError, match=r"accuracy on valid of digits.* of architecture 9 was not measured"):
        table.query(9, **valid)
    with pytest.raises(DataError, match="was not measured by run 7"):
        table.query(4, **valid, seed=7)


def test_architectures_by_any_name(table: Table):
    assert len(table) == N
    for row, text in enumerate(texts()):
        architecture = SPACE.from_native(text)
        assert table.index(text) == table.index(architecture) == table.index(row) == row
        assert table.native(row) == text
        assert table.architecture(row) == architecture
    assert table.space == SPACE
    assert table.index(np.int64(3)) == 3
    for wrong in (27, -1):
        with pytest.raises(SpaceError, match="0 to 26"):
            table.index(wrong)
    for other in (nasbench201().from_index(0), "nonsense", None, True):
        with pytest.raises(SpaceError):
            table.index(other)  # type: ignore[arg-type]


def test_a_part_of_a_space(tmp_path: Path):
    space = NasBench201()
    some = [space.to_native(space.from_index(i)) for i in (9, 0, 123)]
    column = Column(metric="accuracy", split="valid", values=np.float32([1, 2, 3]), dataset="d")
    table = Table.open(write_table(tmp_path / "t", [column], name="part", architectures=some, space=space))
    assert table.query(space.from_index(123), dataset="d", split="valid") == 3
    with pytest.raises(SpaceError, match="does not hold"):
        table.index(space.from_index(1))


@pytest.mark.parametrize("space", [toy(), Darts()])
def test_other_spaces(tmp_path: Path, space: Any):
    some = [space.to_native(space.random(Random(seed))) for seed in range(4)]
    column = Column(metric="accuracy", split="valid", values=np.arange(4.0), dataset="d")
    table = Table.open(write_table(tmp_path / "t", [column], name="t", architectures=some, space=space))
    for row, text in enumerate(some):
        assert table.query(text, dataset="d", split="valid") == row
        assert table.query(space.from_native(text), dataset="d", split="valid") == row
        assert table.architecture(row) == space.from_native(text)


def test_names_that_are_unknown_are_told_with_the_known_ones(table: Table):
    valid: dict[str, Any] = {"dataset": "digits", "split": "valid"}
    for what, says in (
        ({**valid, "dataset": "letters"}, "choose one of all digits, digits|did you mean"),
        ({**valid, "split": "ood"}, "choose one of test, train, valid"),
        ({**valid, "metric": "acc"}, "did you mean 'accuracy'"),
        (valid, "3 and 20 epochs: say epochs=20"),
        ({**valid, "epochs": 7}, "3 and 20 epochs, got 7"),
        ({**valid, "epochs": 20, "seed": 1}, "has the runs 5, 6, 7 of accuracy .*, got 1"),
        ({**valid, "epochs": 20, "after": 2}, "after epoch 1, 5, 10, 20, got after=2"),
        ({**valid, "epochs": 3, "after": 2}, "only at the end of the training, got after=2"),
        ({"dataset": "digits", "split": "train", "metric": "seconds", "seed": 5}, "only means over runs"),
    ):
        with pytest.raises(DataError, match=says):
            table.query(0, **what)
    for name, more, says in (
        ("energy", {}, "no cost in the table small called 'energy'"),
        ("flops", {"dataset": "letters"}, "no data set in the table small called 'letters'"),
    ):
        with pytest.raises(DataError, match=says):
            table.cost(name, 0, **more)
    assert table.datasets == ("all digits", "digits")
    assert table.splits("digits") == ("test", "train", "valid")
    assert table.lengths("digits", "valid") == (3, 20)
    assert table.curve("digits", "valid", epochs=20) == (1, 5, 10, 20)
    assert table.curve("digits", "valid", epochs=3) == (3,)
    assert table.seeds("digits", "test") == ()


def test_another_name_for_where_the_validation_is(table: Table):
    assert table.query(2, dataset="all digits", split="valid", epochs=3) == table.query(
        2, dataset="digits", split="valid", epochs=3
    )
    with pytest.raises(DataError, match="no split of all digits"):
        table.query(2, dataset="all digits", split="test", reveal_test=True)


def test_test_results_need_the_word(table: Table, made: dict[str, np.ndarray]):
    test: dict[str, Any] = {"dataset": "digits", "split": "test"}
    for ask in (
        lambda: table.query(0, **test),
        lambda: table.column(**test),
        lambda: table.optimum(**test),
        lambda: table.best(**test),
        lambda: table.rank(0, **test),
    ):
        with pytest.raises(DataError, match="reveal_test=True"):
            ask()
    assert table.query(0, **test, reveal_test=True) == made["test"][0]
    best = table.optimum(**test, reveal_test=True)
    assert (best.index, best.value, best.native) == (made["test"].argmax(), made["test"].max(), texts()[best.index])
    assert table.rank(best.native, **test, reveal_test=True) == 1


def test_rank_and_best(table: Table):
    valid: dict[str, Any] = {"dataset": "digits", "split": "valid", "epochs": 20}
    values = table.column(**valid)
    for row in set(range(N)) - {9}:
        assert table.rank(row, **valid) == 1 + sum(values[i] > values[row] for i in range(N))
    assert [found.value for found in table.best(5, **valid)] == sorted(values[np.isfinite(values)])[::-1][:5]
    assert len(table.best(100, **valid)) == N - 1
    loss: dict[str, Any] = {"dataset": "digits", "split": "train", "metric": "loss"}
    assert table.optimum(**loss).value == table.column(**loss).min()
    assert table.rank(table.optimum(**loss).index, **loss) == 1


def test_a_search_sees_validation_and_costs_only(table: Table, made: dict[str, np.ndarray]):
    view = table.for_search(dataset="digits", epochs=20)
    assert isinstance(view, SearchTable)
    architecture = table.architecture(3)
    assert view.query(architecture) == table.query(3, dataset="digits", split="valid", epochs=20)
    assert view.query(3, epochs=3, seed=5) == table.query(3, dataset="digits", split="valid", epochs=3, seed=5)
    assert view.query(3, after=5) == table.query(3, dataset="digits", split="valid", epochs=20, after=5)
    assert view.cost("params", 3) == made["params"][3]
    assert view.costs("flops").tolist() == made["flops"].tolist()
    assert (view.lengths, view.seeds(), view.curve()) == ((3, 20), SEEDS, (1, 5, 10, 20))
    assert (len(view), view.space, view.native(3), view.index(architecture)) == (N, SPACE, texts()[3], 3)
    # Nothing that it holds knows a test result, whatever name one asks by.
    inside = view._table
    assert {c.split for c in inside.columns} == {"valid", "train", None}
    assert {c.metric for c in inside.columns if c.split is None} == {"params", "flops"}
    with pytest.raises(DataError, match="no split of digits"):
        inside.query(0, dataset="digits", split="test", reveal_test=True)
    with pytest.raises(DataError, match="no cost in the table small called 'test_score'"):
        view.cost("test_score", 0)
    for split in ("test", "valtest", "anything"):
        with pytest.raises(DataError, match="A search sees the split"):
            table.for_search(dataset="digits", split=split)
    with pytest.raises(DataError, match="3 and 20 epochs, got 4"):
        table.for_search(dataset="digits", epochs=4)
    with pytest.raises(DataError, match="say epochs=20"):
        table.for_search(dataset="digits").query(0)


def test_what_a_query_costs(table: Table, made: dict[str, np.ndarray]):
    view = table.for_search(dataset="all digits", epochs=20)
    train, valid = float(made["seconds"][3]), float(made["valid_seconds"][3])
    assert view.seconds(3) == pytest.approx(train + valid / 20)
    assert view.seconds(3, seed=6) == pytest.approx(train + valid / 20)  # the table knows means of seconds only
    assert view.seconds(3, after=5) == pytest.approx(train / 4 + valid / 20)
    with pytest.raises(DataError, match="20 epochs, got 3"):
        view.seconds(3, epochs=3)


def test_tables_and_views_go_to_other_processes(table: Table):
    assert pickle.loads(pickle.dumps(table)).native(5) == table.native(5)
    view = table.for_search(dataset="digits", epochs=20)
    copy = pickle.loads(pickle.dumps(view))
    assert copy.query(3, seed=6) == view.query(3, seed=6)
    assert {c.split for c in copy._table.columns} == {"valid", "train", None}


def test_the_same_numbers_give_the_same_file(path: Path, made: dict[str, np.ndarray], tmp_path: Path):
    more: dict[str, Any] = {"redirect": {"all digits": {"valid": "digits"}}, "source": {"file": "x", "sha256": "0"}}
    again = write_table(tmp_path / "again", columns(made), name="small", architectures=texts(), space=SPACE, **more)
    assert again.read_bytes() == path.read_bytes()
    header = json.loads(path.read_bytes().partition(b"\n")[0])
    assert header["datasets"] == ["digits"]
    assert header["seeds"] == [5, 6, 7]
    start = path.read_bytes().index(b"\n") + 1
    assert start % 64 == 0
    assert all(c.offset % 64 == 0 for c in read_header(path).columns)


def test_the_same_array_is_kept_once(tmp_path: Path):
    values = np.arange(N, dtype=np.float32)
    two = [Column(metric="params", values=values, dataset=name) for name in ("a", "b")]
    table = Table.open(write_table(tmp_path / "t", two, name="t", architectures=texts(), space=SPACE))
    assert table.columns[0].offset == table.columns[1].offset
    assert table.costs("params", dataset="b").tolist() == values.tolist()
    with pytest.raises(DataError, match="say dataset= one of a, b"):
        table.cost("params", 0)


def test_a_table_that_cannot_be_made(tmp_path: Path):
    values = np.zeros(N, dtype=np.float32)

    def write(*given: Column, names: list[str] | None = None) -> None:
        write_table(tmp_path / "t", given, name="t", architectures=names or texts(), space=SPACE)

    good = Column(metric="accuracy", values=values, dataset="d", split="valid")
    for says, given in (
        ("at least one", ()),
        ("shape .*27, 2", (Column(metric="a", values=values, seeds=(1, 2)),)),
        ("must hold numbers", (Column(metric="a", values=values.astype(str)),)),
        ("different numbers", (Column(metric="a", values=np.zeros((N, 2)), seeds=(1, 1)),)),
        ("must rise", (Column(metric="a", values=np.zeros((N, 2)), after=(1, 2), epochs=3),)),
        ("a table holds only one", (good, good)),
    ):
        with pytest.raises(DataError, match=says):
            write(*given)
    with pytest.raises(DataError, match="comes twice, in row 1"):
        write(good, names=[texts()[0], texts()[0], *texts()[2:]])
    with pytest.raises(SpaceError):
        write(good, names=["nonsense", *texts()[1:]])
    with pytest.raises(DataError, match="Cannot write the table"):
        write_table(tmp_path / "no" / "t", [good], name="t", architectures=texts(), space=SPACE)
    assert not list(tmp_path.iterdir())


def test_damaged_foreign_and_cut_files(path: Path, tmp_path: Path):
    good = path.read_bytes()
    start = good.index(b"\n") + 1
    other = tmp_path / "other.table"
    cases = {
        "is not a table": b"hello",
        "is not a table: ": b"",
        "cut short in its first line": good[: start // 2],
        "must have .* bytes, got": good[:-1],
        "must have .* bytes, got ": good + b"x",
        "first line .* is damaged": good.replace(b'"valid"', b'"vaxid"', 1),
        "has version 2": good.replace(b'"version": 1', b'"version": 2'),
        "first line .* is damaged ": b'{"format": "mixop-table"}\n',
        "first line .* is damaged .": b'{"format": "mixop-table", [}\n',
    }
    for says, content in cases.items():
        other.write_bytes(content)
        with pytest.raises(DataError, match=says.strip()) as told:
            Table.open(other)
        assert "\n" not in str(told.value)
    for missing in (tmp_path / "absent", tmp_path):
        with pytest.raises(DataError, match="Cannot read the table"):
            Table.open(missing)
    flipped = bytearray(good)
    flipped[start + 100] ^= 1
    other.write_bytes(flipped)
    Table.open(other)  # the arrays are not read
    with pytest.raises(DataError, match="its checksum is wrong"):
        Table.open(other, verify=True)


def test_a_header_that_points_elsewhere_is_refused(path: Path, tmp_path: Path):
    """Even one with a right checksum: such files are made by hand."""
    import hashlib

    good = path.read_bytes()
    start = good.index(b"\n") + 1
    for change in ({"offset": 10**9}, {"offset": -64}, {"dtype": "|O"}, {"shape": [27, 3]}, {"shape": [0, 3, 4]}):
        plain = json.loads(good[:start])
        plain["columns"][0] |= change
        plain["header_sha256"] = "0" * 64

        def line(plain: Any = plain) -> bytes:
            text = json.dumps(plain).encode()
            return text + b" " * (-(len(text) + 1) % 64) + b"\n"

        plain["header_sha256"] = hashlib.sha256(line()).hexdigest()
        other = tmp_path / "other.table"
        other.write_bytes(line() + good[start:])
        with pytest.raises(DataError, match="is damaged"):
            Table.open(other)


def test_a_space_of_a_file_is_one_of_ours(path: Path):
    table = Table.open(path)
    object.__setattr__(table.header, "space", {"type": "os:path"})
    with pytest.raises(SpaceError, match="mixop does not have"):
        _ = table.space


def test_a_table_that_names_no_measures_is_of_accuracy_and_loss():
    """The one that mixop 0.1 shipped."""
    table = open_table("nasbench201-digits")
    assert b'"measures"' not in Path(table.path).read_bytes().split(b"\n", 1)[0]
    assert table.measures == (ACCURACY, LOSS)
    assert table.measure() == table.measure("accuracy") == table.for_search(dataset="digits").measure == ACCURACY


@pytest.fixture
def errors(tmp_path: Path) -> Table:
    """A table of errors in mm, where the lowest is the best, of which two are equal and one is unknown."""
    values = np.arange(N, dtype=np.float32) + 1
    values[3], values[8] = values[2], np.nan
    made = [
        Column(metric="error", split="valid", dataset="bones", epochs=20, values=values),
        Column(metric="r2", split="valid", dataset="bones", epochs=20, values=values / 100),
        Column(metric="seconds", split="valid", dataset="bones", epochs=20, values=values[::-1].copy()),
    ]
    measures = Measure("error", "lower", "mm"), Measure("r2", "higher")
    where = {"name": "errors", "architectures": texts(), "space": SPACE, "measures": measures}
    return Table.open(write_table(tmp_path / "errors.table", made, **where))


def test_the_best_follows_the_direction_of_the_measure(errors: Table):
    where: dict[str, Any] = {"dataset": "bones", "split": "valid"}
    assert errors.measure() == Measure("error", "lower", "mm")
    assert [row.index for row in errors.best(4, **where)] == [0, 1, 2, 3]
    assert [row.index for row in errors.best(2, metric="r2", **where)] == [26, 25]
    assert [errors.rank(row, **where) for row in (0, 1, 2, 3, 4)] == [1, 2, 3, 3, 5]
    assert [errors.rank(row, metric="r2", **where) for row in (26, 25, 0)] == [1, 2, 26]
    assert errors.optimum(metric="seconds", **where).index == 26  # what is no measure is better when lower
    assert errors.measure("seconds").better == "lower"
    view = errors.for_search(dataset="bones")
    assert (view.measure.name, view.query(4)) == ("error", 5.0)
    assert errors.for_search(dataset="bones", metric="r2").measure.better == "higher"
    again = pickle.loads(pickle.dumps(view))
    assert again.measure == view.measure


def test_measures_of_a_table_have_names_of_their_own(tmp_path: Path):
    column = [Column(metric="error", values=np.zeros(N, np.float32))]
    for measures in ((), (LOSS, LOSS)):
        with pytest.raises(DataError, match="at least one measure, each with a name of its own"):
            write_table(tmp_path / "x", column, name="x", architectures=texts(), space=SPACE, measures=measures)
