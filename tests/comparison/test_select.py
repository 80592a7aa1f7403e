"""Selection over seeds: the better architecture wins, on examples that are not the test's."""

import json
from dataclasses import replace

import pytest
import torch

import mixop
from mixop.api import SearchResult
from mixop.comparison.select import held_out, select
from mixop.core.errors import RecipeError
from mixop.data.toy import toy_set
from mixop.recipes import darts
from mixop.spaces.toy import Toy

SPACE = Toy()


@pytest.fixture(scope="module")
def data():
    return toy_set(SPACE, n=512)


def result(tmp_path, name, architecture, space=SPACE):
    return SearchResult(tmp_path / name, architecture, space, darts())


def test_the_architecture_that_the_labels_come_from_is_selected(tmp_path, data):
    poor = SPACE.architecture([[0] * SPACE.blocks])
    assert poor != SPACE.optimum
    results = [result(tmp_path, str(k), a) for k, a in enumerate((poor, SPACE.optimum, SPACE.optimum))]
    chosen = mixop.select(results, data, tmp_path / "selection", epochs=5)
    assert chosen is results[1]
    assert mixop.select is select  # the name of the function, also after its module was loaded
    said = json.loads((tmp_path / "selection" / "selection.json").read_text())
    assert said["selected"] == 1
    assert said["epochs"] == 5
    assert [c["architecture"] for c in said["candidates"]] == [r.native for r in results]
    assert said["candidates"][1]["valid_accuracy"] > said["candidates"][0]["valid_accuracy"]
    assert said["candidates"][1]["valid_accuracy"] == said["candidates"][2]["valid_accuracy"]  # trained once
    assert len(json.loads((tmp_path / "selection" / "score.json").read_text())["networks"]) == 2
    assert select(results, data, tmp_path / "selection", epochs=5) is results[1]  # again: the same, and nothing is trained


def test_the_test_set_is_never_looked_at(data):
    part = held_out(data)
    assert torch.equal(part.x, data.x[data.train])
    assert torch.equal(part.test_x, data.x[data.valid])
    assert sorted([*part.train.tolist(), *part.valid.tolist()]) == list(range(len(data.train)))
    other = replace(data, test_x=torch.zeros_like(data.test_x))
    assert held_out(other).test_x.equal(part.test_x)


def test_nothing_and_unlike_spaces_are_refused(tmp_path, data):
    with pytest.raises(RecipeError, match="at least one"):
        select([], data, tmp_path / "a")
    other = Toy(blocks=2)
    results = [result(tmp_path, "x", SPACE.optimum), result(tmp_path, "y", other.optimum, other)]
    with pytest.raises(RecipeError, match="one space"):
        select(results, data, tmp_path / "b")
