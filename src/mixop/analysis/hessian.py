"""Curvature of a loss in the architecture parameters: the measure behind early stopping.

Every function takes a closure ``loss(params) -> scalar``, so it does not matter which relaxation the parameters belong to:
logits of a softmax, Dirichlet parameters at the mean, points of the simplex. Parameters are one long vector: the groups in
the mapping's order, each flattened row by row.

Source: Zela et al. 2020 (arXiv:1909.09656), section 4; the authors' code takes the signed largest eigenvalue on one batch.
"""

import math
from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np
import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError, unknown
from mixop.core.schedules import check_range
from mixop.core.types import Params

Loss = Callable[[Params], Tensor]
"""A scalar as a function of architecture parameters, differentiable twice."""

LARGEST = 512
"""Most parameters whose Hessian is written out: each costs one backward pass (DARTS has 224, NAS-Bench-201 30)."""

WRITTEN_OUT = 16
"""Most parameters for which writing out the Hessian is the quicker way to its largest eigenvalue, roughly."""

BASIS = 10
"""Vectors that Lanczos holds before it restarts."""

METHODS = ("auto", "exact", "lanczos")


class Curvature(NamedTuple):
    """What a Hessian says in one number each."""

    largest: float
    """Largest eigenvalue, signed: the dominant eigenvalue of the literature."""
    smallest: float
    """Smallest eigenvalue, signed."""
    spectral: float
    """Spectral norm: the largest magnitude of an eigenvalue."""
    frobenius: float
    """Frobenius norm: the root of the sum of the squared eigenvalues."""
    trace: float
    """Sum of the eigenvalues."""


class _Gradient:
    """The gradient of a loss as one vector that can be differentiated again."""

    def __init__(self, loss: Loss, params: Params) -> None:
        self.leaves = {name: value.detach().requires_grad_() for name, value in params.items()}
        with torch.enable_grad():
            value = loss(self.leaves)
            if not value.requires_grad or value.numel() != 1:
                raise RecipeError(
                    "The loss of a Hessian must be one number that depends on the architecture parameters, got "
                    f"{value.numel()} number(s) {'with' if value.requires_grad else 'without'} a gradient: "
                    "compute it from the parameters that the closure is given."
                )
            self.flat = self._back(value, torch.ones_like(value), create_graph=True)

    def _back(self, value: Tensor, vector: Tensor, *, create_graph: bool) -> Tensor:
        grads = torch.autograd.grad(
            value,
            list(self.leaves.values()),
            vector,
            create_graph=create_graph,
            retain_graph=True,
            allow_unused=True,
            materialize_grads=True,
        )
        return torch.cat([grad.reshape(-1) for grad in grads])

    def times(self, vector: Tensor) -> Tensor:
        """The Hessian times a vector ``(n,)``, in the parameters' dtype."""
        if not self.flat.requires_grad:  # a loss that is linear in the parameters
            return torch.zeros_like(self.flat)
        return self._back(self.flat, vector.to(self.flat), create_graph=False)


def hessian(loss: Loss, params: Params, *, weight_decay: float = 0.0) -> Tensor:
    """The whole Hessian, symmetrised, plus ``weight_decay`` times the identity.

    Args:
        loss: scalar function of the parameters; weights, batch and random numbers fixed.
        params: architecture parameters by group, n numbers in all, n <= `LARGEST`.
        weight_decay: of the architecture optimiser, >= 0: decay is the gradient of ``weight_decay / 2 * |params|^2``.

    Returns:
        ``(n, n)`` float64 on the CPU.

    Raises:
        RecipeError: for more parameters than `LARGEST`, or a loss that does not depend on them.
    """
    check_range("weight decay of a Hessian", weight_decay, at_least=0)
    n = _count(params)
    if n > LARGEST:
        raise RecipeError(
            f"A whole Hessian is for at most {LARGEST} architecture parameters, got {n}: use dominant_eigenvalue with "
            "method='lanczos'."
        )
    gradient = _Gradient(loss, params)
    rows = torch.stack([gradient.times(row) for row in torch.eye(n, dtype=gradient.flat.dtype)])
    rows = rows.to("cpu", torch.float64)
    return (rows + rows.T) / 2 + weight_decay * torch.eye(n, dtype=torch.float64)


def curvature(matrix: Tensor) -> Curvature:
    """Eigenvalues and norms of a symmetric matrix.

    Args:
        matrix: ``(n, n)``, as `hessian` gives it.

    Returns:
        Five numbers, all NaN if an entry is not finite.
    """
    matrix = matrix.to("cpu", torch.float64)
    if not matrix.isfinite().all():
        return Curvature(*[math.nan] * 5)
    values = torch.linalg.eigvalsh(matrix)
    return Curvature(
        largest=float(values[-1]),
        smallest=float(values[0]),
        spectral=float(values.abs().max()),
        frobenius=float(values.square().sum().sqrt()),
        trace=float(values.sum()),
    )


def dominant_eigenvalue(
    loss: Loss,
    params: Params,
    *,
    method: Literal["auto", "exact", "lanczos"] = "auto",
    weight_decay: float = 1e-3,
    which: Literal["largest", "smallest"] = "largest",
) -> float:
    """The largest (or smallest) eigenvalue of the Hessian in the architecture parameters, signed.

    It grows where the loss is sharp in the architecture, so that taking the discrete architecture costs accuracy; in
    searches that end in skip connections it rises before they do.

    Args:
        loss: scalar function of the parameters; weights, batch and random numbers fixed.
        params: architecture parameters by group.
        method: ``exact`` writes the Hessian out, ``lanczos`` needs a dozen or more Hessian-vector products and no
            n x n memory, ``auto`` is the first up to `WRITTEN_OUT` parameters.
        weight_decay: of the architecture optimiser, >= 0, added to every eigenvalue as in the authors' code.
        which: which end of the spectrum.

    Returns:
        The eigenvalue; NaN if the Hessian is not finite.

    Raises:
        RecipeError: for an unknown method or end, too many parameters for ``exact``, or a loss that does not depend on them.

    Source: Zela et al. 2020 (arXiv:1909.09656), section 4; Lanczos as in ARPACK.
    """
    if method not in METHODS:
        raise RecipeError(unknown("method for an eigenvalue", method, METHODS))
    if which not in ("largest", "smallest"):
        raise RecipeError(unknown("end of the spectrum", which, ("largest", "smallest")))
    n = _count(params)
    # Krylov spaces need some room: ARPACK refuses a single dimension and has nothing to gain in a few.
    if method == "exact" or (method == "auto" and n <= WRITTEN_OUT) or n <= 2:
        found = curvature(hessian(loss, params, weight_decay=weight_decay))
        return found.largest if which == "largest" else found.smallest
    check_range("weight decay of a Hessian", weight_decay, at_least=0)
    return _lanczos(_Gradient(loss, params), n, which) + weight_decay


def trace(loss: Loss, params: Params, generator: Generator, *, samples: int = 16) -> tuple[float, float]:
    """The trace of the Hessian, the sum of its eigenvalues, estimated from products with random signs.

    Args:
        loss: scalar function of the parameters; batch and random numbers fixed.
        params: by name, n numbers in all: as many as there are.
        generator: source of the signs.
        samples: products, >= 2.

    Returns:
        The estimate, and its standard error.

    Raises:
        RecipeError: for fewer than two samples, or a loss that does not depend on the parameters.

    Source: Hutchinson 1990 (Communications in Statistics 19), with signs as in Avron & Toledo 2011, section 3.
    """
    if samples < 2:
        raise RecipeError(f"A trace is estimated from at least 2 samples, got {samples}.")
    gradient = _Gradient(loss, params)
    values = torch.empty(samples, dtype=torch.float64)
    for k in range(samples):
        signs = 2.0 * torch.randint(0, 2, (len(gradient.flat),), generator=generator).to(gradient.flat) - 1
        values[k] = (signs.double() @ gradient.times(signs).double()).cpu()
    return float(values.mean()), float(values.std() / samples**0.5)


def _lanczos(gradient: _Gradient, n: int, which: str) -> float:
    from scipy.sparse.linalg import ArpackNoConvergence, LinearOperator, eigsh  # slow to import, and few searches need it

    def times(vector: np.ndarray) -> np.ndarray:
        return gradient.times(torch.from_numpy(np.ascontiguousarray(vector.reshape(-1)))).to("cpu", torch.float64).numpy()

    # A fixed start keeps a search repeatable. Not the vector of ones: softmax rows do not change along it, so the Hessian
    # would map it to zero and the Krylov space would end there.
    start = np.random.default_rng(0).standard_normal(n)
    first = times(start)
    if not np.isfinite(first).all():
        return math.nan
    if not first.any():
        return 0.0
    exact = gradient.flat.dtype == torch.float64
    try:
        values = eigsh(
            LinearOperator((n, n), matvec=times, dtype=np.float64),  # pyright: ignore[reportCallIssue]
            k=1,
            which="LA" if which == "largest" else "SA",
            v0=start,
            ncv=min(n, BASIS),
            tol=1e-10 if exact else 1e-5,  # pyright: ignore[reportArgumentType]
            return_eigenvectors=False,
        )
    except ArpackNoConvergence as error:
        values = error.eigenvalues
    return float(values[0]) if len(values) else math.nan


def _count(params: Params) -> int:
    n = sum(value.numel() for value in params.values())
    if not n:
        raise RecipeError("A Hessian needs at least one architecture parameter, got none.")
    return n
