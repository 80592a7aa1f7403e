"""A comparison end to end on the toy space: ordinary runs, killed and continued, refused, failing."""

import html
import json
import os
import shutil
import signal
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from killed import CONTEXT
from toy_regression import ToyRegression

from mixop import api, recipes
from mixop.comparison.compare import compare
from mixop.comparison.evaluators import Optimum, Retrain, Supernet
from mixop.core.errors import DataError, RecipeError, RunError
from mixop.core.measure import ACCURACY
from mixop.core.optim import SGD
from mixop.core.schedules import Constant
from mixop.data import digits
from mixop.data.core import Data
from mixop.data.examples import Arrays
from mixop.data.toy import ToySet, toy_set
from mixop.recipe.core import Recipe
from mixop.report.comparison import Comparison
from mixop.report.comparison_files import read_comparison
from mixop.report.html import write_report
from mixop.runs.directory import RunDirectory
from mixop.runs.files import FORMAT
from mixop.runs.interrupt import InterruptedRunError
from mixop.runs.load import read_score
from mixop.runs.records import SearchRecord
from mixop.searchers.controller import Controller
from mixop.searchers.driver import read_rows
from mixop.searchers.evolution import Evolution
from mixop.searchers.local_search import LocalSearch
from mixop.spaces import darts
from mixop.spaces.toy import Toy

EPOCHS = 12
"""Of a search that is still running when it is killed."""

SHORT = Optimum(protocol=replace(Optimum().protocol, epochs=1, batch_size=16))


def two(epochs: int = 2) -> dict[str, Recipe]:
    return {name: replace(make(epochs=epochs), batch_size=16) for name, make in (("a", recipes.darts), ("b", recipes.gaea))}


@pytest.fixture(scope="module")
def data() -> Data:
    return toy_set(Toy(), n=96)


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory, data: Data) -> Comparison:
    """Two recipes, two seeds, two workers."""
    return compare(two(), Toy(), data, tmp_path_factory.mktemp("done") / "c", seeds=range(2), jobs=2, evaluate=SHORT)


def records(run: Path) -> list[Any]:
    return [replace(record, seconds=0.0) for record in RunDirectory(run).records()]


def test_every_method_has_a_row_with_all_its_runs(finished: Comparison):
    assert {row.name: row.n for row in finished.rows} == {"a": 2, "b": 2, "random": 2}
    assert finished.done == finished.planned == 6
    for row in finished.rows:
        for trial in row.runs:
            native = json.loads((trial.path / "trial.json").read_text()).get("architecture", trial.architecture)
            space = Toy()
            right = sum(x == y for x, y in zip(native.split("|"), space.to_native(space.optimum).split("|"), strict=True))
            assert trial.score == pytest.approx(right / 3)
            assert trial.distance == 3 - right
            assert trial.hit is (right == 3)
    assert finished.table() == (finished.path / "table.txt").read_text()
    assert (finished.path / "comparison.html").stat().st_size > 10_000


def test_a_worker_makes_the_very_run_that_search_makes(finished: Comparison, data: Data, tmp_path: Path):
    for name, recipe in two().items():
        api.search(recipe, Toy(), data, tmp_path / name, seed=1)
        assert (tmp_path / name / "architecture.json").read_bytes() == (
            finished.path / f"{name}-1/architecture.json"
        ).read_bytes()
        assert records(tmp_path / name) == records(finished.path / f"{name}-1")


def test_random_search_has_the_time_of_the_recipes(finished: Comparison):
    found = json.loads((finished.path / "random-0" / "trial.json").read_text())
    assert found["budgets"] == {**finished.budgets, "median": sum(finished.budgets.values()) / 2}
    spent = [candidate["seconds"] for candidate in found["candidates"]]
    assert sum(spent[:-1]) <= max(found["budgets"].values())
    assert len({candidate["architecture"] for candidate in found["candidates"]}) == len(spent)
    assert all(row.rival is not None for row in finished.rows if row.name != "random")


def test_what_is_finished_is_not_repeated(finished: Comparison, data: Data, tmp_path: Path):
    out = tmp_path / "copy"
    shutil.copytree(finished.path, out)
    told = []
    again = compare(two(), Toy(), data, out, seeds=range(2), jobs=2, evaluate=SHORT, observe=lambda n, r: told.append((n, r)))
    assert told == [("", {"event": "plan", "total": 6, "done": 6, "measure": ACCURACY.to_json()})]
    assert again.table() == finished.table()


def test_with_more_methods_and_seeds_it_grows(finished: Comparison, data: Data, tmp_path: Path):
    out = tmp_path / "copy"
    shutil.copytree(finished.path, out)
    more = {**two(), "c": replace(recipes.snas(epochs=2), batch_size=16)}
    options: dict[str, Any] = {"searchers": {"local": LocalSearch(epochs=1)}, "jobs": 2, "evaluate": SHORT}
    told = []
    grown = compare(more, Toy(), data, out, seeds=range(3), observe=lambda n, r: told.append((n, r)), **options)
    assert told[0] == ("", {"event": "plan", "total": 15, "done": 6, "measure": ACCURACY.to_json()})
    assert {row.name: row.n for row in grown.rows} == {"a": 3, "b": 3, "c": 3, "local": 3, "random": 3}
    begun = {name for name, record in told if record.get("event") == "begun"}
    assert not begun & {"a-0", "a-1", "b-0", "b-1"}  # what was there is not done again
    api.search(more["a"], Toy(), data, tmp_path / "alone", seed=2)
    assert records(tmp_path / "alone") == records(out / "a-2")  # and what is new is what it would have been
    for seed in range(3):
        budgets = json.loads((out / f"random-{seed}" / "trial.json").read_text())["budgets"]
        assert budgets.keys() == {"a", "b", "c", "median"}  # random search has the time of all of them
    with pytest.raises(RunError, match=r"comparison.seeds is \[0, 1, 2\] there and \[0, 1\] now"):
        compare(more, Toy(), data, out, seeds=range(2), **options)


@pytest.mark.parametrize("content", [[], {"recipes": 3}, {"seeds": 3}, {"budget_seconds": "much"}])
def test_a_damaged_comparison_is_refused(content: Any, data: Data, tmp_path: Path):
    (tmp_path / "comparison.json").write_text(json.dumps(content))
    (tmp_path / "run.json").write_text(json.dumps({"format": FORMAT}))
    with pytest.raises(RunError, match=r"holds another run|is torn or damaged"):
        compare(two(), Toy(), data, tmp_path, budget_seconds=1.0, seeds=range(2), jobs=2, evaluate=SHORT)
    assert json.loads((tmp_path / "comparison.json").read_text()) == content


@pytest.mark.parametrize(
    ("changes", "difference"),
    [
        ({"seeds": range(1)}, r"comparison.seeds is \[0, 1\] there and \[0\] now"),
        ({"seeds": range(3), "recipes": two(3)}, r"comparison.recipes.a.epochs is 2 there and 3 now"),
        ({"recipes": {"a": two()["a"]}}, r"comparison.recipes"),
        ({"budget_seconds": 1.0}, r"comparison.budget_seconds"),
        ({"evaluate": Supernet(protocol=SHORT.protocol)}, "comparison.evaluator.type"),
        ({"executor": "plain"}, "comparison.executor"),
    ],
)
def test_another_comparison_is_refused_with_the_difference(
    finished: Comparison, data: Data, changes: Mapping[str, Any], difference: str
):
    given: dict[str, Any] = {"recipes": two(), "seeds": range(2), "evaluate": SHORT, **changes}
    with pytest.raises(RunError, match=difference):
        compare(given.pop("recipes"), Toy(), data, finished.path, jobs=2, **given)


def test_all_searches_have_the_executor_that_is_asked_for(tmp_path: Path, data: Data):
    compare({"a": two()["a"]}, Toy(), data, tmp_path / "c", seeds=[0], jobs=1, evaluate=SHORT, executor="plain")
    assert json.loads((tmp_path / "c" / "a-0" / "settings.json").read_text())["executor"] == "plain"


def _compare(out: Path, checkpoint_seconds: float = 30.0, observe: Any = None) -> None:
    torch.set_num_threads(1)
    slow = two(EPOCHS)
    compare(
        {"a": slow["a"]},
        Toy(),
        toy_set(Toy(), n=96),
        out,
        seeds=range(2),
        jobs=2,
        evaluate=SHORT,
        checkpoint_seconds=checkpoint_seconds,
        observe=observe,
    )


def _killed(out: Path) -> None:
    """A comparison that kills its own process at the first word from the first search."""

    def kill(name: str, record: Mapping[str, Any]) -> None:
        if name == "a-0" and record.get("phase") == "search":
            os.kill(os.getpid(), signal.SIGKILL)

    _compare(out, 0.0, kill)


def _wait_for(run: Path) -> None:
    """Until nobody works in a run directory any more: workers notice at their next word that nobody listens."""
    while True:
        try:
            with RunDirectory(run).locked():
                return
        except RunError:
            time.sleep(0.05)


def test_a_killed_comparison_goes_on_and_ends_like_one_left_alone(tmp_path: Path, data: Data):
    out = tmp_path / "c"
    process = CONTEXT.Process(target=_killed, args=(out,))
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL
    _wait_for(out / "a-0")
    assert len(RunDirectory(out / "a-0").records()) < EPOCHS
    _compare(out)
    assert len(RunDirectory(out / "a-0").read_json("environment.json")["resumed"]) == 1
    api.search(two(EPOCHS)["a"], Toy(), data, tmp_path / "alone", seed=0)
    assert records(tmp_path / "alone") == records(out / "a-0")
    assert read_comparison(out).done == 4


def test_asked_to_stop_it_says_how_to_go_on(tmp_path: Path, data: Data):
    def stop(name: str, record: Mapping[str, Any]) -> None:
        if name == "a-0" and record.get("phase") == "search":
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(InterruptedRunError, match=r"0 of 4 runs done and all progress saved in .*: the same command"):
        compare({"a": two(30)["a"]}, Toy(), data, tmp_path / "c", seeds=range(2), jobs=1, evaluate=SHORT, observe=_once(stop))
    assert (tmp_path / "c" / "a-0" / "state.pt").exists()
    assert not (tmp_path / "c" / "a-1").exists()


def _once(stop: Any) -> Any:
    done: list[bool] = []

    def observe(name: str, record: Mapping[str, Any]) -> None:
        if not done and record.get("phase") == "search":
            done.append(True)
            stop(name, record)

    return observe


def test_a_run_that_diverges_is_recorded_and_the_others_go_on(tmp_path: Path, data: Data):
    bad = replace(two()["a"], weight_optimiser=SGD(lr=Constant(1e30)), clip=0.0)
    result = compare({"bad": bad, "good": two()["b"]}, Toy(), data, tmp_path, seeds=[3], jobs=2, evaluate=SHORT)
    (trial,) = result.row("bad").runs
    assert trial.error is not None
    assert "became" in trial.error
    assert (result.row("bad").n, result.row("bad").failed, result.row("bad").rate) == (0, 1, None)
    assert result.row("good").n == result.row("random").n == 1
    assert f"bad: 1 of 1 run failed, seed 3: {trial.error}" in result.table()
    assert "failed" in result.columns()
    again = compare({"bad": bad, "good": two()["b"]}, Toy(), data, tmp_path, seeds=[3], jobs=2, evaluate=SHORT)
    assert again.table() == result.table()


def test_data_that_cannot_be_read_for_a_moment_is_read_by_the_same_call(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
):
    read = ToySet.load
    given = {"searchers": {"c": LocalSearch()}, "budget_seconds": 0.001, "seeds": [0], "jobs": 1, "evaluate": SHORT}

    def gone(self: ToySet) -> Data:
        raise DataError("The disk is away.")

    monkeypatch.setattr(ToySet, "load", gone)
    with pytest.raises(RunError, match="3 of 3 runs could not be finished, for example a-0: The disk is away; "):
        compare({"a": two(1)["a"]}, Toy(), data, tmp_path, **given)
    assert not list(tmp_path.glob("*/trial.json"))
    assert "0 of 3 runs are done. Still to do: a-0, c-0, random-0." in (tmp_path / "table.txt").read_text()
    monkeypatch.setattr(ToySet, "load", read)
    result = compare({"a": two(1)["a"]}, Toy(), data, tmp_path, **given)
    assert result.done == result.planned == 3
    assert not any(row.failed for row in result.rows)


def test_images_that_go_away_in_the_middle_of_a_search_do_not_fail_it_for_good(
    tmp_path: Path, data: Data, monkeypatch: pytest.MonkeyPatch
):
    read, left = Arrays.read, [3]

    def torn(self: Arrays, *arguments: Any, **options: Any) -> Any:
        left[0] -= 1
        if left[0] == 0:
            raise DataError("An image is away.")
        return read(self, *arguments, **options)

    given = {"seeds": [0], "jobs": 1, "evaluate": SHORT, "budget_seconds": 0.001}
    monkeypatch.setattr(Arrays, "read", torn)
    with pytest.raises(RunError, match="1 of 2 runs could not be finished, for example a-0: An image is away"):
        compare({"a": two(1)["a"]}, Toy(), data, tmp_path, **given)
    result = compare({"a": two(1)["a"]}, Toy(), data, tmp_path, **given)
    assert (result.row("a").n, result.row("a").failed) == (1, 0)


def test_every_run_that_failed_for_good_is_named_by_each_call_and_in_each_file(tmp_path: Path, data: Data):
    bad = replace(two(1)["a"], weight_optimiser=SGD(lr=Constant(1e30)))
    given = {"seeds": [3, 5], "jobs": 1, "evaluate": SHORT, "budget_seconds": 0.001}
    first = compare({"bad": bad}, Toy(), data, tmp_path, **given)
    again = compare({"bad": bad}, Toy(), data, tmp_path, **given)
    sentences = [run.error for run in first.row("bad").runs]
    assert len(sentences) == 2
    page = html.unescape((tmp_path / "comparison.html").read_text())
    for text in (again.table(), (tmp_path / "table.txt").read_text(), page):
        assert f"bad: 2 of 2 runs failed, seed 3: {sentences[0]} Seed 5: {sentences[1]}" in text


def test_arrays_from_python_reach_the_workers(tmp_path: Path, data: Data):
    own = data.with_indices(data.train[:40], data.valid[:40])
    assert own.source is None
    result = compare({"a": two(1)["a"]}, Toy(), own, tmp_path, seeds=[0], jobs=1, evaluate=Supernet(protocol=SHORT.protocol))
    last = RunDirectory(tmp_path / "a-0").records()[-1]
    assert isinstance(last, SearchRecord)
    assert result.row("a").scores == [last.valid["accuracy"]]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"recipes": {}}, "at least one recipe"),
        ({"recipes": {"random": recipes.darts()}}, "'random'"),
        ({"recipes": {"a/b": recipes.darts()}}, "'a/b'"),
        ({"seeds": []}, "at least one"),
        ({"seeds": [1, 1]}, "different"),
        ({"seeds": [-1]}, "seed must be"),
        ({"jobs": 0}, "jobs must be"),
        ({"evaluate": Optimum()}, "batches of 64, but the weight split has 48"),
    ],
)
def test_bad_input_is_refused_before_anything_is_done(changes: Mapping[str, Any], sentence: str, tmp_path: Path, data: Data):
    given: dict[str, Any] = {"recipes": two(), "space": Toy(), "seeds": [0], "evaluate": SHORT, **changes}
    with pytest.raises(RecipeError, match=sentence):
        compare(given.pop("recipes"), given.pop("space"), data, tmp_path / "c", **given)
    assert not (tmp_path / "c").exists()


def test_the_test_set_is_read_only_when_asked(tmp_path: Path, data: Data):
    """Scores of retraining do not change with the test images, unless it is told to test."""
    targets = data.examples.targets.clone()
    targets[data.test] = targets[data.test].flip(0)
    other = replace(data, examples=Arrays(data.examples.inputs, targets), source=None)
    protocol = SHORT.protocol
    one, two_ = (
        compare({"a": two(1)["a"]}, Toy(), d, tmp_path / name, seeds=[0], jobs=1, evaluate=Retrain(protocol=protocol))
        for name, d in (("one", data), ("other", other))
    )
    assert one.row("a").scores == two_.row("a").scores
    tested = compare(
        {"a": two(1)["a"]}, Toy(), data, tmp_path / "t", seeds=[0], jobs=1, evaluate=Retrain(protocol=protocol, test=True)
    )
    trial = json.loads((tmp_path / "t" / "a-0" / "trial.json").read_text())
    assert trial["valid"] == one.row("a").scores[0]
    assert tested.row("a").scores == [trial["score"]]
    assert "test set" in tested.score


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, data: Data) -> Comparison:
    """A recipe, a searcher and random search, with a second for the trainings of the latter two."""
    out = tmp_path_factory.mktemp("mixed") / "c"
    recipe = {"a": two()["a"]}
    rivals = {"evolution": Evolution(epochs=1, population=3)}
    return compare(recipe, Toy(), data, out, searchers=rivals, budget_seconds=0.5, seeds=range(2), jobs=2, evaluate=SHORT)


def test_searchers_have_rows_like_recipes_and_the_time_of_random_search(mixed: Comparison):
    assert {row.name: row.n for row in mixed.rows} == {"a": 2, "evolution": 2, "random": 2}
    assert mixed.done == mixed.planned == 6
    row, random = mixed.row("evolution"), mixed.row("random")
    assert row.rival is not None
    assert row.rival.scores == random.scores
    for trial in row.runs:
        rows = read_rows(trial.path / "trials.jsonl", budget_seconds=0.5)
        best = max(rows, key=lambda found: found.value)  # of equals the first
        assert trial.architecture == best.architecture
        assert trial.trained == len(rows)
        assert trial.seconds == rows[-1].spent <= 0.5
        right = 1 - Toy().from_native(best.architecture).distance(Toy().optimum) / 3
        assert trial.score == pytest.approx(right)
    recipe = json.loads((mixed.path / "a-0" / "trial.json").read_text())
    searcher = json.loads((mixed.path / "evolution-0" / "trial.json").read_text())
    assert recipe.keys() - {"entropy"} <= searcher.keys()  # it has no mixing weights
    assert set(mixed.budgets) == {"a"}, "the time of a searcher is given, not measured: it is no budget of random search"
    assert "evolution" in mixed.table()
    assert "the time that was given, 0.5 s" in mixed.table()


def test_with_more_time_a_searcher_goes_on_and_nothing_is_trained_twice(mixed: Comparison, data: Data, tmp_path: Path):
    out = tmp_path / "c"
    shutil.copytree(mixed.path, out)
    before = {seed: read_rows(out / f"evolution-{seed}" / "trials.jsonl") for seed in range(2)}
    recipe, rivals = {"a": two()["a"]}, {"evolution": Evolution(epochs=1, population=3)}
    more = compare(recipe, Toy(), data, out, searchers=rivals, budget_seconds=0.8, seeds=range(2), jobs=2, evaluate=SHORT)
    for trial in more.row("evolution").runs:
        rows = read_rows(trial.path / "trials.jsonl")
        assert rows[: len(before[trial.seed])] == before[trial.seed]
        assert trial.trained > sum(row.spent <= 0.5 for row in before[trial.seed])


def test_searchers_alone_need_a_budget_and_names_of_their_own(data: Data, tmp_path: Path):
    run = {"evaluate": SHORT, "seeds": [0], "jobs": 1}
    for recipes_, searchers, budget, sentence in (
        ({}, {"local": LocalSearch()}, None, "give budget_seconds"),
        ({}, {}, None, "at least one recipe or searcher"),
        ({}, {"local": LocalSearch()}, 0, "budget_seconds must be a finite number above 0, got 0"),
        (two(), {"a": LocalSearch()}, None, "'a' is the name of a recipe and of a searcher"),
        ({}, {"random": LocalSearch()}, 1.0, "not be 'random' or 'median'"),
    ):
        with pytest.raises(RecipeError, match=sentence):
            compare(recipes_, Toy(), data, tmp_path / "c", searchers=searchers, budget_seconds=budget, **run)
    assert not (tmp_path / "c").exists()
    alone = compare({}, Toy(), data, tmp_path / "c", searchers={"local": LocalSearch(epochs=1)}, budget_seconds=0.01, **run)
    (trial,) = alone.row("local").runs
    assert trial.trained is not None
    assert trial.trained >= 1  # the first trial counts in any case


def test_a_searcher_that_does_not_fit_the_space_is_refused_before_anything_is_trained(tmp_path: Path):
    with pytest.raises(RecipeError, match="darts keeps some edges of each node"):
        compare({}, darts(), digits(), tmp_path / "c", searchers={"controller": Controller()}, budget_seconds=1.0)
    assert not (tmp_path / "c").exists()


@pytest.fixture(scope="module")
def regression(tmp_path_factory: pytest.TempPathFactory) -> Comparison:
    """A recipe, a searcher and random search on numbers in mm, where a low error is the good one."""
    out = tmp_path_factory.mktemp("regression") / "c"
    recipe, rivals = {"a": two()["a"]}, {"evolution": Evolution(epochs=1, population=3)}
    how = {"seeds": range(2), "jobs": 2, "evaluate": Retrain(protocol=SHORT.protocol)}
    return compare(recipe, Toy(), ToyRegression().load(), out, searchers=rivals, budget_seconds=0.5, **how)


def test_a_regression_is_compared_by_its_error_and_the_lowest_wins(regression: Comparison):
    assert (regression.measure.name, regression.measure.better, regression.measure.unit) == ("rmse", "lower", "mm")
    means = [row.mean for row in regression.rows]
    assert None not in means
    assert means == sorted(means)  # the lowest first
    for run in regression.row("random").runs:
        candidates = json.loads((run.path / "trial.json").read_text())["candidates"]
        values = [candidate["value"] for candidate in candidates]
        assert run.score == min(values[: run.trained])
        assert len(values) > 1
    for run in regression.row("evolution").runs:
        rows = read_rows(run.path / "trials.jsonl", budget_seconds=0.5)
        assert run.score == min(row.value for row in rows if row.value is not None)
        assert rows[-1].best == run.score
    assert "RMSE on the validation split after a training from scratch (lower is better)" in regression.table()
    assert "%" not in regression.table()


def test_trainings_of_a_comparison_say_that_they_were_scored_on_the_validation_split(regression: Comparison):
    data = ToyRegression().load()
    folders = [file.parent for file in regression.path.glob("**/score.json")]
    assert len(folders) > 4
    for folder in folders:
        score = read_score(folder / "score.json")
        assert score is not None
        assert (score.trained_on.parts, score.trained_on.examples) == (("train",), len(data.train))
        assert (score.scored_on.parts, score.scored_on.examples) == (("valid",), len(data.valid))
    page = write_report(folders[0]).read_text()
    assert "validation" in page
    assert "test image" not in page
    assert "test example" not in page
