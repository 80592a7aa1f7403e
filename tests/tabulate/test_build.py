"""A table of a small space: what a network scores does not depend on its company, and a killed build goes on."""

import json
import os
import shutil
import signal
from itertools import count

import numpy as np
import pytest
import torch

from mixop.core.errors import RecipeError, RunError, SpaceError
from mixop.core.measure import ACCURACY, LOSS, Measure
from mixop.data import from_arrays, from_tokens
from mixop.data.core import assemble
from mixop.data.examples import Arrays
from mixop.data.preparation import Preparation
from mixop.data.split import Split
from mixop.engine.driver import Driver
from mixop.engine.settings import Settings
from mixop.runs.interrupt import InterruptedRunError
from mixop.spaces import darts, nasbench201
from mixop.spaces.sizes import Sizes
from mixop.tables.built import convert_built
from mixop.tables.table import Table
from mixop.tabulate import build, pace
from mixop.tabulate.build import architectures_of, estimate, tabulate, train
from mixop.tabulate.cohort import Cohort
from mixop.tabulate.how import Tabulation
from mixop.tabulate.many import side_by_side
from mixop.tasks.regression import Regression

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
    np.testing.assert_array_equal(three["valid_accuracy"][1], one["valid_accuracy"][0])
    np.testing.assert_allclose(three["test_loss"][1], one["test_loss"][0], rtol=1e-6)
    assert not np.array_equal(one["train_loss"][0, 0], one["train_loss"][0, 1])  # seeds differ


def test_the_file(table, data):
    found = read(table)
    names = [f"{split}_{name}" for split in ("valid", "test") for name in ("accuracy", "loss")]
    assert {found[name].shape for name in (*names, "train_loss")} == {(64, 2, 2)}
    assert json.loads(str(found["measures"])) == [ACCURACY.to_json(), LOSS.to_json()]
    assert (found["valid_examples"], found["test_examples"]) == (len(data.valid), len(data.test))
    right = found["valid_accuracy"] * len(data.valid)
    np.testing.assert_allclose(right, np.rint(right), atol=1e-9)  # whole examples, up to float64 rounding
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
    wanted = 100 * found["valid_accuracy"][7, :, -1].mean()
    assert opened.query(native, dataset="made", split="valid") == pytest.approx(wanted, rel=1e-6)
    loss = found["valid_loss"][7, 1, 0]
    assert opened.query(native, dataset="made", split="valid", metric="loss", seed=1, after=1) == pytest.approx(loss, rel=1e-6)
    assert opened.measures == (ACCURACY, LOSS)
    assert {c.dtype for c in opened.columns if c.metric == "accuracy"} == {"<u2"}  # kept as counts


def test_a_build_that_stopped_goes_on_inside_its_cohort(table, data, tmp_path):
    """Stopped by a signal in the middle of a cohort, in an epoch: nothing that was done is done again."""
    out = tmp_path / "other.npz"

    def stop(done, total):
        if 37 < done < 38:  # two of the six steps of a cohort of 16
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match=r"Stopped with 32 of 64 architectures done and all progress kept in .*parts"):
        tabulate(SPACE, data, HOW, out, group=32, tell=stop)
    parts = tmp_path / "other.npz.parts"
    assert (parts / "000032.pt").exists()
    told = []
    tabulate(SPACE, data, HOW, out, group=32, tell=lambda done, total: told.append(done))
    assert told[0] == 32
    assert told[1] == pytest.approx(40)  # the third of six steps
    assert told[-1] == 64
    assert not list(parts.glob("*.pt*"))
    first, second = read(table), read(out)
    assert first.keys() == second.keys()
    for name, values in first.items():
        if name != "seconds":
            np.testing.assert_array_equal(values, second[name])
    with pytest.raises(RunError, match="parts of a table with other settings"):
        tabulate(SPACE, data, Tabulation(epochs=1), out)


def torn(path):
    path.write_bytes(path.read_bytes()[:-100])


def cut(path):
    arrays = read(path)
    np.savez(path, **{**arrays, "valid_loss": arrays["valid_loss"][:-1]})


def without_indices(path):
    arrays = read(path)
    del arrays["index"]
    np.savez(path, **arrays)


def empty(path):
    path.write_bytes(b"")


def of_texts(path):
    np.savez(path, **{**read(path), "index": np.array(["x"] * 16)})


# Each is found when the part is read, before anything is trained.
DAMAGES = [torn, cut, *(pytest.param(d, marks=pytest.mark.slow) for d in (without_indices, of_texts, empty))]


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_alone_is_trained_again(table, data, tmp_path, damage):
    out, parts = tmp_path / "other.npz", tmp_path / "other.npz.parts"
    shutil.copy2(table, out)
    shutil.copytree(table.with_name(f"{table.name}.parts"), parts)
    damage(parts / "000016.npz")
    when = {path: path.stat().st_mtime_ns for path in parts.glob("*.npz")}
    told = []
    tabulate(SPACE, data, HOW, out, group=32, tell=lambda done, total: told.append(done))
    assert told[0] == 48
    assert [path.name for path in when if path.stat().st_mtime_ns != when[path]] == ["000016.npz"]
    first, second = read(table), read(out)
    for name, values in first.items():
        if name != "seconds":
            np.testing.assert_array_equal(values, second[name])


def test_workers_make_the_very_rows_that_this_process_makes(table, data, tmp_path):
    """Stopped after the first group, and gone on with by this process."""
    out, told = tmp_path / "other.npz", []

    def stop(done, total):
        if done > 32 and told[-1] <= 32:  # more than two groups of 16 that are underway: another one is done
            os.kill(os.getpid(), signal.SIGINT)
        told.append(done)

    with pytest.raises(InterruptedRunError, match=r"Stopped with \d+ of 64 architectures done and all progress kept"):
        tabulate(SPACE, data, HOW, out, group=32, jobs=2, tell=stop)
    assert told[0] == 0
    done = len(list((tmp_path / "other.npz.parts").glob("0*.npz")))
    assert 1 <= done <= 4
    again = []
    tabulate(SPACE, data, HOW, out, group=32, tell=lambda done, total: again.append(done))
    assert again[0] == 16 * done
    first, second = read(table), read(out)
    for name, values in first.items():
        if name != "seconds":
            np.testing.assert_array_equal(values, second[name])


def test_a_build_on_gpus_has_a_worker_on_each_of_them(data, tmp_path, monkeypatch):
    given: dict[str, object] = {}

    def work(self, tasks, **how):
        given.update(how, room=self._jobs(how["device"], how["jobs"]), devices={task.arguments["device"] for task in tasks})
        return {tasks[0].name: "There is no GPU."}

    monkeypatch.setattr(Settings, "_check_device", lambda self: True)
    monkeypatch.setattr(build.Local, "work", work)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2")
    with pytest.raises(RunError, match="There is no GPU"):
        tabulate(SPACE, data, HOW, tmp_path / "other.npz", group=32, device="cuda")
    assert (given["device"], given["room"], given["devices"]) == ("cuda", 3, {"cuda"})


def test_a_device_that_is_not_here_is_refused_and_one_that_is_makes_the_same_table(table, data, tmp_path):
    with pytest.raises(RecipeError, match="device must be 'cpu', 'cuda'"):
        tabulate(SPACE, data, HOW, tmp_path / "none.npz", device="gpu")
    assert not (tmp_path / "none.npz.parts").exists()
    made = tabulate(SPACE, data, HOW, tmp_path / "made.npz", group=32, limit=16, device=torch.device("cpu", 0))
    np.testing.assert_array_equal(read(made)["valid_loss"], read(table)["valid_loss"][:16])


def test_a_group_that_workers_cannot_train_is_named(data, tmp_path, monkeypatch):
    monkeypatch.setattr(build.Local, "work", lambda self, tasks, **given: {tasks[0].name: "It does not fit."})
    with pytest.raises(RunError, match=r"1 of 2 groups could not be trained, for example group-000000: It does not fit; the"):
        tabulate(SPACE, data, HOW, tmp_path / "other.npz", group=32, limit=32, jobs=2)


def test_a_torn_checkpoint_begins_its_networks_again(table, data, tmp_path):
    out, parts = tmp_path / "other.npz", tmp_path / "other.npz.parts"

    def stop(done, total):
        if 5 < done < 6:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError):
        tabulate(SPACE, data, HOW, out, group=32, limit=16, tell=stop)
    torn(parts / "000000.pt")
    told = []
    tabulate(SPACE, data, HOW, out, group=32, limit=16, tell=lambda done, total: told.append(done))
    assert told[:2] == [0, pytest.approx(16 / 6)]
    np.testing.assert_array_equal(read(out)["train_loss"], read(table)["train_loss"][:16])


def test_torn_settings_are_named(data, tmp_path):
    parts = tmp_path / "other.npz.parts"
    parts.mkdir()
    (parts / "settings.json").write_text('{"space": ')
    with pytest.raises(RunError, match=r"settings\.json is torn"):
        tabulate(SPACE, data, HOW, tmp_path / "other.npz", limit=1)


def test_two_builders_in_one_folder_are_refused(data, tmp_path):
    out = tmp_path / "other.npz"

    def again(done, total):
        with pytest.raises(RunError, match="Another process is working in"):
            tabulate(SPACE, data, HOW, out, group=32, limit=1)

    tabulate(SPACE, data, HOW, out, group=32, limit=1, tell=again)
    assert len(read(out)["arch"]) == 1


@pytest.fixture(scope="module")
def numbers(tmp_path_factory):
    """A table of a regression: an image's mean and spread, in kg."""
    x = torch.rand((90, 1, 8, 8), generator=torch.Generator().manual_seed(0))
    x = x * torch.linspace(0.1, 1, 90)[:, None, None, None]
    flat = x.flatten(1)
    y = 5 + torch.stack([flat.mean(1), flat.std(1)], dim=1)
    parts = [Arrays(x[at], y[at]) for at in (slice(0, None, 2), slice(1, None, 2))]
    data = assemble(
        "numbers",
        parts[0],
        test=parts[1],
        task=Regression(unit="kg"),
        split=Split(),
        augment=Preparation(),
        source=None,
        record={},
    )
    space = SPACE.fit(data)
    out = tmp_path_factory.mktemp("numbers") / "small-numbers.npz"
    tabulate(space, data, Tabulation(epochs=2, batch_size=8, seeds=2), out, group=64)
    return Table.open(convert_built(out, out.with_suffix(".table"), space=space)), data, read(out)


def test_a_regression_is_tabulated_by_its_own_measures(numbers):
    """What one network of the cohort scored is what it scores alone, measured by NumPy."""
    table, data, found = numbers
    assert [measure.name for measure in table.measures] == ["rmse", "mae", "r2", "loss"]
    assert table.measure() == Measure("rmse", "lower", "kg")
    space = SPACE.fit(data)
    architecture = architectures_of(space)[9]
    job = Cohort([architecture], [9], space, data, Tabulation(epochs=2, batch_size=8, seeds=2))
    with Driver(job, 1e9, lambda record: None) as driver:
        driver.run(lambda: job.state.epoch < 2)
    with torch.no_grad():
        outputs = job.many.eval()(side_by_side(data.batch(data.valid).x[None], torch.zeros(2, dtype=torch.int64)))
    answers = outputs.double().numpy() * np.array(data.task.std) + np.array(data.task.mean)
    errors = answers - data.targets("valid").double().numpy()[:, None]
    wanted = np.sqrt((errors**2).mean(axis=0)).mean(axis=-1)  # of each seed, the mean over the two numbers
    np.testing.assert_allclose(found["valid_rmse"][9, :, 0], wanted, rtol=1e-4)  # in company and alone, in float32
    assert table.query(9, dataset="numbers", split="valid", seed=1) == pytest.approx(wanted[1], rel=1e-4)


def test_the_best_of_a_regression_are_those_of_the_smallest_error(numbers):
    table, _, found = numbers
    means = found["valid_rmse"][:, :, 0].mean(axis=1)
    best = table.best(3, dataset="numbers", split="valid")
    assert [row.index for row in best] == np.argsort(means, kind="stable")[:3].tolist()
    assert table.optimum(dataset="numbers", split="valid").value == pytest.approx(means.min(), rel=1e-6)
    assert table.rank(int(means.argmin()), dataset="numbers", split="valid") == 1
    assert table.rank(int(means.argmax()), dataset="numbers", split="valid") == len(means)
    r2 = found["valid_r2"][:, :, 0].mean(axis=1)  # of this one the higher is better
    assert table.optimum(dataset="numbers", split="valid", metric="r2").index == int(r2.argmax())


def test_token_streams_are_refused_by_name(tmp_path):
    windows = from_tokens([0, 1, 2, 1] * 50, window=5)
    with pytest.raises(RecipeError, match="a table cannot be built from token streams"):
        tabulate(SPACE, windows, HOW, tmp_path / "t.npz")


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
    with pytest.raises(RecipeError, match="At least 1 group"):
        tabulate(SPACE, data, HOW, tmp_path / "table.npz", jobs=0)


def test_the_time_is_estimated_and_leaves_nothing_behind(data, tmp_path, monkeypatch):
    """By a clock that ticks a second a step: two epochs of three batches and two scorings for each of eight groups."""
    monkeypatch.chdir(tmp_path)
    ticks = count()
    monkeypatch.setattr(pace.time, "monotonic", lambda: float(next(ticks)))
    assert estimate(SPACE, data, HOW, group=16).seconds == 8 * (2 * 3 + 2)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("times", "group"),
    [({1: 1.0, 3: 3.6, 9: 8.0, 27: 40.0}, 18), ({1: 1.0, 3: 4.0}, 2), ({1: 1.0, 3: 2.0, 9: 9.0}, 6)],
    ids=["many", "alone", "few"],
)
def test_as_many_train_together_as_are_fastest(data, monkeypatch, times, group):
    """By steps that take so many seconds; numbers that no time is given for must not be tried."""
    monkeypatch.setattr(pace, "paced", lambda some, *_: pace.Pace(len(some), times[len(some)], 0.0))
    found = estimate(SPACE, data, HOW)
    assert found.group == group
    assert found.seconds == pytest.approx(64 * 2 * 3 * min(seconds / count for count, seconds in times.items()))


def test_a_build_goes_on_with_as_many_as_before(data, tmp_path, monkeypatch):
    monkeypatch.setattr(pace, "paced", lambda some, *_: pace.Pace(len(some), 1.0 if len(some) < 9 else 9.0, 0.0))
    out, folder = tmp_path / "table.npz", tmp_path / "table.npz.parts"
    seen = []

    def stop(done, total):
        seen.append(done)
        if done > 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(InterruptedRunError):
        tabulate(SPACE, data, HOW, out, limit=7, tell=stop)
    assert json.loads((folder / "group.json").read_text()) == {"group": 6}
    monkeypatch.setattr(pace, "paced", None)  # nothing is timed again
    tabulate(SPACE, data, HOW, out, limit=7)
    assert [len(read(part)["index"]) for part in sorted(folder.glob("[0-9]*.npz"))] == [3, 3, 1]
