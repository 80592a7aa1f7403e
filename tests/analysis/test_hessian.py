"""Hessians and their eigenvalues against closed forms, numpy, and finite differences on a supernet."""

import math

import numpy as np
import pytest
import torch
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixop.analysis.hessian import LARGEST, Curvature, _Gradient, curvature, dominant_eigenvalue, hessian, trace
from mixop.core.errors import RecipeError
from mixop.nets.ops import BatchNorm
from mixop.relax import Dirichlet, SimplexPoint, Softmax
from mixop.spaces import nasbench201
from mixop.supernet.plain import plain


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def symmetric(n: int, seed: int = 0) -> torch.Tensor:
    square = torch.randn(n, n, generator=generator(seed), dtype=torch.float64)
    return (square + square.T) / 2


def quadratic(matrix: torch.Tensor):
    return lambda params: params["a"].reshape(-1) @ matrix @ params["a"].reshape(-1) / 2


@pytest.fixture(scope="module")
def supernet():
    """``loss_of(relaxation, dtype) -> (closure, parameters)`` on a tiny supernet of NAS-Bench-201 with fixed weights."""
    space = nasbench201(channels=2, cells=1, stages=1, input_shape=(3, 8, 8), outputs=3)
    net = plain(space, norm=BatchNorm(affine=False, track=False), generator=generator(1)).double().train()
    (group,) = space.groups
    images = torch.randn(4, 3, 8, 8, generator=generator(2), dtype=torch.float64)
    labels = torch.tensor([0, 1, 2, 1])

    def loss_of(relaxation, dtype=torch.float64):
        weights = {name: value.detach().to(dtype) for name, value in net.state_dict().items()}

        def loss(params):
            mix = {"cell": relaxation.mean(params["cell"], group)}
            return cross_entropy(functional_call(net, weights, (images.to(dtype), mix)), labels)

        start = relaxation.init(group, generator(3)).double()
        if not isinstance(relaxation, SimplexPoint):
            start += 0.5 * torch.randn(start.shape, generator=generator(4), dtype=torch.float64)
        return loss, {"cell": start.to(dtype)}

    return loss_of


def test_hessian_of_a_known_function_of_two_groups():
    matrix = symmetric(4)

    def loss(params):  # a'Ma/2 + sum sin b + (sum a)(sum b)^2: blocks M, -diag(sin b) + 2 sum a, and 2 sum b across
        a, b = params["a"].reshape(-1), params["b"]
        return a @ matrix @ a / 2 + b.sin().sum() + a.sum() * b.sum().square()

    a, b = torch.randn(2, 2, generator=generator(1), dtype=torch.float64), torch.tensor([0.3, -1.1, 0.4], dtype=torch.float64)
    ones = torch.ones(3, 3, dtype=torch.float64)
    across = torch.full((4, 3), 2 * float(b.sum()), dtype=torch.float64)
    want = torch.cat(
        [
            torch.cat([matrix, across], dim=1),
            torch.cat([across.T, 2 * a.sum() * ones - torch.diag(b.sin())], dim=1),
        ]
    )
    torch.testing.assert_close(hessian(loss, {"a": a, "b": b}), want, rtol=0, atol=1e-12)


@pytest.mark.parametrize("relaxation", [Softmax(), Dirichlet(), SimplexPoint()], ids=lambda r: type(r).__name__)
def test_hessian_of_a_supernet_equals_differences_of_its_gradient(supernet, relaxation):
    loss, params = supernet(relaxation)
    flat = params["cell"].reshape(-1)
    n, step = flat.numel(), 1e-5

    def gradient(vector):
        leaf = vector.reshape(params["cell"].shape).detach().requires_grad_()
        return torch.autograd.grad(loss({"cell": leaf}), leaf)[0].reshape(-1)

    shifts = step * torch.eye(n, dtype=torch.float64)
    differences = torch.stack([(gradient(flat + shift) - gradient(flat - shift)) / (2 * step) for shift in shifts])
    got = hessian(loss, params)
    # Truncation is of order step^2 times third derivatives, rounding 1e-16 / step.
    torch.testing.assert_close(got, differences, rtol=1e-5, atol=1e-7)
    assert got.abs().max() > 1e-3, "a test of zeros would prove nothing"
    assert torch.equal(got, got.T)


def test_softmax_rows_are_flat_along_the_vector_of_ones(supernet):
    loss, params = supernet(Softmax())
    rows = torch.kron(torch.eye(6, dtype=torch.float64), torch.ones(5, 1, dtype=torch.float64))  # (30, 6), one row each
    torch.testing.assert_close(hessian(loss, params) @ rows, torch.zeros(30, 6, dtype=torch.float64), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    ("relaxation", "which"),
    [
        (Softmax(), "largest"),
        pytest.param(Softmax(), "smallest", marks=pytest.mark.slow),
        pytest.param(Dirichlet(), "largest", marks=pytest.mark.slow),
        (Dirichlet(), "smallest"),
    ],
)
def test_lanczos_equals_the_written_out_hessian_of_a_supernet(supernet, relaxation, which):
    loss, params = supernet(relaxation)
    exact = dominant_eigenvalue(loss, params, method="exact", which=which)
    assert dominant_eigenvalue(loss, params, method="lanczos", which=which) == pytest.approx(exact, rel=1e-8)
    loss, params = supernet(relaxation, torch.float32)
    # float32 products: rounding of about 1e-6 of the norm.
    for method in ("exact", "lanczos"):
        assert dominant_eigenvalue(loss, params, method=method, which=which) == pytest.approx(exact, rel=1e-3)


@pytest.mark.parametrize("n", [3, 20, LARGEST + 88])
def test_both_ends_equal_numpys_eigenvalues(n):
    matrix = symmetric(n)
    values = np.linalg.eigvalsh(matrix.numpy())
    params = {"a": torch.randn(n, generator=generator(5), dtype=torch.float64)}
    for which, want in (("largest", values[-1]), ("smallest", values[0])):
        for method in ("lanczos", "auto"):
            got = dominant_eigenvalue(quadratic(matrix), params, method=method, weight_decay=0.0, which=which)
            assert got == pytest.approx(want, rel=1e-8)


def test_the_largest_eigenvalue_is_signed():
    matrix = torch.diag(torch.tensor([-9.0, -2.0, -5.0], dtype=torch.float64))
    params = {"a": torch.zeros(3, dtype=torch.float64)}
    for method in ("exact", "lanczos"):
        assert dominant_eigenvalue(quadratic(matrix), params, method=method, weight_decay=0.0) == pytest.approx(-2.0)


def test_lanczos_starts_off_the_null_direction_of_a_softmax():
    """log-sum-exp at equal logits: H = I/n - 11'/n^2, whose largest eigenvalue 1/n no start along the ones would find."""
    params = {"a": torch.zeros(8, dtype=torch.float64)}
    got = dominant_eigenvalue(lambda p: p["a"].logsumexp(0), params, method="lanczos", weight_decay=0.0)
    assert got == pytest.approx(1 / 8)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 40])
@pytest.mark.parametrize("method", ["exact", "lanczos"])
def test_a_linear_loss_has_the_curvature_of_its_weight_decay(n, method):
    params = {"a": torch.ones(n)}
    got = dominant_eigenvalue(lambda p: p["a"].sum(), params, method=method, weight_decay=0.25)
    assert got == pytest.approx(0.25)
    assert torch.equal(hessian(lambda p: p["a"].sum(), params), torch.zeros(n, n, dtype=torch.float64))


@pytest.mark.parametrize("method", ["exact", "lanczos"])
def test_a_multiple_of_the_identity(method):
    """Every Krylov space has one dimension here."""
    got = dominant_eigenvalue(
        quadratic(3 * torch.eye(7, dtype=torch.float64)), {"a": torch.ones(7, dtype=torch.float64)}, method=method
    )
    assert got == pytest.approx(3.001)


def test_weight_decay_adds_a_multiple_of_the_identity():
    matrix = symmetric(5)
    params = {"a": torch.ones(5, dtype=torch.float64)}
    plain_one, decayed = hessian(quadratic(matrix), params), hessian(quadratic(matrix), params, weight_decay=0.7)
    torch.testing.assert_close(decayed - plain_one, 0.7 * torch.eye(5, dtype=torch.float64))

    def with_decay(p):
        return quadratic(matrix)(p) + 0.7 / 2 * p["a"].square().sum()

    torch.testing.assert_close(decayed, hessian(with_decay, params))
    for method in ("exact", "lanczos"):
        want = dominant_eigenvalue(quadratic(matrix), params, method=method, weight_decay=0.0) + 1e-3
        assert dominant_eigenvalue(quadratic(matrix), params, method=method) == pytest.approx(want)


def test_norms_and_trace_equal_numpys():
    matrix = symmetric(6) - 2 * torch.eye(6, dtype=torch.float64)  # the largest magnitude belongs to a negative eigenvalue
    values, got = np.linalg.eigvalsh(matrix.numpy()), curvature(matrix)
    assert got.largest == pytest.approx(values[-1])
    assert got.smallest == pytest.approx(values[0])
    assert got.spectral == pytest.approx(np.linalg.norm(matrix.numpy(), 2))
    assert got.spectral == -got.smallest > got.largest
    assert got.frobenius == pytest.approx(np.linalg.norm(matrix.numpy(), "fro"))
    assert got.trace == pytest.approx(np.trace(matrix.numpy()))


@pytest.mark.parametrize("method", ["exact", "lanczos"])
def test_what_is_not_finite_is_not_a_number(method):
    params = {"a": torch.zeros(4)}  # the second derivative of |a|^(3/2) is infinite at 0
    assert math.isnan(dominant_eigenvalue(lambda p: p["a"].pow(1.5).sum(), params, method=method))
    assert all(math.isnan(value) for value in curvature(torch.full((2, 2), math.inf)))
    assert len(Curvature._fields) == 5


def test_it_changes_nothing(supernet):
    loss, params = supernet(Softmax())
    before, state, numpy_state = params["cell"].clone(), torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    values = {dominant_eigenvalue(loss, params, method="lanczos") for _ in range(2)}
    assert len(values) == 1, "two measurements of one state differ"
    assert torch.equal(params["cell"], before)
    assert params["cell"].grad is None
    assert not params["cell"].requires_grad
    assert torch.equal(torch.get_rng_state(), state)
    assert (np.random.get_state()[1] == numpy_state).all()  # noqa: NPY002


def test_it_measures_without_gradients_around():
    """A monitor may be called where gradients are off."""
    with torch.no_grad():
        assert dominant_eigenvalue(quadratic(symmetric(3)), {"a": torch.ones(3, dtype=torch.float64)}) > 0


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda p: hessian(lambda q: q["a"].square().sum(), {"a": torch.zeros(LARGEST + 1)}), f"at most {LARGEST}"),
        (lambda p: hessian(lambda q: torch.zeros(()), p), "depends on the architecture parameters"),
        (lambda p: hessian(lambda q: q["a"].square(), p), r"got 3 number\(s\)"),
        (lambda p: hessian(lambda q: torch.zeros(()), {}), "at least one architecture parameter"),
        (lambda p: hessian(lambda q: q["a"].sum(), p, weight_decay=-1.0), "weight decay"),
        (lambda p: dominant_eigenvalue(lambda q: q["a"].sum(), p, weight_decay=-1.0, method="lanczos"), "weight decay"),
        (lambda p: dominant_eigenvalue(lambda q: q["a"].sum(), p, method="lanczos_"), "did you mean 'lanczos'"),
        (lambda p: dominant_eigenvalue(lambda q: q["a"].sum(), p, which="larges"), "did you mean 'largest'"),
    ],
)
def test_misuse_is_told_in_a_sentence(call, words):
    with pytest.raises(RecipeError, match=words):
        call({"a": torch.zeros(3)})


def test_signs_give_the_trace_of_a_diagonal_exactly_and_of_others_within_their_error():
    params = {"a": torch.randn(3, 4, generator=generator(5), dtype=torch.float64)}
    diagonal = torch.diag(torch.arange(12, dtype=torch.float64))
    value, error = trace(quadratic(diagonal), params, generator(), samples=3)
    assert value == pytest.approx(66.0)
    assert error == pytest.approx(0.0, abs=1e-12)
    matrix = symmetric(12)
    value, error = trace(quadratic(matrix), params, generator(1), samples=4000)
    assert abs(value - float(matrix.trace())) < 4 * error
    deviation = math.sqrt(2 * float((matrix - torch.diag(matrix.diagonal())).square().sum()))  # of one sample
    assert error == pytest.approx(deviation / math.sqrt(4000), rel=0.1)
    with pytest.raises(RecipeError, match="at least 2 samples, got 1"):
        trace(quadratic(matrix), params, generator(), samples=1)


def test_a_dominant_eigenvalue_of_30_parameters_takes_12_products(monkeypatch):
    products = []
    times = _Gradient.times
    monkeypatch.setattr(_Gradient, "times", lambda self, vector: products.append(1) or times(self, vector))
    matrix = torch.diag(torch.cat([torch.linspace(-1, 1, 29, dtype=torch.float64), torch.tensor([9.0])]))
    params = {"a": torch.zeros(30)}
    assert dominant_eigenvalue(quadratic(matrix.float()), params, weight_decay=0.0) == pytest.approx(9.0, rel=1e-5)
    assert len(products) == 12
