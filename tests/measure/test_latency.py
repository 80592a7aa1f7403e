"""Latency tables by a clock of the test's own: every layer is measured, and the correction is the one that was hidden."""

from random import Random

import numpy as np
import pytest
import torch

import mixop
from mixop.core.errors import DataError, RecipeError
from mixop.finder import latency as of_find
from mixop.finder.contender import Entry
from mixop.finder.costs import Limits
from mixop.finder.portfolio import portfolio
from mixop.measure import latency
from mixop.nets.discrete import build
from mixop.nets.latency import layers_of
from mixop.spaces.sizes import Sizes

SPACE = mixop.spaces.nasbench201(channels=4, cells=1).fit(Sizes((3, 8, 8), 2))


@pytest.fixture
def clock(monkeypatch):
    """A layer takes as long as its description is; a network takes 40 ms and twice its layers."""
    layers: dict[int, float] = {}

    def milliseconds(call, device):
        # Called with a layer or with a network: a layer is what has just been met.
        if "layer" in call.__code__.co_freevars:
            layer = dict(zip(call.__code__.co_freevars, call.__closure__, strict=True))["layer"].cell_contents
            return float(len(layer.description))
        cells = dict(zip(call.__code__.co_freevars, call.__closure__, strict=True))
        net, x = cells["net"].cell_contents, cells["x"].cell_contents
        return 40.0 + 2 * sum(len(layer.description) for layer in layers_of(net, x))

    monkeypatch.setattr(latency, "milliseconds", milliseconds)
    return layers


def test_the_correction_is_found_and_checked_on_other_networks(clock):
    table = latency.latency_table(SPACE, name="mine")
    assert table.device == "mine"
    assert (table.fixed, table.scale) == pytest.approx((40.0, 2.0))
    assert table.error == pytest.approx(0, abs=1e-6)
    assert table.uncorrected > 0.4
    assert table.networks >= latency.FEWEST_CHECKED
    assert all(milliseconds == len(layer) for layer, milliseconds in table.layers.items())


def test_every_network_of_the_space_is_covered(clock):
    table = latency.latency_table(SPACE)
    for seed in range(30):
        table.of(build(SPACE.random(Random(100 + seed)), SPACE).eval(), torch.zeros(1, 3, 8, 8))


@pytest.mark.parametrize(
    "space",
    [
        mixop.spaces.nasbench1shot1(1, channels=4, cells=3),
        mixop.spaces.nasbench101(channels=8, cells=3),
        mixop.spaces.enas_macro(depth=3, channels=4),
        mixop.spaces.enas_micro(cells=1, channels=4),
        mixop.spaces.RandWire(nodes=5, channels=4),
    ],
    ids=lambda space: space.name,
)
def test_spaces_whose_decisions_take_several_options_or_make_no_network_are_measured_too(clock, space):
    """No network is drawn that the space does not have."""
    space = space.fit(Sizes((3, 8, 8), 2))
    table = latency.latency_table(space)
    assert table.networks >= latency.FEWEST_CHECKED
    net = build(space.random(Random(5)), space).eval()
    try:
        assert table.of(net, torch.zeros(1, 3, 8, 8)) > 0
    except DataError:  # of graphs there may always be one more
        assert not space.additive


def test_all_that_find_builds_is_covered(clock, monkeypatch):
    for module in ("mixop.finder.latency", "mixop.finder.contender"):
        monkeypatch.setattr(f"{module}.SIZES", (8, 16))
    y = torch.arange(60) % 2
    x = torch.randn(60, 1, 16, generator=torch.Generator().manual_seed(0)) + y.view(-1, 1, 1)
    data = mixop.data.from_arrays(x.numpy(), y.numpy(), valid=0.4, test_share=0.2)
    monkeypatch.setattr("mixop.finder.latency.portfolio", lambda data, **_: small)
    small = [member for member in portfolio(data) if member.size <= 16]
    table = of_find.latency_table_for(data)
    entry = Entry(data, Limits(latency_ms=1e9), table=table)
    for member in small:
        contender, why = entry.member(member)
        assert contender is not None, why
        assert contender.cost.latency_ms is not None


def test_fits_of_times_are_not_negative():
    fixed, scale = latency.fitted(sums=np.array([1.0, 2.0, 3.0]), times=np.array([3.0, 2.0, 1.0]))
    assert fixed >= 0
    assert scale >= 0


def test_real_seconds_are_counted():
    table = latency.latency_table(SPACE)
    assert all(milliseconds > 0 for milliseconds in table.layers.values())


def test_an_open_input_is_refused():
    with pytest.raises(RecipeError, match="set input_shape"):
        latency.latency_table(mixop.spaces.nasbench201(channels=4, cells=1))
