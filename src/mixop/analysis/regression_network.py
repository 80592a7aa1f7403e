"""The network of the theorem about descent, so that its rate can be measured and put beside the bound.

Layer i is ``X_i = sum_{t<i} skip[t, i] X_t + conv[t, i] sigma(W[t, i] * X_t) / sqrt(C)`` with layer 0 the input; the third
operation, zero, adds nothing. Every layer feeds a linear head, ``u = sum_i <H_i, X_i>``; the loss is ``mean (u - y)^2 / 2``.
Gradient descent changes W, and H unless told otherwise. The theorem bounds from below what a step takes away: see
`mixop.analysis.descent`.

The activation sigma is tanh: the theorem asks for a smooth one. Dividing by the root of the channels, and weights that begin as
standard normal numbers, are its scaling for wide networks.

Source: Zhou et al. 2020 (arXiv:2006.16537), section 3 and theorem 1.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Generator, Tensor
from torch.nn import functional

from mixop.analysis.descent import LayerWeights
from mixop.core.errors import DivergedError, RecipeError
from mixop.core.schedules import check_range
from mixop.core.types import Batch


class Weights(NamedTuple):
    """What gradient descent changes."""

    conv: Tensor
    """Kernels ``(h, h, C, C, kernel)``; ``[t, i]`` is on the edge from layer t into layer i, t < i; the others are not used."""
    head: Tensor
    """``(h, C, L)``, for every number of every layer."""


@dataclass(frozen=True, kw_only=True)
class RegressionNetwork:
    """The theorem's network on signals ``(C, L)``; one number is predicted for each.

    Args:
        layers: h, with the input, >= 2.
        channels: C, of every layer, >= 1.
        length: L, >= 1; convolutions keep it.
        kernel: window of the convolutions, odd.
        trains_head: whether the head is trained too. The bound comes from the convolutions alone, so it is closer without.

    Raises:
        RecipeError: for a size that is not a whole number in its range.

    Example:
        >>> network = RegressionNetwork(layers=3, channels=4, length=5)
        >>> generator = torch.Generator().manual_seed(0)
        >>> batch, mix = network.random_batch(6, generator), random_layer_weights(3, generator)
        >>> losses = network.descend(network.init(generator), batch, mix, lr=0.1, steps=10)
        >>> bool((decreases(losses) > 0).all())
        True
    """

    layers: int = 4
    channels: int = 8
    length: int = 6
    kernel: int = 3
    trains_head: bool = True

    def __post_init__(self) -> None:
        for name, least in (("layers", 2), ("channels", 1), ("length", 1), ("kernel", 1)):
            value = getattr(self, name)
            if type(value) is not int or value < least:
                raise RecipeError(f"{name} of RegressionNetwork must be a whole number of at least {least}, got {value!r}.")
        if self.kernel % 2 == 0:
            raise RecipeError(f"The kernel of RegressionNetwork must be odd, so that the length stays, got {self.kernel}.")

    def init(self, generator: Generator) -> Weights:
        """Weights to begin with: standard normal numbers, float64."""
        h, c = self.layers, self.channels
        kernels = torch.randn(h, h, c, c, self.kernel, generator=generator, dtype=torch.float64)
        return Weights(kernels, torch.randn(h, c, self.length, generator=generator, dtype=torch.float64))

    def random_batch(self, examples: int, generator: Generator) -> Batch:
        """Data as the theorem assumes it: directions ``(B, C, L)`` of length 1, no two alike, and targets ``(B,)``; float64.

        Args:
            examples: B, >= 1.
            generator: source of inputs and targets, which are standard normal and independent.
        """
        x = torch.randn(examples, self.channels, self.length, generator=generator, dtype=torch.float64)
        y = torch.randn(examples, generator=generator, dtype=torch.float64)
        return Batch(x / x.flatten(1).norm(dim=1)[:, None, None], y)

    def predict(self, weights: Weights, x: Tensor, mix: LayerWeights) -> Tensor:
        """The predictions ``(B,)`` for signals ``(B, C, L)``.

        Args:
            weights: of this network.
            x: inputs.
            mix: mixing weights of the edges, ``(h, h)`` each; layer 0 alone is given.

        Raises:
            RecipeError: for mixing weights of another number of layers or inputs.
        """
        h = self.layers
        if mix.conv.shape != (h, h) or mix.skip.shape != (h, h) or mix.inputs != 1:
            raise RecipeError(
                f"The mixing weights of this network must be two matrices {(h, h)} with one given layer, got "
                f"{tuple(mix.conv.shape)} and {tuple(mix.skip.shape)} with {mix.inputs}."
            )
        features = [x]
        for i in range(1, h):
            edges = [self._edge(weights.conv[t, i], features[t], mix.conv[t, i], mix.skip[t, i]) for t in range(i)]
            features.append(torch.stack(edges).sum(0))
        return torch.einsum("hbcl,hcl->b", torch.stack(features), weights.head)

    def _edge(self, kernel: Tensor, x: Tensor, conv: Tensor, skip: Tensor) -> Tensor:
        convolved = torch.tanh(functional.conv1d(x, kernel, padding=self.kernel // 2))
        return skip * x + conv / math.sqrt(self.channels) * convolved

    def loss(self, weights: Weights, batch: Batch, mix: LayerWeights) -> Tensor:
        """The squared loss ``mean (u - y)^2 / 2``, a scalar."""
        return (self.predict(weights, batch.x, mix) - batch.y).square().mean() / 2

    def step(self, weights: Weights, batch: Batch, mix: LayerWeights, *, lr: float) -> tuple[Weights, float]:
        """One step of gradient descent: the new weights, and the loss before it.

        Args:
            weights: where it starts.
            batch: all examples.
            mix: mixing weights of the edges, fixed.
            lr: step size, > 0.

        Raises:
            RecipeError: for a step size out of range, and mixing weights that do not fit.
        """
        check_range("step size of RegressionNetwork", lr, above=0)
        leaves = Weights(*(value.detach().requires_grad_() for value in weights))
        with torch.enable_grad():
            loss = self.loss(leaves, batch, mix)
            conv, head = torch.autograd.grad(loss, leaves)
        head = weights.head - lr * head if self.trains_head else weights.head
        return Weights(weights.conv - lr * conv, head), loss.item()

    def descend(self, weights: Weights, batch: Batch, mix: LayerWeights, *, lr: float, steps: int) -> Tensor:
        """The losses ``(steps + 1,)`` before the first of some steps and after each, float64.

        Args:
            weights: where it starts; they stay as they are.
            batch: all examples.
            mix: mixing weights of the edges, fixed.
            lr: step size, > 0.
            steps: how many, >= 1.

        Raises:
            DivergedError: if the loss leaves the finite numbers.
            RecipeError: as `step`.
        """
        check_range("number of steps of RegressionNetwork", steps, at_least=1)
        losses = []
        for _ in range(steps):
            weights, loss = self.step(weights, batch, mix, lr=lr)
            losses.append(loss)
        losses.append(self.loss(weights, batch, mix).item())
        if not all(map(math.isfinite, losses)):
            raise DivergedError(f"The loss of the regression network left the finite numbers: use a smaller step than {lr:g}.")
        return torch.tensor(losses, dtype=torch.float64)


def random_layer_weights(layers: int, generator: Generator, *, scale: float = 1.0) -> LayerWeights:
    """Mixing weights of a random architecture: on every edge a softmax of normal logits over zero, skip and convolution.

    Args:
        layers: h, >= 2.
        generator: source of the logits.
        scale: their standard deviation, >= 0; the larger, the closer is an edge to one operation.

    Returns:
        Matrices ``(h, h)``, float64, zero where there is no edge.
    """
    check_range("scale of random mixing weights", scale, at_least=0)
    logits = scale * torch.randn(layers, layers, 3, generator=generator, dtype=torch.float64)
    _, skip, conv = logits.softmax(-1).unbind(-1)
    return LayerWeights(conv.triu(1), skip.triu(1), 1)


def decreases(losses: Tensor) -> Tensor:
    """The share of the loss that each step took away, ``1 - F(k+1) / F(k)``: what the theorem bounds from below.

    Args:
        losses: ``(K + 1,)``, > 0, as `RegressionNetwork.descend` gives them.

    Returns:
        ``(K,)``, at most 1; negative where a step raised the loss.
    """
    return 1 - losses[1:] / losses[:-1]
