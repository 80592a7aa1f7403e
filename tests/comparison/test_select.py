"""Selection over seeds: the better architecture wins, on examples that are not the test's."""

import json
from dataclasses import replace

import pytest
from toy_regression import ToyRegression

import mixop
from mixop.api import SearchResult
from mixop.comparison.select import Selection, select
from mixop.core.errors import RecipeError
from mixop.core.measure import Measure
from mixop.data.examples import Arrays
from mixop.data.toy import toy_set
from mixop.recipes import darts
from mixop.runs.records import from_record
from mixop.spaces.toy import Toy

SPACE = Toy()
POOR = SPACE.architecture([[0] * SPACE.blocks])


@pytest.fixture(scope="module")
def data():
    return toy_set(SPACE, n=512)


def result(tmp_path, name, architecture, space=SPACE):
    return SearchResult(tmp_path / name, architecture, space, darts())


def written(folder):
    return from_record(Selection, json.loads((folder / "selection.json").read_text()), "selection.json")


def test_the_architecture_that_the_labels_come_from_is_selected(tmp_path, data):
    results = [result(tmp_path, str(k), a) for k, a in enumerate((POOR, SPACE.optimum, SPACE.optimum))]
    chosen = mixop.select(results, data, tmp_path / "selection", epochs=5)
    assert chosen is results[1]
    assert mixop.select is select  # the name of the function, also after its module was loaded
    said = written(tmp_path / "selection")
    assert (said.selected, said.epochs) == (1, 5)
    assert [c.architecture for c in said.candidates] == [r.native for r in results]
    accuracies = [c.measures["accuracy"] for c in said.candidates]
    assert accuracies[1] > accuracies[0]
    assert accuracies[1] == accuracies[2]  # trained once
    assert len(json.loads((tmp_path / "selection" / "score.json").read_text())["networks"]) == 2
    assert select(results, data, tmp_path / "selection", epochs=5) is results[1]  # again: the same, and nothing is trained


def test_it_says_that_the_validation_split_was_scored(tmp_path, data):
    """The page of a selection called validation images test images."""
    results = [result(tmp_path, str(k), a) for k, a in enumerate((POOR, SPACE.optimum))]
    mixop.select(results, data, tmp_path / "selection", epochs=1)
    said = written(tmp_path / "selection")
    assert (said.trained_on.parts, said.trained_on.examples) == (("train",), len(data.train))
    assert (said.scored_on.parts, said.scored_on.examples) == (("valid",), len(data.valid))
    page = mixop.write_report(tmp_path / "selection").read_text()
    assert "test image" not in page
    assert "test example" not in page
    assert f"{len(data.valid)} validation" in page


def test_the_test_set_is_never_looked_at(tmp_path, data):
    targets = data.examples.targets.clone()
    targets[data.test] = targets[data.test].flip(0)
    spoilt = replace(data, examples=Arrays(data.examples.inputs, targets), source=None)
    results = [result(tmp_path, str(k), a) for k, a in enumerate((POOR, SPACE.optimum))]
    for name, used in (("a", data), ("b", spoilt)):
        mixop.select(results, used, tmp_path / name, epochs=1)
    assert written(tmp_path / "a") == written(tmp_path / "b")


def test_the_lowest_error_of_a_regression_is_selected(tmp_path):
    data = ToyRegression(n=256).load()
    results = [result(tmp_path, str(k), a) for k, a in enumerate((POOR, SPACE.optimum))]
    assert mixop.select(results, data, tmp_path / "selection", epochs=5) is results[1]
    said = written(tmp_path / "selection")
    assert said.measures[0] == Measure("rmse", "lower", "mm")
    errors = [c.measures["rmse"] for c in said.candidates]
    assert errors[1] < errors[0]


def test_nothing_and_unlike_spaces_are_refused(tmp_path, data):
    with pytest.raises(RecipeError, match="at least one"):
        select([], data, tmp_path / "a")
    other = Toy(blocks=2)
    results = [result(tmp_path, "x", SPACE.optimum), result(tmp_path, "y", other.optimum, other)]
    with pytest.raises(RecipeError, match="one space"):
        select(results, data, tmp_path / "b")
