"""Expected cost against enumeration of all architectures, and a ceiling that the free optimum breaks."""

from dataclasses import replace
from math import log

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.core.schedules import Linear
from mixop.core.values import from_plain, to_plain
from mixop.nets.costs import CostTable, measured
from mixop.recipe.parts import PARTS
from mixop.regularise import CostCeiling, ExpectedCost, Point
from mixop.relax.gumbel import GumbelSoftmax
from mixop.relax.hard_concrete import HardConcrete
from mixop.relax.policy import LstmPolicy
from mixop.relax.softmax import Softmax
from mixop.spaces import CellSpace, nasbench201, toy

SPACE = CellSpace(
    operations=("none", "skip_connect", "nor_conv_3x3"),
    nodes=3,
    channels=4,
    cells=2,
    stages=2,
    input_shape=(3, 8, 8),
    outputs=3,
)
PARAMS = torch.randn(3, 3, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
LATENCY = CostTable(options={"none": 0.0, "skip_connect": 0.1, "nor_conv_3x3": 1.5}, fixed=2.0)


def point(space=SPACE, params=PARAMS, relaxation=None, **others):
    return Point(params={"cell": params}, relaxation=relaxation or Softmax(), space=space, mix={}, **others)


def enumerated(space, params, cost_of):
    theta = params.softmax(-1)
    total = 0.0
    for architecture in space.architectures():
        names = space.groups[0].decisions[0].options
        probability = 1.0
        for e, option in enumerate(architecture.options()):
            probability *= theta[e, names.index(option)].item()
        total += probability * cost_of(architecture)
    return total


@pytest.mark.parametrize("cost", ["flops", "parameters"])
def test_the_expected_cost_is_that_of_all_architectures(cost):
    want = enumerated(SPACE, PARAMS, lambda a: measured(SPACE, cost).of(a, SPACE))
    got = ExpectedCost(cost=cost, weight=0.5, reference=1000.0)(point())
    assert got.item() == pytest.approx(0.5 * (want / 1000 - 1), rel=1e-12)
    got = ExpectedCost(cost=cost, weight=0.5, reference=1000.0, form="log")(point(relaxation=GumbelSoftmax()))
    assert got.item() == pytest.approx(0.5 * log(want / 1000), rel=1e-12)


def test_the_expected_latency_is_that_of_all_architectures():
    uses = 4  # cells
    want = enumerated(SPACE, PARAMS, lambda a: 2.0 + uses * sum(LATENCY.options[option] for option in a.options()))
    got = ExpectedCost(cost=LATENCY, weight=1.0, reference=1.0)(point())
    assert got.item() == pytest.approx(want - 1, rel=1e-12)


def test_without_a_reference_the_mean_over_all_architectures_counts_as_one():
    assert ExpectedCost()(point(params=torch.zeros(3, 3))).item() == pytest.approx(0, abs=1e-6)


def test_descent_lowers_the_cost_and_the_weight_may_be_a_schedule():
    params = PARAMS.clone().requires_grad_()
    term = ExpectedCost(weight=Linear(0.0, 1.0))
    at = point(params=params, progress=1.0)
    (g,) = torch.autograd.grad(term(at), params)
    assert term(point(params=params.detach() - g, progress=1.0)) < term(at)
    assert term(point(progress=0.0)).item() == 0


def searched(limit, rate=0.05, stiffness=1.0):
    """Descent on a loss that wants the convolution on every edge, under a ceiling; the last expected cost / limit."""
    ceiling = CostCeiling(limit=limit, cost=LATENCY, rate=rate, stiffness=stiffness)
    params, memory, trace = torch.zeros(3, 3, dtype=torch.float64), {}, []
    for _ in range(600):
        leaf = params.clone().requires_grad_()
        at = point(params=leaf, memory=memory)
        loss = -leaf.log_softmax(-1)[:, 2].sum() + ceiling(at)
        (g,) = torch.autograd.grad(loss, leaf)
        params = params - 0.3 * g
        after = point(params=params, memory=memory)
        memory = {**memory, **ceiling.remember(after)}
        trace.append(1 + ceiling.excess(after).item())
    return trace, memory[ceiling.key].item()


@pytest.mark.slow
def test_the_ceiling_is_met_where_the_free_optimum_breaks_it():
    free = 2.0 + 4 * 3 * 1.5  # the convolution everywhere: 20 ms
    limit = 11.0
    assert free > limit
    trace, multiplier = searched(limit)
    assert max(abs(ratio - 1) for ratio in trace[-100:]) < 0.005  # at rest on the ceiling, not below
    assert multiplier > 0
    _, softer = searched(limit + 2)
    assert 0 < softer < multiplier  # a ceiling costs the less the higher it is
    damped, other = searched(limit, rate=0.25, stiffness=5.0)
    assert damped[-1] == pytest.approx(1, abs=0.005)
    assert other == pytest.approx(multiplier, rel=0.02)  # stiffness does not move the resting point


def test_a_ceiling_that_is_kept_costs_nothing():
    trace, multiplier = searched(25.0)
    assert trace[-1] < 1
    assert multiplier == 0


def test_the_multiplier_climbs_with_the_excess_and_never_falls_below_zero():
    ceiling = CostCeiling(limit=10.0, cost=LATENCY, rate=0.5, stiffness=2.0)
    excess = ceiling.excess(point()).item()
    start = torch.tensor(0.2, dtype=torch.float64)
    got = ceiling.remember(point(memory={ceiling.key: start}))[ceiling.key]
    assert got.item() == pytest.approx(max(0.0, 0.2 + 0.5 * excess))
    value = ceiling(point(memory={ceiling.key: start})).item()
    assert value == pytest.approx(0.2 * excess + max(0.0, excess) ** 2)
    assert ceiling.climb(torch.tensor(0.1), torch.tensor(-5.0)).item() == 0
    assert CostCeiling(limit=10.0).key != ceiling.key


def test_misfits_are_refused():
    for term in (ExpectedCost(), CostCeiling(limit=1e9)):
        term.check(Softmax())
        term.check_space(SPACE)
        for relaxation in (HardConcrete(), LstmPolicy()):
            with pytest.raises(RecipeError, match=f"{type(term).__name__} .* {type(relaxation).__name__}"):
                term.check(relaxation)
        with pytest.raises(RecipeError, match="no option of toy costs anything"):
            term.check_space(toy())
    with pytest.raises(RecipeError, match=r"limit must be at least 2\.00"):
        CostCeiling(limit=1.0, cost=LATENCY).check_space(SPACE)
    with pytest.raises(RecipeError, match="cost of ExpectedCost"):
        ExpectedCost(cost="energy")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="form"):
        ExpectedCost(form="ratio")  # type: ignore[arg-type]
    for wrong in ({"limit": 0.0}, {"limit": 1.0, "rate": 0.0}, {"limit": 1.0, "stiffness": -1.0}):
        with pytest.raises(RecipeError, match="CostCeiling"):
            CostCeiling(**wrong)


def test_terms_with_tables_survive_json():
    parts = {**PARTS, "CostTable": CostTable, "ExpectedCost": ExpectedCost, "CostCeiling": CostCeiling}
    table = replace(LATENCY, decisions={"cell": ((0.0, 1.0, 2.0),) * 3})
    for term in (ExpectedCost(cost=table), CostCeiling(limit=3.0), CostCeiling(limit=3.0, cost=table)):
        assert from_plain(to_plain(term), type(term), parts) == term


def test_the_multiply_adds_of_an_open_space_are_refused():
    with pytest.raises(RecipeError, match="input_shape"):
        ExpectedCost().check_space(nasbench201())
