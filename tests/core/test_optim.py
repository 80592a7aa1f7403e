"""Exponentiated gradient against its closed form; optimiser values against torch and against bad numbers."""

import numpy as np
import pytest
import torch

from mixop.core.errors import RecipeError
from mixop.core.optim import (
    SGD,
    Adam,
    ExponentiatedGradient,
    RMSProp,
    TorchOptimiser,
    exponentiated_gradient,
    resting,
    set_rate,
)
from mixop.core.schedules import Constant, Cosine


def reference(theta, gradient, lr, minimum):
    """Literally the published order: multiply, clamp, divide by the row sum."""
    grown = np.maximum(theta * np.exp(-lr * gradient), minimum)
    return grown / grown.sum(-1, keepdims=True)


@pytest.mark.parametrize("scale", [0.1, 5.0, 60.0])
@pytest.mark.parametrize("lr", [0.01, 0.1, 1.0])
def test_one_step_equals_the_closed_form(scale, lr):
    generator = torch.Generator().manual_seed(0)
    theta = torch.rand(6, 5, generator=generator, dtype=torch.float64)
    theta /= theta.sum(-1, keepdim=True)
    gradient = scale * torch.randn(6, 5, generator=generator, dtype=torch.float64)
    got = exponentiated_gradient(theta, gradient, lr, 1e-5)
    np.testing.assert_allclose(got.numpy(), reference(theta.numpy(), gradient.numpy(), lr, 1e-5), rtol=1e-12)


@pytest.mark.parametrize("scale", [0.1, 60.0])
def test_gaea_gdas_divides_first_and_clamps_afterwards(scale):
    generator = torch.Generator().manual_seed(0)
    theta = torch.rand(6, 5, generator=generator, dtype=torch.float64).softmax(-1)
    gradient = scale * torch.randn(6, 5, generator=generator, dtype=torch.float64)
    grown = theta.numpy() * np.exp(-1.0 * gradient.numpy())
    want = np.maximum(grown / grown.sum(-1, keepdims=True), 1e-2)
    got = exponentiated_gradient(theta, gradient, 1.0, 1e-2, "after")
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-12)
    p = theta.clone()
    p.grad = gradient
    ExponentiatedGradient(lr=Constant(1.0), minimum=1e-2, clamp="after").build([p]).step()
    np.testing.assert_allclose(p.numpy(), want, rtol=1e-12)
    with pytest.raises(RecipeError, match="clamp of ExponentiatedGradient must be 'before' or 'after', got 'never'"):
        ExponentiatedGradient(clamp="never")


def test_it_solves_the_entropic_proximal_problem():
    """The update minimises ``lr * G.theta + KL(theta | old)`` on the simplex: any other point is worse."""
    generator = torch.Generator().manual_seed(1)
    old = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    gradient = torch.randn(4, generator=generator, dtype=torch.float64)

    def objective(theta):
        return (0.3 * gradient * theta).sum() + (theta * (theta / old).log()).sum()

    new = exponentiated_gradient(old, gradient, 0.3, 1e-12)
    for _ in range(200):
        other = torch.rand(4, generator=generator, dtype=torch.float64)
        mixed = 0.95 * new + 0.05 * other / other.sum()
        assert objective(new) <= objective(mixed)


def test_huge_gradients_neither_overflow_nor_kill_an_option_for_good():
    theta = torch.full((1, 3), 1 / 3)
    new = exponentiated_gradient(theta, torch.tensor([[-1e4, 0.0, 1e4]]), 1.0, 1e-5)
    assert new.isfinite().all()
    assert (new > 0).all()
    torch.testing.assert_close(new.sum(-1), torch.ones(1))
    assert new[0, 0] > 0.99


def test_the_torch_optimiser_takes_that_step_at_the_rate_that_is_set():
    theta = torch.full((2, 4), 0.25, dtype=torch.float64)
    gradient = torch.arange(8, dtype=torch.float64).view(2, 4)
    optimiser = ExponentiatedGradient(lr=Constant(0.1), minimum=1e-4).build([theta])
    set_rate(optimiser, 0.4)
    theta.grad = gradient
    optimiser.step()
    np.testing.assert_allclose(theta.numpy(), reference(np.full((2, 4), 0.25), gradient.numpy(), 0.4, 1e-4), rtol=1e-12)


@pytest.mark.parametrize(
    ("value", "by_hand"),
    [
        # Two steps with gradient g1 = 1 + wd * p, by the textbook update rules.
        (SGD(lr=Constant(0.1), momentum=0.9, weight_decay=0.5), "sgd"),
        (SGD(lr=Constant(0.1), momentum=0.9, weight_decay=0.5, nesterov=True), "nesterov"),
        (Adam(lr=Constant(0.1), betas=(0.5, 0.999), weight_decay=0.5), "adam"),
    ],
)
def test_values_build_the_optimiser_that_they_name(value, by_hand):
    p = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    optimiser = value.build([p])
    x, buffer, second = 2.0, 0.0, 0.0
    for t in (1, 2):
        p.grad = torch.ones(1, dtype=torch.float64)
        optimiser.step()
        g = 1 + 0.5 * x
        if by_hand == "adam":
            buffer, second = 0.5 * buffer + 0.5 * g, 0.999 * second + 0.001 * g * g
            x -= 0.1 * (buffer / (1 - 0.5**t)) / ((second / (1 - 0.999**t)) ** 0.5 + 1e-8)
        else:
            buffer = 0.9 * buffer + g
            x -= 0.1 * (g + 0.9 * buffer if by_hand == "nesterov" else buffer)
    assert p.item() == pytest.approx(x, rel=1e-12)


def test_rmsprop_is_tensorflows():
    # tf.train.RMSPropOptimizer: mean squares begin at 1, epsilon is under the root, the rate is inside of the momentum.
    p = torch.tensor([2.0], dtype=torch.float64, requires_grad=True)
    optimiser = RMSProp(lr=Constant(0.3), decay=0.8, momentum=0.7, eps=1.0, weight_decay=0.5).build([p])
    x, squares, momentum = 2.0, 1.0, 0.0
    for rate in (0.3, 0.1, 0.1):
        set_rate(optimiser, rate)
        p.grad = torch.ones(1, dtype=torch.float64)
        optimiser.step()
        g = 1 + 0.5 * x
        squares = 0.8 * squares + 0.2 * g * g
        momentum = 0.7 * momentum + rate * g / (squares + 1.0) ** 0.5
        x -= momentum
    assert p.item() == pytest.approx(x, rel=1e-12)


@pytest.mark.parametrize(
    "make",
    [
        lambda: RMSProp(eps=0.0),
        lambda: RMSProp(decay=1.0),
        lambda: RMSProp(momentum=-0.1),
        lambda: SGD(lr=Constant(0.0)),
        lambda: SGD(lr=Constant(-0.1)),
        lambda: SGD(lr=Cosine(0.1, -0.1)),
        lambda: SGD(momentum=1.0),
        lambda: SGD(momentum=-0.1),
        lambda: SGD(weight_decay=-1.0),
        lambda: SGD(momentum=0.0, nesterov=True),
        lambda: Adam(lr=Constant(float("nan"))),
        lambda: Adam(betas=(1.0, 0.9)),
        lambda: Adam(eps=0.0),
        lambda: ExponentiatedGradient(lr=Constant(0.0)),
        lambda: ExponentiatedGradient(minimum=0.0),
    ],
)
def test_numbers_out_of_range_are_refused(make):
    with pytest.raises(RecipeError, match=r"must be|needs"):
        make()


@pytest.mark.parametrize("name", ["AdamW", "RAdam", "RMSprop", "Adagrad", "NAdam", "Muon"])
def test_any_optimiser_of_torch_takes_the_steps_that_torch_takes(name):
    if not hasattr(torch.optim, name):
        pytest.skip(f"this torch has no {name}")
    theirs = torch.ones(2, 2, requires_grad=True)
    ours = torch.ones(2, 2, requires_grad=True)
    pair = (
        getattr(torch.optim, name)([theirs], lr=0.1, weight_decay=0.01),
        TorchOptimiser(name=name, lr=Constant(0.1), weight_decay=0.01).build([ours]),
    )
    for p, optimiser in zip((theirs, ours), pair, strict=True):
        for _ in range(3):
            optimiser.zero_grad()
            (p**3).sum().backward()
            optimiser.step()
    assert torch.equal(theirs, ours)
    assert not torch.equal(ours, torch.ones(2, 2))


def test_options_reach_torch_and_what_it_does_not_know_is_refused():
    optimiser = TorchOptimiser(name="RMSprop", options={"momentum": 0.9}).build([torch.zeros(1, requires_grad=True)])
    assert optimiser.param_groups[0]["momentum"] == 0.9
    with pytest.raises(RecipeError, match="did you mean 'AdamW'"):
        TorchOptimiser(name="adamw")
    with pytest.raises(RecipeError, match=r"cannot be built with .*heat"):
        TorchOptimiser(name="AdamW", options={"heat": 1.0})
    with pytest.raises(RecipeError, match="There is no optimiser"):
        TorchOptimiser(name="LBFGS")


def test_a_number_stands_for_a_constant_rate():
    assert SGD(lr=0.5).lr == Constant(0.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [SGD(weight_decay=0.1, nesterov=True), SGD(momentum=0.0, weight_decay=0.1)])
def test_parts_that_rest_are_those_that_torch_leaves_out(value):
    """A part of one parameter beside a parameter of its own without a gradient, which torch's SGD skips."""
    generator = torch.Generator().manual_seed(0)
    whole = torch.randn(4, 3, generator=generator).requires_grad_()
    rows = [row.detach().clone().requires_grad_() for row in whole]
    one, own = value.build([whole]), value.build(rows)
    for rest in ([3], [0, 1], [], [1, 2, 3], [0, 1, 2, 3], [2]):  # the last two did not run before others did
        whole.grad = torch.randn(4, 3, generator=generator)
        whole.grad[rest] = 0.0
        for i, row in enumerate(rows):
            row.grad = None if i in rest else whole.grad[i].clone()
        with resting(one, [(whole, slice(i, i + 1)) for i in rest]):
            one.step()
        own.step()
        torch.testing.assert_close(whole.detach(), torch.stack([row.detach() for row in rows]))
