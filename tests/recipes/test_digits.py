"""A short run of every recipe on handwritten digits: it ends in an architecture, its losses are finite, and it learns."""

import json
from dataclasses import replace

import pytest

from mixop import api
from mixop.core.schedules import Constant
from mixop.data import digits
from mixop.recipes import RECIPES
from mixop.spaces import darts, nasbench201
from mixop.spaces.darts import DARTS_OPERATIONS

EPOCHS = 3
SIX = ("none", "max_pool_3x3", "avg_pool_3x3", "skip_connect", "sep_conv_3x3", "dil_conv_3x3")
"""One option more than the second stage of P-DARTS keeps, of each kind one."""


@pytest.fixture(scope="module")
def data():
    whole = digits(valid=0.5, seed=0)
    return whole.with_indices(whole.train[:256], whole.valid[:256])


# Made of parts that others have too; every recipe keeps its contract in another test.
ALIKE = {
    "enas_macro",
    "enas_micro",
    "enas_rnn",
    "pdarts",
    "drnas_progressive",
    "drnas_progressive_paper",
    "sdarts_adv_pc",
    "sdarts_rs_pc",
    "rdarts_l2",
    "rdarts_dp",
    "darts_ada",
    "darts_es",
    "gaea",
    "gaea_gdas",
    "gaea_pcdarts",
    "gdas_darts",
    "prdarts",
    "darts_minus",
    "sdarts_adv",
    "setn",
    "parsec",
    "rsws",
    "enas",
    "snas",
}


OF_IMAGES = [name for name in RECIPES if RECIPES[name]().windows is None]


@pytest.mark.parametrize("name", [pytest.param(name, marks=pytest.mark.slow) if name in ALIKE else name for name in OF_IMAGES])
def test_a_short_search_on_digits_learns(name, data, tmp_path):
    stages = RECIPES[name]().stages
    epochs = 2 * len(stages) if stages else EPOCHS
    recipe = replace(RECIPES[name](), epochs=epochs, warmup=0, batch_size=64)
    recipe = replace(recipe, weight_optimiser=replace(recipe.weight_optimiser, lr=Constant(0.05)))
    if name == "darts_pt":  # five epochs of tuning for each of six decisions are another test's
        recipe = replace(recipe, derivation=replace(recipe.derivation, interval=1))
    space = nasbench201(channels=4, cells=1, stages=1)
    if name in ("pdarts", "drnas_progressive", "drnas_progressive_paper"):
        space = darts(cells=1, channels=12, operations=SIX if name == "pdarts" else DARTS_OPERATIONS)
        recipe = replace(recipe, weight_optimiser=replace(recipe.weight_optimiser, lr=Constant(0.01)))
        recipe = replace(recipe, stages=tuple(replace(stage, cells=min(stage.cells, 1)) for stage in recipe.stages))
    result = api.search(recipe, space, data, tmp_path / "run", seed=0)
    lines = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    records = [record for record in map(json.loads, lines) if record.get("phase") == "search" and record.get("stage") != "tune"]
    assert len(records) == epochs
    for stage in {record.get("stage") for record in records}:  # a new stage starts fresh, or with wider operations
        losses = [record["train"]["loss"] for record in records if record.get("stage") == stage]
        assert losses[-1] < losses[0]
    space.check(result.architecture)
