"""What a network is judged by: a name, a unit, and which direction is better. Imports no torch, so that pages can read it."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from mixop.core.errors import RecipeError
from mixop.core.outside import shortened

Number = float | None
"""A measured value; None where nothing was measured."""


@dataclass(frozen=True)
class Measure:
    """One number that a task measures, and how to read it.

    Args:
        name: its word in records, tables and reports: ``accuracy``, ``loss``.
        better: which of two values is better, the higher or the lower one.
        unit: what a person reads behind the number: ``nats``; empty for none.
        style: ``percent`` for a share in [0, 1] that people read as percent; ``number`` for everything else.

    Raises:
        RecipeError: for a name that no file could hold, or an unknown direction or style.

    Example:
        >>> loss = Measure("loss", "lower", "nats")
        >>> loss.beats(0.3, 0.5), loss.beats(0.3, None), loss.beats(float("nan"), 0.5)
        (True, True, False)
        >>> loss.written(0.25), Measure("accuracy", "higher", style="percent").written(0.934)
        ('0.250 nats', '93.4 %')
    """

    name: str
    better: Literal["higher", "lower"]
    unit: str = ""
    style: Literal["percent", "number"] = "number"

    def __post_init__(self) -> None:
        if not self.name.isidentifier():
            raise RecipeError(f"A measure's name must be a word of letters, digits and _, got {self.name!r}.")
        for name, known in (("better", ("higher", "lower")), ("style", ("percent", "number"))):
            if getattr(self, name) not in known:
                raise RecipeError(
                    f"{name} of measure {self.name} must be {known[0]!r} or {known[1]!r}, got {getattr(self, name)!r}."
                )

    def rank(self, value: Number) -> float:
        """A number to sort by: larger is better, whatever the direction; the lowest of all where nothing was measured."""
        if value is None or math.isnan(value):
            return -math.inf
        return value if self.better == "higher" else -value

    def beats(self, value: Number, other: Number) -> bool:
        """Whether one value is better than another; anything measured beats None, and NaN beats nothing."""
        return self.rank(value) > self.rank(other)

    def best(self, values: Mapping[Any, Number]) -> Any:
        """The key of the best value; the first one on ties."""
        return max(values, key=lambda key: self.rank(values[key]))

    @property
    def scale(self) -> float:
        """What a value is multiplied by to be read: 100 for percent."""
        return 100.0 if self.style == "percent" else 1.0

    @property
    def suffix(self) -> str:
        """What stands behind a written value: ``" %"``, ``" nats"`` or nothing."""
        return " %" if self.style == "percent" else f" {self.unit}" if self.unit else ""

    @property
    def title(self) -> str:
        """Its name for axes and heads of columns, with the unit: ``accuracy (%)``."""
        suffix = self.suffix.strip()
        words = self.name.replace("_", " ")
        return f"{words} ({suffix})" if suffix else words

    def digits(self, value: Number, digits: int | None = None) -> str:
        """A value without its unit: ``93.4``, ``0.250``, ``1,234``; ``-`` where nothing was measured."""
        if value is None:
            return "-"
        scaled = self.scale * value
        if digits is None:
            digits = 1 if self.style == "percent" else 0 if abs(scaled) >= 1000 else 1 if abs(scaled) >= 100 else 3
        return f"{scaled:,.{digits}f}"

    def written(self, value: Number, digits: int | None = None) -> str:
        """A value as a person reads it: ``93.4 %``, ``0.250 nats``; ``-`` where nothing was measured."""
        return "-" if value is None else self.digits(value, digits) + self.suffix

    def to_json(self) -> dict[str, str]:
        """The measure as JSON data."""
        return {"name": self.name, "better": self.better, "unit": self.unit, "style": self.style}


def measure_from_json(data: Any) -> Measure:
    """The measure that `Measure.to_json` wrote.

    Raises:
        RecipeError: if it is not one.
    """
    known = {field.name for field in fields(Measure)}
    if not isinstance(data, Mapping) or not {"name", "better"} <= data.keys() <= known:
        raise RecipeError(f"A measure is an object of name, better, unit and style, got {shortened(data)}.")
    if not all(isinstance(value, str) for value in data.values()):
        raise RecipeError(f"A measure has texts for name, better, unit and style, got {shortened(data)}.")
    return Measure(**data)


ACCURACY = Measure("accuracy", "higher", style="percent")
LOSS = Measure("loss", "lower", "nats")
