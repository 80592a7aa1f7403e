"""The bilevel problem of a supernet: the two losses that schemes differentiate."""

from collections.abc import Mapping

import torch
from torch import Generator, Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from mixop.recipe import Recipe
from mixop.regularise.base import Point
from mixop.rng import draw_seed
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

    Within one step, every training loss is taken under the same draw and every validation loss under another one, so that
    a scheme which evaluates a loss twice (finite differences) compares like with like.

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
        self._noise = (0, 0)

    def begin_step(self) -> None:
        """Fixes the noise of this step's draws."""
        self._noise = (draw_seed(self.generator), draw_seed(self.generator))

    @property
    def weights(self) -> dict[str, Tensor]:
        """The supernet's weights by name."""
        return dict(self.net.named_parameters())

    def draw(self, params: Params, generator: Generator | None = None) -> dict[str, Draw]:
        """One draw of every group, a fresh one unless a generator is given."""
        relaxation = self.recipe.relaxation
        source = generator or self.generator
        return {g.name: relaxation.draw(params[g.name], g, self.progress, source) for g in self.net.space.groups}

    def mean(self, params: Params) -> dict[str, Tensor]:
        """Mean mixing weights of every group, without gradient."""
        with torch.no_grad():
            return {g.name: self.recipe.relaxation.mean(params[g.name], g) for g in self.net.space.groups}

    def draw_loss(self, weights: Mapping[str, Tensor] | None, draws: Mapping[str, Draw], batch: Batch) -> Tensor:
        """Mean cross-entropy (nats) of a batch under given draws.

        Args:
            weights: weights by name; batch-norm statistics then stay as they are. None for the network's own weights,
                whose pass updates the statistics.
            draws: a draw of every group.
            batch: images and labels.
        """
        mix, active = mix_of(draws)
        if weights is None:
            logits = self.net(batch.x, mix, active)
        else:
            statistics = {name: buffer.clone() for name, buffer in self.net.named_buffers()}
            logits = functional_call(self.net, {**weights, **statistics}, (batch.x, mix, active))
        loss = cross_entropy(logits, batch.y)
        self.seen = loss.detach(), (logits.detach().argmax(-1) == batch.y).sum()
        return loss

    def train_loss(self, weights: Mapping[str, Tensor], params: Params, batch: Batch) -> Tensor:
        """The lower loss under this step's training draw."""
        return self.draw_loss(weights, self.draw(params, Generator().manual_seed(self._noise[0])), batch)

    def valid_loss(self, weights: Mapping[str, Tensor], params: Params, batch: Batch) -> Tensor:
        """The upper loss under this step's validation draw, as the relaxation wants it differentiated, and regularisers."""
        draws = self.draw(params, Generator().manual_seed(self._noise[1]))
        loss = self.recipe.relaxation.surrogate(self.draw_loss(weights, draws, batch), draws)
        mix, _ = mix_of(draws)
        at = Point(params=params, relaxation=self.recipe.relaxation, space=self.net.space, mix=mix, progress=self.progress)
        return sum((regulariser(at) for regulariser in self.recipe.regularisers), loss)
