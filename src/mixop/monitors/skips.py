"""Early stopping on the number of skip connections."""

from dataclasses import dataclass

from mixop.analysis.collapse import skip_count
from mixop.core.errors import RecipeError
from mixop.monitors.base import Action, Continue, Monitor, Stop, View, check_whole
from mixop.relax.base import Relaxation
from mixop.spaces.core import Space


@dataclass(frozen=True, kw_only=True)
class SkipStop(Monitor):
    """Stops when the derived architecture first has too many skip connections; the architecture before it is the result.

    A search that begins with too many, by the chance of its first parameters, is left alone until it has come within the
    limit: only crossing it stops.

    Args:
        limit: largest number of skip connections in a group, >= 0; 2 in the cells of DARTS, which keep 8 operations.
        group: the group that is counted, ``normal`` for example; None for the group with the most.

    Source: Chen et al. 2019 (arXiv:1904.12760), for the number; stopping at two is from Liang et al. 2019
        (arXiv:1909.06035).
    """

    limit: int = 2
    group: str | None = None

    def __post_init__(self) -> None:
        check_whole("limit of SkipStop", self.limit, 0)

    def check(self, relaxation: Relaxation, space: Space, weight_decay: float) -> None:
        groups = space.groups if self.group is None else [space.group(self.group)]
        offered = (option for group in groups for decision in group.decisions for option in decision.options)
        if not any(map(space.is_skip, offered)):
            where = space.name if self.group is None else f"group {self.group!r} of {space.name}"
            raise RecipeError(f"SkipStop counts skip connections, which {where} does not offer: leave it out.")

    def __call__(self, view: View) -> Action:
        if view.epoch == 0 or self._within(view, view.architecture()):
            return Continue()
        before = view.history(view.epoch - 1)
        return Stop(before) if self._within(view, before) else Continue()

    def _within(self, view: View, native: str) -> bool:
        return skip_count(view.space.from_native(native), view.space, self.group) <= self.limit
