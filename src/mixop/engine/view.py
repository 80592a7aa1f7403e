"""What monitors see of a search."""

from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from mixop.core.types import Draw, Mix, Params
from mixop.data.core import Data
from mixop.derive.base import Norm
from mixop.engine.problem import SupernetProblem
from mixop.engine.sampled import sampled
from mixop.engine.score import one_path, score
from mixop.engine.state import SearchState
from mixop.spaces.core import Architecture, Space


class SearchView:
    """The `mixop.monitors.base.View` of a search, at the end of an epoch.

    Args:
        state: the search's state; its epoch is the one that has just finished.
        problem: its losses.
        data: its data.
        gap: measures how much better the supernet is than the derived architecture, or None without a validation part.
    """

    def __init__(
        self,
        state: SearchState,
        problem: SupernetProblem,
        data: Data,
        gap: Callable[[], float | None],
    ) -> None:
        self._state, self._problem, self._data, self.gap = state, problem, data, gap

    @property
    def epoch(self) -> int:
        """The epoch that has just finished, counted from 0."""
        return self._state.epoch

    @property
    def epochs(self) -> int:
        """Epochs of the whole search."""
        return self._problem.recipe.epochs

    @property
    def params(self) -> Params:
        """Architecture parameters by group."""
        return self._state.params

    @property
    def space(self) -> Space:
        """The search space."""
        return self._problem.space

    @property
    def memory(self) -> dict[str, Tensor]:
        """What monitors carry from epoch to epoch."""
        return self._state.memory

    @property
    def weight_decay(self) -> float:
        """Of the network weights, as it is now."""
        return self._state.weight_optimiser.param_groups[0]["weight_decay"]

    @property
    def learning_rate(self) -> float:
        """Of the network weights, in the last step."""
        return self._state.weight_optimiser.param_groups[0]["lr"]

    @property
    def added_skip(self) -> float:
        """The weight of the skip connection that wraps add beside the options of every edge; 0 without one."""
        wraps = self._problem.recipe.all_wraps[self._state.stage]
        return sum(wrap.added_skip(self._problem.progress) for wrap in wraps)

    @property
    def generator(self) -> Generator:
        """Source of randomness."""
        return self._state.generators["monitor"]

    def mean(self) -> Mapping[str, Tensor]:
        """Mean mixing weights of every group, without gradient."""
        return {name: value.detach() for name, value in self._problem.mean(self._state.params).items()}

    def draw(self) -> str:
        """An architecture sampled from the relaxation."""
        return self.space.to_native(sampled(self._problem, self._state.params, self.generator))

    def architecture(self) -> str:
        """The architecture derived now."""
        return self._state.natives[self.epoch]

    def history(self, epoch: int) -> str:
        """The architecture derived after a finished epoch."""
        return self._state.natives[epoch]

    def valid_loss(self, params: Params, batches: int = 1) -> Tensor:
        """The loss of the first validation batches under the mean mixing weights of ``params``."""
        return self.mix_loss(self._problem.mean(params), batches)

    def mix_loss(self, mix: Mix, batches: int = 1) -> Tensor:
        """The loss of the first validation batches under given mixing weights."""
        draws = {name: Draw(weights) for name, weights in mix.items()}
        size = self._problem.recipe.batch_size
        pieces = self._data.examples.sweep(self._data.valid, size)
        whole = [at[:size] for at in pieces if len(at) >= size] or pieces[:1]
        return torch.stack([self._loss(draws, at) for at in whole[:batches]]).mean()

    def draw_loss(self, params: Params) -> Tensor:
        """That of the first batch under one draw of the relaxation, the same one throughout an epoch."""
        first = self._data.examples.sweep(self._data.valid, self._problem.recipe.batch_size)[0]
        draws = self._problem.draw(params, Generator().manual_seed(self.epoch))
        return self._loss(draws, first[: self._problem.recipe.batch_size])

    def worth(self, architecture: Architecture, batches: int | None = None, norm: Norm = "batch") -> float:
        """The task's first measure of an architecture with the shared weights, on the validation part; larger is better."""
        mix, active = one_path(self.space, architecture, self.mean())
        size, time = self._problem.recipe.batch_size, self._problem.progress
        found = score(self._problem.net, self._data, mix, active, batch_size=size, batches=batches, norm=norm, progress=time)
        first = self._data.task.first
        return first.rank(found[first.name])

    def _loss(self, draws: Mapping[str, Draw], at: Tensor) -> Tensor:
        batch = self._data.batch(at)
        fixed = {name: weight.detach() for name, weight in self._problem.weights.items()}
        self._problem.net.train()
        return self._problem.draw_loss(fixed, draws, batch)
