"""One-hot draws: the score gradient against enumeration, the gate's gradient against its formula, uniform draws."""

import itertools

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.relax.categorical import Categorical, CategoricalGate, Uniform
from mixop.spaces import nasbench201
from mixop.spaces.core import Decision, Group
from mixop.testing import check_relaxation

GROUP = Group("g", tuple(Decision(0, 1, ("a", "b", "c")) for _ in range(2)))
ALPHA = torch.tensor([[0.3, -1.0, 0.8], [-0.2, 0.5, 0.1]], dtype=torch.float64)
TABLE = torch.tensor([[1.0, -0.5, 0.3], [0.2, 2.0, -1.0], [0.7, 0.1, -0.4]], dtype=torch.float64)


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "part",
    [Categorical(), CategoricalGate(), CategoricalGate(fix=None), Uniform(), Uniform(alive=True)],
    ids=lambda part: repr(part)[:20],
)
@pytest.mark.parametrize(("edges", "options"), [(3, 5), (1, 2), (2, 1)])
def test_they_keep_the_contract(part, edges, options):
    check_relaxation(part, edges=edges, options=options)


def test_log_probability_is_that_of_the_draw():
    logs = ALPHA.log_softmax(-1)
    for seed in range(20):
        draw = Categorical().draw(ALPHA, GROUP, 0.0, seeded(seed))
        (i,), (j,) = draw.active
        assert torch.equal(draw.weights, torch.eye(3, dtype=torch.float64)[[i, j]])
        torch.testing.assert_close(draw.log_prob, logs[0, i] + logs[1, j])


def test_score_gradient_is_unbiased():
    """The gradient of the expected loss over all 9 architectures, and the mean over draws within 5 standard errors."""
    alpha = ALPHA.clone().requires_grad_()
    p = alpha.softmax(-1)
    (exact,) = torch.autograd.grad((p[0][:, None] * p[1] * TABLE).sum(), alpha)

    part, generator, n = Categorical(), seeded(1), 2000
    seen = torch.zeros(3, 3)
    single = torch.empty(n, 2, 3, dtype=torch.float64)
    for k in range(n):
        draw = part.draw(alpha, GROUP, 0.0, generator)
        (i,), (j,) = draw.active
        seen[i, j] += 1
        (single[k],) = torch.autograd.grad(part.surrogate(TABLE[i, j], {"g": draw}), alpha)
    error = single.std(0) / n**0.5
    assert ((single.mean(0) - exact).abs() < 5 * error).all()
    assert (error < 0.03).all()
    probability = (p[0][:, None] * p[1]).detach()
    assert ((seen / n - probability).abs() < 5 * (probability * (1 - probability) / n).sqrt()).all()


def test_gate_gradient_is_the_loss_derivative_times_the_score():
    """``c_e * (onehot - softmax(alpha))`` with ``c_e = dL/dz_e`` at the gate that is open."""
    part = CategoricalGate(fix=None)
    for seed in range(10):
        alpha = ALPHA.clone().requires_grad_()
        draw = part.draw(alpha, GROUP, 0.0, seeded(seed))
        (i,), (j,) = draw.active
        hot = torch.eye(3, dtype=torch.float64)[[i, j]]
        assert torch.equal(draw.weights, hot)
        assert draw.log_prob is None

        def loss(z: torch.Tensor) -> torch.Tensor:
            return torch.einsum("i,j,ij->", z[0].tanh(), z[1].exp(), TABLE) ** 2

        (grad,) = torch.autograd.grad(loss(draw.weights), alpha)
        gate = hot.clone().requires_grad_()
        (of_gate,) = torch.autograd.grad(loss(gate), gate)
        cost = (of_gate * hot).sum(-1, keepdim=True)
        torch.testing.assert_close(grad, cost * (hot - ALPHA.softmax(-1)))


def test_decisions_with_a_clear_lead_are_fixed_and_no_longer_trained():
    # Row 0 leads by 0.30 and more, row 1 by less.
    probabilities = torch.tensor([[0.60, 0.28, 0.12], [0.50, 0.22, 0.28]], dtype=torch.float64)
    alpha = probabilities.log().requires_grad_()
    part = CategoricalGate(fix=0.3)
    assert part.fixed(alpha).tolist() == [[True], [False]]
    rows = set()
    for seed in range(30):
        draw = part.draw(alpha, GROUP, 0.0, seeded(seed))
        assert draw.active[0] == (0,)
        rows.add(draw.active[1])
        (grad,) = torch.autograd.grad((draw.weights * TABLE[:2]).sum(), alpha)
        assert torch.equal(grad[0], torch.zeros(3, dtype=torch.float64))
        assert grad[1].abs().sum() > 0
    assert rows == {(0,), (1,), (2,)}
    moved = part.after_step(alpha.detach(), alpha.detach() - 1 * torch.arange(3), draw, GROUP)
    assert torch.equal(moved[0], alpha[0])
    assert torch.equal(moved[1], alpha[1] - torch.arange(3))
    assert not CategoricalGate(fix=None).fixed(alpha).any()


def test_gate_starts_where_it_is_told():
    initial = CategoricalGate(init_mean=1.0, init_std=0.0).init(GROUP, seeded())
    assert torch.equal(initial, torch.ones(2, 3))


@pytest.mark.parametrize("fix", [0.0, -0.1, 1.5, float("nan")])
def test_leads_out_of_range_are_refused(fix):
    with pytest.raises(RecipeError, match="fix of CategoricalGate"):
        CategoricalGate(fix=fix)


def test_uniform_draws_ignore_the_parameters():
    n = 30_000
    group = Group("g", tuple(Decision(0, 1, ("a", "b", "c")) for _ in range(n)))
    params = torch.randn(7, generator=seeded(), requires_grad=True)  # of another relaxation altogether
    draw = Uniform().draw(params, group, 0.0, seeded())
    frequency = draw.weights.mean(0)
    assert ((frequency - 1 / 3).abs() < 5 * (2 / 9 / n) ** 0.5).all()
    assert not draw.weights.requires_grad
    assert torch.equal(draw.weights.argmax(-1), torch.tensor(draw.active)[:, 0])
    assert torch.equal(Uniform().mean(params, GROUP), torch.full((2, 3), 1 / 3))


def test_uniform_reaches_every_architecture():
    generator, found = seeded(), set()
    for _ in range(200):
        found.add(Uniform().draw(ALPHA, GROUP, 0.0, generator).active)
    assert found == {((i,), (j,)) for i, j in itertools.product(range(3), repeat=2)}


def test_a_node_of_absent_edges_is_drawn_again():
    """``forward_urs`` of AutoDL-Projects' search_cells.py repeats the draws of a node until one of its operations is not
    ``none``: the others of its combinations stay equally likely."""
    group = nasbench201().groups[0]
    none, n, generator = group.decisions[0].options.index("none"), 20_000, seeded()
    draws = torch.tensor([Uniform(alive=True).draw(torch.zeros(6, 5), group, 0.0, generator).active for _ in range(n)])[:, :, 0]
    for edges in ([0], [1, 2], [3, 4, 5]):
        its = draws[:, edges]
        assert not (its == none).all(1).any()
        combinations = 5 ** len(edges) - 1
        count = torch.bincount((its * 5 ** torch.arange(len(edges))).sum(1))
        count = count[count > 0].double()
        assert len(count) == combinations
        # Chi-square: its mean is the degrees of freedom, its deviation the root of twice that.
        freedom, expected = combinations - 1, n / combinations
        assert abs(((count - expected) ** 2 / expected).sum() - freedom) < 5 * (2 * freedom) ** 0.5
    usual = [Uniform().draw(torch.zeros(6, 5), group, 0.0, generator).active for _ in range(2000)]
    dead = [all(draw[e] == (none,) for e in edges) for draw in usual for edges in ([0], [1, 2], [3, 4, 5])]
    assert any(dead)
    only = Group("g", (Decision(0, 1, ("none",)),))
    assert Uniform(alive=True).draw(torch.zeros(1, 1), only, 0.0, generator).active == ((0,),)  # there is nothing else
