"""Perturbations of the mixing weights in the weight step: weights that do well in a whole neighbourhood of the architecture.

The architecture parameters are never touched: a perturbation takes mixing weights and returns others.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import Linear, Schedule, check_range, schedule
from mixop.core.transfer import upload
from mixop.core.types import Mix
from mixop.relax.base import Relaxation

LossOf = Callable[[Mix], Tensor]
"""The loss of the training batch as a function of the mixing weights, with the network's weights fixed."""


class Perturbation(ABC):
    """What every perturbation does; subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, mix: Mix, loss_of: LossOf, progress: float, generator: Generator) -> Mix:
        """Other mixing weights for this weight step, constants with rows on the simplex.

        Args:
            mix: the mixing weights by group, rows on the simplex.
            loss_of: the loss of the training batch under given mixing weights, with the network in evaluation mode.
            progress: time in [0, 1].
            generator: source of the noise, on the CPU.
        """

    def check(self, relaxation: Relaxation) -> None:
        """Refuses relaxations that it does not fit.

        Raises:
            RecipeError: naming both.
        """
        if not relaxation.mix_on_simplex:
            raise RecipeError(
                f"{type(self).__name__} perturbs points of the simplex, but the mixing weights of "
                f"{type(relaxation).__name__} lie elsewhere: use a relaxation like Softmax."
            )


def simplex_clip(weights: Tensor) -> Tensor:
    """Rows brought back to the simplex: entries clamped to [0, 1], then divided by their sum.

    A row that is clamped to nothing becomes 1 at its largest entry.

    Args:
        weights: ``(..., O)``, any numbers.

    Source: Chen & Hsieh 2020 (arXiv:2002.05283), code (``attacker/perturb.py``).
    """
    clamped = weights.clamp(0, 1)
    largest = torch.nn.functional.one_hot(weights.argmax(-1), weights.shape[-1]).to(weights)
    clamped = torch.where(clamped.sum(-1, keepdim=True) == 0, largest, clamped)
    return clamped / clamped.sum(-1, keepdim=True)


def uniform_noise(mix: Mix, radius: float, generator: Generator) -> dict[str, Tensor]:
    """Noise of the shapes of mixing weights, uniform in [-radius, radius]."""
    return {
        name: upload(radius * (2 * torch.rand(weights.shape, generator=generator, dtype=weights.dtype) - 1), weights.device)
        for name, weights in mix.items()
    }


@dataclass(frozen=True, kw_only=True)
class RandomSmoothing(Perturbation):
    """Uniform noise on every mixing weight: the expected loss over a cube around the architecture.

    Args:
        radius: half the cube's edge, >= 0, a number or a schedule over the search.

    Source: Chen & Hsieh 2020 (arXiv:2002.05283), eq. 6 (SDARTS-RS) and code, which perturbs the softmax and not its logits.
    """

    radius: Schedule = Linear(0.03, 0.3, closed=False)

    def __post_init__(self) -> None:
        check_range("radius of RandomSmoothing", self.radius, at_least=0)
        object.__setattr__(self, "radius", schedule(self.radius))

    def __call__(self, mix: Mix, loss_of: LossOf, progress: float, generator: Generator) -> Mix:
        noise = uniform_noise(mix, self.radius(progress), generator)
        return {name: simplex_clip(weights.detach() + noise[name]) for name, weights in mix.items()}


@dataclass(frozen=True, kw_only=True)
class Adversarial(Perturbation):
    """The worst mixing weights in a cube around the architecture, by projected sign-gradient ascent on the training loss.

    From a random start, every step goes ``2 * radius / steps`` along the gradient's sign, is projected to the cube and then
    clipped to the simplex, whose division may carry an entry out of the cube again, as in the code. If the loss ends below
    that of the unperturbed weights, those are returned.

    Args:
        radius: half the cube's edge, >= 0, a number or a schedule over the search.
        steps: of the ascent, >= 1; each costs a forward and a backward pass.

    Source: Chen & Hsieh 2020 (arXiv:2002.05283), eq. 7 and algorithm 1 (SDARTS-ADV) and code; Madry et al. 2018.
    """

    radius: Schedule = Linear(0.03, 0.3, closed=False)
    steps: int = 7

    def __post_init__(self) -> None:
        check_range("radius of Adversarial", self.radius, at_least=0)
        object.__setattr__(self, "radius", schedule(self.radius))
        if isinstance(self.steps, bool) or not isinstance(self.steps, int) or self.steps < 1:
            raise RecipeError(f"steps of Adversarial must be a whole number of at least 1, got {self.steps!r}.")

    def __call__(self, mix: Mix, loss_of: LossOf, progress: float, generator: Generator) -> Mix:
        radius = self.radius(progress)
        clean = {name: weights.detach() for name, weights in mix.items()}
        noise = uniform_noise(clean, radius, generator)
        moved = {name: simplex_clip(weights + noise[name]) for name, weights in clean.items()}
        for _ in range(self.steps):
            leaves = {name: weights.requires_grad_() for name, weights in moved.items()}
            tensors = list(leaves.values())
            slopes = torch.autograd.grad(loss_of(leaves), tensors, allow_unused=True, materialize_grads=True)
            moved = {
                name: simplex_clip(
                    clean[name] + (leaf.detach() + 2 * radius / self.steps * g.sign() - clean[name]).clamp(-radius, radius)
                )
                for (name, leaf), g in zip(leaves.items(), slopes, strict=True)
            }
        with torch.no_grad():
            lower = loss_of(moved) < loss_of(clean)  # on the device: the host need not know
            return {name: torch.where(lower, clean[name], weights) for name, weights in moved.items()}
