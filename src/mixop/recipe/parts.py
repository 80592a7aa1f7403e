"""The parts that a recipe file may name, and recipes as JSON data."""

from collections.abc import Mapping
from typing import Any

from mixop import bilevel, derive, monitors, regularise, wraps
from mixop.bilevel import perturb
from mixop.bilevel import weight_step as weights
from mixop.core import optim, schedules
from mixop.core.values import changed, from_plain, to_plain
from mixop.data.windows import Windows
from mixop.nets import costs, latency
from mixop.nets.ops import BatchNorm
from mixop.recipe.core import Recipe
from mixop.recipe.stage import Stage
from mixop.relax import ALL

PARTS: Mapping[str, type] = {
    cls.__name__: cls
    for cls in (
        Recipe,
        *ALL.values(),
        bilevel.FirstOrder,
        bilevel.SecondOrder,
        bilevel.SingleLevel,
        bilevel.ScoreFunction,
        bilevel.ImportanceWeighted,
        bilevel.Frozen,
        bilevel.TunedRate,
        weights.SingleDraw,
        weights.ImportanceDraws,
        perturb.RandomSmoothing,
        perturb.Adversarial,
        regularise.AnchorL2,
        regularise.DirichletKL,
        regularise.Entropy,
        regularise.GatePenalty,
        regularise.SwitchPenalty,
        regularise.ExpectedCost,
        regularise.CostCeiling,
        costs.CostTable,
        latency.LatencyTable,
        *monitors.ALL.values(),
        optim.SGD,
        optim.Adam,
        optim.TorchOptimiser,
        optim.RMSProp,
        optim.ExponentiatedGradient,
        *derive.ALL.values(),
        *wraps.ALL.values(),
        Stage,
        schedules.Constant,
        schedules.Linear,
        schedules.Cosine,
        schedules.CosineRestarts,
        schedules.Exponential,
        schedules.LinearWithTail,
        schedules.Joined,
        BatchNorm,
        Windows,
    )
}
"""Every part by the name it has in a recipe file."""


def recipe_to_json(recipe: Recipe) -> dict[str, Any]:
    """A recipe as JSON data, without loss."""
    return to_plain(recipe)


def recipe_from_json(data: Any) -> Recipe:
    """The recipe that `recipe_to_json` wrote.

    Raises:
        RecipeError: with the path to what is unknown, missing or of the wrong type.
    """
    return from_plain(data, Recipe, PARTS)


def variant(recipe: Recipe, changes: Mapping[str, Any]) -> Recipe:
    """A recipe with the settings of a nested mapping, written as in a JSON or TOML file for ``--recipe`` or ``--config``.

    For changes deep inside a recipe, or read from a file; a change at the top is as well a `dataclasses.replace`.

    Args:
        recipe: what to start from.
        changes: setting to value, as deep as needed. A part is replaced by the name of another class, by an object with
            another ``"type"``, or by a value; an object without ``"type"`` changes the fields that it names. A number for a
            schedule stays the same throughout, and a list replaces the list that was there.

    Raises:
        RecipeError: with the path to what is unknown, of the wrong type or out of range.

    Example:
        >>> from mixop import recipes
        >>> mine = recipes.variant(recipes.darts(), {"relaxation": "Dirichlet", "architecture_optimiser": {"lr": 0.001}})
        >>> mine.relaxation, mine.architecture_optimiser.lr
        (Dirichlet(ranking='mean'), Constant(value=0.001))
    """
    return changed(recipe, changes, PARTS)
