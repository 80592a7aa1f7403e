"""A short run of every recipe on handwritten digits: it ends in an architecture, its losses are finite, and it learns."""

import json
from dataclasses import replace

import pytest

from mixop import api
from mixop.data import digits
from mixop.recipes import RECIPES
from mixop.schedules import Constant
from mixop.spaces import darts, nasbench201

EPOCHS = 3


@pytest.fixture(scope="module")
def data():
    whole = digits(valid=0.5, seed=0)
    return whole.with_indices(whole.train[:256], whole.valid[:256])


@pytest.mark.parametrize("name", RECIPES)
def test_a_short_search_on_digits_learns(name, data, tmp_path):
    recipe = replace(RECIPES[name](), epochs=EPOCHS, warmup=0, batch_size=64)
    recipe = replace(recipe, weight_optimiser=replace(recipe.weight_optimiser, lr=Constant(0.05)))
    if name == "darts_pt":  # five epochs of tuning for each of six decisions are another test's
        recipe = replace(recipe, derivation=replace(recipe.derivation, interval=1))
    space = nasbench201(channels=4, cells=1, stages=1)
    if name in ("pdarts", "drnas_progressive", "drnas_progressive_paper"):
        space = darts(cells=1, channels=12)
        recipe = replace(recipe, stages=tuple(replace(stage, cells=min(stage.cells, 1)) for stage in recipe.stages))
    result = api.search(recipe, space, data, tmp_path / "run", seed=0)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    epochs = [record for record in map(json.loads, lines) if record.get("phase") == "search" and "stage" not in record]
    assert len(epochs) == EPOCHS
    assert epochs[-1]["train_loss"] < epochs[0]["train_loss"]
    space.check(result.architecture)
