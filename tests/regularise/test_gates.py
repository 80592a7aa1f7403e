"""The penalties of PR-DARTS against sums written out by hand."""

from math import exp, log

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.core.schedules import Linear
from mixop.regularise import GatePenalty, Point
from mixop.regularise.gates import chain
from mixop.relax.hard_concrete import HardConcrete
from mixop.relax.softmax import Softmax
from mixop.spaces import nasbench201, toy
from mixop.spaces.core import Decision, Group

SPACE = nasbench201()  # none, skip, conv1, conv3, pool on each of six edges
BETA = torch.randn(6, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
GATES = HardConcrete(temperature=Linear(1.0, 0.1))


def activation(beta: float, temperature: float) -> float:
    return 1 / (1 + exp(-(beta - temperature * log(0.1 / 1.1))))


def point(progress=0.0, mix=None, params=BETA):
    mix = torch.ones(6, 5) if mix is None else mix
    return Point(params={"cell": params}, relaxation=GATES, space=SPACE, mix={"cell": mix}, progress=progress)


@pytest.mark.parametrize(("progress", "temperature"), [(0.0, 1.0), (0.5, 0.55), (1.0, 0.1)])
def test_the_expected_variant_is_the_sum_written_out(progress, temperature):
    p = [[activation(b, temperature) for b in row] for row in BETA.tolist()]
    skip = sum(row[1] for row in p) / 6
    rest = sum(row[0] + row[2] + row[3] + row[4] for row in p) / (6 * 4)
    path = (p[0][2] + p[0][3]) / 2 * (p[2][2] + p[2][3]) / 2 * (p[5][2] + p[5][3]) / 2
    got = GatePenalty(skip=0.3, nonskip=0.2, depth=0.7)(point(progress))
    assert got.item() == pytest.approx(0.3 * skip + 0.2 * rest - 0.7 * path)


def test_the_printed_path_adds_up_the_options_of_an_edge():
    p = [[activation(b, 1.0) for b in row] for row in BETA.tolist()]
    path = (p[0][2] + p[0][3]) * (p[2][2] + p[2][3]) * (p[5][2] + p[5][3])
    assert GatePenalty(skip=0, nonskip=0, depth=0.7, path="sum")(point()).item() == pytest.approx(-0.7 * path)
    runs = torch.zeros(6, 5, dtype=torch.float64)
    runs[[0, 2, 5, 5], [2, 1, 2, 3]] = 1.0
    sampled = GatePenalty(skip=0, nonskip=0, depth=0.7, variant="sampled", path="sum")(point(mix=runs))
    assert sampled.item() == pytest.approx(-0.7 * p[0][2] * (p[5][2] + p[5][3]))


def test_the_sampled_variant_reads_the_gates_that_run():
    runs = torch.zeros(6, 5, dtype=torch.float64)
    running = {0: (1, 2), 1: (0, 4), 2: (1, 4), 3: (3, 2), 4: (1, 0), 5: (2, 3)}
    for e, options in running.items():
        runs[e, list(options)] = 1.0
    p = [[activation(b, 1.0) for b in row] for row in BETA.tolist()]
    skip = (p[0][1] + p[2][1] + p[4][1]) / 3
    pool = (p[1][4] + p[2][4]) / 2
    rest = (p[0][2] + p[1][0] + p[3][3] + p[3][2] + p[4][0] + p[5][2] + p[5][3]) / 7
    path = p[0][2] * (p[5][2] + p[5][3]) / 2  # on edge 2 no parameterised option runs: it is left out
    got = GatePenalty(skip=0.3, nonskip=0.2, depth=0.7, variant="sampled")(point(mix=runs))
    assert got.item() == pytest.approx(0.3 * (skip - 0.2) + 0.2 * (pool - 0.2 + rest - 0.2) - 0.7 * path)


def test_the_sampled_variant_forgives_small_means_and_absent_kinds():
    runs = torch.zeros(6, 5, dtype=torch.float64)
    runs[:, 1] = 1.0  # skips only
    params = torch.full((6, 5), -4.0, dtype=torch.float64)  # activation 0.17
    got = GatePenalty(variant="sampled")(point(mix=runs, params=params))
    assert got.item() == 0.0


def test_the_sampled_variant_reads_real_draws():
    group = SPACE.groups[0]
    draw = GATES.draw(BETA.clone().requires_grad_(), group, 0.0, torch.Generator().manual_seed(0))
    assert draw.active is not None
    runs = torch.zeros(6, 5)
    for e, options in enumerate(draw.active):
        runs[e, list(options)] = 1.0
    term = GatePenalty(variant="sampled")
    assert term(point(mix=draw.weights)).item() == pytest.approx(term(point(mix=runs)).item())


def test_descent_closes_skips_and_opens_convolutions_on_the_chain():
    params = BETA.clone().requires_grad_()
    (g,) = torch.autograd.grad(GatePenalty(skip=1.0, nonskip=0.0, depth=1.0)(point(params=params)), params)
    assert (g[:, 1] > 0).all()
    assert (g[[0, 2, 5]][:, 2:4] < 0).all()
    assert (g[[1, 3, 4]][:, 2:4] == 0).all()


def test_groups_are_averaged():
    class Two(type(SPACE)):
        groups = (Group("a", SPACE.groups[0].decisions), Group("b", SPACE.groups[0].decisions))

    other = BETA.flip(0)
    both = Point(params={"a": BETA, "b": other}, relaxation=GATES, space=Two(), mix={})  # type: ignore[arg-type]
    want = (GatePenalty()(point()) + GatePenalty()(point(params=other))) / 2
    torch.testing.assert_close(GatePenalty()(both), want)


def test_a_space_without_neighbouring_nodes_has_no_depth_to_reward():
    space = toy()
    beta = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    at = Point(params={"cell": beta}, relaxation=GATES, space=space, mix={"cell": torch.ones(3, 4)})
    assert chain(space.groups[0]) == []
    assert GatePenalty(depth=5.0)(at).item() == GatePenalty(depth=0.0)(at).item() > 0


def test_the_chain_joins_neighbouring_nodes():
    assert chain(SPACE.groups[0]) == [0, 2, 5]
    pairs = [(source, target) for target in range(2, 6) for source in range(target)]  # the cell of DARTS: two inputs
    assert chain(Group("darts", tuple(Decision(*pair, ("a",)) for pair in pairs))) == [1, 4, 8, 13]


def test_misfits_are_refused():
    GatePenalty().check(GATES)
    with pytest.raises(RecipeError, match=r"GatePenalty.*Softmax"):
        GatePenalty().check(Softmax())
    with pytest.raises(RecipeError, match="variant"):
        GatePenalty(variant="mean")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="path of GatePenalty"):
        GatePenalty(path="product")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="skip of GatePenalty"):
        GatePenalty(skip=-1.0)
