"""What a derivation sees of a search after its last epoch."""

from collections.abc import Callable, Mapping

import torch
from torch import Generator, Tensor

from mixop.core.types import Active, Draw, Mix, Params, paths_of
from mixop.data.core import Data
from mixop.derive.base import Norm, architecture_from, several
from mixop.engine.problem import SupernetProblem
from mixop.engine.score import one_path, score
from mixop.engine.state import SearchState
from mixop.relax.base import Relaxation
from mixop.relax.sampling import some_edges
from mixop.spaces.core import Architecture, Group, Space


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
        with torch.no_grad():
            draws = self._problem.draw(self._state.params, self.generator, by_cell=False)
        pairs = {}
        for group in self.space.groups:
            draw = draws[group.name]
            if group.take > 1:
                pairs[group.name] = several(draw.weights.tolist(), group)
                continue
            kept = _kept_twice(group, draw) if self.space.repeats else None
            if kept is not None:
                pairs[group.name] = kept
                continue
            options = draw.weights.argmax(-1).tolist()
            running = [e for e in range(len(group.decisions)) if draw.active is None or draw.active[e]]
            if group.keep:
                running = _without_absent(group, running, options)
            pairs[group.name] = [(e, options[e]) for e in some_edges(group, running, self.generator)]
        return architecture_from(self.space, pairs)

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


def _kept_twice(group: Group, draw: Draw) -> list[tuple[int, int]] | None:
    """The edges and options of a draw that keeps as many edges into every node as an architecture does, some of them twice.

    None where it does not, and it has to be drawn which edges are kept.
    """
    if draw.active is None:
        return None
    paths = paths_of(draw.active, 0)
    kept = [(e, o) for e, path in enumerate(paths) for o in path for _ in range(round(draw.weights[e, o].item()))]
    counts = [sum(e in edges for e, _ in kept) - min(group.keep, len(edges)) for edges in map(group.into, group.targets)]
    return None if any(counts) else kept


def _without_absent(group: Group, edges: list[int], options: list[int]) -> list[int]:
    """The edges without those that took an absent option, but for nodes that would be left with too few."""
    kept = []
    for target in group.targets:
        there = [e for e in group.into(target) if e in edges]
        some = [e for e in there if not group.is_absent(group.decisions[e].options[options[e]])]
        kept += some if len(some) >= group.keep else there
    return kept
