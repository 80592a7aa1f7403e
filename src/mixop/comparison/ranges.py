"""The values that a tuned field may take: numbers between two bounds, or one of several."""

import json
import math
from dataclasses import dataclass
from typing import Any, ClassVar

from mixop.core.errors import RecipeError
from mixop.core.values import to_plain


@dataclass(frozen=True)
class Range:
    """Numbers from ``low`` to ``high``, both included; whole ones where the field takes whole numbers.

    Args:
        low: the least, above 0 where ``log``.
        high: the largest, above ``low``.
        log: whether the logarithm is searched, as for rates.

    Raises:
        RecipeError: for bounds in the wrong order, or no numbers.
    """

    asked: ClassVar[str] = "a range such as mixop.Range(1e-4, 1e-1, log=True)"

    low: float
    high: float
    log: bool = False

    def __post_init__(self) -> None:
        for bound in (self.low, self.high):
            if isinstance(bound, bool) or not isinstance(bound, int | float) or not math.isfinite(bound):
                raise RecipeError(f"The bounds of a range must be finite numbers, got {bound!r}.")
        if not self.low < self.high:
            raise RecipeError(f"A range goes from a lower to a higher number, got {self.low:g} to {self.high:g}.")
        if self.log and not self.low > 0:
            raise RecipeError(f"A logarithmic range begins above 0, got {self.low:g}: give another bound, or leave out log.")

    @property
    def whole(self) -> bool:
        """Whether both bounds are whole numbers, not only in value: 1 and not 1.0."""
        return isinstance(self.low, int) and isinstance(self.high, int)


@dataclass(frozen=True)
class OneOf:
    """One of several values: numbers, words, parts such as relaxations; of a whole recipe, protocol or space also their names.

    Args:
        options: at least one, all different.

    Raises:
        RecipeError: if there are none, one comes twice, or one is no value that a file can hold.
    """

    asked: ClassVar[str] = 'options such as mixop.OneOf(("darts", "gaea"))'

    options: tuple[Any, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "options", tuple(self.options))
        if not self.options:
            raise RecipeError("A tuned field needs at least one option to choose from, got none.")
        for label in (labels := self.labels):
            if labels.count(label) > 1:
                raise RecipeError(f"The options of a tuned field must be different, got {label!r} twice.")

    @property
    def labels(self) -> list[str | int | float | bool | None]:
        """What stands for each option in a study: itself, or for a part its text in JSON."""
        return [
            option if option is None or isinstance(option, bool | int | float | str) else json.dumps(to_plain(option))
            for option in self.options
        ]


Tuned = Range | OneOf
"""What a tuned field may be."""
