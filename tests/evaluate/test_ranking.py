"""Architectures scored with a search's shared weights, on the table of digits that comes with mixop."""

import json
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import torch

from mixop import api
from mixop.core.errors import DataError, RecipeError, RunError
from mixop.core.measure import Measure
from mixop.data import Digits, Split
from mixop.engine.score import one_path, score
from mixop.evaluate.ranking import Ranked, Ranking, rank
from mixop.evaluate.start import trained_supernet
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipe.stage import Stage
from mixop.recipes import gaea, pcdarts, rsws
from mixop.runs.directory import RunDirectory
from mixop.runs.records import to_record
from mixop.spaces import nasbench201
from mixop.spaces.nasbench201 import NasBench201Digits
from mixop.supernet.executors import make_supernet
from mixop.tables import convert_npz
from mixop.tables.catalogue import open_table
from mixop.tables.table import Table

TABLE = open_table("nasbench201-digits")
WHERE = {"dataset": "digits", "epochs": 12}
DATA = Digits(split=Split(train=96, valid=96)).load()
SPACE = NasBench201Digits()
TRACKED = BatchNorm(affine=False, track=True)


def short(recipe: Recipe, **changes) -> Recipe:
    return replace(recipe, **{"epochs": 1, "warmup": 0, "batch_size": 40, **changes})


RECIPES = {
    "rsws": short(rsws()),
    "pcdarts": short(pcdarts()),  # edge weights, and operations that see a part of the channels
    "tracked": short(rsws(), norm=TRACKED),
    "pruned": short(rsws(), epochs=2, stages=(Stage(share=0.5), Stage(options=2))),
    "single level": short(gaea()),
}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("ranked")
    for name, recipe in RECIPES.items():
        api.search(recipe, SPACE, DATA, folder / name, seed=1, executor="plain" if name == "tracked" else "nodewise")
    return {name: folder / name for name in RECIPES}


def options_of(native: str) -> list[str]:
    """The operations of a native string, edge by edge."""
    return [term.split("~")[0] for term in native.replace("+", "").split("|") if term]


def by_hand(run: Path, recipe: Recipe, native: str, batches: int | None = None) -> float:
    """The accuracy of a path by the plain executor: one-hot weights, and every batch norm by its batch."""
    supernet = trained_supernet(RunDirectory(run))
    wraps = recipe.all_wraps[supernet.stage]
    net = make_supernet("plain", supernet.space, norm=recipe.norm, generator=torch.Generator(), wraps=wraps)
    net.load_state_dict(supernet.tensors)
    (group,) = supernet.space.groups
    mix = {each.name: torch.ones(each.shape) for each in net.groups}  # edges count 1
    mix[group.name] = torch.zeros(group.shape)
    for edge, option in enumerate(options_of(native)):
        mix[group.name][edge, group.decisions[edge].options.index(option)] = 1
    net.train()
    right = count = 0
    with torch.no_grad():
        for at in DATA.valid.split(recipe.batch_size)[:batches]:
            batch = DATA.batch(at)
            right += int((net(batch.x, mix).argmax(1) == batch.y).sum())
            count += len(at)
    return right / count


@pytest.mark.parametrize(
    ("name", "batches"), [("rsws", None), ("rsws", 1), ("pcdarts", None), ("pruned", None), ("tracked", 2)]
)
def test_scores_are_those_of_the_plain_executor_and_of_the_table(runs: dict[str, Path], name: str, batches: int | None):
    found = rank(str(runs[name]), DATA, TABLE, **WHERE, architectures=12, seed=3, batches=batches)
    assert len({one.architecture for one in found.architectures}) == 12
    assert found.examples == (96 if batches is None else 40 * batches)
    same = 0
    for one in found.architectures:
        want = by_hand(runs[name], RECIPES[name], one.architecture, batches)
        assert abs(one.shared - want) < 1.5 / found.examples  # executors add in other orders: float32 may turn an example
        same += one.shared == want
        values = [
            TABLE.query(one.architecture, **WHERE, split="valid", seed=seed) for seed in TABLE.seeds(**WHERE, split="valid")
        ]
        assert one.trained == pytest.approx(np.mean(values) / 100)
    assert same >= 10
    assert len({one.shared for one in found.architectures}) > 1


@pytest.mark.parametrize("name", ["rsws", "pcdarts"])
def test_correlations_are_scipys_and_the_best_are_the_best(runs: dict[str, Path], name: str):
    found = rank(RunDirectory(runs[name]), DATA, TABLE, **WHERE, architectures=30, batches=1)
    shared, trained = ([getattr(one, kind) for one in found.architectures] for kind in ("shared", "trained"))
    assert found.tau == pytest.approx(scipy.stats.kendalltau(shared, trained).statistic)
    assert found.rho == pytest.approx(scipy.stats.spearmanr(shared, trained).statistic)
    assert shared[found.best_shared] == max(shared)
    assert trained[found.best_trained] == max(trained)
    assert found.place(found.best_trained) == 1
    assert found.place(found.best_shared) == 1 + sum(value > trained[found.best_shared] for value in trained)


def test_the_draw_follows_its_seed_and_nothing_else(runs: dict[str, Path]):
    some = {"architectures": 8, "batches": 1}
    first = rank(str(runs["rsws"]), DATA, TABLE, **WHERE, **some, seed=5)
    torch.rand(3)
    random.random()
    assert rank(str(runs["rsws"]), DATA, TABLE, **WHERE, **some, seed=5) == first
    other = rank(str(runs["rsws"]), DATA, TABLE, **WHERE, **some, seed=6)
    assert {one.architecture for one in other.architectures} != {one.architecture for one in first.architectures}


def test_all_architectures_of_a_supernet_are_ranked_once(runs: dict[str, Path]):
    supernet = trained_supernet(RunDirectory(runs["pruned"]))
    assert supernet.space.size() == 64  # two of three options on six edges
    found = rank(str(runs["pruned"]), DATA, TABLE, **WHERE, batches=1)
    assert (found.of, len(found.architectures), found.missing) == (64, 64, 0)
    kept = [set(decision.options) for decision in supernet.space.groups[0].decisions]
    texts = {one.architecture for one in found.architectures}
    assert len(texts) == 64
    assert all(option in allowed for text in texts for option, allowed in zip(options_of(text), kept, strict=True))


@pytest.mark.parametrize("norm", ["running", "recalibrated"])
def test_other_statistics_of_batch_norm(runs: dict[str, Path], norm):
    found = rank(str(runs["tracked"]), DATA, TABLE, **WHERE, architectures=4, norm=norm)
    supernet = trained_supernet(RunDirectory(runs["tracked"]))
    net = make_supernet("plain", SPACE.fit(DATA), norm=TRACKED, generator=torch.Generator())
    net.load_state_dict(supernet.tensors)
    like = {group.name: torch.zeros(group.shape) for group in SPACE.groups}
    for one in found.architectures:
        mix, active = one_path(SPACE.fit(DATA), SPACE.from_native(one.architecture), like)
        if norm == "running":
            net.eval()
            batch = DATA.batch(DATA.valid)
            with torch.no_grad():
                want = (net(batch.x, mix).argmax(1) == batch.y).double().mean().item()
        else:
            want = score(net, DATA, mix, active, batch_size=40, norm=norm)["accuracy"]
        assert one.shared == pytest.approx(want, abs=2 / len(DATA.valid))  # a last digit may turn an example
    assert found.norm == norm


def test_what_is_written_says_how_it_came_about(runs: dict[str, Path]):
    found = rank(str(runs["single level"]), DATA, TABLE, **WHERE, split="test", architectures=3, batches=1)
    content = json.loads(json.dumps(to_record(found)))
    assert content["held_out"] is False  # both steps of that search see all training examples
    assert rank(str(runs["rsws"]), DATA, TABLE, **WHERE, architectures=3, batches=1).held_out is True
    assert (content["recipe"], content["data"], content["table"]) == ("gaea", "digits", "nasbench201-digits")
    assert (content["split"], content["epochs"], content["seed"], content["norm"]) == ("test", 12, 0, "batch")
    assert content["table_sha256"] == TABLE.header.sha256
    assert content["supernet_sha256"] == trained_supernet(RunDirectory(runs["single level"])).start.weights_sha256
    first = content["architectures"][0]
    assert 100 * first["trained"] == TABLE.query(first["architecture"], **WHERE, split="test", reveal_test=True)


def test_what_a_table_lacks_is_left_out_and_counted(runs: dict[str, Path], tmp_path: Path):
    texts = [SPACE.to_native(each) for each in SPACE.architectures()][:40]
    values = np.linspace(50, 90, 40, dtype=np.float32)
    values[7] = np.nan
    np.savez(tmp_path / "part.npz", arch=np.array(texts), digits_valid_e12=values)
    part = Table.open(convert_npz(tmp_path / "part.npz", tmp_path / "part.table", space=SPACE))
    found = rank(str(runs["rsws"]), DATA, part, **WHERE, architectures=SPACE.size(), batches=1)
    assert (len(found.architectures), found.missing) == (39, 729 - 39)
    with pytest.raises(DataError, match=r"^Of 2 architectures the table part has \d, but an order needs two\.$"):
        rank(str(runs["rsws"]), DATA, part, **WHERE, architectures=2, seed=1)


def test_a_measure_of_which_less_is_better_turns_its_order():
    measure = Measure("rmse", "lower")
    ranked = tuple(Ranked(str(k), 0.1 * k, trained) for k, trained in enumerate((3.0, 1.0, 2.0)))
    about = dict.fromkeys(("recipe", "data", "supernet_sha256", "norm", "table", "table_sha256", "dataset", "split"), "")
    numbers = dict.fromkeys(("examples", "epochs", "seed", "of", "missing", "tau", "rho", "best_shared", "best_trained"), 0)
    found = Ranking(**about, **numbers, held_out=True, measure=measure, table_measure=measure, architectures=ranked)
    assert [found.place(k) for k in range(3)] == [3, 1, 2]


def test_what_does_not_fit_is_a_sentence(runs: dict[str, Path], tmp_path: Path):
    run = str(runs["rsws"])
    for count in (1, 0, 730):
        with pytest.raises(RecipeError, match=f"must be 2 to 729 of this supernet, got {count}"):
            rank(run, DATA, TABLE, **WHERE, architectures=count)
    with pytest.raises(RecipeError, match="at least one batch, got 0"):
        rank(run, DATA, TABLE, **WHERE, batches=0)
    with pytest.raises(RecipeError, match="seed of the draw must be a whole number of at least 0, got -1"):
        rank(run, DATA, TABLE, **WHERE, seed=-1)
    with pytest.raises(RecipeError, match="wants running statistics of batch norm, but the supernet keeps none"):
        rank(run, DATA, TABLE, **WHERE, norm="running")
    with pytest.raises(RunError, match="There is no norm 'btch': did you mean 'batch'"):
        rank(run, DATA, TABLE, **WHERE, norm="btch")
    with pytest.raises(DataError, match="data set"):
        rank(run, DATA, TABLE, dataset="cifar10")
    with pytest.raises(RunError, match=r"This is not the data that .* began with"):
        rank(run, Digits(split=Split(train=96, valid=96, seed=1)).load(), TABLE, **WHERE)
    with pytest.raises(RunError, match="There is no run directory"):
        rank(str(tmp_path / "none"), DATA, TABLE, **WHERE)
    api.search(short(rsws()), nasbench201(channels=4, cells=1), DATA, tmp_path / "other")
    with pytest.raises(RecipeError, match=r"is of nasbench201-digits .729 architectures., but nasbench201 with 15,625 was"):
        rank(str(tmp_path / "other"), DATA, TABLE, **WHERE)
