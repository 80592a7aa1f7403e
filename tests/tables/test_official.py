"""The authors' API: every answer beside one that is computed from the records themselves, by the published rules."""

from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest
from tests.tables.conftest import COUNT, SETS

from mixop.core.errors import DataError, SpaceError
from mixop.spaces.nasbench201 import NasBench201
from mixop.tables import OfficialApi, Table, convert

REAL = Path(__file__).parents[2].parent / "shared" / "data" / "nasbench201.npz"


@pytest.fixture(scope="module")
def tables(official: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Table]:
    folder = tmp_path_factory.mktemp("tables")
    return {
        "ends": Table.open(convert(official["pbz2"], folder / "ends.table")),
        "curves": Table.open(convert(official["pbz2"], folder / "curves.table", curves=True)),
        "uneven": Table.open(convert(official["uneven"], folder / "uneven.table", curves=True)),
    }


def info_of(state: dict[str, Any], dataset: str, iepoch: int | None, seeds: list[int]) -> dict[str, float]:
    """The published rules, on the records."""
    total: dict[str, list[float]] = {}
    for seed in seeds:
        run = state["all_results"][dataset, seed]
        last = run["epochs"] - 1 if iepoch is None else iepoch
        seconds = sum(run["train_times"][e] for e in range(last + 1))
        entries = {
            "train-loss": run["train_losses"][last],
            "train-accuracy": run["train_acc1es"][last],
            "train-per-time": seconds / (last + 1),
            "train-all-time": seconds,
        }
        names = {"cifar10-valid": {"valid": "x-valid", "test": "ori-test"}, "cifar10": {"test": "ori-test"}}
        both = {"valid": "x-valid", "test": "x-test", "valtest": "ori-test"}
        for split, name in names.get(dataset, both).items():
            seconds = sum(run["eval_times"][f"{name}@{e}"] for e in range(last + 1))
            entries |= {
                f"{split}-loss": run["eval_losses"][f"{name}@{last}"],
                f"{split}-accuracy": run["eval_acc1es"][f"{name}@{last}"],
                f"{split}-per-time": seconds / (last + 1),
                f"{split}-all-time": seconds,
            }
        for key, value in entries.items():
            total.setdefault(key, []).append(float(value))
    return {key: float(np.mean(values)) for key, values in total.items()}


@pytest.mark.parametrize("dataset", SETS)
@pytest.mark.parametrize("kind", ["curves", "uneven"])
@pytest.mark.parametrize("iepoch", [None, 0, 7])
def test_more_info_is_that_of_the_records(
    tables: dict[str, Table], content: dict[str, Any], uneven: dict[str, Any], dataset: str, kind: str, iepoch: int | None
):
    api = OfficialApi(tables[kind], reveal_test=True)
    source = uneven if kind == "uneven" else content
    for index in (0, 1):
        for hp in ("12", "200"):
            state = source["arch2infos"][index][hp]
            seeds = state["dataset_seed"][dataset]
            expected = info_of(state, dataset, iepoch, seeds)
            found = api.get_more_info(index, dataset, iepoch, hp, is_random=False)
            assert found == pytest.approx(expected, rel=1e-6)
            for seed in seeds:
                found = api.get_more_info(index, dataset, iepoch, int(hp), is_random=seed)
                assert found == pytest.approx(info_of(state, dataset, iepoch, [seed]), rel=1e-6)


def test_a_random_run_is_one_run_and_every_run_comes(tables: dict[str, Table], content: dict[str, Any]):
    api = OfficialApi(tables["ends"], rng=Random(1), reveal_test=True)
    for index, count in ((0, 3), (1, 2)):  # odd ones have two runs
        state = content["arch2infos"][index]["200"]
        runs = [info_of(state, "cifar100", None, [seed]) for seed in state["dataset_seed"]["cifar100"]]
        seen = set()
        for _ in range(40):
            found = api.get_more_info(index, "cifar100", hp="200")
            matching = [i for i, run in enumerate(runs) if found == pytest.approx(run, rel=1e-6)]
            assert len(matching) == 1
            seen.add(matching[0])
        assert seen == set(range(count))


def test_the_test_stays_hidden_without_the_word(tables: dict[str, Table]):
    api = OfficialApi(tables["ends"])
    found = api.get_more_info(0, "cifar100", hp="12", is_random=False)
    assert {key.partition("-")[0] for key in found} == {"train", "valid"}
    with pytest.raises(DataError, match="reveal_test"):
        api.find_best("cifar100", "x-test", hp="200")


def test_the_clock(tables: dict[str, Table], content: dict[str, Any]):
    api, spent = OfficialApi(tables["curves"]), 0.0
    for index, dataset, hp, iepoch in (
        (0, "cifar10", "12", None),
        (3, "cifar100", "200", 40),
        (2, "ImageNet16-120", "200", None),
    ):
        trained_on = "cifar10-valid" if dataset == "cifar10" else dataset
        state = content["arch2infos"][index][hp]
        accuracy, latency, cost, total = api.simulate_train_eval(index, dataset, iepoch=iepoch, hp=hp)
        options = [info_of(state, trained_on, iepoch, [seed]) for seed in state["dataset_seed"][trained_on]]
        costs = {option["valid-accuracy"]: option["train-all-time"] + option["valid-per-time"] for option in options}
        match = min(costs, key=lambda value: abs(value - accuracy))
        assert accuracy == pytest.approx(match, rel=1e-6)
        assert cost == pytest.approx(costs[match], rel=1e-6)
        short = content["arch2infos"][index]["12"]  # the latency is that of the short training, of the data set itself
        runs = [np.mean(short["all_results"][dataset, seed]["latency"]) for seed in short["dataset_seed"][dataset]]
        assert latency == pytest.approx(np.mean(runs), rel=1e-6)
        spent += cost
        assert total == api.used_time == pytest.approx(spent)
    assert api.simulate_train_eval(0, "cifar10", account_time=False)[3] == total
    api.reset_time()
    assert api.used_time == 0
    for wrong in ("cifar10-valid", "svhn"):
        with pytest.raises(DataError, match="no data set to simulate"):
            api.simulate_train_eval(0, wrong)


def test_query_index_and_arch(tables: dict[str, Table], content: dict[str, Any]):
    api, space = OfficialApi(tables["ends"]), NasBench201()
    for index, text in enumerate(content["meta_archs"]):
        assert api.query_index(text) == api.query_index(space.from_native(text)) == api.query_index(index) == index
        assert api.arch(index) == text
    assert api.query_index("nonsense") == -1
    assert api.query_index(space.from_index(1000)) == -1
    with pytest.raises(SpaceError, match="0 to 3"):
        api.query_index(COUNT)
    assert len(api) == COUNT
    assert {api.random() for _ in range(200)} == set(range(COUNT))


def test_costs_and_the_best_under_limits(
    official: dict[str, Path], content: dict[str, Any], tmp_path: Path, tables: dict[str, Table]
):
    api = OfficialApi(tables["ends"], reveal_test=True)
    info = api.get_cost_info(2, "cifar10", "200")
    runs = [np.mean(content["arch2infos"][2]["200"]["all_results"]["cifar10", seed]["latency"]) for seed in (777, 888, 999)]
    assert info == pytest.approx({"flops": 15.64736, "params": 0.129306, "latency": np.mean(runs)}, rel=1e-6)
    for dataset, metric, name in (
        ("cifar10", "valid", "x-valid"),
        ("cifar10", "ori-test", "ori-test"),
        ("cifar100", "ori-test", "ori-test"),
    ):
        at = "cifar10-valid" if (dataset, metric) == ("cifar10", "valid") else dataset
        means = []
        for index in range(COUNT):
            state = content["arch2infos"][index]["200"]
            means.append(
                np.mean([state["all_results"][at, s]["eval_acc1es"][f"{name}@199"] for s in state["dataset_seed"][at]])
            )
        best, accuracy = api.find_best(dataset, metric, hp="200")
        assert best == int(np.argmax(means))
        assert accuracy == pytest.approx(max(means), rel=1e-9)
    assert api.find_best("cifar10", "valid", flop_max=16, param_max=0.2, hp="200") == api.find_best(
        "cifar10", "valid", hp="200"
    )
    with pytest.raises(DataError, match="within the limits"):
        api.find_best("cifar10", "valid", param_max=0.1)


def test_what_is_lacking_is_told(tables: dict[str, Table]):
    api = OfficialApi(tables["ends"])
    for ask, says in (
        (lambda: api.get_more_info(0, "cifar100", 3), "only at the end of the training"),
        (lambda: api.get_more_info(0, "svhn"), "no data set of NAS-Bench-201 'svhn'"),
        (lambda: api.get_more_info(0, "cifar100", hp="90"), "no training .* '90'"),
        (lambda: api.get_more_info(0, "cifar100", 12), "must be 0 to 11 for this training of 12 epochs, got 12"),
        (lambda: api.get_more_info(0, "cifar100", hp="200", is_random=5), "has the runs 777, 888, 999"),
        (lambda: api.get_more_info(1, "cifar100", hp="200", is_random=999), "was not measured by run 999"),
    ):
        with pytest.raises(DataError, match=says):
            ask()


@pytest.mark.skipif(not REAL.exists(), reason="needs nasbench201.npz beside the project, in ../shared/data")
def test_tables_of_plain_files_answer_what_they_can(tmp_path: Path):
    table = Table.open(convert(REAL, tmp_path / "nb.table"))
    strict = OfficialApi(table)
    with pytest.raises(DataError, match=r"no split|no metric"):
        strict.simulate_train_eval(6111, "cifar10", hp="200")
    with pytest.raises(DataError, match=r"no single runs|no metric"):
        strict.get_more_info(6111, "cifar100", hp="200")
    api = OfficialApi(table, strict=False)
    real = np.load(REAL, allow_pickle=False)
    accuracy, latency, cost, total = api.simulate_train_eval(6111, "cifar10", hp="200")
    assert np.float32(accuracy) in real["c10_valid_e200_runs"][6111]
    assert latency is None
    assert np.float32(cost) == real["c10valid_train_seconds_e200"][6111]
    mean = api.simulate_train_eval(6111, "cifar100", hp="200")
    assert np.float32(mean[0]) == real["c100_valid_e200"][6111]
    assert mean[3] == pytest.approx(total + mean[2])
