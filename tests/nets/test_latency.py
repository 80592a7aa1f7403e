"""Times of networks from times of layers: what counts as a layer, exact sums for whole networks and for costs, files."""

from dataclasses import replace
from random import Random

import pytest
import torch
from torch import nn

import mixop
from mixop.core.errors import DataError, RecipeError
from mixop.nets.costs import costs_of, words_of
from mixop.nets.discrete import build
from mixop.nets.inputs import random_inputs
from mixop.nets.latency import LatencyTable, described, layers_of, read_latency_table, write_latency_table
from mixop.recipe.parts import recipe_from_json, recipe_to_json
from mixop.regularise import ExpectedCost
from mixop.spaces.sizes import Sizes


class Scale(nn.Module):
    """Has a weight of its own, and a module inside that is a part of it."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor, self.weight, self.inner = factor, nn.Parameter(torch.ones(3)), nn.Linear(3, 3)

    def forward(self, x):
        return self.inner(x) * self.factor * self.weight


def numbered(space, seeds=60):
    """A table with another number for every layer of some networks."""
    names = {}
    for seed in range(seeds):
        net = build(space.random(Random(seed)), space).eval()
        for layer in layers_of(net, random_inputs(space, 1, generator=torch.Generator().manual_seed(0))):
            names.setdefault(layer.description, 1.0 + len(names) / 7)
    return LatencyTable(device="d", layers=names, fixed=3.0, scale=1.5)


def test_a_layer_has_weights_of_its_own_or_no_modules_inside():
    net = nn.Sequential(nn.Linear(4, 3), nn.Sequential(nn.ReLU(), Scale(2.0)), nn.ReLU())
    x = torch.zeros(1, 4)
    assert [layer.description for layer in layers_of(net, x)] == [
        "Linear(in_features=4, out_features=3, bias=True) on 1x4",
        "ReLU(inplace=False) on 1x3",
        "Scale(factor=2.0, 3, 3x3, 3) on 1x3",
        "ReLU(inplace=False) on 1x3",
    ]
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in net.modules())
    assert described(Scale(2.0), (x,)) != described(Scale(3.0), (x,))


def test_a_layer_that_runs_twice_counts_twice():
    layer = nn.ReLU()
    table = LatencyTable(device="d", layers={"ReLU(inplace=False) on 1x4": 2.0}, fixed=0.5, scale=3.0)
    assert table.of(nn.Sequential(layer, layer), torch.zeros(1, 4)) == 0.5 + 3 * 4


SPACES = {
    "cells": mixop.spaces.nasbench201(channels=4, cells=1).fit(Sizes((3, 8, 8), 2)),
    "two inputs": mixop.spaces.darts(channels=4, cells=3).fit(Sizes((3, 8, 8), 2)),
    "choices": mixop.spaces.conv1d(channels=4, kernels=(3, 9), ratios=(1,)).fit(Sizes((1, 16), 2)),
    "a network that is one cell": mixop.spaces.enas_macro(depth=3, channels=4).fit(Sizes((3, 8, 8), 2)),
    "mobile blocks": mixop.spaces.proxylessnas(
        stem=4, first=4, widths=(4, 8), layers=(2, 1), strides=(1, 2), last=8, kernels=(3, 5), expansions=(3,)
    ).fit(Sizes((3, 8, 8), 2)),
    "shuffled blocks": mixop.spaces.shufflenet(stem=4, widths=(8, 16), layers=(2, 1), last=8).fit(Sizes((3, 16, 16), 2)),
}


def test_what_depends_on_the_whole_cell_is_said_in_the_unit_of_the_table():
    space = mixop.spaces.enas_micro(cells=1, channels=4).fit(Sizes((3, 8, 8), 2))
    with pytest.raises(RecipeError, match="The milliseconds of enas_micro depend on which nodes of a cell are read"):
        costs_of(space, numbered(space))


@pytest.mark.parametrize("space", SPACES.values(), ids=SPACES)
def test_costs_of_a_space_are_the_times_of_its_networks(space):
    table = numbered(space)
    costs = costs_of(space, table)
    x = random_inputs(space, 1, generator=torch.Generator().manual_seed(0))
    for seed in range(5):
        architecture = space.random(Random(seed))
        assert costs.of(architecture, space) == pytest.approx(table.of(build(architecture, space).eval(), x), rel=1e-9)
    assert words_of(table) == "milliseconds"


def test_a_search_takes_a_table_as_its_cost(tmp_path):
    space = SPACES["cells"]
    term = ExpectedCost(cost=numbered(space), weight=1.0)
    recipe = replace(mixop.recipes.drnas(epochs=2), regularisers=(term,))
    assert recipe_from_json(recipe_to_json(recipe)) == recipe


def test_a_layer_that_is_not_there_is_named():
    table = LatencyTable(device="a board", layers={"ReLU(inplace=False) on 1x4": 2.0})
    with pytest.raises(DataError, match=r"table of a board lacks ReLU\(inplace=False\) on 1x5: measure these networks there"):
        table.of(nn.ReLU(), torch.zeros(1, 5))


def test_widths_have_no_table():
    space = mixop.spaces.conv1d(channels=4).fit(Sizes((1, 16), 2))
    with pytest.raises(RecipeError, match="decides widths: use"):
        costs_of(space, LatencyTable(device="d", layers={}))


def test_what_is_written_is_read_back(tmp_path):
    table = LatencyTable(device="d", layers={"ReLU(inplace=False) on 1x4": 0.25}, scale=1.1, fixed=0.5, error=0.1, networks=8)
    write_latency_table(table, tmp_path / "t.json")
    assert read_latency_table(tmp_path / "t.json") == table
    assert read_latency_table(tmp_path / "t.json").identity == table.identity


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "no latency table"),
        ("{}", "no latency table"),
        ('{"type": "LatencyTable", "device": "d", "layers": {"x": -1}}', "milliseconds of x"),
        ('{"type": "LatencyTable", "device": "d", "layers": {"x": 1}, "speed": 2}', "speed"),
    ],
)
def test_another_file_is_refused_in_a_sentence(text, said, tmp_path):
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(DataError, match=said):
        read_latency_table(tmp_path / "t.json")


def test_the_other_devices_name_and_error_are_said():
    assert str(LatencyTable(device="a phone", layers={})) == "Milliseconds are those of a phone"
    checked = LatencyTable(device="a phone", layers={}, error=0.051, networks=8)
    assert str(checked).endswith("is off by 5 % for networks that it does not know")
