"""The bilevel problem of a supernet: the two losses that schemes differentiate."""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixop.recipe import Recipe
from mixop.schedules import Progress
from mixop.supernet.core import Supernet
from mixop.types import Active, Batch, Draw, Mix, Params


def mix_of(draws: Mapping[str, Draw]) -> tuple[Mix, Active | None]:
    """The arguments of a supernet that draws stand for."""
    mix = {name: draw.weights for name, draw in draws.items()}
    active = {name: draw.active for name, draw in draws.items() if draw.active is not None}
    return mix, active if len(active) == len(mix) else None


class SupernetProblem:
    """Training and validation loss of a supernet under a recipe's relaxation.

    Args:
        net: the supernet.
        recipe: relaxation and regularisers are read.
        generator: source of the draws.

    Attributes:
        progress: time of the draws; the engine sets it.
        seen: loss and number of right answers of the last forward pass, on the device.
    """

    def __init__(self, net: Supernet, recipe: Recipe, generator: Generator) -> None:
        self.net, self.recipe, self.generator = net, recipe, generator
        self.progress: float = Progress(0, recipe.epochs)
        self.seen: tuple[Tensor, Tensor] = (torch.zeros(()), torch.zeros(()))

    @property
    def weights(self) -> dict[str, Tensor]:
        """The supernet's weights by name."""
        return dict(self.net.named_parameters())

    def draw(self, params: Params) -> dict[str, Draw]:
        """One draw of every group."""
        relaxation = self.recipe.relaxation
        return {g.name: relaxation.draw(params[g.name], g, self.progress, self.generator) for g in self.net.space.groups}

    def mean(self, params: Params) -> dict[str, Tensor]:
        """Mean mixing weights of every group, without gradient."""
        with torch.no_grad():
            return {g.name: self.recipe.relaxation.mean(params[g.name], g) for g in self.net.space.groups}

    def loss(self, weights: Mapping[str, Tensor] | None, draws: Mapping[str, Draw], batch: Batch) -> Tensor:
        """Mean cross-entropy (nats) of a batch; ``weights`` None stands for the network's own."""
        mix, active = mix_of(draws)
        if weights is None:
            logits = self.net(batch.x, mix, active)
        else:
            logits = functional_call(self.net, dict(weights), (batch.x, mix, active))
        loss = cross_entropy(logits, batch.y)
        self.seen = loss.detach(), (logits.detach().argmax(-1) == batch.y).sum()
        return loss

    def train_loss(self, weights: Mapping[str, Tensor], params: Params, batch: Batch) -> Tensor:
        """The lower loss under a fresh draw."""
        return self.loss(weights, self.draw(params), batch)

    def valid_loss(self, weights: Mapping[str, Tensor], params: Params, batch: Batch) -> Tensor:
        """The upper loss under a fresh draw, as the relaxation wants it differentiated, plus the regularisers."""
        draws = self.draw(params)
        loss = self.recipe.relaxation.surrogate(self.loss(weights, draws, batch), draws)
        mix, _ = mix_of(draws)
        return sum((r(params, mix, self.net.space) for r in self.recipe.regularisers), loss)
