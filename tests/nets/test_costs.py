"""Costs of decisions against whole networks, and against the benchmark's published numbers."""

from dataclasses import replace
from random import Random

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from mixop.core.errors import RecipeError, SpaceError
from mixop.nets.costs import Costs, CostTable, costs_of, has_parameters, measured
from mixop.nets.discrete import build
from mixop.spaces import CellSpace, nasbench201, toy

SMALL = nasbench201(channels=4, cells=1, stages=2, input_shape=(3, 8, 8), outputs=5)
OWN = CellSpace(
    operations=("none", "avg_pool_3x3", "nor_conv_1x1"),
    nodes=3,
    channels=6,
    cells=2,
    stages=3,
    input_shape=(3, 12, 12),
    outputs=4,
)


@pytest.mark.parametrize("space", [SMALL, OWN, toy()], ids=lambda space: space.name)
def test_an_architecture_costs_what_its_network_costs(space):
    rng = Random(0)
    x = torch.zeros(1, *space.input_shape)
    for _ in range(4):
        architecture = space.random(rng)
        net = build(architecture, space, generator=torch.Generator().manual_seed(0)).eval()
        assert measured(space, "parameters").of(architecture, space) == sum(p.numel() for p in net.parameters())
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            net(x)
        assert measured(space, "flops").of(architecture, space) == counter.get_total_flops() / 2


def test_multiply_adds_of_a_convolution_are_counted_by_hand():
    table = measured(SMALL, "flops").options["cell"]
    by_hand = 9 * 4 * 4 * 8 * 8 + 9 * 8 * 8 * 4 * 4  # one cell of 4 channels at 8x8, one of 8 at 4x4
    assert table[0].tolist() == [0, 0, by_hand / 9, by_hand, 0]  # none, skip, 1x1, 3x3, pool
    assert (table == table[0]).all()


@pytest.mark.parametrize(
    ("index", "parameters", "megaflops"), [(0, 129_306, 15.6474), (11, 802_426, 113.9514), (284, 101_306, 11.7152)]
)
def test_the_benchmarks_own_numbers(index, parameters, megaflops):
    space = nasbench201(input_shape=(3, 32, 32), outputs=10)
    architecture = space.from_index(index)
    assert measured(space, "parameters").of(architecture, space) == parameters
    assert measured(space, "flops").of(architecture, space) / 1e6 == pytest.approx(megaflops, abs=5e-5)


def test_measuring_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    measured(CellSpace(operations=("nor_conv_1x1",), nodes=2, channels=2, cells=1, stages=1, input_shape=(3, 4, 4)), "flops")
    assert torch.equal(torch.get_rng_state(), before)


def test_measures_are_kept():
    assert measured(SMALL, "flops") is measured(replace(SMALL), "flops")


def test_a_table_by_option_counts_every_cell_and_one_by_decision_is_taken_as_it_is():
    table = CostTable(options={"none": 0.0, "avg_pool_3x3": 0.5, "nor_conv_1x1": 2.0}, fixed=1.0)
    architecture = OWN.architecture([(2, 1, 0)])
    assert costs_of(OWN, table).of(architecture, OWN) == 1.0 + 6 * 2.5
    rows = tuple((0.0, float(e), 10.0 * e) for e in range(3))
    by_decision = CostTable(decisions={"cell": rows})
    assert costs_of(OWN, by_decision).of(architecture, OWN) == 0 + 1
    # A dropped decision costs nothing.
    assert costs_of(OWN, table).of(OWN.from_native("|nor_conv_1x1~0|+||"), OWN) == 1.0 + 6 * 2.0


def test_the_expected_cost_is_differentiable_in_the_probabilities():
    costs = Costs({"cell": torch.tensor([[1.0, 2.0], [3.0, 5.0]], dtype=torch.float64)}, 4.0)
    theta = torch.tensor([[0.5, 0.5], [0.25, 0.75]]).requires_grad_()
    value = costs.expected({"cell": theta})
    assert value.item() == 4 + 1.5 + 4.5
    assert torch.equal(torch.autograd.grad(value, theta)[0], torch.tensor([[1.0, 2.0], [3.0, 5.0]]))


def test_tables_that_do_not_fit_are_refused():
    with pytest.raises(RecipeError, match=r"lacks avg_pool_3x3, none of own"):
        costs_of(OWN, CostTable(options={"nor_conv_1x1": 2.0}))
    with pytest.raises(RecipeError, match="3 rows of 3 costs"):
        costs_of(OWN, CostTable(decisions={"cell": ((0.0, 1.0, 2.0),)}))
    with pytest.raises(RecipeError, match="empty"):
        CostTable()
    with pytest.raises(RecipeError, match="cost of none"):
        CostTable(options={"none": -1.0})
    with pytest.raises(RecipeError, match="group cell"):
        CostTable(decisions={"cell": ((float("nan"),),)})
    with pytest.raises(RecipeError, match="input_shape"):
        measured(nasbench201(), "flops")


def test_operations_without_parameters():
    names = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3", "abs")
    assert [has_parameters(name) for name in names] == [False, False, True, True, False, False]
    with pytest.raises(SpaceError, match="did you mean 'nor_conv_3x3'"):
        has_parameters("nor_conv_3x")


def test_asking_for_parameters_leaves_the_global_generator_alone():
    has_parameters.cache_clear()
    before = torch.get_rng_state()
    has_parameters("nor_conv_3x3")
    assert torch.equal(torch.get_rng_state(), before)
