"""The supernet of a model of the user's own: the model as it is, with the mixing weights of a pass read by its choices."""

from collections.abc import Iterator
from functools import cached_property
from typing import Any

from torch import Generator, Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from mixop.core.errors import RecipeError
from mixop.core.types import Active, Mix
from mixop.nets.modules.choice import Choice, Pass, running
from mixop.nets.modules.extents import Slices
from mixop.nets.modules.slicing import sliced_model
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.modules.trial import call
from mixop.nets.modules.walk import decided
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import State
from mixop.supernet.base import Supernet


class ModuleSupernet(Supernet):
    """A model whose choices read the mixing weights of the pass around them; nothing of a pass stays in it.

    Args:
        space: the space of the model's choices.
        norm: batch norm settings, of which only whether statistics are kept is used: all else is the model's own.
        generator: source of the initial weights, on the CPU.
    """

    def __init__(self, space: ModuleSpace, norm: BatchNorm, generator: Generator) -> None:
        super().__init__()
        self.space, self.norm, self.wraps = space, norm, ()
        self.model = space.make(generator)
        self.module_space, self.widths = space, space.widths
        self.carries = bool(getattr(self.model, "carries", False))
        if not norm.track and not space.pretrained:  # the weights that a model brings fit the statistics that it brings
            for module in self.model.modules():
                if isinstance(module, _BatchNorm):
                    # Running statistics would mix those of all options: every batch uses its own, as in cells.
                    module.track_running_stats = False
                    module.running_mean = module.running_var = module.num_batches_tracked = None

    def forward(
        self, x: Any, mix: Mix, active: Active | None = None, *, progress: float = 0.0, state: State | None = None
    ) -> Any:
        if active is None or not self._slices.found.removed:
            return self._pass(Pass(mix, active), x, state)
        # Only the channels that run: the same numbers as those of the mask, for less.
        with sliced_model(self._slices.modules, self._slices.of(self._widest(active))):
            return self._pass(Pass(mix, active, sliced=True), x, state)

    def _pass(self, now: Pass, x: Any, state: State | None) -> Any:
        with running(now):
            if self.carries:
                return self.model(x, () if state is None else state)
            return call(self.model, x)

    @cached_property
    def _slices(self) -> Slices:
        return Slices(self.model, self.module_space.extents)

    def _widest(self, active: Active) -> dict[str, str]:
        """The widest option that runs of each width; widths that are not reached have none."""
        paths = {name: active[name][0] for name in self.widths}
        # The options of a width are in increasing order.
        return {name: self.widths[name][max(path)] for name, path in paths.items() if path}  # type: ignore[type-var]

    def idle(self, active: Active) -> list[tuple[Tensor, slice]]:
        runs = {id(parameter) for parameter in self._running(self.model, active)}
        inside = (p for choice in decided(self.model) for p in choice.parameters())
        idle = {id(p): p for p in inside if id(p) not in runs}
        return [*((parameter, slice(None)) for parameter in idle.values()), *self._narrow(active, runs)]

    def _narrow(self, active: Active, runs: set[int]) -> Iterator[tuple[Tensor, slice]]:
        """The rows of weights that are cut away in layers that run; ranges of the first axis cannot name columns."""
        for change in self._slices.of(self._widest(active)):
            parameters = self._slices.modules[change.path]._parameters
            for name, axes in change.parameters.items():
                weight = parameters[name]
                if 0 in axes and weight is not None and id(weight) in runs:
                    yield from ((weight, rows) for rows in axes[0].rest(weight.shape[0]))

    def _running(self, module: nn.Module, active: Active) -> list[Tensor]:
        """The parameters in what runs."""
        found: list[Tensor] = list(module.parameters(recurse=False))
        if isinstance(module, Choice):
            (path,) = active[module.decision]
            names = [module.names[o] for o in path]  # type: ignore[index]  # never by cell
            children: list[nn.Module] = [module.option(name) for name in names]
        else:
            children = list(module.children())
        return [*found, *(p for child in children for p in self._running(child, active))]


def check_module(executor: str, space: ModuleSpace) -> None:
    """Refuses what the supernet of a module space cannot compute, and a model that does not work.

    Raises:
        RecipeError: naming the executor.
        SpaceError: if the model fails on examples.
    """
    if executor in ("fused", "triton"):
        raise RecipeError(f"The {executor} executor computes cells, which {space.name} does not have: use --executor nodewise.")
    space.try_out()


def module_supernet(space: ModuleSpace, *, norm: BatchNorm, generator: Generator) -> ModuleSupernet:
    """The supernet of a module space, freshly initialised; or with the model's own weights where they are kept."""
    return ModuleSupernet(space, norm, generator)
