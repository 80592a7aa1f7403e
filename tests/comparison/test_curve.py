"""Scores against cost, from one supernet: ceilings are kept by the networks themselves, and nothing is trained twice."""

import json
import re
from xml.etree import ElementTree

import pytest
import torch
from torch import nn

import mixop
from mixop.comparison.curve import CostCurve, cost_curve, narrow_network
from mixop.core.errors import RecipeError
from mixop.data import from_arrays
from mixop.evaluate.score import multiply_adds
from mixop.nets.costs import costs_of
from mixop.runs.records import from_record
from mixop.spaces import in_module
from mixop.spaces.sizes import Sizes


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.width = nn.Linear(4, 8), mixop.Width(8, (0.25, 0.5, 1))
        self.second, self.narrow = nn.Linear(8, 6), mixop.Width(6, (0.5, 1))
        self.third = nn.Linear(6, 6)
        self.extra = mixop.Choice({"skip": nn.Identity(), "layer": nn.Linear(6, 6)}, default="layer")
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = self.narrow(torch.relu(self.second(self.width(torch.relu(self.first(x))))))
        return self.head(self.extra(torch.relu(self.third(x))))


@pytest.fixture(scope="module")
def data():
    x = torch.randn(400, 4, generator=torch.Generator().manual_seed(0))
    return from_arrays(x.numpy(), (x.sum(1) > 0).long().numpy(), valid=0.4, test_share=0.25)


@pytest.fixture(scope="module")
def searched(data, tmp_path_factory):
    torch.manual_seed(0)
    space = in_module(Net(), pretrained=True)
    return mixop.search(
        mixop.recipes.prune(epochs=2, share=0.5), space, data, tmp_path_factory.mktemp("prune") / "run", threads=1
    )


@pytest.fixture(scope="module")
def drawn(searched, data, tmp_path_factory):
    out = tmp_path_factory.mktemp("curve") / "out"
    return cost_curve(searched, data, out, shares=(0.6, 1.0), epochs=1, scratch_epochs=1), out


def test_the_environment_says_how_a_model_was_computed(searched):
    assert json.loads((searched.out / "environment.json").read_text())["channels_last"] is False


def test_workers_do_not_have_a_model_of_this_program(searched, data, tmp_path):
    recipe = mixop.recipes.darts(epochs=1)
    space = in_module(Net(), torch.zeros(2, 4))
    with pytest.raises(mixop.MixopError, match=r"The model of .* is an object of this program.*jobs=1"):
        mixop.compare({"darts": recipe}, space, data, seeds=[0], out=tmp_path / "out", jobs=2)
    assert not (tmp_path / "out").exists()


def by_hand(first, second):
    """Multiply-adds of the network with this many features inside."""
    return 4 * first + first * second + second * 6 + 6 * 6 + 6 * 2


def test_the_narrow_network_is_the_widest_that_a_person_would_find(searched):
    space = searched.space
    costs = costs_of(space, "flops")
    for fraction, first, second in ((1.0, 8, 6), (0.5, 4, 3), (0.25, 2, 3)):
        found = narrow_network(space, by_hand(first, second), "flops")
        assert found is not None
        assert costs.of(found, space) == by_hand(first, second), fraction
        net = mixop.build(found, space)
        assert multiply_adds(net, torch.zeros(1, 4)) == by_hand(first, second)
    assert narrow_network(space, by_hand(2, 3) - 1, "flops") is None


def test_every_network_keeps_its_ceiling_by_a_count_of_what_is_built(drawn, searched):
    curve, _ = drawn
    assert {(point.way, point.ceiling) for point in curve.points} >= {
        (way, share * by_hand(8, 6)) for way in ("pruned", "narrow", "from scratch") for share in (0.6, 1.0)
    }
    for point in curve.points:
        net = mixop.build(searched.space.from_native(point.architecture), searched.space)
        assert point.cost == multiply_adds(net, torch.zeros(1, 4)) <= point.ceiling
        assert 0 <= point.measures["accuracy"] <= 1


def test_it_is_kept_as_it_was_found_and_trains_nothing_twice(drawn, searched, data):
    curve, out = drawn
    assert from_record(CostCurve, json.loads((out / "curve.json").read_text()), "curve.json") == curve
    assert (out / "curve.txt").read_text() == curve.table()
    before = {path: path.stat().st_mtime_ns for path in out.rglob("weights.safetensors")}
    assert len(before) == len(curve.points)
    assert cost_curve(searched, data, out, shares=(0.6, 1.0), epochs=1, scratch_epochs=1) == curve
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_the_table_has_a_line_for_each_ceiling(drawn):
    head, *lines = drawn[0].table().splitlines()
    assert re.split(r"  +", head.strip()) == [
        "ceiling",
        *(word for way in ("pruned", "narrow", "from scratch") for word in (f"{way}: multiply-adds", "accuracy")),
    ]
    assert [line.split()[0] for line in lines] == [f"{by_hand(8, 6):,}", f"{0.6 * by_hand(8, 6):,.0f}"]


def test_the_figure_names_every_way(drawn):
    figure = ElementTree.fromstring(drawn[0].figure())
    text = "".join(figure.itertext())
    assert all(way in text for way in ("pruned", "narrow", "from scratch", "multiply-adds"))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"shares": ()}, "at least one share"),
        ({"shares": (0.5, 0.5)}, "all of them different"),
        ({"shares": (0.5,), "scratch_epochs": -1}, "scratch_epochs must be a whole number"),
        ({"shares": (0.01,)}, "ceiling|cheapest"),
    ],
)
def test_wrong_arguments_are_sentences_and_leave_nothing(wrong, said, searched, data, tmp_path):
    with pytest.raises(RecipeError, match=said):
        cost_curve(searched, data, tmp_path / "out", **wrong)
    assert not (tmp_path / "out").exists()


def test_a_space_of_cells_has_no_narrow_network():
    space = mixop.spaces.nasbench201(channels=4, cells=1).fit(Sizes((1, 8, 8), 10))
    full = narrow_network(space, float("inf"), "flops")
    assert full is None
