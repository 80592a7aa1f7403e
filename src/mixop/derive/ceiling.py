"""As large a network as a ceiling on its cost allows."""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from mixop.core.errors import RecipeError
from mixop.derive.base import Derivation, check_takes_one
from mixop.nets.costs import Cost, ceiling_of, check_ceiling, check_reachable, costs_of
from mixop.nets.ops import BatchNorm
from mixop.spaces.core import Architecture, Space


@dataclass(frozen=True, kw_only=True)
class UnderCeiling(Derivation):
    """Every decision takes its first option; then the next ones are taken, most probable first, while the cost allows.

    The options of a decision are in a row from the least to the most, as for the `mixop.relax.NestedGates`: the probability of
    an option is that it or a later one is chosen. An option that costs too much closes those after it.

    Args:
        limit: largest cost, > 0, in the unit of the cost; None where ``share`` is given.
        share: largest cost as a share of the most expensive network's, in (0, 1].
        cost: as in `mixop.regularise.CostCeiling`.
    """

    limit: float | None = None
    share: float | None = None
    cost: Cost = "flops"

    def __post_init__(self) -> None:
        check_ceiling("UnderCeiling", self.cost, self.limit, self.share)

    def check(self, space: Space, norm: BatchNorm) -> None:
        check_takes_one("UnderCeiling", space)
        if any(group.keep for group in space.groups):
            raise RecipeError(
                f"UnderCeiling takes an option in every decision, but {space.name} keeps some inputs of a node: use Argmax."
            )
        check_reachable("UnderCeiling", space, self.cost, self.limit, self.share)
        limit = ceiling_of(space, self.cost, self.limit, self.share)
        least = space.architecture([[0] * len(group.decisions) for group in space.groups])
        cost = costs_of(space, self.cost).of(least, space)
        if cost > limit:
            raise RecipeError(
                f"UnderCeiling begins with the first option of every decision, which costs {cost:,.0f} in {space.name}, "
                f"above the ceiling of {limit:,.0f}: name the cheapest option first, or set a higher ceiling."
            )

    def __call__(self, mean: Mapping[str, Tensor], space: Space) -> Architecture:
        limit, costs = ceiling_of(space, self.cost, self.limit, self.share), costs_of(space, self.cost)
        options = [[0] * len(group.decisions) for group in space.groups]
        reached = []
        for g, group in enumerate(space.groups):
            later = mean[group.name].flip(1).cumsum(1).flip(1)
            reached += [(-p, o, g, e) for e, row in enumerate(later.tolist()) for o, p in enumerate(row) if o]
        # Of one decision the probabilities fall, and ties go to the smaller option: each comes after those before it.
        for _, o, g, e in sorted(reached):
            if options[g][e] != o - 1:
                continue
            options[g][e] = o
            if costs.of(space.architecture(options), space) > limit:
                options[g][e] = o - 1
        return space.architecture(options)
