"""Scores that are looked up, against the table's own columns."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from toy_regression import ToyRegression

from mixop import api, recipes
from mixop.comparison.compare import compare
from mixop.comparison.conditions import Conditions
from mixop.comparison.evaluators import RIGHT, Optimum, Retrain, Supernet, Tabular, tabular
from mixop.comparison.paper import paper_of
from mixop.core.errors import DataError, RecipeError, RunError, SpaceError
from mixop.core.measure import ACCURACY, Measure
from mixop.data.images.digits import Digits
from mixop.data.toy import toy_set
from mixop.searchers.evolution import Evolution
from mixop.spaces import nasbench1shot1, nasbench101
from mixop.spaces.nasbench201 import NasBench201
from mixop.spaces.toy import Toy
from mixop.tables import convert
from mixop.tables.table import Table
from mixop.tables.write import Column, write_table

SPACE = Toy()
NATIVES = [SPACE.to_native(architecture) for architecture in SPACE.architectures()]
RNG = np.random.default_rng(0)
VALID = RNG.uniform(10, 90, (len(NATIVES), 2, 2)).astype(np.float32)  # architecture, run, after 4 and 12 epochs
TEST = RNG.uniform(10, 90, (len(NATIVES), 2, 2)).astype(np.float32)


SHORT = Supernet(protocol=replace(Supernet().protocol, batch_size=16))


def written(path: Path, *, name: str = "toy", datasets: tuple[str, ...] = ("toy",), seconds: float = 1e-3) -> Path:
    runs = {"epochs": 12, "seeds": (0, 1), "after": (4, 12)}
    columns = []
    for dataset in datasets:
        columns += [
            Column(metric="accuracy", dataset=dataset, split="valid", values=VALID, **runs),
            Column(metric="accuracy", dataset=dataset, split="test", values=TEST, **runs),
            Column(metric="seconds", dataset=dataset, split="train", epochs=12, values=np.full(len(NATIVES), seconds)),
        ]
    return write_table(path, columns, name=name, space=SPACE, architectures=NATIVES)


@pytest.fixture
def table(tmp_path: Path) -> str:
    return str(written(tmp_path / "toy.table"))


def test_the_score_is_the_mean_over_all_runs_at_the_end(table: str):
    for test, columns in ((False, VALID), (True, TEST)):
        evaluator = tabular(table, test=test)
        for row in (0, 7, len(NATIVES) - 1):
            assert evaluator.look_up(SPACE.from_native(NATIVES[row])) == pytest.approx(
                columns[row, :, 1].mean() / 100, rel=1e-3
            )


def test_what_is_not_said_is_read_from_the_table(table: str, tmp_path: Path):
    evaluator = tabular(table)
    assert (evaluator.dataset, evaluator.epochs, evaluator.trial_epochs, evaluator.test) == ("toy", 12, 12, False)
    assert evaluator.ladder(3, 3) == (4, 12)  # 12, 4 and about 1.3, of what the curve has
    several = str(written(tmp_path / "several.table", datasets=("a", "b")))
    with pytest.raises(DataError, match="a, b: choose one with --dataset"):
        tabular(several)
    assert tabular(several, "b").dataset == "b"
    with pytest.raises(DataError, match="'c'"):
        tabular(several, "c")
    with pytest.raises(DataError):
        tabular(str(tmp_path / "none.table"))


def test_what_the_table_does_not_cover_is_refused(table: str, tmp_path: Path):
    evaluator = tabular(table)
    evaluator.check(SPACE, toy_set())
    with pytest.raises(RecipeError, match="does not cover nasbench201"):
        evaluator.check(NasBench201(), Digits().load())
    with pytest.raises(RecipeError, match="does not cover toy"):
        evaluator.check(Toy(blocks=4), toy_set(Toy(blocks=4)))
    changed = replace(evaluator, sha256="0" * 64)
    with pytest.raises(DataError, match="not the one that the comparison began with"):
        changed.check(SPACE, toy_set())


def test_a_comparison_by_a_table_trains_nothing_but_searches(table: str, tmp_path: Path):
    """Recipes, a searcher and random search end to end: scores, curves and seconds are the table's."""
    recipe = replace(recipes.darts(epochs=3), batch_size=16)
    data = toy_set(SPACE, n=96)
    evaluator = tabular(table, test=True)
    given = {"a": recipe}, SPACE, data
    searchers = {"evolution": Evolution(epochs=evaluator.trial_epochs)}
    options = {"searchers": searchers, "budget_seconds": 0.0205, "seeds": range(2), "jobs": 2, "evaluate": evaluator}
    result = compare(*given, tmp_path / "c", **options)
    opened = Table.open(table)

    def accuracy(native: str) -> float:
        return opened.query(native, dataset="toy", split="test", epochs=12, reveal_test=True) / 100

    for row in result.rows:
        assert row.n == 2
        for trial in row.runs:
            assert trial.architecture is not None
            assert trial.score == accuracy(trial.architecture)
    for trial in result.row("a").runs:
        assert [epoch for epoch, _, _ in trial.curve] == [1, 2, 3]
        assert trial.curve[-1][2] == trial.score
    for name in ("random", "evolution"):
        assert [trial.trained for trial in result.row(name).runs] == [20, 20]  # of a thousandth of a second each
    assert result.row("random").skips is not None
    assert not list(tmp_path.glob("c/**/score.json"))  # no network was trained from scratch
    assert (tmp_path / "c" / "runs.jsonl").read_text().count("\n") == 6
    with pytest.raises(RunError, match="evaluator"):
        compare(*given, tmp_path / "c", **{**options, "evaluate": SHORT})


def test_papers_numbers_stand_beside_their_own_space_and_data_only():
    data = Digits().load()
    known = {"darts": recipes.darts(epochs=7), "mine": recipes.drnas(), "gdas": recipes.drnas()}  # gdas by name only
    evaluator = Tabular(table="t", dataset="cifar10", epochs=200, trial_length=12, test=True)
    space = NasBench201(channels=8, input_shape=(1, 8, 8), outputs=10)
    found = paper_of(known, {}, space, data, evaluator)
    assert found["reported"].keys() == {"darts", "random"}
    assert found["reported"]["darts"]["mean"] == 54.30
    assert found["reported"]["random"]["mean"] == 93.70
    assert "8 channels (16)" in found["differences"]
    assert "7 to 100 epochs (50 to 100)" in found["differences"]
    assert "cells" not in found["differences"]
    assert paper_of(known, {}, space, data, replace(evaluator, test=False))["reported"]["darts"]["mean"] == 39.77
    assert " images (25,000 + 25,000)" in found["differences"]
    for dataset, pixels in (("cifar100", 32), ("ImageNet16-120", 16)):  # papers do not agree on the split of these
        other = paper_of(known, {}, space, data, replace(evaluator, dataset=dataset))["differences"]
        assert f"images of 8 pixels ({pixels})" in other
        assert "25,000" not in other
    assert paper_of(known, {}, space, data, replace(evaluator, dataset="digits")) == {}
    assert paper_of(known, {}, Toy(), data, evaluator) == {}


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory):
    """A search on numbers in mm, and what scores it."""
    data = ToyRegression().load()
    out = tmp_path_factory.mktemp("regression") / "run"
    found = api.search(replace(recipes.darts(epochs=2), batch_size=16), SPACE, data, out)
    return found, Conditions(space=SPACE, data=data)


def test_trainings_and_supernets_are_scored_by_the_tasks_first_measure(regression, tmp_path: Path):
    found, conditions = regression
    task, short = conditions.data.task, replace(SHORT.protocol, epochs=1)
    scored = Supernet(protocol=short).of_search(found, conditions)
    assert scored["score"] == found.history[-1].valid["rmse"]
    evaluator = Retrain(protocol=short)
    trained = evaluator.of_search(found, conditions)
    alone = conditions.train(found.architecture, short, tmp_path / "alone")
    assert trained["score"] == alone.measures["rmse"]
    tested = replace(evaluator, test=True).of_search(found, conditions)
    assert tested["valid"] == trained["score"] != tested["score"]
    for one in (Supernet(), Retrain(), Retrain(test=True)):
        assert one.measure(task) == one.trial_measure(task) == Measure("rmse", "lower", "mm")
        assert "RMSE" in one.words(task)
    assert evaluator.of_trial(found.architecture, None, conditions, tmp_path)["score"] is None


def test_a_known_optimum_keeps_its_own_share_whatever_the_task(regression):
    found, conditions = regression
    task, evaluator = conditions.data.task, Optimum()
    assert (evaluator.measure(task), evaluator.trial_measure(task)) == (RIGHT, task.first)
    distance = found.architecture.distance(SPACE.optimum)
    assert evaluator.of_search(found, conditions)["score"] == pytest.approx(1 - distance / 3)


def test_a_table_of_errors_is_compared_downwards(tmp_path: Path):
    """Random search and a searcher take the lowest error that they have seen; the rows are ordered by it."""
    values = np.random.default_rng(5).uniform(1, 9, (len(NATIVES), 2)).astype(np.float32)
    runs = {"epochs": 12, "seeds": (0, 1), "dataset": "toy"}
    columns = [
        Column(metric="error", split="valid", values=values, **runs),
        Column(metric="seconds", dataset="toy", split="train", epochs=12, values=np.full(len(NATIVES), 1e-3)),
    ]
    error = Measure("error", "lower", "mm")
    path = str(write_table(tmp_path / "t.table", columns, name="t", space=SPACE, architectures=NATIVES, measures=(error,)))
    evaluator, data = tabular(path), toy_set(SPACE, n=96)
    assert evaluator.measure(data.task) == evaluator.trial_measure(data.task) == error
    assert data.task.first == ACCURACY  # what is searched by is another matter
    assert evaluator.look_up(SPACE.from_native(NATIVES[7])) == pytest.approx(values[7].mean(), rel=1e-6)
    assert evaluator.words(data.task).startswith("validation error on toy after 12 epochs")
    searchers = {"evolution": Evolution(epochs=12)}
    how = {"searchers": searchers, "budget_seconds": 0.0205, "seeds": range(2), "jobs": 2, "evaluate": evaluator}
    result = compare({}, SPACE, data, tmp_path / "c", **how)
    assert result.measure == error
    means = [row.mean for row in result.rows]
    assert means == sorted(means)
    for row in result.rows:
        for run in row.runs:
            assert run.trained == 20
            drawn = values[NATIVES.index(run.architecture)]
            assert run.score == pytest.approx(drawn.mean(), rel=1e-6)
            assert drawn.min() < np.median(values)  # the lowest of 20 draws: above the median by 1 in a million
    assert "mm" in result.table()


def test_a_table_of_nasbench101_scores_what_is_found_in_nasbench1shot1(tmp_path):
    space = nasbench1shot1(1)
    found = space.architecture([(1, 1, 0, 2), (0, 1), (2, 3), (0, 4)])
    spec = space.spec(found)
    cell = {"matrix": spec.matrix, "ops": ["input", *spec.operations, "output"]}
    cell |= {"validation_accuracy": [0.9, 0.92, 0.94], "test_accuracy": [0.8, 0.8, 0.8], "training_time": [100.0, 110.0, 120.0]}
    (tmp_path / "one.json").write_text(json.dumps([cell]))
    evaluator = tabular(str(convert(tmp_path / "one.json", tmp_path / "one.table")))
    data = toy_set(SPACE, n=96)
    for covered in (space, nasbench1shot1(3), nasbench101()):
        evaluator.check(covered, data)
    with pytest.raises(RecipeError, match="does not cover toy"):
        evaluator.check(SPACE, data)
    assert evaluator.look_up(found) == pytest.approx(0.92, abs=1e-6)
    with pytest.raises(SpaceError, match="does not hold"):
        evaluator.look_up(space.architecture([(1, 1, 0, 1), (0, 1), (2, 3), (0, 4)]))


def test_an_epoch_says_what_its_score_would_be(table: str):
    native = NATIVES[7]
    conditions = Conditions(space=SPACE, data=toy_set(SPACE, n=96))
    epoch = {"architecture": native, "valid": {"accuracy": 0.25}}
    right = sum(a == b for a, b in zip(native.split("|"), SPACE.to_native(SPACE.optimum).split("|"), strict=True))
    assert Supernet().so_far(epoch, conditions) == Retrain().so_far(epoch, conditions) == 0.25
    assert Optimum().so_far(epoch, conditions) == pytest.approx(right / 3)
    assert tabular(table).so_far(epoch, conditions) == pytest.approx(VALID[7, :, 1].mean() / 100, rel=1e-3)
    elsewhere = {"architecture": "of a stage", "valid": {}}  # a stage of a search has a space of its own
    assert all(one.so_far(elsewhere, conditions) is None for one in (Supernet(), Optimum(), tabular(table)))
