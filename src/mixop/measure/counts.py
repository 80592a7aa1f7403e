"""What a search step launches on a GPU and waits for, counted on a simulated one."""

from collections.abc import Mapping
from copy import copy
from dataclasses import dataclass
from pathlib import Path

from mixop.core.errors import RecipeError
from mixop.core.scratch import scratch_folder
from mixop.measure.simulated import SimulatedGpu
from mixop.measure.steps import Case, Steps


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Of one step.

    Args:
        launches: operations on the GPU by name, views aside; an operation may be several kernels.
        waits: what the host waits for, by name.
    """

    launches: Mapping[str, int]
    waits: Mapping[str, int]

    @property
    def total(self) -> int:
        """Operations in all."""
        return sum(self.launches.values())


def counts(case: Case) -> Counts:
    """Counts a step of both halves, as the engine takes it on a GPU; what is made once a run is not counted.

    Args:
        case: what is counted; its device is simulated, and it is neither captured nor compiled.

    Raises:
        RecipeError: if its executor computes on the CPU alone.
    """
    if case.settings.executor == "fused":
        raise RecipeError("The fused executor computes on the CPU alone, so it launches nothing: count nodewise or plain.")
    settings = copy(case.settings)
    for name, value in (("device", "cuda"), ("capture", False), ("compile", False)):
        object.__setattr__(settings, name, value)  # a value that is checked would ask for a GPU
    with scratch_folder() as folder, SimulatedGpu() as gpu:
        steps = Steps(Case(recipe=case.recipe, space=case.space, settings=settings), Path(folder, "run"), timed=False)
        steps.take()
        gpu.reset()
        steps.take()
        return Counts(launches=dict(gpu.launches), waits=dict(gpu.waits))
