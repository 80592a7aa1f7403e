"""Derivation: from mixing weights to the discrete architecture."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mixop.errors import RecipeError
from mixop.spaces.core import Architecture, Choice, Space


class Derivation(ABC):
    """Base of the derivation rules; subclasses are frozen dataclasses."""

    @abstractmethod
    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        """The architecture that the mean mixing weights stand for.

        Args:
            mean: for each group the mean mixing weights ``(E, O)``.
            space: the search space.
        """

    def check(self, space: Space) -> None:
        """Refuses spaces that the rule does not fit.

        Raises:
            RecipeError: naming both.
        """
        return


@dataclass(frozen=True, kw_only=True)
class Argmax(Derivation):
    """Every decision takes its option of largest weight, the first one on ties (methods of NAS-Bench-201).

    Args:
        none: whether ``none`` may be chosen; if not, it is passed over where a decision offers it.

    Source: Dong & Yang 2020 (arXiv:2001.00326), section 4; Liu et al. 2019 (arXiv:1806.09055), section 2.2 without ``none``.
    """

    none: bool = True

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        choices = []
        for group in space.groups:
            chosen = []
            for e, (decision, row) in enumerate(zip(group.decisions, mean[group.name].tolist(), strict=True)):
                allowed = [o for o, option in enumerate(decision.options) if self.none or option != "none"]
                best = max(allowed, key=lambda o: (row[o], -o))
                chosen.append(Choice(e, decision.options[best]))
            choices.append((group.name, tuple(chosen)))
        return Architecture(space.name, tuple(choices))

    def check(self, space: Space) -> None:
        for group in space.groups:
            if not self.none and any(decision.options == ("none",) for decision in group.decisions):
                raise RecipeError(f"Argmax(none=False) has nothing to choose on an edge of {space.name} that offers only none.")
