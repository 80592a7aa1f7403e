"""Costs of the choices in a model as penalties, against the enumeration of the built networks."""

from dataclasses import replace
from math import log

import pytest
import torch
from torch import nn

import mixop
from mixop.core.errors import RecipeError
from mixop.data.arrays import from_arrays
from mixop.nets.costs import CostTable
from mixop.nets.modules.choice import Choice
from mixop.nets.modules.space import in_module
from mixop.regularise import CostCeiling, ExpectedCost, GatePenalty, Point
from mixop.relax.hard_concrete import HardConcrete, activation_probability
from mixop.relax.softmax import Softmax


def net():
    wide = nn.Sequential(nn.Linear(4, 8), Choice({"one": nn.Linear(8, 8), "skip": nn.Identity()}), nn.Linear(8, 4))
    return nn.Sequential(Choice({"wide": wide, "one": nn.Linear(4, 4), "skip": nn.Identity()}), nn.Linear(4, 3))


SPACE = in_module(net(), torch.zeros(2, 4))
TABLE = CostTable(options={"wide": 5.0, "one": 3.0, "skip": 0.0}, fixed=1.0)
PARAMS = {"0": torch.tensor([[0.3, -0.2, 0.5]]).double(), "0.wide.1": torch.tensor([[0.7, -0.4]]).double()}
BY_HAND = {  # parameters: of the chosen option, and of the last layer
    "0=wide, 0.wide.1=one": 40 + 72 + 36 + 15,
    "0=wide, 0.wide.1=skip": 40 + 36 + 15,
    "0=one": 20 + 15,
    "0=skip": 15,
}


def at(params=PARAMS, relaxation=None, **others):
    return Point(params=params, relaxation=relaxation or Softmax(), space=SPACE, mix={}, **others)


def expectation(cost_of):
    outer, inner = (value.softmax(-1)[0].tolist() for value in PARAMS.values())
    chance = dict(zip(BY_HAND, (outer[0] * inner[0], outer[0] * inner[1], outer[1], outer[2]), strict=True))
    return sum(probability * cost_of(text) for text, probability in chance.items())


def test_the_expected_cost_of_nested_choices():
    want = expectation(BY_HAND.get)
    assert ExpectedCost(cost="parameters", weight=0.5, reference=10.0)(at()).item() == pytest.approx(0.5 * (want / 10 - 1))
    table = {"0=wide, 0.wide.1=one": 9, "0=wide, 0.wide.1=skip": 6, "0=one": 4, "0=skip": 1}
    got = ExpectedCost(cost=TABLE, weight=1.0, reference=1.0, form="log")(at())
    assert got.item() == pytest.approx(log(expectation(table.get)))
    uniform = {name: torch.zeros_like(value) for name, value in PARAMS.items()}
    assert ExpectedCost(cost="parameters")(at(uniform)).item() == pytest.approx(0, abs=1e-9)


def test_a_ceiling_knows_the_cheapest_network():
    CostCeiling(limit=15.0, cost="parameters").check_space(SPACE)
    with pytest.raises(RecipeError, match=r"limit must be at least 15\.00"):
        CostCeiling(limit=14.0, cost="parameters").check_space(SPACE)
    excess = CostCeiling(limit=30.0, cost="parameters").excess(at()).item()
    assert excess == pytest.approx(expectation(BY_HAND.get) / 30 - 1)


def test_gate_penalties_need_no_cells_but_for_the_depth():
    with pytest.raises(RecipeError, match="depth of a cell's path, and Sequential has no cells: use depth=0"):
        GatePenalty().check_space(SPACE)
    term = GatePenalty(skip=1.0, nonskip=10.0, depth=0.0)
    term.check_space(SPACE)
    gates = HardConcrete()
    outer, inner = (
        activation_probability(value, gates.temperature(0.0), gates.low, gates.high)[0] for value in PARAMS.values()
    )
    want = (outer[2] + inner[1]) / 2 + 10 * (outer[:2].mean() + inner[0]) / 2
    assert term(at(relaxation=gates)).item() == pytest.approx(want.item())


def test_a_search_heeds_the_cost(tmp_path):
    generator = torch.Generator().manual_seed(0)
    x, y = torch.randn(96, 4, generator=generator).numpy(), torch.arange(96).numpy() % 3
    data = from_arrays(x, y)
    recipe = replace(mixop.recipes.darts(epochs=2), batch_size=16, warmup=0)
    cheap = replace(recipe, regularisers=(ExpectedCost(cost="parameters", weight=1e3),))
    found = mixop.search(cheap, in_module(net()), data, tmp_path / "run")
    assert found.native == "0=skip"
