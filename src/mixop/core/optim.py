"""Optimisers as values, and exponentiated gradient, which keeps its parameters on the simplex."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

from mixop.core.eager import eager
from mixop.core.errors import RecipeError, unknown
from mixop.core.schedules import Constant, Cosine, Schedule, check_range, schedule


class _Rate:
    """Shared by the values below: a learning rate that may be written as a number."""

    lr: Schedule

    def _check(self) -> None:
        name = f"learning rate of {type(self).__name__}"
        object.__setattr__(self, "lr", schedule(self.lr))
        # A schedule may end at zero, but a rate that is zero throughout trains nothing.
        check_range(name, self.lr, at_least=0)
        check_range(name, self.lr.bounds[1], above=0)


@dataclass(frozen=True, kw_only=True)
class SGD(_Rate):
    """Stochastic gradient descent with momentum.

    Args:
        lr: learning rate, > 0, a number or a schedule over the search.
        momentum: in [0, 1).
        weight_decay: L2 coefficient added to the gradient, >= 0.
        nesterov: whether the momentum looks ahead.
    """

    keeps_simplex: ClassVar[bool] = False
    lr: Schedule = Cosine(0.025, 0.001)
    momentum: float = 0.9
    weight_decay: float = 3e-4
    nesterov: bool = False

    def __post_init__(self) -> None:
        self._check()
        check_range("momentum of SGD", self.momentum, at_least=0)
        if not self.momentum < 1:
            raise RecipeError(f"momentum of SGD must be less than 1, got {self.momentum:g}.")
        check_range("weight decay of SGD", self.weight_decay, at_least=0)
        if self.nesterov and self.momentum == 0:
            raise RecipeError("Nesterov SGD needs a momentum greater than 0, got 0: set momentum, or nesterov to false.")

    def build(self, params: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The torch optimiser of these parameters."""
        return eager(torch.optim.SGD)(
            params,
            lr=self.lr(0.0),
            momentum=self.momentum,
            weight_decay=self.weight_decay,
            nesterov=self.nesterov,
            foreach=True,
        )


@dataclass(frozen=True, kw_only=True)
class Adam(_Rate):
    """Adam, weight decay as L2 in the gradient.

    Args:
        lr: learning rate, > 0, a number or a schedule over the search.
        betas: decay of the two moments, each in [0, 1).
        weight_decay: L2 coefficient added to the gradient, >= 0.
        eps: added to the root of the second moment, > 0.
    """

    keeps_simplex: ClassVar[bool] = False
    lr: Schedule = Constant(3e-4)
    betas: tuple[float, float] = (0.5, 0.999)
    weight_decay: float = 1e-3
    eps: float = 1e-8

    def __post_init__(self) -> None:
        self._check()
        for beta in self.betas:
            if not 0 <= beta < 1:
                raise RecipeError(f"betas of Adam must be in [0, 1), got {self.betas}.")
        check_range("weight decay of Adam", self.weight_decay, at_least=0)
        check_range("eps of Adam", self.eps, above=0)

    def build(self, params: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The torch optimiser of these parameters."""
        return eager(torch.optim.Adam)(params, lr=self.lr(0.0), betas=self.betas, weight_decay=self.weight_decay, eps=self.eps)


@dataclass(frozen=True, kw_only=True)
class TorchOptimiser(_Rate):
    """Any optimiser of `torch.optim` that takes parameters and a learning rate: AdamW, RAdam, RMSprop, Adagrad ...

    Args:
        name: its class in `torch.optim`.
        lr: learning rate, > 0, a number or a schedule over the search.
        weight_decay: as that optimiser understands it, >= 0.
        options: further arguments of it by name, numbers or true and false, e.g. ``{"momentum": 0.9}``.
    """

    keeps_simplex: ClassVar[bool] = False
    name: str = "AdamW"
    lr: Schedule = Cosine(1e-3, 0.0)
    weight_decay: float = 0.0
    options: Mapping[str, float | bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check()
        check_range(f"weight decay of {self.name}", self.weight_decay, at_least=0)
        known = [n for n, c in vars(torch.optim).items() if isinstance(c, type) and issubclass(c, torch.optim.Optimizer)]
        if self.name not in known or self.name in ("Optimizer", "LBFGS", "SparseAdam"):
            usable = [name for name in known if name not in ("Optimizer", "LBFGS", "SparseAdam")]
            raise RecipeError(unknown("optimiser in torch.optim", self.name, usable))
        try:
            self.build([torch.zeros(1, 1, requires_grad=True)])
        except (TypeError, ValueError) as error:
            raise RecipeError(f"{self.name} of torch.optim cannot be built with {dict(self.options)} ({error}).") from error

    def build(self, params: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The torch optimiser of these parameters."""
        make = eager(getattr(torch.optim, self.name))
        return make(list(params), lr=self.lr(0.0), weight_decay=self.weight_decay, **self.options)


@dataclass(frozen=True, kw_only=True)
class ExponentiatedGradient(_Rate):
    """Multiplicative updates on the simplex, for the relaxation `SimplexPoint`.

    Args:
        lr: step size, > 0, a number or a schedule over the search.
        minimum: entries are kept at least this large, in (0, 0.5].
        clamp: whether they are raised to it ``before`` rows are normalised, or ``after``. After it, a row may add up to a
            little more than 1, by ``minimum`` for each entry at most.

    Source: Li et al. 2021 (arXiv:2004.07802), section 3.2 and code: before in GAEA DARTS, after in GAEA GDAS.
    """

    keeps_simplex: ClassVar[bool] = True
    lr: Schedule = Constant(0.1)
    minimum: float = 1e-5
    clamp: Literal["before", "after"] = "before"

    def __post_init__(self) -> None:
        self._check()
        check_range("minimum of ExponentiatedGradient", self.minimum, above=0, at_most=0.5)
        if self.clamp not in ("before", "after"):
            raise RecipeError(f"clamp of ExponentiatedGradient must be 'before' or 'after', got {self.clamp!r}.")

    def build(self, params: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The torch optimiser of these parameters."""
        return eager(ExponentiatedGradientDescent)(params, lr=self.lr(0.0), minimum=self.minimum, clamp=self.clamp)


@dataclass(frozen=True, kw_only=True)
class RMSProp(_Rate):
    """RMSProp with momentum, as TensorFlow has it: ``eps`` under the root, and mean squares that begin at 1.

    `TorchOptimiser` has torch's RMSprop, which adds ``eps`` to the root and begins at 0; with the eps of 1 that NAS-Bench-101
    trains with, the two are far apart.

    Args:
        lr: learning rate, > 0, a number or a schedule over the training.
        decay: weight of the older mean square, in [0, 1).
        momentum: in [0, 1).
        eps: added to the mean square, > 0.
        weight_decay: L2 coefficient added to the gradient, >= 0.

    Source: Tieleman & Hinton 2012, lecture 6.5; ``tf.train.RMSPropOptimizer``.
    """

    keeps_simplex: ClassVar[bool] = False
    lr: Schedule = Cosine(0.1, 0.0)
    decay: float = 0.9
    momentum: float = 0.9
    eps: float = 1.0
    weight_decay: float = 1e-4

    def __post_init__(self) -> None:
        self._check()
        for name, value in (("decay", self.decay), ("momentum", self.momentum)):
            check_range(f"{name} of RMSProp", value, at_least=0)
            if not value < 1:
                raise RecipeError(f"{name} of RMSProp must be less than 1, got {value:g}.")
        check_range("eps of RMSProp", self.eps, above=0)
        check_range("weight decay of RMSProp", self.weight_decay, at_least=0)

    def build(self, params: Iterable[Tensor]) -> torch.optim.Optimizer:
        """The torch optimiser of these parameters."""
        return eager(RootMeanSquares)(
            params, lr=self.lr(0.0), decay=self.decay, momentum=self.momentum, eps=self.eps, weight_decay=self.weight_decay
        )


Optimiser = SGD | Adam | TorchOptimiser | RMSProp | ExponentiatedGradient


def exponentiated_gradient(
    theta: Tensor, gradient: Tensor, lr: float, minimum: float, clamp: Literal["before", "after"] = "before"
) -> Tensor:
    """One step: ``theta * exp(-lr * gradient)``, entries kept >= ``minimum``, rows normalised to sum 1.

    Args:
        theta: rows on the simplex, ``(..., O)``.
        gradient: of the same shape.
        lr: step size, > 0.
        minimum: smallest entry, > 0.
        clamp: whether it holds before rows are normalised, or after.

    Source: Li et al. 2021 (arXiv:2004.07802), algorithm 1 and code.
    """
    # Only differences within a row matter after normalising; the largest exponent is moved to 0 so that none overflows.
    # In the published code the clamp acts on unnormalised numbers, so the shift is undone where it would change that.
    step = -lr * gradient
    shift = step.amax(-1, keepdim=True).clamp(min=0)
    grown = theta * (step - shift).exp()
    if clamp == "after":
        return (grown / grown.sum(-1, keepdim=True)).clamp(min=minimum)
    # An entry of exactly 0 could never grow again.
    grown = torch.maximum(grown, minimum * (-shift).exp()).clamp(min=torch.finfo(theta.dtype).tiny)
    return grown / grown.sum(-1, keepdim=True)


class ExponentiatedGradientDescent(torch.optim.Optimizer):
    """The torch optimiser of `exponentiated_gradient`.

    Args:
        params: tensors whose rows are on the simplex.
        lr: step size, > 0.
        minimum: smallest entry, > 0.
        clamp: as in `exponentiated_gradient`.
    """

    def __init__(
        self,
        params: Iterable[Tensor],
        lr: float = 0.1,
        minimum: float = 1e-5,
        clamp: Literal["before", "after"] = "before",
    ) -> None:
        super().__init__(params, {"lr": lr, "minimum": minimum, "clamp": clamp})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Updates every tensor that has a gradient."""
        loss: Any = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    p.copy_(exponentiated_gradient(p, p.grad, group["lr"], group["minimum"], group["clamp"]))
        return loss


class RootMeanSquares(torch.optim.Optimizer):
    """The torch optimiser of `RMSProp`: ``m <- d m + (1 - d) g^2``, ``b <- mu b + lr g / sqrt(m + eps)``, ``p <- p - b``.

    Args:
        params: tensors to train.
        lr: learning rate, >= 0.
        decay: d, in [0, 1).
        momentum: mu, in [0, 1).
        eps: > 0.
        weight_decay: coefficient of p in g, >= 0.
    """

    def __init__(
        self, params: Iterable[Tensor], lr: float, decay: float, momentum: float, eps: float, weight_decay: float
    ) -> None:
        defaults = {"lr": lr, "decay": decay, "momentum": momentum, "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Updates every tensor that has a gradient."""
        loss: Any = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is None:
                    continue
                state = self.state[p]
                if not state:
                    state["square_avg"], state["momentum_buffer"] = torch.ones_like(p), torch.zeros_like(p)
                gradient = p.grad.add(p, alpha=group["weight_decay"])
                squares = state["square_avg"].lerp_(gradient.square(), 1 - group["decay"])
                scaled = gradient * (squares + group["eps"]).rsqrt()
                p.sub_(state["momentum_buffer"].mul_(group["momentum"]).add_(scaled, alpha=group["lr"]))
        return loss


def set_rate(optimiser: torch.optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every parameter group."""
    for group in optimiser.param_groups:
        group["lr"] = rate


@contextmanager
def resting(optimiser: torch.optim.Optimizer, parts: Iterable[tuple[Tensor, slice]]) -> Iterator[None]:
    """Inside, a step leaves parts of parameters, and what the optimiser remembers of them, as they are.

    So they neither decay nor move by their momentum. What counts steps (Adam) counts those of the whole parameter.

    Args:
        optimiser: that steps.
        parts: parameters with a range of their first axis.
    """
    kept = []
    for parameter, rows in parts:
        moments = {key: value[rows].clone() for key, value in _moments(optimiser, parameter).items()}
        kept.append((parameter, rows, parameter.detach()[rows].clone(), moments))
    yield
    with torch.no_grad():
        for parameter, rows, value, moments in kept:
            parameter[rows] = value
            for key, moment in _moments(optimiser, parameter).items():
                moment[rows] = moments.get(key, 0.0)  # a moment that did not exist before the step begins at 0


def _moments(optimiser: torch.optim.Optimizer, parameter: Tensor) -> dict[str, Tensor]:
    """What an optimiser remembers of a parameter number by number."""
    state = optimiser.state.get(parameter, {})
    return {key: value for key, value in state.items() if isinstance(value, Tensor) and value.shape == parameter.shape}
