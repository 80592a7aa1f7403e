"""How a text is cut into windows for training, as a value."""

from dataclasses import dataclass

from mixop.core.errors import RecipeError
from mixop.core.schedules import check_range

SHORTEST, LONGER = 5, 20
"""Fewest tokens of a window of random length, and tokens beyond the usual window at most."""


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Windows whose length is drawn, one after the other until the text is over, so that a pass has a number of its own.

    A length is the data's usual window T, or T / 2 with the chance ``halved``; ``spread`` makes it a normal number around that,
    rounded down, of at least 5 and at most T + 20 tokens. The last window of a pass has what is left.

    Args:
        halved: chance of half a window, in [0, 1].
        spread: standard deviation of the length in tokens, >= 0; 0 for none, lengths T and T / 2 then.
        scale_rate: whether the learning rate of a step is multiplied by its length over T.

    Raises:
        RecipeError: if a number is out of range.

    Source: Merity et al. 2018 (arXiv:1708.02182), section 4.1; without spread as the search of DARTS (arXiv:1806.09055) has it.
    """

    halved: float = 0.05
    spread: float = 0.0
    scale_rate: bool = True

    def __post_init__(self) -> None:
        check_range("halved of Windows", self.halved, at_least=0, at_most=1)
        check_range("spread of Windows", self.spread, at_least=0)
        if not isinstance(self.scale_rate, bool):
            raise RecipeError(f"scale_rate of Windows must be true or false, got {self.scale_rate!r}.")
