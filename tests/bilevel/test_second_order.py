"""The unrolled gradient against closed forms, finite differences of the whole map, and torch's own SGD, in float64."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixop.bilevel import FirstOrder, SecondOrder
from mixop.bilevel.base import InnerStep
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD, Adam
from mixop.core.types import Batch
from mixop.nets.ops import BatchNorm
from mixop.relax.categorical import Categorical, Uniform
from mixop.relax.dirichlet import Dirichlet
from mixop.relax.gumbel import GumbelSoftmax
from mixop.relax.softmax import Softmax
from mixop.spaces import nasbench201
from mixop.supernet.plain import plain

A, B = 0.7, 0.3
METHODS = ("exact", "finite_difference")


class Quadratic:
    """``L_train = A/2 |w - alpha - c|^2`` and ``L_valid = |w - c|^2 / 2 + B/2 |alpha|^2 + w . alpha . c``, c the batch's x.

    A third weight stands in the upper loss only: torch's SGD leaves it alone.
    """

    def __init__(self, inner: InnerStep) -> None:
        generator = torch.Generator().manual_seed(0)

        def numbers() -> Tensor:
            return torch.randn(4, generator=generator, dtype=torch.float64)

        self.inner = inner
        self.weights = {"w": numbers().requires_grad_(), "idle": numbers().requires_grad_()}
        self.params = {"alpha": numbers(), "unused": numbers()}
        self.train, self.valid = Batch(numbers(), torch.zeros(1)), Batch(numbers(), torch.zeros(1))
        self.buffer = numbers()

    def train_loss(self, weights, params, batch):
        return A / 2 * (weights["w"] - params["alpha"] - batch.x).square().sum()

    def valid_loss(self, weights, params, batch):
        w, alpha = weights["w"], params["alpha"]
        coupled = (w * alpha * batch.x).sum() + (weights["idle"] * alpha).sum()
        return (w - batch.x).square().sum() / 2 + B / 2 * alpha.square().sum() + coupled

    def gradient(self, method, **settings):
        return SecondOrder(method=method, **settings)(self, self.params, self.train, self.valid)


STEPS = {
    "plain": InnerStep(rate=0.2),
    "decay": InnerStep(rate=0.2, weight_decay=0.1),
    "first step of momentum": InnerStep(rate=0.2, momentum=0.9, weight_decay=0.1),
    "momentum": InnerStep(rate=0.2, momentum=0.9, weight_decay=0.1, buffers={"w": torch.ones(4, dtype=torch.float64)}),
    "first step of nesterov": InnerStep(rate=0.2, momentum=0.9, nesterov=True, weight_decay=0.1),
    "nesterov": InnerStep(
        rate=0.2, momentum=0.9, nesterov=True, weight_decay=0.1, buffers={"w": torch.ones(4, dtype=torch.float64)}
    ),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", STEPS)
def test_a_quadratic_has_its_closed_form(method, name):
    """dw'/dalpha = response * A, so the gradient is direct + response * A * v; differences of a quadratic are exact."""
    problem = Quadratic(STEPS[name])
    inner, alpha, c = problem.inner, problem.params["alpha"], problem.valid.x
    w, idle = problem.weights["w"].detach(), problem.weights["idle"].detach()
    g = A * (w - alpha - problem.train.x) + inner.weight_decay * w
    momentum = inner.momentum * inner.buffers.get("w", torch.zeros(4)) + g
    stepped = w - inner.rate * (g + inner.momentum * momentum if inner.nesterov else momentum)
    v = stepped - c + alpha * c
    response = inner.rate * (1.9 if inner.nesterov else 1.0)
    want = B * alpha + stepped * c + idle + response * A * v
    got = problem.gradient(method)
    torch.testing.assert_close(got["alpha"], want, rtol=0, atol=1e-11 if method == "finite_difference" else 1e-14)
    assert torch.equal(got["unused"], torch.zeros(4, dtype=torch.float64))


@pytest.mark.parametrize("method", METHODS)
def test_the_worked_example(method):
    """L_T = a/2 (w - alpha)^2, L_V = (w - c)^2 / 2 with a = 0.7, c = 1.3, eta = 0.2, w = 0.4, alpha = -0.9: -0.1515."""

    class Worked:
        inner = InnerStep(rate=0.2)

        def __init__(self):
            self.weights = {"w": torch.tensor(0.4, dtype=torch.float64)}

        def train_loss(self, weights, params, batch):
            return 0.35 * (weights["w"] - params["alpha"]).square()

        def valid_loss(self, weights, params, batch):
            return (weights["w"] - 1.3).square() / 2

    batch = Batch(torch.zeros(1), torch.zeros(1))
    got = SecondOrder(method=method)(Worked(), {"alpha": torch.tensor(-0.9, dtype=torch.float64)}, batch, batch)
    # Four digits are printed: w' = 0.4 - 0.2 * 0.7 * 1.3 = 0.218, (0.218 - 1.3) * 0.14 = -0.15148.
    assert got["alpha"].item() == pytest.approx(-0.15148, abs=1e-12)


@pytest.mark.parametrize("method", METHODS)
def test_at_rate_zero_it_is_first_order(method):
    problem = Quadratic(replace(STEPS["nesterov"], rate=0.0))
    want = FirstOrder()(problem, problem.params, problem.train, problem.valid)
    got = problem.gradient(method)
    assert all(torch.equal(got[name], want[name]) for name in want)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("clip", [0.05, 0.5, 100.0])
def test_clipped_gradients_are_those_of_the_published_recurrent_search(method, clip):
    """`rnn/architect.py` of quark0/darts: the step takes c g and v is clipped, so that the response is c times as large."""
    problem = Quadratic(InnerStep(rate=0.2, weight_decay=0.1))
    w, idle, alpha = problem.weights["w"].detach(), problem.weights["idle"].detach(), problem.params["alpha"]
    c = problem.valid.x

    def clipped(*gradients):
        norm = torch.cat(gradients).norm()
        return min(1.0, clip / (norm.item() + 1e-6))

    g = A * (w - alpha - problem.train.x)
    factor = clipped(g)
    stepped = w - 0.2 * (factor * g + 0.1 * w)
    v, of_idle = stepped - c + alpha * c, alpha
    v = clipped(v, of_idle) * v
    want = B * alpha + stepped * c + idle + 0.2 * factor * A * v
    got = problem.gradient(method, clip=clip)["alpha"]
    torch.testing.assert_close(got, want, rtol=0, atol=1e-11 if method == "finite_difference" else 1e-14)


class Curved(Quadratic):
    """A training loss with third derivatives: differences have a truncation error."""

    def train_loss(self, weights, params, batch):
        return (torch.sin(weights["w"] * params["alpha"]) * batch.x + torch.exp(weights["w"] / 3)).sum()


def test_the_difference_has_a_truncation_error_of_second_order():
    problem = Curved(STEPS["momentum"])
    exact = problem.gradient("exact")["alpha"]
    coarse, fine = (
        (problem.gradient("finite_difference", epsilon=epsilon)["alpha"] - exact).norm() for epsilon in (0.02, 0.01)
    )
    assert 1e-9 < fine < 1e-3
    assert coarse / fine == pytest.approx(4, rel=0.01)
    assert (problem.gradient("finite_difference", epsilon=1e-5)["alpha"] - exact).norm() < 1e-9


class Supernetted:
    """A real supernet with running statistics; the inner step is the next one of a torch optimiser with momentum."""

    relaxation = Softmax()

    def __init__(self, *, nesterov: bool) -> None:
        self.space = nasbench201(channels=2, cells=1, stages=1, input_shape=(1, 4, 4), outputs=3)
        norm = BatchNorm(affine=True, track=True)
        self.net = plain(self.space, norm=norm, generator=torch.Generator().manual_seed(0)).double()
        generator = torch.Generator().manual_seed(1)
        self.params = {"cell": torch.randn(6, 5, generator=generator, dtype=torch.float64)}
        self.train, self.valid = (
            Batch(torch.randn(6, 1, 4, 4, generator=generator, dtype=torch.float64), torch.tensor([0, 1, 2, 0, 1, 2]))
            for _ in range(2)
        )
        self.optimiser = torch.optim.SGD(self.net.parameters(), lr=0.5, momentum=0.9, nesterov=nesterov, weight_decay=0.01)
        self.step(self.net, self.optimiser, self.params)  # fills the momentum buffers
        state = {
            name: self.optimiser.state[p]["momentum_buffer"]
            for name, p in self.net.named_parameters()
            if p in self.optimiser.state
        }
        self.inner = InnerStep(rate=0.5, momentum=0.9, nesterov=nesterov, weight_decay=0.01, buffers=state)

    @property
    def weights(self):
        return dict(self.net.named_parameters())

    def step(self, net, optimiser, params):
        optimiser.zero_grad(set_to_none=True)
        cross_entropy(net(self.train.x, {"cell": params["cell"].softmax(-1)}), self.train.y).backward()
        optimiser.step()

    def train_loss(self, weights, params, batch):
        statistics = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
        logits = functional_call(self.net, {**weights, **statistics}, (batch.x, {"cell": params["cell"].softmax(-1)}))
        return cross_entropy(logits, batch.y)

    valid_loss = train_loss

    def after_step(self, alpha):
        """``L_valid(w'(alpha), alpha)`` with the step taken by torch on a copy of network and optimiser."""
        params = {"cell": alpha}
        net = copy.deepcopy(self.net)
        optimiser = torch.optim.SGD(net.parameters(), lr=0.5)
        optimiser.load_state_dict(copy.deepcopy(self.optimiser.state_dict()))
        self.step(net, optimiser, params)
        with torch.no_grad():
            return self.valid_loss(dict(net.named_parameters()), params, self.valid).item()


@pytest.mark.parametrize("nesterov", [False, True])
def test_on_a_supernet_it_is_the_slope_of_the_loss_after_a_step_of_torchs_sgd(nesterov):
    problem = Supernetted(nesterov=nesterov)
    got = SecondOrder(method="exact")(problem, problem.params, problem.train, problem.valid)["cell"]
    first = FirstOrder()(problem, problem.params, problem.train, problem.valid)["cell"]
    generator = torch.Generator().manual_seed(2)
    alpha = problem.params["cell"]
    for _ in range(4):
        direction = torch.randn(6, 5, generator=generator, dtype=torch.float64)
        slope = (problem.after_step(alpha + 1e-6 * direction) - problem.after_step(alpha - 1e-6 * direction)) / 2e-6
        assert (got * direction).sum().item() == pytest.approx(slope, rel=1e-6, abs=1e-8)
    assert (first - got).norm() > 0.1 * got.norm()  # the second term is not small here
    near = SecondOrder(method="finite_difference", epsilon=1e-6)(problem, problem.params, problem.train, problem.valid)
    torch.testing.assert_close(near["cell"], got, rtol=0, atol=1e-7)


@pytest.mark.parametrize("method", METHODS)
def test_weights_statistics_parameters_and_momentum_stay_as_they_are_to_the_bit(method):
    problem = Supernetted(nesterov=False)
    problem.optimiser.zero_grad(set_to_none=True)
    before = copy.deepcopy((problem.net.state_dict(), problem.params, dict(problem.inner.buffers)))
    SecondOrder(method=method)(problem, problem.params, problem.train, problem.valid)
    after = (problem.net.state_dict(), problem.params, dict(problem.inner.buffers))
    for one, other in zip(before, after, strict=True):
        assert all(torch.equal(one[name], other[name]) for name in one)
    assert all(p.grad is None for p in problem.net.parameters())
    assert all(p.requires_grad for p in problem.net.parameters())


def test_a_constant_upper_loss_needs_no_difference():
    class Constant(Quadratic):
        def valid_loss(self, weights, params, batch):
            return 0 * weights["w"].sum() + params["alpha"].sum()

    got = Constant(STEPS["plain"]).gradient("finite_difference")
    assert torch.equal(got["alpha"], torch.ones(4, dtype=torch.float64))


@pytest.mark.parametrize("method", METHODS)
def test_misfits_are_refused(method):
    scheme = SecondOrder(method=method)
    for relaxation in (Softmax(), GumbelSoftmax()):
        scheme.check(relaxation, SGD())
    with pytest.raises(RecipeError, match="step of SGD, but the weights are trained by Adam"):
        scheme.check(Softmax(), Adam())
    for relaxation in (Categorical(), Uniform()):
        with pytest.raises(RecipeError, match=type(relaxation).__name__):
            scheme.check(relaxation, SGD())


def test_the_exact_method_refuses_draws_without_a_second_derivative():
    SecondOrder(method="finite_difference").check(Dirichlet(), SGD())
    with pytest.raises(RecipeError, match=r"Dirichlet.*finite_difference"):
        SecondOrder(method="exact").check(Dirichlet(), SGD())


def test_values_out_of_range_are_refused():
    with pytest.raises(RecipeError, match="method"):
        SecondOrder(method="unrolled")  # type: ignore[arg-type]
    with pytest.raises(RecipeError, match="epsilon"):
        SecondOrder(epsilon=0.0)
