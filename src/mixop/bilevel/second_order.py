"""The gradient through one unrolled step of the weights: second order."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from mixop.bilevel.base import Problem, Scheme, fixed, gradient, leaves_of, reshapes_loss, trial
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD, Optimiser
from mixop.core.schedules import check_range
from mixop.core.transfer import double
from mixop.core.types import Batch, Params
from mixop.relax.base import Relaxation


@dataclass(frozen=True, kw_only=True)
class SecondOrder(Scheme):
    """The gradient of ``L_valid(w'(a), a)``, where ``w'(a)`` are the weights after their next step of SGD.

    With ``g = grad_w L_train(w, a)`` the step is ``w' = w - rate * (momentum * buffer + g + weight_decay * w)``, or torch's
    Nesterov form of it. With ``v = grad_w' L_valid`` the gradient is ``grad_a L_valid(w', a) - response * H`` with
    ``H = grad_a <g, v>`` and ``response = rate`` (times ``1 + momentum`` for Nesterov). H is the only second derivative.

    Args:
        method: "exact" computes H by a double backward pass; "finite_difference" by two more training gradients, as
            published: ``(grad_a L_train(w + eps v, a) - grad_a L_train(w - eps v, a)) / (2 eps)``, ``eps = epsilon / |v|``.
            At the published epsilon the difference crosses kinks of ReLU and max pooling and can be several times too
            large.
        epsilon: length of the finite difference in weight space, > 0; read by "finite_difference" only.
        clip: largest norm of g and of v, each of all weights together; 0 for none. With the factor c that clips g, the step is
            that of c g, and the response is c times as large; c counts as a constant.

    Source: Liu et al. 2019 (arXiv:1806.09055), eqs. 7-8, and its code: momentum and weight decay where it searches
        convolutions, clipping where it searches recurrent cells. Nesterov is ours.
    """

    method: Literal["exact", "finite_difference"] = "finite_difference"
    epsilon: float = 0.01
    clip: float = 0.0

    def __post_init__(self) -> None:
        if self.method not in ("exact", "finite_difference"):
            raise RecipeError(f"method of SecondOrder must be 'exact' or 'finite_difference', got {self.method!r}.")
        check_range("epsilon of SecondOrder", self.epsilon, above=0)
        check_range("clip of SecondOrder", self.clip, at_least=0)

    @property
    def second_derivatives(self) -> bool:
        return self.method == "exact"

    def check(self, relaxation: Relaxation, weight_optimiser: Optimiser) -> None:
        name = type(relaxation).__name__
        if not isinstance(weight_optimiser, SGD):
            raise RecipeError(
                f"SecondOrder unrolls a step of SGD, but the weights are trained by {type(weight_optimiser).__name__}: "
                "use SGD for the weights, or the FirstOrder scheme."
            )
        if reshapes_loss(relaxation) or not trial(relaxation).weights.requires_grad:
            raise RecipeError(
                f"SecondOrder differentiates both losses in the mixing weights, but those of {name} carry no "
                "gradient: use the scheme of its published recipe, or the Softmax relaxation."
            )
        if self.method == "exact" and not relaxation.twice_differentiable:
            raise RecipeError(
                f"SecondOrder's exact method differentiates twice, which the draws of {name} do not allow: "
                "use method='finite_difference', or the FirstOrder scheme."
            )

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        inner, leaves = problem.inner, leaves_of(params)
        weights = {name: weight.requires_grad_() for name, weight in fixed(problem).items()}
        exact = self.method == "exact"
        slopes = _slopes(problem.train_loss(weights, leaves, train_batch), weights, create_graph=exact)
        # The step is taken without a graph, and the chain rule by hand: w' depends on the architecture through g alone, so
        # that dw'/da = -response * dg/da. Autograd through the step would keep two networks' graphs to find the same.
        factor = self._factor(slopes)
        with torch.no_grad():
            stepped = inner(weights, {name: factor * slope for name, slope in slopes.items()} if self.clip else slopes)

        # One backward pass from the validation loss gives v, in the weights, and the direct gradient, in the architecture.
        stepped = {name: weight.detach().requires_grad_() for name, weight in stepped.items()}
        ends = _slopes(problem.valid_loss(stepped, leaves, valid_batch), {**stepped, **_prefixed(leaves)})
        direct = {name: ends.pop(f"params/{name}", torch.zeros_like(p)) for name, p in leaves.items()}
        if self.clip:
            other = self._factor(ends)
            ends = {name: other * v for name, v in ends.items()}

        if exact:
            # H = grad_a <g, v> with v a constant: a product of the mixed second derivative with one vector, never the matrix.
            # A weight without a slope took no step, so that nothing of v in it passes through to the architecture.
            products = [(slopes[name] * v).sum() for name, v in ends.items() if name in slopes]
            mixed = gradient(torch.stack(products).sum(), leaves) if products else _zeros(params)
        else:
            mixed = self._difference(problem, leaves, train_batch, ends)
        return {name: direct[name] - inner.response * factor * mixed[name] for name in params}

    def _factor(self, slopes: Mapping[str, Tensor]) -> float | Tensor:
        """What brings gradients to the largest norm; 1 where they are shorter, or nothing is clipped."""
        if not self.clip or not slopes:
            return 1.0
        return (self.clip / (_norm(slopes) + 1e-6)).clamp(max=1.0)

    def _difference(self, problem: Problem, leaves: Params, batch: Batch, v: Mapping[str, Tensor]) -> Params:
        if not v:
            return _zeros(leaves)
        norm = _norm(v)  # stays on the device, for which the host would wait
        # The weights move by epsilon in length whatever the scale of v; dividing by 2 eps gives that scale back. Central, so
        # that the error is of the order of eps^2; at w and not at w', where the step's own derivative is taken.
        eps = self.epsilon / norm.where(norm > 0, 1.0)
        weights = fixed(problem)

        def slope(distance: Tensor) -> Params:
            moved = {name: weight + distance * v[name] if name in v else weight for name, weight in weights.items()}
            return gradient(problem.train_loss(moved, leaves, batch), leaves)

        # Both under the same random draw (`Problem`): of two draws the difference would be noise divided by eps.
        ahead, behind = slope(eps), slope(-eps)
        return {name: ((ahead[name] - behind[name]) / (2 * eps)).where(norm > 0, 0.0) for name in leaves}


def _slopes(loss: Tensor, at: Mapping[str, Tensor], *, create_graph: bool = False) -> dict[str, Tensor]:
    """The gradients of a loss by name, absent where it does not depend on a tensor."""
    grads = torch.autograd.grad(loss, list(at.values()), create_graph=create_graph, allow_unused=True)
    return {name: g for name, g in zip(at, grads, strict=True) if g is not None}


def _norm(parts: Mapping[str, Tensor]) -> Tensor:
    """The length of all together, a float64 scalar."""
    return double(torch.stack([part.detach().norm() for part in parts.values()]).norm())


def _prefixed(params: Params) -> dict[str, Tensor]:
    return {f"params/{name}": p for name, p in params.items()}  # a weight's name never has a slash


def _zeros(params: Params) -> Params:
    return {name: torch.zeros_like(p) for name, p in params.items()}
