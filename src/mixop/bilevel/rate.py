"""The learning rate of the weights as one more relaxed decision, by the gradient through one unrolled step."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from mixop.bilevel.base import Problem, Scheme, fixed, reshapes_loss
from mixop.bilevel.direct import FirstOrder
from mixop.core.errors import RecipeError
from mixop.core.optim import SGD, Optimiser
from mixop.core.schedules import check_range
from mixop.core.types import Batch, Params
from mixop.relax.base import Relaxation

LOGITS = "TunedRate.logits"
"""Where the memory of a search has the logits of the options."""


@dataclass(frozen=True, kw_only=True)
class TunedRate(Scheme):
    """Multiplies the learning rate of the weights by a mixture of options, which descends the validation loss.

    With ``p = softmax(logits)`` over the options c the multiplier is ``m = exp(sum_k p_k log c_k)``, and the weights step to
    ``w'(m) = w - m * rate * d``, d the direction of their optimiser, gradient clipping aside. Before every architecture step
    the logits descend ``L_valid(w'(m))``, whose slope in the k-th of them is

        ``-<v, m * rate * d> * p_k * (log c_k - log m)``,  ``v = grad L_valid(w'(m))``,

    with the product divided by the lengths of v and of the step: what counts is the cosine between the two, and not the scale
    of a loss. Schedules stay; the architecture's gradient is that of another scheme. It costs one more gradient of each loss
    in every architecture step.

    It looks one step ahead and no further. It mends a rate that is wrong by orders of magnitude; it does not find the rate
    with which a whole search ends best: where batches are noisy, gradients of one step prefer rates that are too small for
    a long training, and a network that learns faster need not rank architectures better.

    Args:
        scheme: of the architecture; it holds validation examples out.
        options: what the learning rate may be multiplied by, each > 0, at least two. It begins at their geometric mean.
        step: of the logits, > 0.

    Source: a hyper-parameter as a decision beside the architecture: Dong et al. 2020 (arXiv:2006.03656), who sample it and
        learn from rewards. The slope of the next loss in the rate: Baydin et al. 2018 (arXiv:1703.04782), here with
        the architecture's batch for the next one. What one step does not see: Wu et al. 2018 (arXiv:1803.02021).
    """

    scheme: Scheme = FirstOrder()
    options: tuple[float, ...] = (0.01, 1.0, 100.0)
    step: float = 0.3

    def __post_init__(self) -> None:
        if len(set(self.options)) < 2:
            raise RecipeError(f"TunedRate needs at least two different options, got {list(self.options)}.")
        for option in self.options:
            check_range("options of TunedRate", option, above=0)
        check_range("step of TunedRate", self.step, above=0)

    @property
    def second_derivatives(self) -> bool:
        return self.scheme.second_derivatives

    def check(self, relaxation: Relaxation, weight_optimiser: Optimiser) -> None:
        inner = type(self.scheme).__name__
        if isinstance(self.scheme, TunedRate) or self.scheme.shares_data or not self.scheme.searches:
            raise RecipeError(
                f"TunedRate moves the rate on validation examples beside an architecture step, which {inner} does not leave "
                "it: use FirstOrder, or another scheme with held-out examples."
            )
        if not isinstance(weight_optimiser, SGD):
            raise RecipeError(
                f"TunedRate unrolls a step of SGD, but the weights are trained by {type(weight_optimiser).__name__}: use SGD "
                "for the weights, or another scheme."
            )
        if reshapes_loss(relaxation):
            raise RecipeError(
                f"{type(relaxation).__name__} has its own loss for the architecture, whose slope in the weights says nothing "
                "of their rate: use another relaxation, or its own scheme."
            )
        self.scheme.check(relaxation, weight_optimiser)

    def weight_rate(self, memory: Mapping[str, Tensor]) -> float:
        mix = self._mix(memory)
        return math.exp((mix * self._logs).sum().item())

    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        mix, logs = self._mix(problem.memory), self._logs
        descent = _alignment(problem, params, train_batch, valid_batch) * mix * (logs - (mix * logs).sum())
        problem.memory[LOGITS] = problem.memory.get(LOGITS, torch.zeros_like(mix)) + self.step * descent
        return self.scheme(problem, params, train_batch, valid_batch)  # last: the engine reads what its passes left behind

    @property
    def _logs(self) -> Tensor:
        return torch.tensor(self.options, dtype=torch.float64).log()

    def _mix(self, memory: Mapping[str, Tensor]) -> Tensor:
        return memory.get(LOGITS, torch.zeros(len(self.options), dtype=torch.float64)).softmax(0)


def _alignment(problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> float:
    """The cosine between the next step of the weights and the descent of the validation loss where it leads, in [-1, 1]."""
    constants = {name: value.detach() for name, value in params.items()}
    weights = {name: weight.requires_grad_() for name, weight in fixed(problem).items()}
    gradients = _slopes(problem.train_loss(weights, constants, train_batch), weights)
    with torch.no_grad():
        stepped = problem.inner(weights, gradients)
    stepped = {name: weight.detach().requires_grad_() for name, weight in stepped.items()}
    slopes = _slopes(problem.valid_loss(stepped, constants, valid_batch), stepped)
    with torch.no_grad():
        moved = {name: weights[name] - stepped[name] for name in gradients}
        products = [(slopes[name] * step).sum() for name, step in moved.items() if name in slopes]
        squares = [[x.square().sum() for x in of.values()] for of in (slopes, moved)]
        numbers = iter(torch.stack([*products, *squares[0], *squares[1]]).tolist())  # read in one go
    product, *lengths = (sum(next(numbers) for _ in its) for its in (products, *squares))
    lengths = [math.sqrt(length) for length in lengths]
    return product / math.prod(lengths) if all(lengths) else 0.0


def _slopes(loss: Tensor, at: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The gradient in each tensor that the loss depends on."""
    found = torch.autograd.grad(loss, list(at.values()), allow_unused=True)
    return {name: slope for name, slope in zip(at, found, strict=True) if slope is not None}
