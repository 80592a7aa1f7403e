"""What a benchmark counts and how it compares, by independent answers."""

from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mixop.core.errors import RunError
from mixop.engine.settings import Settings
from mixop.measure.speed import Case, Result, Steps, Timing, _data, flops
from mixop.measure.turns import Roofline
from mixop.nets.modules.space import ModuleSpace
from mixop.recipes import RECIPES
from mixop.spaces import DartsRnn, Sizes, darts, nasbench201
from mixop.spaces.ready import READY
from mixop.supernet import compiled
from mixop.supernet.plain import plain

SIZES = {"input_shape": (3, 8, 8), "outputs": 5}


def case(name, space, batch=4):
    return Case(recipe=replace(RECIPES[name](), batch_size=batch), space=space, settings=Settings())


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 16)], ids=["images", "signals"])
def test_flops_of_dense_convolutions_are_torchs(shape):
    """Without depthwise convolutions, torch's own counter is right: forward and backward passes of both halves."""
    space = nasbench201(channels=4, cells=1, **{**SIZES, "input_shape": shape})
    recipe = RECIPES["darts"]()
    net = plain(space, norm=recipe.norm, generator=torch.Generator().manual_seed(0))
    x, total = torch.randn(4, *shape), 0
    for learn in (False, True):
        net.requires_grad_(learn)
        mix = {g.name: torch.full(g.shape, 0.2).requires_grad_(not learn) for g in net.groups}
        counter = FlopCounterMode(display=False)
        with counter:
            net(x, mix).sum().backward()
        total += counter.get_total_flops()
    assert flops(case("darts", space)) == total


def test_flops_of_depthwise_convolutions_by_hand():
    """One kind of operation in the cells: what a further channel-wise kernel row adds is known."""
    counts = []
    for kernel in (3, 5):
        space = darts(cells=3, channels=4, operations=("none", f"sep_conv_{kernel}x{kernel}"), **SIZES)
        counts.append(flops(case("darts", space)))
    # Of both depthwise convolutions on each edge: 25 - 9 taps; channels x pixels of the three cells' edges.
    values = sum(14 * channels * size**2 for channels, size in ((4, 8), (8, 4), (16, 2)))
    stem = 8 * 4 * 8**2 + 4 * 8 * 4**2  # what only reads the stem: in the architecture's half nothing there has a gradient
    passes = 2 * values * (2 + 3) - 2 * stem  # of two convolutions, with values' gradients in both halves, weights' in one
    assert counts[1] - counts[0] == 2 * (25 - 9) * 4 * passes  # multiplication and addition, taps, batch


def test_one_path_is_counted_alone():
    space = nasbench201(channels=4, cells=1, **SIZES)
    assert flops(case("gdas", space)) < flops(case("darts", space)) / 3


def test_ratios_and_limit():
    def timing(name, *step):
        return Timing(executor=name, step=step, architecture=step, weights=step, pass_=step)

    roof = Roofline(gemm=1.0, convolution=50.0, copy=1.0, threads=1)
    result = Result(timings=[timing("plain", 4.0, 6.0, 5.0), timing("other", 2.0, 1.0, 9.0)], flops=100, roofline=roof)
    assert result.limit == 2.0
    assert [result.ratio(t) for t in result.timings] == [1.0, 2.5]
    assert result.to_json()["executors"]["other"]["times_as_fast"] == 2.5


@pytest.mark.parametrize("shape", [(3, 8, 8), (3, 16)], ids=["images", "signals"])
def test_shares_of_the_kernels(shape, tmp_path):
    try:
        compiled.kernels(4)
    except RunError as error:
        pytest.skip(str(error))
    measured = case("darts", nasbench201(channels=4, cells=1, **{**SIZES, "input_shape": shape}))
    shares = Steps(measured.by("fused"), tmp_path / "fused").shares()
    assert "dense products" in shares
    assert "depthwise convolutions" not in shares
    assert all(share > 0 for share in shares.values())
    assert sum(shares.values()) < 1
    assert Steps(measured.by("nodewise"), tmp_path / "nodewise").shares() == {}


@pytest.mark.parametrize("name", READY)
def test_every_ready_space_has_data_that_it_reads(name):
    space = ModuleSpace(factory=name)
    data = _data(case("darts", space.fit(space.usual), batch=2))
    assert (data.shape, data.outputs, data.dense) == (space.usual.shape, space.usual.outputs, space.usual.dense)


@pytest.mark.parametrize("name", ["fcn", "mlp"])
def test_steps_of_what_reads_no_images(name, tmp_path):
    space = ModuleSpace(factory=name, arguments={"width": 4} if name == "mlp" else {"channels": 4})
    whole, *halves = Steps(case("darts", space.fit(space.usual)).by("nodewise"), tmp_path / "run").step()
    assert whole >= sum(halves) > 0


def test_open_sizes_are_refused():
    with pytest.raises(Exception, match=r"give input_shape and outputs|sizes"):
        flops(case("darts", nasbench201(channels=4, cells=1)))


def test_products_of_a_text_are_counted_by_hand():
    """B = 4, T = 3, n = 5, V = 7, two nodes: forward, gradients of values, and in the weights' half those of weights."""
    space = DartsRnn(hidden=5, nodes=2).fit(Sizes((7, 3), 7, dense=True, tokens=True))
    once = 2 * 4 * 3 * (10 * 10 + 3 * 5 * 10 + 5 * 7)  # the first product, three edges, the decoder
    first = 2 * 4 * (5 * 10)  # of the input's part no gradient of values is needed where the embedding rests
    counted = flops(case("darts_rnn", space))
    assert 4 * once < counted <= 5 * once
    assert once > first
    result = Result(
        timings=[Timing(executor="plain", step=(0.5,), architecture=(1,), weights=(1,), pass_=(1,))],
        flops=1,
        roofline=Roofline(gemm=1.0, convolution=1.0, copy=1.0, threads=1),
        tokens=12,
    )
    assert result.rate(result.timings[0]) == 24.0
    assert result.to_json()["executors"]["plain"]["tokens_a_second"] == 24.0
