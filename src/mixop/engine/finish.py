"""What a derivation sees of a search after its last epoch."""

from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from mixop.core.types import Active, Mix, Params
from mixop.data.core import Data
from mixop.derive.base import Norm
from mixop.engine.problem import SupernetProblem
from mixop.engine.sampled import sampled
from mixop.engine.score import one_path, score
from mixop.engine.state import SearchState
from mixop.relax.base import Relaxation
from mixop.spaces.core import Architecture, Space


class TrainedSearch:
    """The `mixop.derive.base.Trained` of a search.

    Args:
        state: the search's state.
        problem: its draws and means.
        data: its data.
        train: trains on until that many epochs are finished.
        save: writes the checkpoint.
        pause: called after every score; may save, and leave the run if it was asked to stop.
    """

    def __init__(
        self,
        state: SearchState,
        problem: SupernetProblem,
        data: Data,
        *,
        train: Callable[[int], None],
        save: Callable[[], None],
        pause: Callable[[], None],
    ) -> None:
        self._state, self._problem, self._data = state, problem, data
        self._train, self.save, self._pause = train, save, pause

    @property
    def space(self) -> Space:
        """The search space."""
        return self._problem.space

    @property
    def params(self) -> Params:
        """Architecture parameters by group."""
        return self._state.params

    @property
    def relaxation(self) -> Relaxation:
        """From parameters to mixing weights."""
        return self._problem.relaxation

    @property
    def memory(self) -> dict[str, Tensor]:
        """What parts carry."""
        return self._state.memory

    @property
    def generator(self) -> Generator:
        """Source of randomness."""
        return self._state.generators["derive"]

    @property
    def epochs(self) -> int:
        """Epochs of the search."""
        return self._problem.recipe.epochs

    @property
    def fixed(self) -> Mapping[str, Mapping[int, int]]:
        """For each group the option of every fixed decision."""
        return self._state.fixed

    def mean(self) -> dict[str, Tensor]:
        """Mean mixing weights of every group, without gradient."""
        with torch.no_grad():
            return self._problem.mean(self._state.params)

    def draw(self) -> Architecture:
        """An architecture sampled from the relaxation."""
        return sampled(self._problem, self._state.params, self.generator)

    def worth(self, what: Mix | Architecture, batches: int | None = None, norm: Norm = "batch") -> tuple[float, float]:
        """The first measure and the loss on the validation part, both as numbers where larger is better."""
        mix: Mix
        active: Active | None = None
        if isinstance(what, Architecture):
            mix, active = one_path(self.space, what, self.mean())
        else:
            mix = what
        size = self._problem.recipe.batch_size
        problem = self._problem
        how = {"batch_size": size, "batches": batches, "norm": norm, "progress": problem.progress, "ranks": problem.ranks}
        found = score(problem.net, self._data, mix, active, **how)
        self._pause()
        task = self._data.task
        return task.first.rank(found[task.first.name]), task.measure("loss").rank(found["loss"])

    def fix(self, group: str, decision: int, option: int) -> None:
        """From now on that decision is one-hot, and its parameters stay as they are."""
        self._state.fixed.setdefault(group, {})[decision] = option

    def tune(self, epochs: int, weight_rate: float) -> None:
        """Trains on, with the rates and temperatures of the search's last epoch but for the weights' learning rate."""
        state = self._state
        if not state.tune_until:
            state.weight_optimiser.state.clear()
        state.tune_until, state.tune_rate = state.epoch + epochs, weight_rate
        self.save()
        self._train(state.tune_until)
