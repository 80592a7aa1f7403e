"""The supernet of a model of the user's own: the model as it is, with the mixing weights of a pass read by its choices."""

from typing import Any

from torch import Generator, Tensor, nn

from mixop.core.errors import RecipeError
from mixop.core.types import Active, Mix
from mixop.nets.modules.choice import Choice, Pass, running
from mixop.nets.modules.space import ModuleSpace
from mixop.nets.modules.trial import call
from mixop.nets.modules.walk import decided
from mixop.nets.ops import BatchNorm
from mixop.nets.skeleton import State
from mixop.supernet.base import Supernet

_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)


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
        self.carries = bool(getattr(self.model, "carries", False))
        if not norm.track:
            for module in self.model.modules():
                if isinstance(module, _NORMS):
                    # Running statistics would mix those of all options: every batch uses its own, as in cells.
                    module.track_running_stats = False
                    module.running_mean = module.running_var = module.num_batches_tracked = None

    def forward(
        self, x: Any, mix: Mix, active: Active | None = None, *, progress: float = 0.0, state: State | None = None
    ) -> Any:
        with running(Pass(mix, active)):
            if self.carries:
                return self.model(x, () if state is None else state)
            return call(self.model, x)

    def idle(self, active: Active) -> list[tuple[Tensor, slice]]:
        runs = {id(parameter) for parameter in self._running(self.model, active)}
        inside = (p for choice in decided(self.model) for p in choice.parameters())
        idle = {id(p): p for p in inside if id(p) not in runs}
        return [(parameter, slice(None)) for parameter in idle.values()]

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
    if executor == "fused":
        raise RecipeError(f"The fused executor computes cells, which {space.name} does not have: use --executor nodewise.")
    space.try_out()


def module_supernet(space: ModuleSpace, *, norm: BatchNorm, generator: Generator) -> ModuleSupernet:
    """The supernet of a module space, freshly initialised; or with the model's own weights where they are kept."""
    return ModuleSupernet(space, norm, generator)
