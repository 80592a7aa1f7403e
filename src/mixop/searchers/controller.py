"""NAS-RL: a recurrent controller writes architectures, and the score of each child, trained by itself, is its reward."""

import base64
import math
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range
from mixop.core.surroundings import undisturbed
from mixop.core.types import paths_of
from mixop.relax.policy import LstmPolicy
from mixop.searchers.base import SameLength, State, Trial
from mixop.searchers.coding import drawn
from mixop.searchers.policy_gradient import Vector, adam_step, moving_mean
from mixop.spaces.core import Architecture, Space

POLICY = LstmPolicy(hidden=35, layers=2, tanh=100.0, temperature=100.0)
"""The paper's controller: two layers of 35 units. Its logits are nearly linear: the tanh bends them only beyond 100."""


@dataclass(frozen=True, kw_only=True)
class Controller(SameLength):
    """An LSTM takes the decisions of an architecture one after the other and is trained by REINFORCE, without shared weights.

    The policy is the one of ENAS in this library, without the children that share weights. The reward is ``score ** power``,
    less a moving mean of the rewards before it; the first trial, which has none before it, changes nothing. A negative score,
    such as that of a loss, keeps its sign, so that a better score always has the larger reward. The parameters begin at
    ``U(-0.1, 0.1)``, in the paper ``U(-0.08, 0.08)``. The paper trained 12,800 children at a rate of 0.0006; in a hundred
    trials that rate hardly moves the policy, and the search is a random one.

    Args:
        epochs: length of the training of every trial, >= 1.
        policy: the controller; every group of decisions has its own.
        lr: learning rate of Adam, > 0.
        power: of the score, >= 1; the paper has 3, with the accuracy in [0, 1] as the score.
        decay: weight of the older rewards in the baseline, in [0, 1); the paper does not say.

    Source: Zoph & Le 2017 (arXiv:1611.01578), sections 3.2 and 4.1.
    """

    policy: LstmPolicy = POLICY
    lr: float = 6e-4
    power: float = 3.0
    decay: float = 0.9

    def __post_init__(self) -> None:
        super().__post_init__()
        check_range("lr of Controller", self.lr, above=0)
        check_range("power of Controller", self.power, at_least=1)
        check_range("decay of Controller", self.decay, at_least=0)
        if not self.decay < 1:
            raise RecipeError(f"decay of Controller must be less than 1, got {self.decay:g}: with 1 no reward ever counts.")

    def check(self, space: Space) -> None:
        super().check(space)
        if any(group.keep for group in space.groups):
            raise RecipeError(
                f"Controller takes an option on every edge, but {space.name} keeps some edges of each node: use Reinforce."
            )
        if any(group.take > 1 for group in space.groups):
            raise RecipeError(f"Controller takes one option of a decision, but {space.name} takes several: use Reinforce.")

    @undisturbed()
    def begin(self, space: Space, rng: Random) -> dict[str, Any]:
        generator = _generator(rng)
        pieces = [piece.double() for piece in self.policy.init_all(space.groups, generator).values()]
        parameters = torch.cat(pieces).numpy()
        zeros = _pack(np.zeros_like(parameters))
        return {"parameters": _pack(parameters), "moments": [zeros, zeros], "sizes": [len(piece) for piece in pieces]}

    @undisturbed()
    def propose(self, state: State, rng: Random) -> tuple[Architecture, int] | None:
        generator, pieces = _generator(rng), self._pieces(state)

        def sample() -> Architecture:
            draws = self.policy.draw_all(pieces, state.space.groups, 0.0, generator)
            options = [[option for path in paths_of(draw.active or (), 0) for option in path] for draw in draws.values()]
            return state.space.architecture(options)

        with torch.no_grad():
            return drawn(state.space, sample), self.epochs

    def learn(self, state: State, trial: Trial, score: float, rng: Random) -> None:
        reward = math.copysign(abs(score) ** self.power, score)
        above, below = state.memory.get("baseline", [reward, 1.0])
        advantage = reward - above / below
        moving_mean(state.memory, reward, self.decay)
        if state.told == 0:
            return
        gradient = -advantage * self.score_function(state, trial.architecture)
        moments = (_unpack(state.memory["moments"][0]), _unpack(state.memory["moments"][1]))
        before = _unpack(state.memory["parameters"])
        parameters, moments = adam_step(before, gradient, moments, state.told, lr=self.lr)  # the first trial made no step
        state.memory |= {"parameters": _pack(parameters), "moments": [_pack(moment) for moment in moments]}

    def log_prob(self, state: State, architecture: Architecture, parameters: Tensor | None = None) -> Tensor:
        """Log-probability of an architecture, a scalar in nats.

        Args:
            state: of the search.
            architecture: of its space.
            parameters: of all groups, one after the other; default those of the state.
        """
        groups = state.space.groups
        chosen = {g.name: [g.decisions[c.decision].options.index(c.option) for c in architecture.of(g.name)] for g in groups}
        return self.policy.log_prob_all(self._pieces(state, parameters), groups, chosen)

    @undisturbed()
    def score_function(self, state: State, architecture: Architecture) -> Vector:
        """Gradient of the log-probability of an architecture in all parameters, one vector."""
        parameters = torch.from_numpy(_unpack(state.memory["parameters"])).requires_grad_()
        (gradient,) = torch.autograd.grad(self.log_prob(state, architecture, parameters), parameters)
        return gradient.numpy()

    def _pieces(self, state: State, parameters: Tensor | None = None) -> dict[str, Tensor]:
        """The parameters of each group."""
        if parameters is None:
            parameters = torch.from_numpy(_unpack(state.memory["parameters"]))
        return dict(zip((group.name for group in state.space.groups), parameters.split(state.memory["sizes"]), strict=True))


def _generator(rng: Random) -> Generator:
    return Generator().manual_seed(rng.getrandbits(62))


def _pack(vector: Vector) -> str:
    """Numbers as text, bit for bit: tens of thousands of them would be long as JSON."""
    return base64.b64encode(vector.astype("<f8").tobytes()).decode()


def _unpack(text: str) -> Vector:
    return np.frombuffer(base64.b64decode(text), dtype="<f8").astype(np.float64)
