"""Entropy terms against SciPy, and the direction that each presses in."""

import pytest
import scipy.stats
import torch

from mixop.core.errors import RecipeError
from mixop.core.schedules import Linear
from mixop.regularise import Entropy, Point, entropy
from mixop.relax.hard_concrete import HardConcrete
from mixop.relax.policy import LstmPolicy
from mixop.relax.simplex import SimplexPoint
from mixop.spaces import toy

THETA = torch.tensor([[0.7, 0.1, 0.2, 0.0], [0.25, 0.25, 0.25, 0.25], [1.0, 0.0, 0.0, 0.0]], dtype=torch.float64)


def at(theta, progress=0.0):
    hot = torch.nn.functional.one_hot(theta.argmax(-1), 4).double()
    # A one-hot draw says nothing about the entropy: the mean is read.
    return Point(params={"cell": theta}, relaxation=SimplexPoint(), space=toy(), mix={"cell": hot}, progress=progress)


def test_both_terms_equal_scipys():
    want = scipy.stats.entropy(THETA.numpy(), axis=1)
    torch.testing.assert_close(entropy(THETA), torch.tensor(want))
    assert Entropy(weight=0.3, towards="one_hot")(at(THETA)).item() == pytest.approx(0.3 * want.sum())
    to_uniform = sum(scipy.stats.entropy(row, [0.25] * 4) for row in THETA.numpy())  # the divergence from the uniform point
    assert Entropy(weight=0.3, towards="uniform")(at(THETA)).item() == pytest.approx(0.3 * to_uniform)


@pytest.mark.parametrize(("towards", "rises"), [("uniform", True), ("one_hot", False)])
def test_descent_presses_the_entropy_where_it_says(towards, rises):
    theta = torch.tensor([[0.7, 0.1, 0.15, 0.05]], dtype=torch.float64).requires_grad_()
    (g,) = torch.autograd.grad(Entropy(towards=towards)(at(theta)), theta)
    after = theta.detach() - 0.01 * (g - g.mean())
    assert (entropy(after / after.sum()) > entropy(theta.detach())).all() == rises


def test_the_gradient_is_finite_at_the_corners():
    theta = THETA.clone().requires_grad_()
    (g,) = torch.autograd.grad(Entropy()(at(theta)), theta)
    assert g.isfinite().all()


def test_the_weight_may_be_a_schedule():
    term = Entropy(weight=Linear(0.0, 1.0))
    assert term(at(THETA, 0.0)).item() == 0
    assert term(at(THETA, 0.5)).item() == pytest.approx(0.5 * term(at(THETA, 1.0)).item())


def test_misfits_are_refused():
    Entropy().check(SimplexPoint())
    for relaxation in (HardConcrete(), LstmPolicy()):
        with pytest.raises(RecipeError, match=f"Entropy .* {type(relaxation).__name__}"):
            Entropy().check(relaxation)
    with pytest.raises(RecipeError, match="towards"):
        Entropy(towards="corner")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="at least 0"):
        Entropy(weight=-0.1)
