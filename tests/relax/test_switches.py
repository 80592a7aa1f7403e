"""Switches: products, the group lasso and the relevance update against a case worked by hand."""

import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.relax.switches import Switches, switch_penalty, update_relevance
from mixop.spaces.core import Decision, Group
from mixop.testing import check_relaxation

GROUP = Group("g", (Decision(0, 1, ("none", "a", "b")), Decision(0, 2, ("a", "b", "none"))))
SWITCHES = torch.tensor([[1.0, 7.0, 0.5, -2.0], [0.01, 3.0, 0.5, 9.0]], dtype=torch.float64)


@pytest.mark.parametrize(("edges", "options"), [(3, 5), (1, 2), (2, 1)])
def test_it_keeps_the_contract(edges, options):
    check_relaxation(Switches(), edges=edges, options=options)


def test_weights_are_products_of_edge_and_option_and_none_has_no_switch():
    switches = SWITCHES.clone().requires_grad_()
    weights = Switches().draw(switches, GROUP, 0.0, torch.Generator()).weights
    torch.testing.assert_close(weights, torch.tensor([[0.0, 0.5, -2.0], [0.03, 0.005, 0.0]], dtype=torch.float64))
    (grad,) = torch.autograd.grad(weights.sum(), switches)
    expected = torch.tensor([[-1.5, 0.0, 1.0, 1.0], [3.5, 0.01, 0.01, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(grad, expected)


def test_all_switches_start_at_one():
    params = Switches().init(GROUP, torch.Generator())
    assert torch.equal(params, torch.ones(2, 4))
    assert torch.equal(Switches().draw(params, GROUP, 0.0, torch.Generator()).weights, torch.tensor([[0.0, 1, 1], [1, 1, 0]]))


def test_mean_lets_none_win_where_the_edge_has_vanished():
    mean = Switches(threshold=0.05).mean(SWITCHES, GROUP)
    torch.testing.assert_close(mean, torch.tensor([[0.05, 0.5, 2.0], [0.03, 0.005, 0.05]], dtype=torch.float64))
    assert mean.argmax(-1).tolist() == [2, 2]


def test_penalty_is_the_group_lasso_over_the_switches_that_exist():
    """0.1 * (2*1 + 3*0.01) + 0.2 * (1*0.5 + 0.5*2 + 4*3 + 1*0.5) = 0.203 + 2.8 = 3.003"""
    omega = torch.tensor([[2.0, 100.0, 1.0, 0.5], [3.0, 4.0, 1.0, 100.0]], dtype=torch.float64)
    switches = SWITCHES.clone().requires_grad_()
    penalty = switch_penalty(switches, omega, GROUP, edge_strength=0.1, option_strength=0.2)
    assert penalty.item() == pytest.approx(3.003, abs=1e-12)
    (grad,) = torch.autograd.grad(penalty, switches)
    expected = torch.tensor([[0.2, 0.0, 0.2, -0.1], [0.3, 0.8, 0.2, 0.0]], dtype=torch.float64)
    torch.testing.assert_close(grad, expected)


def test_relevance_update_is_the_case_worked_by_hand():
    """One edge with options (none, a, b), lambda 0.5 for the edge and 1 for options, gamma before (1/2, -, 1, 1/4).

    Edge: s = 3, H = 3.   C = 1/(2 + 6) = 1/8;  1/gamma - C/gamma^2 = 2 - 1/2 = 3/2;  omega = sqrt(3/2);
          gamma = 3 / sqrt(3/2) = sqrt(6).
    a:    s = -1, H = 1/3. C = 1/(1 + 1/3) = 3/4; 1 - 3/4 = 1/4;  omega = 1/2;  gamma = 2, with the edge
          1/(1/2 + 1/sqrt(6)) = 2 sqrt(6) / (2 + sqrt(6)).
    b:    s = 2, H = 12.  C = 1/(4 + 12) = 1/16; 4 - 16/16 = 3;   omega = sqrt(3); gamma = 2/sqrt(3), with the edge
          (2/sqrt(3)) sqrt(6) / (2/sqrt(3) + sqrt(6)).
    """
    group = Group("g", (Decision(0, 1, ("none", "a", "b")),))
    switches = torch.tensor([[3.0, 9.0, -1.0, 2.0]], dtype=torch.float64)
    hessian = torch.tensor([[3.0, 9.0, 1 / 3, 12.0]], dtype=torch.float64)
    before = torch.tensor([[0.5, 9.0, 1.0, 0.25]], dtype=torch.float64)
    gamma, omega = update_relevance(switches, hessian, before, group, edge_strength=0.5, option_strength=1.0)
    six, three = 6**0.5, 3**0.5
    expected = [[six, 0.0, 2 * six / (2 + six), (2 / three) * six / (2 / three + six)]]
    torch.testing.assert_close(gamma, torch.tensor(expected, dtype=torch.float64))
    torch.testing.assert_close(omega, torch.tensor([[1.5**0.5, 0.0, 0.5, three]], dtype=torch.float64))


def test_relevance_update_agrees_with_the_printed_formula():
    generator = torch.Generator().manual_seed(0)
    s, h, gamma = (torch.rand(2, 4, generator=generator, dtype=torch.float64) + 0.1 for _ in range(3))
    new, omega = update_relevance(s, h, gamma, GROUP, edge_strength=0.01, option_strength=0.007)
    strength = torch.tensor([0.01, 0.007, 0.007, 0.007], dtype=torch.float64)
    c = 1 / (1 / gamma + h / strength)
    printed = (-c / gamma**2 + 1 / gamma).abs().sqrt()
    exists = omega > 0
    assert exists.tolist() == [[True, False, True, True], [True, True, True, False]]
    torch.testing.assert_close(omega[exists], printed[exists])
    relevance = s / printed
    child = 1 / (1 / relevance[:, 1:] + 1 / relevance[:, :1])
    torch.testing.assert_close(new[:, 0], relevance[:, 0])
    torch.testing.assert_close(new[:, 1:][exists[:, 1:]], child[exists[:, 1:]])


@pytest.mark.parametrize("curvature", [0.0, -5.0])
def test_flat_and_negative_curvature_stay_finite(curvature):
    hessian = torch.full((2, 4), curvature, dtype=torch.float64)
    zero = torch.zeros(2, 4, dtype=torch.float64)
    for switches in (SWITCHES, zero):
        gamma, omega = update_relevance(
            switches, hessian, torch.ones_like(zero), GROUP, edge_strength=0.01, option_strength=0.01
        )
        assert gamma.isfinite().all()
        assert omega.isfinite().all()


def test_negative_thresholds_are_refused():
    with pytest.raises(RecipeError, match="threshold of Switches"):
        Switches(threshold=-0.1)
