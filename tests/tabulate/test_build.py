"""A table of a small space: what a network scores does not depend on its company, and a killed build goes on."""

import json
from itertools import count

import numpy as np
import pytest
import torch

from mixop.core.errors import RecipeError, RunError, SpaceError
from mixop.data import from_arrays
from mixop.spaces import darts, nasbench201
from mixop.spaces.sizes import Sizes
from mixop.tables.built import convert_built
from mixop.tables.table import Table
from mixop.tabulate import build
from mixop.tabulate.build import Tabulation, architectures_of, seconds_of, tabulate, train

SPACE = nasbench201(channels=4, cells=1, stages=1, operations=("skip_connect", "nor_conv_1x1"))
HOW = Tabulation(epochs=2, batch_size=16, seeds=2, keep=(1, 2))


@pytest.fixture(scope="module")
def data():
    x = torch.randint(0, 256, (90, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    return from_arrays(x, torch.arange(90) % 3, valid=0.5, test_share=0.2, layout="nchw")


@pytest.fixture(scope="module")
def table(data, tmp_path_factory):
    out = tmp_path_factory.mktemp("table") / "small-made.npz"
    tabulate(SPACE, data, HOW, out, group=32)
    return out


def read(path):
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def test_every_architecture_once():
    found = architectures_of(SPACE.fit(Sizes((1, 8, 8), 3)))
    assert len(set(found)) == len(found) == SPACE.size() == 64
    assert len(architectures_of(nasbench201(operations=("none", "skip_connect", "nor_conv_3x3")))) == 729


def test_what_a_network_learns_does_not_depend_on_its_company(data):
    space = SPACE.fit(Sizes((1, 8, 8), 3))
    torch.set_default_dtype(torch.float64)
    try:
        everything = architectures_of(space)
        three = train([everything[i] for i in (5, 9, 60)], [5, 9, 60], space, data, HOW)
        one = train([everything[9]], [9], space, data, HOW)
    finally:
        torch.set_default_dtype(torch.float32)
    np.testing.assert_allclose(three["train_loss"][1], one["train_loss"][0], rtol=1e-6)
    np.testing.assert_array_equal(three["valid_correct"][1], one["valid_correct"][0])
    assert not np.array_equal(one["train_loss"][0, 0], one["train_loss"][0, 1])  # seeds differ


def test_the_file(table, data):
    found = read(table)
    assert found["valid_correct"].shape == found["test_correct"].shape == found["train_loss"].shape == (64, 2, 2)
    assert found["valid_correct"].max() <= found["valid_images"] == len(data.valid)
    assert found["test_correct"].max() <= found["test_images"] == len(data.test_x)
    assert (found["train_loss"][:, :, 1] < found["train_loss"][:, :, 0]).mean() > 0.8  # nets learn
    natives = [name.decode() for name in found["arch"]]
    ones = np.array([name.count("nor_conv_1x1") for name in natives])
    np.testing.assert_array_equal(np.diff(found["params"][np.argsort(ones)]) >= 0, True)
    assert found["params"][ones.argmax()] - found["params"][ones.argmin()] == 6 * (4 * 4 + 2 * 4)
    assert found["flops"][ones.argmax()] - found["flops"][ones.argmin()] == 6 * 4 * 4 * 64
    assert json.loads(str(found["settings"]))["training"]["epochs"] == 2


def test_it_is_a_table_of_benchmarks(table, tmp_path):
    target = convert_built(table, tmp_path / "made.table", space=SPACE.fit(Sizes((1, 8, 8), 3)))
    opened, found = Table.open(target), read(table)
    native = found["arch"][7].decode()
    wanted = 100 * found["valid_correct"][7, :, -1].mean() / found["valid_images"]
    assert opened.query(native, dataset="made", split="valid") == pytest.approx(wanted, rel=1e-6)


def test_a_build_that_stopped_goes_on(table, data, tmp_path, monkeypatch):
    out, calls, real = tmp_path / "other.npz", count(), build.train

    def some(*given, **options):
        if next(calls) == 2:
            raise KeyboardInterrupt
        return real(*given, **options)

    monkeypatch.setattr(build, "train", some)
    with pytest.raises(KeyboardInterrupt):
        tabulate(SPACE, data, HOW, out, group=32)
    told = []
    tabulate(SPACE, data, HOW, out, group=32, tell=lambda done, total: told.append((done, total)))
    assert told[0] == (32, 64)
    assert told[-1] == (64, 64)
    first, second = read(table), read(out)
    assert first.keys() == second.keys()
    for name, values in first.items():
        if name != "seconds":
            np.testing.assert_array_equal(values, second[name])
    with pytest.raises(RunError, match="parts of a table with other settings"):
        tabulate(SPACE, data, Tabulation(epochs=1), out)


@pytest.mark.parametrize(
    ("values", "match"),
    [({"epochs": 0}, "epochs"), ({"keep": (3, 2)}, "must ascend"), ({"keep": (13,)}, "must ascend"), ({"seeds": 0}, "seeds")],
)
def test_settings_are_checked(values, match):
    with pytest.raises(RecipeError, match=match):
        Tabulation(**values)


def test_what_cannot_be_tabulated(data, tmp_path):
    with pytest.raises(SpaceError, match="leave operations out"):
        architectures_of(darts())
    with pytest.raises(RecipeError, match=r"must end in \.npz"):
        tabulate(SPACE, data, HOW, tmp_path / "table.csv")
    with pytest.raises(RecipeError, match="At least 1 network"):
        tabulate(SPACE, data, HOW, tmp_path / "table.npz", group=0)


def test_the_time_is_foretold_and_leaves_nothing_behind(data, tmp_path, monkeypatch):
    """By a clock that ticks a second a step: two epochs of three batches and two evaluations for each of eight groups."""
    monkeypatch.chdir(tmp_path)
    ticks = count()
    monkeypatch.setattr(build.time, "monotonic", lambda: float(next(ticks)))
    foretold = seconds_of(SPACE, data, HOW, group=16)
    assert foretold == 8 * (2 * 3 + 2)
    assert not list(tmp_path.iterdir())
