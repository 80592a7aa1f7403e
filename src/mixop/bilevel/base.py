"""What a scheme is: a function from a bilevel problem to the gradient of the architecture (the hypergradient).

The bilevel problem is ``min_a L_valid(w*(a), a)`` with ``w*(a) = argmin_w L_train(w, a)``. A scheme returns a gradient and
changes nothing but the memory of the search; the engine alone steps.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.optim import Optimiser
from mixop.core.types import Batch, Draw, Params
from mixop.relax.base import Relaxation
from mixop.spaces.core import Decision, Group, Space
from mixop.tasks.base import Totals


@dataclass(frozen=True, kw_only=True)
class InnerStep:
    """The step of SGD that the weights take next, gradient clipping aside.

    Args:
        rate: learning rate of this epoch.
        momentum: in [0, 1).
        nesterov: whether the momentum looks ahead.
        weight_decay: L2 coefficient added to the gradient.
        buffers: momentum buffers by the name of the weight; absent before the weight's first step.
    """

    rate: float
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    buffers: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def response(self) -> float:
        """How much the stepped weights fall for one unit of gradient: ``-dw'/dg``."""
        return self.rate * (1 + self.momentum if self.nesterov else 1)

    def __call__(self, weights: Mapping[str, Tensor], gradients: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The weights after the step; as in torch, a weight without a gradient stays.

        Args:
            weights: current weights by name.
            gradients: gradients of the training loss, absent for weights that it does not depend on.
        """
        stepped = dict(weights)
        for name, g in gradients.items():
            w = weights[name]
            g = g + self.weight_decay * w
            momentum = self.momentum * self.buffers[name] + g if name in self.buffers else g
            stepped[name] = w - self.rate * (g + self.momentum * momentum if self.nesterov else momentum)
        return stepped


class Problem(Protocol):
    """A bilevel problem as functions of weights and architecture parameters.

    Within one step every `train_loss` is taken under the same random draw, and every `valid_loss` under another: they are
    deterministic functions, which finite differences need. No loss at given weights changes batch-norm statistics.

    Attributes:
        memory: what parts carry from step to step, by a name that begins with the part's; saved with the search.
    """

    memory: dict[str, Tensor]

    @property
    def weights(self) -> Mapping[str, Tensor]:
        """The current weights by name."""
        ...

    @property
    def inner(self) -> InnerStep:
        """The step that the weights take next."""
        ...

    @property
    def relaxation(self) -> Relaxation:
        """From architecture parameters to mixing weights."""
        ...

    @property
    def space(self) -> Space:
        """The search space."""
        ...

    def measured(self) -> Totals:
        """What the task measures on the batch of the last forward pass; nobody waits for it before `rewards`."""
        ...

    def rewards(self, measured: Sequence[Totals]) -> list[float]:
        """The task's first measure of each of several `measured` passes, as a number where larger is better."""
        ...

    def train_loss(self, weights: Mapping[str, Tensor], params: Params, batch: Batch) -> Tensor:
        """The lower loss, a scalar."""
        ...

    def valid_loss(self, weights: Mapping[str, Tensor], params: Params, batch: Batch) -> Tensor:
        """The upper loss with its regularisers, a scalar."""
        ...

    def draw(self, params: Params) -> Mapping[str, Draw]:
        """A fresh draw of every group."""
        ...

    def draw_loss(self, weights: Mapping[str, Tensor] | None, draws: Mapping[str, Draw], batch: Batch) -> Tensor:
        """The task's loss of a batch under given draws, a scalar; ``weights`` None stands for the network's own."""
        ...

    def perturbed(self, draws: Mapping[str, Draw], batch: Batch) -> Mapping[str, Draw]:
        """The draws under the recipe's perturbation; unchanged if it has none."""
        ...

    def penalty(self, params: Params) -> Tensor:
        """The regularisers at the mean mixing weights, a scalar; zero if there are none."""
        ...


class Scheme(ABC):
    """Base of the schemes; subclasses are frozen dataclasses.

    Attributes:
        shares_data: whether both steps see the same examples (the whole training set) instead of two disjoint splits.
        searches: whether there is an architecture gradient at all; if not, the engine takes no architecture step.
    """

    shares_data: ClassVar[bool] = False
    searches: ClassVar[bool] = True

    @property
    def second_derivatives(self) -> bool:
        """Whether autograd differentiates the loss twice."""
        return False

    @abstractmethod
    def __call__(self, problem: Problem, params: Params, train_batch: Batch, valid_batch: Batch) -> Params:
        """The hypergradient, with the structure of ``params``.

        Args:
            problem: the losses and the current weights.
            params: architecture parameters by group.
            train_batch: the batch that the next weight step will use.
            valid_batch: the batch for the architecture.
        """

    @property
    def joint(self) -> bool:
        """Whether weights and architecture descend one loss: one draw, one pass, both steps from its gradient."""
        return False

    def weight_rate(self, memory: Mapping[str, Tensor]) -> float:
        """What the learning rate of the next weight step is multiplied by.

        Args:
            memory: what parts carry from step to step.
        """
        return 1.0

    def check(self, relaxation: Relaxation, weight_optimiser: Optimiser) -> None:
        """Refuses parts of a recipe that it does not fit.

        Raises:
            RecipeError: naming both.
        """
        return


def gradient(loss: Tensor, params: Params) -> Params:
    """The gradient of a scalar by group; zero where the loss does not depend on a group."""
    if not loss.requires_grad:
        return {name: torch.zeros_like(p) for name, p in params.items()}
    grads = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
    return {name: torch.zeros_like(p) if g is None else g for (name, p), g in zip(params.items(), grads, strict=True)}


def leaves_of(params: Params) -> Params:
    """The same numbers as new leaves, for `gradient`."""
    return {name: p.detach().requires_grad_() for name, p in params.items()}


def fixed(problem: Problem) -> dict[str, Tensor]:
    """The current weights as constants: autograd then computes no weight gradient, which is about 1.5 times as fast."""
    return {name: weight.detach() for name, weight in problem.weights.items()}


def trial(relaxation: Relaxation) -> Draw:
    """A draw at fresh parameters of a small group: shows what kind of gradient a relaxation's draws carry."""
    group = Group("trial", (Decision(0, 1, ("a", "b")), Decision(1, 2, ("a", "b"))))
    params = relaxation.init(group, Generator().manual_seed(0)).requires_grad_()
    return relaxation.draw(params, group, 0.0, Generator().manual_seed(0))


def check_differentiable(scheme: Scheme, relaxation: Relaxation) -> None:
    """Refuses relaxations that are trained by the log-probability of their draws, while the scheme differentiates the loss.

    Raises:
        RecipeError: naming both.
    """
    draw = trial(relaxation)
    if draw.log_prob is not None and not draw.weights.requires_grad and not reshapes_loss(relaxation):
        raise RecipeError(
            f"{type(scheme).__name__} differentiates the loss in the mixing weights, but the draws of "
            f"{type(relaxation).__name__} carry no gradient: use the ScoreFunction or ImportanceWeighted scheme."
        )


def reshapes_loss(relaxation: Relaxation) -> bool:
    """Whether the relaxation has its own surrogate of the loss."""
    return type(relaxation).surrogate is not Relaxation.surrogate
